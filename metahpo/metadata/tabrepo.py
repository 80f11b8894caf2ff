"""Results of configurations in the layout of TabRepo and TabArena (Salinas and Erickson, AutoML 2024).

A frame has a row for each dataset, fold and configuration: columns ``dataset``, ``fold``, ``framework`` (``method`` in
TabArena: the name of the configuration), ``metric_error`` (to be minimised), and where they are known ``problem_type``
and ``time_train_s``. The hyperparameters of the configurations are apart, in ``configs_hyperparameters.json``:
``{name: {"model_type": ..., "hyperparameters": {...}}}``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import DataError
from metahpo.metadata.own_trials import inferred_space
from metahpo.space.configuration import builtin, to_json

#: Name of the metric: what it measures depends on the kind of the task.
METRIC = "metric_error"
#: Settings of AutoGluon that are no hyperparameters of a learner.
NOT_TUNED = ("ag_args", "ag_args_fit", "ag_args_ensemble", "ag.", "name_suffix")

Hyperparameters = Mapping[str, Mapping[str, Any]]


def read(
    results: pd.DataFrame | Path | str, hyperparameters: Hyperparameters | Path | str
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, ConfigurationSpace]]:
    """Tasks, trials and a search space for each type of model.

    A configuration without a finite error on a dataset is a failed trial. Left out are rows without hyperparameters,
    such as those of AutoML systems, and configurations that do not set the hyperparameters that most of their type set:
    what a library's default was is not in these files.

    Raises
    ------
    DataError
        A file that cannot be read, a column that lacks, or no row of a configuration with hyperparameters.
    """
    frame = _frame(results)
    by_name = _alike({name: _learner(name, told) for name, told in _hyperparameters(hyperparameters).items()})
    known = frame[frame["framework"].isin(by_name)]
    if known.empty:
        names = ", ".join(map(str, frame["framework"].unique()[:3]))
        raise DataError(f"the hyperparameters name no configuration of the results, such as {names}.")
    used = {name: by_name[name] for name in known["framework"].unique()}
    spaces = {
        learner: inferred_space([values for own, values in used.values() if own == learner])
        for learner in dict.fromkeys(own for own, _ in used.values())
    }
    texts = {name: (learner, to_json(values)) for name, (learner, values) in used.items()}
    rows = []
    for (dataset, name), own in known.groupby(["dataset", "framework"], sort=False):
        folds = own.sort_values("fold")["metric_error"].to_numpy(np.float64)
        sound = bool(np.isfinite(folds).all())
        learner, text = texts[str(name)]
        rows.append(
            {
                "task": str(dataset),
                "space": learner,
                "configuration": text,
                "status": "success" if sound else "crashed",
                "seconds": float(own["time_train_s"].sum()) if "time_train_s" in own else np.nan,
                f"loss.{METRIC}": float(folds.mean()) if sound else np.nan,
                f"folds.{METRIC}": folds.tolist(),
            }
        )
    trials = pd.DataFrame(rows).drop_duplicates(["task", "space", "configuration"], ignore_index=True)
    names = pd.Index(dict.fromkeys(trials["task"]), name="task")
    kinds = pd.Series("classification", index=names)
    if "problem_type" in known:
        types = known.assign(dataset=known["dataset"].astype(str)).groupby("dataset")["problem_type"].first()
        kinds = kinds.where(types.reindex(names) != "regression", "regression")
    return pd.DataFrame({"family": names, "kind": kinds.to_numpy()}, index=names), trials, spaces


def _alike(by_name: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Configurations that set what most of their type set."""
    usual: dict[str, Counter[frozenset[str]]] = {}
    for learner, values in by_name.values():
        usual.setdefault(learner, Counter())[frozenset(values)] += 1
    kept = {learner: counts.most_common(1)[0][0] for learner, counts in usual.items()}
    return {name: told for name, told in by_name.items() if told[1] and frozenset(told[1]) == kept[told[0]]}


def _frame(results: pd.DataFrame | Path | str) -> pd.DataFrame:
    if not isinstance(results, pd.DataFrame):
        path = Path(results)
        try:
            results = pd.read_parquet(path) if path.suffix in (".parquet", ".pq") else pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{str(path)!r} cannot be read as a table (.csv or .parquet): {error}.") from error
    frame = results.reset_index() if "dataset" in results.index.names else results
    if "framework" not in frame and "method" in frame:
        frame = frame.rename(columns={"method": "framework"})
    lacking = [name for name in ("dataset", "fold", "framework", "metric_error") if name not in frame]
    if lacking:
        raise DataError(f"results need the columns dataset, fold, framework and metric_error, but lack {lacking}.")
    return frame.assign(framework=frame["framework"].astype(str))


def _hyperparameters(given: Hyperparameters | Path | str) -> Hyperparameters:
    if isinstance(given, Mapping):
        return given
    try:
        read: Hyperparameters = json.loads(Path(given).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{str(given)!r} cannot be read as JSON: {error}.") from error
    if not isinstance(read, Mapping):
        raise DataError(f"{str(given)!r} must hold hyperparameters by the names of configurations.")
    return read


def _learner(name: str, told: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Type of the model, and its hyperparameters: those that are plain values."""
    if not isinstance(told, Mapping):
        raise DataError(f"the hyperparameters of {name!r} must be given by name, but are {told!r}.")
    values = told.get("hyperparameters", told)
    learner = str(told.get("model_type") or name.split("_")[0])
    plain = {
        key: builtin(value)
        for key, value in values.items()
        if not key.startswith(NOT_TUNED) and key != "model_type" and isinstance(value, bool | int | float | str | None)
    }
    return learner, plain
