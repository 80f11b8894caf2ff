"""The network at its default configuration against scikit-learn's: quality and training time on cached datasets.

One dataset of a family, evenly spread over the sorted keys of the cache; 3-fold cross-validation on at most 2000 rows.
scikit-learn's network gets standardised columns, one-hot categories, and a standardised target. Seconds are those of
``fit``, preprocessing included, on one thread: processor seconds, which a busy machine does not change.
"""

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import numpy as np
import torch
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from metahpo.building.protocol import Protocol
from metahpo.datasets.cache import cached_keys, read_sidecar, read_task
from metahpo.networks.mlp.mlp_classifier import NetworkClassifier
from metahpo.networks.mlp.mlp_estimator import NetworkEstimator
from metahpo.networks.mlp.mlp_regressor import NetworkRegressor
from metahpo.tasks.preprocessing import preprocessing
from metahpo.tasks.task import KINDS, Task, TaskKind


def chosen_tasks(cache: Path, kind: TaskKind, n_tasks: int) -> Iterator[Task]:
    """Tasks of different families, evenly spread over the keys."""
    one_a_family: dict[str, str] = {}
    for key in sorted(cached_keys(cache)):
        sidecar = read_sidecar(cache, key)
        if sidecar["kind"] == kind:
            one_a_family.setdefault(str(sidecar.get("family") or key), key)
    keys = list(one_a_family.values())
    for i in np.unique(np.linspace(0, len(keys) - 1, n_tasks).round().astype(int)):
        yield read_task(cache, keys[i])


def scikit_learns(task: Task) -> Pipeline:
    """scikit-learn's network at its defaults."""
    if task.kind == "classification":
        return make_pipeline(preprocessing(task, "scaled"), MLPClassifier(random_state=0))
    network = TransformedTargetRegressor(MLPRegressor(random_state=0), transformer=StandardScaler())
    return make_pipeline(preprocessing(task, "scaled"), network)


def our_own(task: Task) -> NetworkEstimator:
    """Our network at its defaults."""
    return NetworkClassifier(random_state=0) if task.kind == "classification" else NetworkRegressor(random_state=0)


def measure(model: Pipeline | NetworkEstimator, task: Task) -> tuple[float, float]:
    """Mean score over the folds, and seconds of all fits."""
    score = r2_score if task.kind == "regression" else accuracy_score
    scores, seconds = [], 0.0
    for train, test in task.splits(3, 0):
        start = process_time()
        model.fit(task.X.iloc[train], task.y[train])
        seconds += process_time() - start
        scores.append(float(score(task.y[test], model.predict(task.X.iloc[test]))))
    return float(np.mean(scores)), seconds


def main() -> None:
    """Print a table a kind of task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, help="folder of cached datasets")
    parser.add_argument("--tasks", type=int, default=20, help="tasks of each kind; all families at most")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    for kind in KINDS:
        rows = []
        print(f"{kind:32s} {'rows':>5s} {'sklearn':>8s} {'mlp':>8s} {'seconds':>8s} {'seconds':>8s}")
        for task in chosen_tasks(arguments.cache, kind, arguments.tasks):
            prepared = Protocol().prepare(task)
            with threadpool_limits(1):
                theirs = measure(scikit_learns(prepared), prepared)
                ours = measure(our_own(prepared), prepared)
            rows.append([theirs[0], ours[0], theirs[1], ours[1]])
            print(
                f"{task.name[:32]:32s} {prepared.n_rows:5d} {theirs[0]:8.4f} {ours[0]:8.4f} "
                f"{theirs[1]:8.2f} {ours[1]:8.2f}"
            )
        mean = np.mean(rows, axis=0)
        print(f"{'mean':32s} {'':5s} {mean[0]:8.4f} {mean[1]:8.4f} {mean[2]:8.2f} {mean[3]:8.2f}")
        gain = np.diff(np.array(rows)[:, :2]).ravel()
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        print(f"ours - scikit-learn's: {gain.mean():.4f}, standard error over {len(gain)} tasks {error:.4f}\n")


if __name__ == "__main__":
    main()
