"""Results in the layout of HPO-B: what its authors published beside what methods of this package do in its protocol.

    {space: {task: {seed: [incumbent after the initial configurations, after 1 more trial, after 2 more, ...]}}}

An incumbent is the highest value so far, scaled to [0, 1] over the task; its normalised regret is 1 minus it. The
protocol (Pineda Arango et al., NeurIPS Datasets and Benchmarks 2021) begins each search with five given configurations,
which differ between seeds, and lets a method pick the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.regret import normalised_regret
from metahpo.evaluation.replay import suggestion, task_seed
from metahpo.evaluation.result import EvaluationReport
from metahpo.evaluation.settings import EvaluationSettings
from metahpo.exceptions import DataError
from metahpo.metadata.hpob import INITIALISATIONS, META_FEATURES, SPLITS
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.numerics.arithmetic import own_arithmetic

Results = Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]


@own_arithmetic()
def search_in_protocol(
    folder: Path | str, method: Method, n_trials: int = 100, random_state: int = 0
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Let a method search the test tasks of a folder in HPO-B's layout, from its initial configurations.

    Parameters
    ----------
    folder : path
        With ``meta-train-dataset.json``, ``meta-test-dataset.json`` and ``bo-initializations.json``; the method is told
        the meta-features of ``metafeatures.json``, if there is one.
    method : Method
        It learns from the training tasks of each space.
    n_trials : int, default=100
        After the initial configurations.
    random_state : int, default=0

    Returns
    -------
    dict
        In the layout of HPO-B's results.

    Raises
    ------
    DataError
        A file that is not there, or of another layout.
    """
    folder = Path(folder)
    features = _json(folder / META_FEATURES) if (folder / META_FEATURES).is_file() else None
    training = MetaDataset.from_hpob(folder / SPLITS["train"], features)
    test = MetaDataset.from_hpob(folder / SPLITS["test"], features)
    initial = _json(folder / INITIALISATIONS)
    results: dict[str, dict[str, dict[str, list[float]]]] = {}
    for space in test.spaces:
        tables = training.tables(space) if space in training.spaces else []
        policy = method.learn(tables, space, random_state)
        for table in test.tables(space):
            regret = normalised_regret(table.loss)
            for number, (seed, rows) in enumerate(initial[space][table.task].items()):
                run = policy.start(table.meta_features, task_seed(random_state, table.task, number))
                tried = [int(row) for row in rows]
                left = [row for row in range(len(regret)) if row not in tried]
                curve = [float(1.0 - regret[tried].min())]
                for _ in range(min(n_trials, len(left))):
                    tried.append(left.pop(suggestion(run, table, tried, left)))
                    curve.append(float(1.0 - regret[tried].min()))
                results.setdefault(space, {}).setdefault(table.task, {})[seed] = curve
    return results


def report_of_results(results: Mapping[str, Results | Path | str], n_trials: int | None = None) -> EvaluationReport:
    """Report on results in HPO-B's layout, on the spaces, tasks and seeds that all methods have.

    Parameters
    ----------
    results : mapping of str to results, or paths of .json files
        By method; the first is the reference of comparisons. Published files are in the folder ``results`` of HPO-B.
    n_trials : int, default=None
        Trials after the initial configurations; None: as many as all have. A search that ended earlier, because its
        task has no more configurations, keeps its incumbent.

    Returns
    -------
    EvaluationReport
        Its first trial is the best of the initial configurations.

    Raises
    ------
    DataError
        A file that is not there, values outside of [0, 1], or nothing that all have.
    """
    read = {name: found if isinstance(found, Mapping) else _json(Path(found)) for name, found in results.items()}
    if not read:
        raise DataError("a report needs the results of one method at least.")
    keys = [
        {(space, task, seed) for space, tasks in found.items() for task, seeds in tasks.items() for seed in seeds}
        for found in read.values()
    ]
    common = set.intersection(*keys)
    if not common:
        raise DataError(f"the results of {', '.join(read)} have no space, task and seed in common.")
    first = next(iter(read.values()))
    pairs = [(s, t) for s, tasks in first.items() for t in tasks if any((s, t, seed) in common for seed in tasks[t])]
    length = max(len(found[s][t][seed]) for found in read.values() for s, t, seed in common)
    length = length if n_trials is None else min(length, n_trials + 1)
    parts = []
    for name, found in read.items():
        for space, task in pairs:
            curves = [_curve(found[space][task][seed], length, name) for seed in found[space][task]
                      if (space, task, seed) in common]  # fmt: skip
            about: dict[str, Any] = {"space": space, "task": task, "family": task, "method": name}
            parts.append(pd.DataFrame({**about, "trial": range(1, length + 1), "regret": np.mean(curves, axis=0)}))
    n_seeds = len({seed for _, _, seed in common})
    settings = EvaluationSettings(n_trials=length, n_seeds=n_seeds, metric="y", default_first=False)
    costs = pd.DataFrame({"space": pairs[0][0], "method": list(read), "learn_seconds": np.nan})
    notes = ("HPO-B's protocol: the first trial is the best of five given configurations; the split is HPO-B's own",)
    return EvaluationReport(
        pd.concat(parts, ignore_index=True), costs.assign(suggest_milliseconds=np.nan), settings,
        dict.fromkeys(read, n_seeds), notes,
    )  # fmt: skip


def _curve(incumbents: Sequence[float], length: int, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Regrets (length,) of one search; the last incumbent stands."""
    values = np.asarray(incumbents, dtype=np.float64).ravel()[:length]
    if not len(values) or not ((values >= -1e-9) & (values <= 1 + 1e-9)).all():
        raise DataError(f"incumbents in the results of {name!r} must lie in [0, 1], but are {values[:5].tolist()}.")
    best = np.maximum.accumulate(values)
    return np.asarray(1.0 - np.append(best, np.full(length - len(best), best[-1])).clip(0.0, 1.0))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} cannot be read as JSON: {error}.") from error
