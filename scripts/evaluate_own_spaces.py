"""What experience is worth for programs of users, whose hyperparameters have other names and ranges.

`python scripts/evaluate_own_spaces.py --cache DATASETS --out FOLDER`: a LightGBM script and three networks are tuned
on tables of a dataset cache, from mapped experience (`mapped`) and without experience (`cold`). Both begin with the
program's own default. A trial is the balanced error over three folds of a sample of the rows. The source tasks of a
table's family are left out of the experience; the kernel was learnt with them. Started again with the same folder, it
goes on.

Regret is (loss - best) / (worst - best) over all trials of a program on a table. The script prints the mean regrets,
and a paired Wilcoxon test over families after the last trial. The folder holds `runs.jsonl`, one run a line.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from metahpo import BayesianOptimizer, Recommender
from metahpo.datasets.cache import read_sidecars, read_task
from metahpo.evaluation.ranking import signed_rank_p
from metahpo.evaluation.regret import regret_of_losses, scale_of
from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate
from metahpo.tasks.task import Task

#: Trials after which the mean regrets are shown.
MILESTONES = (1, 2, 5, 10, 15, 25)
EPOCHS, ROUNDS = 15, 60

Array = NDArray[np.float64]
#: Hyperparameters, rows to learn from, their classes, rows to predict -> predicted classes.
Fit = Callable[[Mapping[str, Any], Array, NDArray[np.intp], Array], NDArray[Any]]


def lightgbm_script(values: Mapping[str, Any], X: Array, y: NDArray[np.intp], X_new: Array) -> NDArray[Any]:
    """LightGBM by its own interface."""
    import lightgbm

    own = {"objective": "multiclass", "num_class": int(y.max()) + 1, "num_threads": 1, "verbosity": -1, "seed": 0}
    booster = lightgbm.train({**own, **values}, lightgbm.Dataset(X, y, params={"verbosity": -1}), ROUNDS)
    predicted: NDArray[Any] = np.asarray(booster.predict(X_new)).argmax(axis=1)
    return predicted


def adam_network(values: Mapping[str, Any], X: Array, y: NDArray[np.intp], X_new: Array) -> NDArray[Any]:
    """scikit-learn's network with its default optimiser."""
    network = MLPClassifier(
        (values["hidden_size"],) * values["n_layers"],
        learning_rate_init=values["lr"],
        alpha=values["l2"],
        batch_size=min(values["bs"], len(X)),
        max_iter=EPOCHS,
        random_state=0,
    )
    return np.asarray(network.fit(X, y).predict(X_new))


def momentum_network(values: Mapping[str, Any], X: Array, y: NDArray[np.intp], X_new: Array) -> NDArray[Any]:
    """scikit-learn's network with plain gradients."""
    network = MLPClassifier(
        (values["n_units"],),
        values["act"],
        solver="sgd",
        learning_rate_init=values["step_size"],
        momentum=values["mu"],
        batch_size=min(32, len(X)),
        max_iter=EPOCHS,
        random_state=0,
    )
    return np.asarray(network.fit(X, y).predict(X_new))


