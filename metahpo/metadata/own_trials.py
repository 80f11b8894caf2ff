"""Trials that were recorded by other libraries, as a meta-dataset: Optuna, scikit-learn's searches, frames, MLflow."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, Float, Integer

from metahpo.exceptions import DataError, MissingDependencyError, UnknownNameError
from metahpo.learners.learner import Learner
from metahpo.learners.own_parameters import changed_parameters, configuration_of
from metahpo.learners.place import Place, learner_in
from metahpo.learners.registry import learner_named
from metahpo.metafeatures.extraction import extract
from metahpo.space.configuration import builtin, json_value, to_json
from metahpo.tasks.metric import metric_named
from metahpo.tasks.modality import as_task
from metahpo.tasks.row_sketch import row_sketch
from metahpo.tasks.scorers import name_of
from metahpo.tasks.task import Task, TaskKind

#: Decimal places that ConfigSpace rounds the ends of a range to, and the smallest step there.
BOUND_PLACES, BOUND_STEP = 13, 1e-13


@dataclass(frozen=True)
class OwnTrial:
    """A trial of another library.

    Attributes
    ----------
    parameters : dict
    loss : float
        To be minimised; NaN where it failed.
    seconds : float
    fold_losses : tuple of float
        Of each fold, where they are known.
    task : str or None
        Name of the task, where trials are of several.
    """

    parameters: Mapping[str, Any]
    loss: float
    seconds: float = math.nan
    fold_losses: tuple[float, ...] = ()
    task: str | None = None


@dataclass(frozen=True)
class Recorded:
    """All that another library recorded.

    Attributes
    ----------
    trials : sequence of OwnTrial
    scores : bool
        Whether their losses are negative scores by the metric.
    learner, metric : str or None, default=None
        What was tuned, and by what, where that is recorded.
    held : mapping of str to value
        Hyperparameters and parameters of the estimator that are the same in all trials.
    """

    trials: Sequence[OwnTrial]
    scores: bool
    learner: str | None = None
    metric: str | None = None
    held: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OwnTables:
    """What a meta-dataset is made of.

    Attributes
    ----------
    tasks, trials : DataFrame
    meta_features : DataFrame or None
    spaces : dict of str to ConfigurationSpace
    """

    tasks: pd.DataFrame
    trials: pd.DataFrame
    meta_features: pd.DataFrame | None
    spaces: dict[str, ConfigurationSpace] = field(default_factory=dict)


def tables_of(
    recorded: Recorded,
    X: Any = None,
    y: Any = None,
    *,
    learner: str | None,
    kind: TaskKind | None,
    metric: str | None,
    space: ConfigurationSpace | None,
    name: str,
) -> OwnTables:
    """Tables of what was recorded.

    Parameters
    ----------
    recorded : Recorded
    X, y : default=None
        The dataset; without it there are no meta-features.
    learner : str or None
        Its space holds the trials, so that they can stand beside other trials of it. None: the recorded one, and
        where there is none, a space of their own.
    kind : {"classification", "regression"} or None
        None infers it from y.
    metric : str or None
        scikit-learn scorer name; None: the recorded one, and where there is none, the default of the kind.
    space : ConfigurationSpace or None
        In place of the learner's own.
    name : str
        Of the task.

    Raises
    ------
    DataError
        No trials, none that the space holds, or neither a dataset nor a kind.
    UnknownNameError
        No such learner or metric.
    """
    trials, learner, metric = recorded.trials, learner or recorded.learner, metric or recorded.metric
    if not trials:
        raise DataError("there are no trials to read: give some that were finished.")
    task = None if X is None else as_task(X, y, kind=kind, name=name)
    kind = kind or (None if task is None else task.kind)
    if kind is None:
        raise DataError("without X and y, kind must say what the task is: 'classification' or 'regression'.")
    by = metric_named(metric, kind)
    metric, best = by.name, by.best_score if recorded.scores else 0.0
    rules: Mapping[str, str] = {}
    known = None if learner is None else learner_named(learner, kind)
    if known is not None:
        space, rules = space or known.space, known.rules
    space = space or inferred_space([trial.parameters for trial in trials])
    held = recorded.held if learner == recorded.learner else {}
    with_folds = any(trial.fold_losses for trial in trials)
    rows, left_out = [], []
    for trial in trials:
        configuration = configuration_of({**held, **trial.parameters}, space, rules, known)
        if configuration is None:
            left_out.append(trial)
            continue
        row: dict[str, Any] = {
            "task": trial.task or name,
            "space": learner or "own",
            "configuration": to_json(configuration),
            "status": "crashed" if math.isnan(trial.loss) else "success",
            "seconds": trial.seconds,
            f"loss.{metric}": best + trial.loss,
        }
        if with_folds:
            row[f"folds.{metric}"] = [best + loss for loss in trial.fold_losses]
        rows.append(row)
    if not rows:
        raise DataError(
            f"none of {len(trials)} trials lies in the space of {learner!r}, such as {dict(trials[0].parameters)}: "
            "give another learner or space, or none."
        )
    if left_out:
        _warn(
            f"{len(left_out)} of {len(trials)} trials lie outside of the space of {learner or name!r} and are left "
            f"out, such as {dict(left_out[0].parameters)}."
        )
    if known is not None and (ignored := _ignored(trials, known, space)):
        _warn(f"the space of {learner!r} has no {', '.join(ignored)}: the trials are recorded without.")
    frame = pd.DataFrame(rows).drop_duplicates(["task", "space", "configuration"], ignore_index=True)
    names = pd.Index(dict.fromkeys(frame["task"]), name="task")
    about = [_about(task if one == name else None, str(one), kind) for one in names]
    features = None
    if task is not None and name in names:
        features = pd.DataFrame([dict(extract(task).values)], index=pd.Index([name], name="task"))
    return OwnTables(pd.DataFrame(about, index=names), frame, features, {learner or "own": space})


def _ignored(trials: Sequence[OwnTrial], learner: Learner, space: ConfigurationSpace) -> list[str]:
    """Parameters that trials changed, but that the space of their learner does not have."""
    named: dict[str, None] = {}
    for trial in trials:
        changed = changed_parameters(trial.parameters, learner)
        own = {name.rsplit("__", 1)[-1]: value for name, value in changed.items() if name not in space}
        named |= dict.fromkeys(learner.by_own_names(own))
    return [name for name in named if name not in space and name not in learner.rules.values()]


def _warn(message: str) -> None:
    """Warn at the line that called a method of MetaDataset."""
    warnings.warn(message, UserWarning, stacklevel=5)


def trials_of_study(study: Any) -> Recorded:
    """Finished and failed trials of an Optuna study, or of the only study of a storage.

    Raises
    ------
    MissingDependencyError
        Optuna is not installed.
    DataError
        Several objectives, or a storage of several studies.
    """
    study = _study(study)
    sign = 1.0 if study.direction.name == "MINIMIZE" else -1.0
    found = []
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name not in ("COMPLETE", "FAIL"):
            continue
        value = math.nan if trial.state.name == "FAIL" or trial.value is None else sign * float(trial.value)
        seconds = trial.duration.total_seconds() if trial.duration is not None else math.nan
        found.append(OwnTrial(dict(trial.params), value, seconds))
    return Recorded(found, scores=sign < 0)


def _study(study: Any) -> Any:
    """The study itself, of one objective."""
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError("reading a study needs Optuna; install it with: pip install optuna") from error
    if not hasattr(study, "get_trials"):
        file = study.removeprefix("sqlite:///") if isinstance(study, str) else ""
        if file != study and file and not Path(file).exists():  # Optuna would make an empty one
            raise DataError(f"there is no database {study!r}: give a study, or the URL of a storage that holds one.")
        summaries = optuna.get_all_study_names(study)
        if len(summaries) != 1:
            raise DataError(f"the storage holds {len(summaries)} studies, {summaries[:10]}: load one, and give that.")
        study = optuna.load_study(study_name=summaries[0], storage=study)
    if len(study.directions) != 1:
        raise DataError(f"a study of one objective is expected, but it has {len(study.directions)}.")
    return study


def trials_of_search(search: Any) -> Recorded:
    """Candidates of a fitted search of scikit-learn: see its ``cv_results_``.

    Raises
    ------
    DataError
        It was not fitted, or scored by several metrics without a `refit` that names one.
    """
    results = getattr(search, "cv_results_", None)
    if results is None:
        raise DataError(f"a fitted search with cv_results_ is expected, but got {type(search).__name__}.")
    refit = getattr(search, "refit", True)
    suffix = "score" if "mean_test_score" in results else refit
    if f"mean_test_{suffix}" not in results:
        raise DataError("the search has several metrics: refit must name the one to read.")
    splits = [key for key in results if key.startswith("split") and key.endswith(f"_test_{suffix}")]
    found = []
    for i, parameters in enumerate(results["params"]):
        folds = tuple(-float(results[key][i]) for key in splits)
        loss = -float(results[f"mean_test_{suffix}"][i])
        seconds = float(results["mean_fit_time"][i]) if "mean_fit_time" in results else math.nan
        found.append(OwnTrial(parameters, loss, seconds, folds if not math.isnan(loss) else ()))
    place = _place_in(search)
    if place is None:
        return Recorded(found, True, None, _metric_of_search(search))
    own = place.estimator.get_params(deep=False)
    if isinstance(place.estimator, type(place.learner.estimator_class())):
        own = changed_parameters(own, place.learner)  # the space may have defaults of its own for the others
        own = dict(place.learner.by_own_names(own))
    held = {**{name: value for name, value in own.items() if name in place.learner.space}, **place.held}
    return Recorded(found, True, place.learner.name, _metric_of_search(search), held)


def trials_of_frame(frame: pd.DataFrame, value: str | None, *, minimise: bool) -> Recorded:
    """One trial a row: columns ``params.NAME`` or ``params_NAME``, a value, and optionally ``seconds`` and ``task``.

    Parameters
    ----------
    frame : DataFrame
        A row a trial, as Optuna's ``trials_dataframe`` and MLflow's ``search_runs`` give it, or of your own.
    value : str or None
        Column of the score; None takes "value", "score", "loss", or the only column ``metrics.NAME``. NaN: it failed.
    minimise : bool
        Whether lower values are better; a column named "loss" always is such.

    Raises
    ------
    DataError
        No frame, no column of parameters or none of the value, or a value that is no number.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"a DataFrame with a row a trial is expected, but got {type(frame).__name__}.")
    prefix = next((p for p in ("params.", "params_") if any(str(c).startswith(p) for c in frame)), None)
    if prefix is None:
        raise DataError(f"the frame has no columns params.NAME; it has {list(map(str, frame.columns))[:20]}.")
    column = _value_column(frame, value)
    minimise = minimise or column == "loss"
    sign = 1.0 if minimise else -1.0
    seconds = next((c for c in ("seconds", "duration") if c in frame), None)
    found = []
    for row in frame.to_dict("records"):
        given = {str(k).removeprefix(prefix): _read(v) for k, v in row.items() if str(k).startswith(prefix)}
        spent = math.nan if seconds is None else row[seconds]
        spent = spent.total_seconds() if isinstance(spent, pd.Timedelta) else _number(spent, str(seconds))
        loss = sign * _number(row[column], column)
        task = str(row["task"]) if "task" in frame else None
        found.append(OwnTrial({k: v for k, v in given.items() if v is not _ABSENT}, loss, spent, (), task))
    return Recorded(found, scores=not minimise)


def _value_column(frame: pd.DataFrame, value: str | None) -> str:
    """Column of the value: see :func:`trials_of_frame`."""
    metrics = [str(c) for c in frame if str(c).startswith("metrics.")]
    column = value or next((c for c in ("value", "score", "loss") if c in frame), None)
    column = column or (metrics[0] if len(metrics) == 1 else None)
    if column is None or column not in frame:
        known = list(map(str, frame.columns))[:20]
        raise DataError(f"the frame has no column {value or 'value'!r}; give `value`, one of {known}.")
    return column


def runs_of_mlflow(experiment: str | pd.DataFrame) -> pd.DataFrame:
    """Runs of an MLflow experiment, by its name; a frame of ``mlflow.search_runs`` is taken as it is.

    Raises
    ------
    MissingDependencyError
        MLflow is not installed.
    """
    if isinstance(experiment, pd.DataFrame):
        return experiment
    try:
        import mlflow
    except ImportError as error:
        raise MissingDependencyError("reading runs needs MLflow; install it with: pip install mlflow") from error
    runs: pd.DataFrame = mlflow.search_runs(experiment_names=[experiment])
    return runs


def _place_in(search: Any) -> Place | None:
    """Place of the learner in the estimator that was searched; None where it holds none that is known."""
    try:
        return learner_in(search.estimator, None)
    except (DataError, UnknownNameError):
        return None