def torch_network(values: Mapping[str, Any], X: Array, y: NDArray[np.intp], X_new: Array) -> NDArray[Any]:
    """A network of PyTorch with dropout."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        width = X.shape[1]
        for _ in range(values["num_layers"]):
            layers += [nn.Linear(width, values["hidden_dim"]), nn.ReLU(), nn.Dropout(values["p_dropout"])]
            width = values["hidden_dim"]
        network = nn.Sequential(*layers, nn.Linear(width, int(y.max()) + 1))
        optimizer = torch.optim.AdamW(network.parameters(), values["lr"], weight_decay=values["wd"])
        rows, classes = torch.from_numpy(X).float(), torch.from_numpy(y)
        for _ in range(EPOCHS):
            for batch in torch.split(torch.randperm(len(rows), generator=generator), values["batch"]):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(network(rows[batch]), classes[batch])
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimizer.step()
        with torch.no_grad():
            return np.asarray(network.eval()(torch.from_numpy(X_new).float()).argmax(1).numpy())


@dataclass(frozen=True)
class Program:
    """A user's program: what it fits, its hyperparameters, and the learner whose experience may say something.

    `held` are hyperparameters of the learner that the program holds at one value.
    """

    fit: Fit
    learner: str
    hyperparameters: tuple[Any, ...]
    held: Mapping[str, Any]

    @property
    def space(self) -> ConfigurationSpace:
        """Search space of the user."""
        space = ConfigurationSpace()
        space.add(*self.hyperparameters)
        return space


PROGRAMS = {
    "lightgbm": Program(
        lightgbm_script,
        "lightgbm",
        (
            Float("eta", (5e-3, 1.0), log=True, default=0.1),
            Integer("num_leaves", (2, 256), log=True, default=31),
            Float("feature_fraction", (0.2, 1.0), default=1.0),
            Float("lambda_l2", (1e-3, 1e3), log=True, default=1e-3),
            Integer("min_data_in_leaf", (1, 100), log=True, default=20),
            Integer("max_bin", (8, 255), log=True, default=255),
        ),
        {"n_estimators": ROUNDS},
    ),
    "adam": Program(
        adam_network,
        "mlp",
        (
            Float("lr", (1e-5, 1.0), log=True, default=1e-3),
            Float("l2", (1e-7, 10.0), log=True, default=1e-4),
            Integer("hidden_size", (4, 128), log=True, default=100),
            Integer("n_layers", (1, 3), default=1),
            Categorical("bs", [16, 64, 200], default=200),
        ),
        {"epochs": EPOCHS, "optimiser": "adam", "schedule": "constant", "activation": "relu", "dropout": 0.0},
    ),
    "momentum": Program(
        momentum_network,
        "mlp",
        (
            Float("step_size", (1e-5, 1.0), log=True, default=1e-3),
            Float("mu", (0.0, 0.99), default=0.9),
            Integer("n_units", (4, 128), log=True, default=100),
            Categorical("act", ["relu", "tanh", "logistic"], default="relu"),
        ),
        {"epochs": EPOCHS, "optimiser": "nesterov", "schedule": "constant", "depth": 1, "dropout": 0.0},
    ),
    "torch": Program(
        torch_network,
        "mlp",
        (
            Float("lr", (1e-5, 1.0), log=True, default=1e-3),
            Float("wd", (1e-6, 1.0), log=True, default=1e-2),
            Float("p_dropout", (0.0, 0.8), default=0.5),
            Integer("hidden_dim", (4, 128), log=True, default=64),
            Integer("num_layers", (0, 3), default=2),
            Integer("batch", (16, 128), log=True, default=32),
        ),
        {"epochs": EPOCHS, "optimiser": "adamw", "schedule": "constant", "activation": "relu"},
    ),
}


def rows_of(task: Task, n_rows: int) -> tuple[Array, NDArray[np.intp]]:
    """Standardised numbers of a sample of the rows, and their classes; classes with fewer than three rows go."""
    sample = np.random.default_rng(0).permutation(len(task.y))[:n_rows]
    table = pd.get_dummies(pd.DataFrame(task.X).iloc[sample], dtype=float)
    X = StandardScaler().fit_transform(table.fillna(table.median()).fillna(0.0).to_numpy(dtype=np.float64))
    classes = np.asarray(task.y)[sample]
    names, counts = np.unique(classes, return_counts=True)
    kept = np.isin(classes, names[counts >= 3])
    return X[kept], np.unique(classes[kept], return_inverse=True)[1].astype(np.intp)


def loss_of(program: Program, values: Mapping[str, Any], X: Array, y: NDArray[np.intp]) -> float:
    """Balanced error over three folds; NaN where a fit fails."""
    errors = []
    for known, new in StratifiedKFold(3, shuffle=True, random_state=0).split(X, y):
        try:
            predicted = program.fit(values, X[known], y[known], X[new])
        except ValueError:  # a network whose weights became infinite
            return float("nan")
        errors.append(1.0 - balanced_accuracy_score(y[new], predicted))
    return float(np.mean(errors))


def optimizer_of(program: Program, method: str, task: Task, family: str, seed: int) -> BayesianOptimizer:
    """A search of a program's space, its default first."""
    space = program.space
    if method == "cold":
        return BayesianOptimizer(space, random_state=seed, initial=[space.get_default_configuration()])
    known = Recommender.shipped("classification", "table", program.learner)
    start = known.warm_start(task, program.learner)
    tasks = known.meta_dataset.tasks
    surrogate = start.surrogate
    if not isinstance(surrogate, MetaLearnedSurrogate):
        raise TypeError(f"the experience with {program.learner!r} is {surrogate!r}, which can leave out no task.")
    without = surrogate.without_tasks(set(tasks.index[tasks["family"] == family]))
    return replace(start, surrogate=without).in_space(space, held=program.held).optimizer(seed)