def _metric_of_search(search: Any) -> str | None:
    """Name of what a search scored by; None where it has none."""
    scoring = getattr(search, "scoring", None)
    if isinstance(scoring, (dict, list, tuple, set)):
        return search.refit if isinstance(search.refit, str) else None
    return scoring if isinstance(scoring, str) else None if scoring is None else name_of(scoring)


def inferred_space(parameters: Sequence[Mapping[str, Any]]) -> ConfigurationSpace:
    """The smallest space that holds all configurations: ranges of numbers, choices of anything else.

    Numbers that span two decades or more are on a log scale.
    """
    space = ConfigurationSpace()
    for name in sorted({name for one in parameters for name in one}):
        values = [builtin(one[name]) for one in parameters if name in one]
        distinct = list({to_json({"value": json_value(v)}): v for v in values}.values())
        if len(distinct) > 1 and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in distinct):
            low, high = min(distinct), max(distinct)
            if all(isinstance(v, int) for v in distinct):
                space.add(Integer(name, (low, high), log=low > 0 and high / low >= 100.0))
                continue
            # ConfigSpace rounds the ends of a range, which must not leave out the trials that they are of.
            low -= BOUND_STEP * (round(low, BOUND_PLACES) > low)
            high += BOUND_STEP * (round(high, BOUND_PLACES) < high)
            space.add(Float(name, (low, high), log=round(low, BOUND_PLACES) > 0 and high / low >= 100.0))
        else:
            space.add(CategoricalHyperparameter(name, [json_value(v) for v in distinct]))
    return space


def _about(task: Task | None, name: str, kind: TaskKind) -> dict[str, Any]:
    about: dict[str, Any] = {"family": name, "kind": kind}
    if task is not None:
        about |= {
            "modality": task.modality,
            "n_rows": task.n_rows,
            "n_features": task.X.shape[1],
            "n_classes": len(task.classes),
            "n_rows_of_dataset": task.n_rows,
            "fingerprint": task.fingerprint,
            "row_sketch": row_sketch(task),
        }
    return about


def _number(value: Any, column: str) -> float:
    """A number of a frame; NaN where it is missing."""
    try:
        return math.nan if pd.isna(value) else float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"the column {column!r} must hold numbers, but holds {value!r}.") from error


_ABSENT = object()


def _read(value: Any) -> Any:
    """A value of a frame: MLflow writes numbers as text, and an absent parameter is NaN or None."""
    value = builtin(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _ABSENT
    if not isinstance(value, str):
        return value
    if value in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[value]
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