def run(program: Program, method: str, task: Task, family: str, seed: int, n_trials: int, n_rows: int) -> list[float]:
    """Losses of one search."""
    X, y = rows_of(task, n_rows)
    optimizer, losses = optimizer_of(program, method, task, family, seed), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # of networks that diverge
        for _ in range(n_trials):
            values = optimizer.ask()
            losses.append(loss_of(program, values, X, y))
            optimizer.tell(values, losses[-1])
    return losses


def report(runs: pd.DataFrame, n_trials: int) -> str:
    """Mean regrets of both methods, and the test over families."""
    rows = []
    for (_, _), own in runs.groupby(["program", "table"]):
        scale = scale_of(own["losses"].tolist())
        if scale is None or set(own["method"]) != {"mapped", "cold"}:
            continue
        for record in own.to_dict("records"):
            rows += [
                {
                    **{k: record[k] for k in ("program", "table", "family", "method", "seed")},
                    "trial": i + 1,
                    "regret": r,
                }
                for i, r in enumerate(regret_of_losses(record["losses"], scale, n_trials))
            ]
    regrets = pd.DataFrame(rows)
    shown = regrets[regrets["trial"].isin([*MILESTONES, n_trials])]
    by_program = shown.pivot_table("regret", ["program", "method"], "trial").round(4)
    overall = shown.pivot_table("regret", "method", "trial").round(4)
    last = regrets[regrets["trial"] == n_trials].pivot_table("regret", ["family", "program", "table"], "method")
    difference = last["mapped"] - last["cold"]
    p = signed_rank_p(difference.groupby(level="family").mean().to_numpy())
    wins, losses = int((difference < 0).sum()), int((difference > 0).sum())
    pairs = f"{len(last)} pairs of a program and a table"
    ending = f"after {n_trials} trials on {pairs}: mapped is better on {wins}, worse on {losses}; p = {p:.3f}"
    return f"{by_program.to_string()}\n\n{overall.to_string()}\n\n{ending}"


def main() -> None:
    """Make what is missing, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder of the dataset cache")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tables", nargs="+", help="keys in the cache (default: of random families)")
    parser.add_argument("--n-tables", type=int, default=10)
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--rows", type=int, default=1000)
    given = parser.parse_args()
    sidecars, _ = read_sidecars(given.cache)
    families = {key: sidecar["family"] for key, sidecar in sidecars.items() if sidecar["kind"] == "classification"}
    one_each = list({family: key for key, family in sorted(families.items())}.values())
    tables = given.tables or np.random.default_rng(0).permutation(one_each)[: given.n_tables].tolist()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "runs.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    names = ("program", "table", "method", "seed")
    made = {tuple(record[name] for name in names) for record in records}
    for table in tables:
        task = read_task(given.cache, table)
        for key in ((p, table, m, s) for s in range(given.seeds) for p in given.programs for m in ("mapped", "cold")):
            if key in made:
                continue
            began, (name, _, method, seed) = time.process_time(), key
            losses = run(PROGRAMS[name], method, task, families[table], seed, given.trials, given.rows)
            seconds = time.process_time() - began
            told = [loss if np.isfinite(loss) else None for loss in losses]
            record = {**dict(zip(names, key, strict=True)), "family": families[table], "losses": told}
            records.append({**record, "cpu_seconds": seconds})
            with path.open("a") as file:
                file.write(json.dumps(records[-1]) + "\n")
            print(*key, f"best {np.nanmin(losses):.4f}, {seconds:.1f} s of CPU time", flush=True)
    print(report(pd.DataFrame(records), given.trials))


if __name__ == "__main__":
    main()
