"""The meta-dataset: tasks, their meta-features, and every trial recorded on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray

from metahpo.exceptions import ArtefactError, DataError, SpaceError, UnknownNameError
from metahpo.metadata import hpob, release
from metahpo.metadata.configuration_numbers import ConfigurationNumbers, with_configurations
from metahpo.metadata.fit_losses import as_rows, half_means, standard_errors
from metahpo.metadata.meta_tables import MetaTables
from metahpo.metadata.task_table import TaskTable, by_task
from metahpo.space.cash import cash_space
from metahpo.space.encoding import SpaceEncoder
from metahpo.space.stored import read_space
from metahpo.tasks.metric import known_metric
from metahpo.tasks.task import TaskKind


class MetaDataset(MetaTables):
    """Tasks, trials and meta-features; every method that changes something returns a new meta-dataset.

    The search spaces of all learners together make one space, in which the learner is a hyperparameter, too: the CASH
    space (combined algorithm selection and hyperparameter optimisation).

    Parameters
    ----------
    tasks : DataFrame
        Index: task name. Columns: at least ``family`` and ``kind``.
    trials : DataFrame
        One row a trial: ``task``, ``space``, ``configuration`` (JSON of the active hyperparameters), ``status``,
        ``seconds``, and a column ``loss.METRIC`` for each metric (NaN: failed). Optional: ``se.METRIC`` (standard error
        of the mean loss), ``folds.METRIC`` (lists: the loss of each fit), ``predict_seconds`` and ``learning_curve``
        (lists: a loss after each epoch).
    meta_features : DataFrame or None
        Index: task name; a column a meta-feature, NaN where it is not defined.
    spaces : mapping of str to ConfigurationSpace
        Search space of each space name in `trials`.
    name, version, protocol : str
        What it is called, and how its trials were measured.
    canonical : bool, default=False
        Whether each configuration is known to be the text :func:`metahpo.space.configuration.to_json` of its canonical
        form. Otherwise it is brought into that form, so that the order of keys or the spacing makes no difference.

    Raises
    ------
    DataError
        A missing column, a task listed twice, an unknown task or space in the trials, or a configuration that is no
        JSON object.
    SpaceError
        A configuration that is not of its space.
    """

    def __repr__(self) -> str:
        return (
            f"MetaDataset({self.name!r}, version {self.version}: {len(self.tasks)} tasks, {len(self.trials)} trials, "
            f"spaces {list(self.spaces)}, metrics {self.metrics})"
        )

    def metric(self, name: str | None) -> str:
        """Check the name of a recorded metric; None takes the default.

        Raises
        ------
        UnknownNameError
            Not recorded here; the message lists what is.
        """
        if name is not None and name not in self.metrics:
            raise UnknownNameError("recorded metric", name, self.metrics)
        return name or self.metrics[0]

    @cached_property
    def cash_space(self) -> ConfigurationSpace:
        """One space over all learners: see :func:`metahpo.space.cash.cash_space`."""
        return cash_space(self.spaces)

    def space(self, name: str | None) -> ConfigurationSpace:
        """Search space of that name; None gives the CASH space.

        Raises
        ------
        UnknownNameError
            No such space; the message lists those there are.
        """
        if name is None:
            return self.cash_space
        if name not in self.spaces:
            raise UnknownNameError("search space", name, list(self.spaces))
        return self.spaces[name]

    def encoder(self, space: str | None) -> SpaceEncoder:
        """Encoder of a space; None for the CASH space."""
        return SpaceEncoder(self.space(space))

    def tables(self, space: str | None = None, metric: str | None = None) -> list[TaskTable]:
        """Recorded trials as arrays, a table a task, in the order of the tasks table.

        Parameters
        ----------
        space : str or None, default=None
            None takes the trials of all spaces together, in the CASH space. Learners are compared there, so it has
            the tasks on which all of them were measured, as long as there are such tasks.
        metric : str or None, default=None
            None takes the default metric. R2 below 0 counts as 0: see :class:`metahpo.tasks.metric.Metric`.
        """
        column = f"loss.{self.metric(metric)}"
        return [
            TaskTable(
                task=name,
                family=str(self.tasks.at[name, "family"]),
                X=X,
                loss=self._capped(metric, rows[column].to_numpy(np.float64)),
                meta_features=self._meta_features_of(name),
            )
            for name, rows, X in self._by_task(space)
        ]

    def trials_of(self, space: str | None) -> pd.DataFrame:
        """Rows of the trials table that are of a search space; None: see :meth:`tables`."""
        return self._compared_trials if space is None else self.trials[self.trials["space"] == space]

    @cached_property
    def _compared_trials(self) -> pd.DataFrame:
        """Trials of the tasks on which the most learners were measured."""
        n_spaces = self.trials.groupby("task", sort=False)["space"].transform("nunique").to_numpy()
        compared: pd.DataFrame = self.trials[n_spaces == n_spaces.max(initial=0)]
        return compared

    def fold_losses(self, space: str | None = None, metric: str | None = None) -> dict[str, NDArray[np.float64]]:
        """Loss of every fold, task -> array of shape (n, n_folds), rows as in :meth:`tables`; NaN for failed trials.

        Raises
        ------
        DataError
            Only means were recorded.
        """
        column = f"folds.{self.metric(metric)}"
        if column not in self.trials.columns:
            with_folds = [m for m in self.metrics if f"folds.{m}" in self.trials.columns]
            hint = f" It does of {', '.join(with_folds)}." if with_folds else ""
            raise DataError(f"{self.name!r} records no losses per fit of {self.metric(metric)}, only means.{hint}")
        # A trial that came without folds, by a merge, has no list.
        return {name: self._capped(metric, as_rows(rows[column])) for name, rows, _ in self._by_task(space)}

    def standard_errors(self, space: str | None = None, metric: str | None = None) -> dict[str, NDArray[np.float64]]:
        """Standard error of each mean loss, task -> array of shape (n,), rows as in :meth:`tables`.

        NaN for failed trials, for those of a single fit, and where neither standard errors nor losses per fit were
        recorded.
        """
        name = self.metric(metric)
        if f"se.{name}" in self.trials.columns:
            return {task: rows[f"se.{name}"].to_numpy(np.float64) for task, rows, _ in self._by_task(space)}
        if f"folds.{name}" in self.trials.columns:
            return {task: standard_errors(losses) for task, losses in self.fold_losses(space, metric).items()}
        return {task: np.full(len(rows), np.nan) for task, rows, _ in self._by_task(space)}

    def half_losses(
        self, space: str | None = None, metric: str | None = None
    ) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Mean losses by the even fits and by the odd fits, task -> two arrays of shape (n,); NaN for failed trials.

        Raises
        ------
        DataError
            Only means were recorded, or the trials of a task that succeeded have a single fit.
        """
        halves = {}
        for task, losses in self.fold_losses(space, metric).items():
            if losses.shape[1] == 1:
                raise DataError(f"two halves need losses of two fits at least, but task {task!r} has fewer.")
            halves[task] = half_means(losses)
        return halves

    def _capped(self, metric: str | None, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        known = known_metric(self.metric(metric))
        return losses if known is None else known.capped(losses)

    def seconds(self, space: str | None = None, column: str = "seconds") -> dict[str, NDArray[np.float64]]:
        """Seconds of every trial, task -> array of shape (n,), rows as in :meth:`tables`; or another recorded cost."""
        return {name: rows[column].to_numpy(np.float64) for name, rows, _ in self._by_task(space)}

    def learning_curves(self, space: str | None = None) -> dict[str, list[NDArray[np.float64]]]:
        """Loss after each epoch of every trial that succeeded, task -> arrays of shape (n_epochs,).

        It is the loss of the default metric where learners followed it, and else the one that they minimised. Trials
        without a curve are left out.
        """
        if "learning_curve" not in self.trials.columns:
            return {}
        return {
            name: [
                np.asarray(curve, dtype=np.float64)
                for curve, status in zip(rows["learning_curve"], rows["status"], strict=True)
                if status == "success" and isinstance(curve, Iterable) and len(list(curve))
            ]
            for name, rows, _ in self._by_task(space)
        }

    def _by_task(self, space: str | None) -> Iterator[tuple[str, pd.DataFrame, NDArray[np.float64]]]:
        self.space(space)  # an unknown name is an error even where there is nothing to iterate
        return by_task(self.trials_of(space), self.tasks.index, self.encoder(space), cash=space is None)

    def _meta_features_of(self, task: str) -> dict[str, float] | None:
        if self.meta_features is None or task not in self._rows_of_meta_features:
            return None
        return dict(zip(map(str, self.meta_features.columns), self._rows_of_meta_features[task], strict=True))

    @cached_property
    def _rows_of_meta_features(self) -> dict[str, list[float]]:
        if self.meta_features is None:
            return {}
        return dict(
            zip(map(str, self.meta_features.index), self.meta_features.to_numpy(np.float64).tolist(), strict=True)
        )

    def save(self, folder: Path | str) -> None:
        """Write ``manifest.json`` (with checksums) and the tables to a folder.

        The tables are ``tasks``, ``configurations``, ``trials`` and ``metafeatures``, in Parquet files.

        A meta-dataset that is there is replaced when the new one is whole: see :mod:`metahpo.metadata.release`.
        Surrogates that were trained on it stay.

        Raises
        ------
        ArtefactError
            The name of a search space cannot be that of a file.
        StoreError
            The folder cannot be written.
        """
        header = {
            "name": self.name,
            "version": self.version,
            "protocol": self.protocol,
            "metrics": self.metrics,
            "spaces": {name: space.to_serialized_dict() for name, space in self.spaces.items()},
        }
        release.write(Path(folder), header, self._stored())

    def _stored(self) -> Iterator[tuple[str, Iterable[pd.DataFrame]]]:
        numbers = ConfigurationNumbers()
        yield "trials", numbers.numbered([self.trials])
        yield "configurations", [numbers.table()]
        yield "tasks", [self.tasks]
        if self.meta_features is not None:
            yield "metafeatures", [self.meta_features]

    @classmethod
    def load(cls, folder: Path | str) -> MetaDataset:
        """Read a meta-dataset: a folder, the name of one that ships with the package, or a file in HPO-B's layout.

        Raises
        ------
        UnknownNameError
            Neither a folder with a meta-dataset nor the name of one that ships.
        ArtefactError
            Damaged (checksum), or of a format this version does not read.
        DataError
            A file (.json, .json.gz) of another layout: see :meth:`from_hpob`.
        """
        if str(folder).endswith((".json", ".json.gz")):
            return cls.from_hpob(folder)
        folder = release.locate(folder)
        header, parts = release.read(folder)
        lacking = [name for name in ("tasks", "trials") if name not in parts]
        if lacking:
            raise ArtefactError(f"the manifest of {str(folder)!r} is damaged: it lists no table {lacking}.")
        try:
            spaces = {name: read_space(record) for name, record in header["spaces"].items()}
            trials = parts["trials"]
            if "configurations" in parts:
                trials = with_configurations(trials, parts["configurations"])
            return cls(
                parts["tasks"],
                trials,
                parts.get("metafeatures"),
                spaces,
                name=header["name"],
                version=header["version"],
                protocol=header["protocol"],
                canonical=True,
            )
        except (DataError, SpaceError, TypeError) as error:
            raise ArtefactError(f"the meta-dataset {str(folder)!r} is damaged: {error}") from error

    @classmethod
    def from_hpob(
        cls,
        source: Path | str | Mapping[str, Mapping[str, Mapping[str, Any]]],
        meta_features: Mapping[str, Mapping[str, float | None]] | None = None,
    ) -> MetaDataset:
        """Import a recorded benchmark in the layout of HPO-B (Pineda Arango et al., NeurIPS Datasets 2021).

        Parameters
        ----------
        source : mapping, or path of a JSON file (.json or .json.gz) or of a folder
            A folder holds the three parts of :meth:`to_hpob`; its ``metafeatures.json`` is taken as well, if it has
            one. A file and a mapping are ``{space: {task: {"X": [[...]], "y": [[...]]}}}``, X in the unit cube, y to be
            maximised. The columns of X are named x0, x1, ..., with leading zeros where there are more than ten, and
            keep their order.
        meta_features : mapping, default=None
            ``{task: {name: value or None}}``.

        Raises
        ------
        DataError
            Another layout, X outside the unit cube, or X and y of different lengths.
        """
        if not isinstance(source, Mapping) and Path(source).is_dir():
            source, own = hpob.read_folder(Path(source))
            meta_features = own if meta_features is None else meta_features
        trials, spaces = hpob.read(source)
        names = pd.Index(dict.fromkeys(trials["task"]), name="task")
        tasks = pd.DataFrame({"family": names, "kind": "recorded"}, index=names)
        known = {t: m for t, m in (meta_features or {}).items() if t in names and m}
        features = pd.DataFrame.from_dict(known, orient="index").astype(float) if known else None
        return cls(tasks, trials, features, spaces, name="+".join(spaces), protocol="hpob", canonical=True)

    def to_hpob(
        self,
        folder: Path | str,
        metric: str | None = None,
        *,
        validation_share: float = 0.1,
        test_share: float = 0.2,
        random_state: int = 0,
    ) -> None:
        """Write a folder in the layout of HPO-B, which its handler reads, and :meth:`from_hpob` each file of it.

        The files are ``meta-train-dataset.json``, ``meta-validation-dataset.json`` and ``meta-test-dataset.json``,
        ``{space: {task: {"X": [[...]], "y": [[...]]}}}``; ``bo-initializations.json``, rows of five initial
        configurations for each of five seeds; and ``metafeatures.json``, ``{task: {name: value or None}}``, for
        :meth:`from_hpob`. X holds the columns of :meth:`encoder`, in the unit cube; y is the metric's loss times -1.
        Failed trials are left out, because the layout has none. Families are never torn apart.

        Parameters
        ----------
        folder : path
        metric : str, default=None
            None takes the default metric.
        validation_share, test_share : float
            Shares of the families.
        random_state : int, default=0
            Decides the split and the initial configurations.

        Raises
        ------
        DataError
            Shares outside (0, 1), or too few families for three parts.
        UnknownNameError
            The metric was not recorded.
        StoreError
            The folder cannot be written.
        """
        known, test = self.split(test_share, random_state)
        train, validation = known.split(validation_share / (1.0 - test_share), random_state)
        contents: dict[str, Any] = {}
        for part, md in {"train": train, "validation": validation, "test": test}.items():
            tables = (hpob.tables_of(space, md.tables(space, metric)) for space in self.spaces)
            contents[hpob.SPLITS[part]] = {space: tasks for of in tables for space, tasks in of.items() if tasks}
        contents[hpob.INITIALISATIONS] = {
            space: {task: hpob.initial_rows(len(table["y"]), random_state, task) for task, table in tasks.items()}
            for space, tasks in contents[hpob.SPLITS["test"]].items()
        }
        if self.meta_features is not None:
            contents[hpob.META_FEATURES] = {
                str(task): {str(name): None if pd.isna(value) else float(value) for name, value in row.items()}
                for task, row in self.meta_features.iterrows()
            }
        hpob.write(Path(folder), contents)

    @classmethod
    def from_tabrepo(
        cls,
        results: pd.DataFrame | Path | str,
        hyperparameters: Mapping[str, Mapping[str, Any]] | Path | str,
        meta_features: pd.DataFrame | None = None,
        *,
        name: str = "tabrepo",
    ) -> MetaDataset:
        """Import results of configurations in the layout of TabRepo and TabArena: see :mod:`metahpo.metadata.tabrepo`.

        Parameters
        ----------
        results : DataFrame, or path of a .csv or .parquet file
            Columns dataset, fold, framework (or method), metric_error; optionally problem_type and time_train_s.
        hyperparameters : mapping, or path of a .json file
            ``{framework: {"model_type": ..., "hyperparameters": {...}}}``. Each type of model is a search space.
        meta_features : DataFrame, default=None
            One row a dataset (index), one column a meta-feature.
        name : str, default="tabrepo"

        Raises
        ------
        DataError
            Another layout, a file that cannot be read, or no configuration with hyperparameters.
        """
        from metahpo.metadata import tabrepo

        tasks, trials, spaces = tabrepo.read(results, hyperparameters)
        features = None if meta_features is None else meta_features.loc[meta_features.index.isin(tasks.index)]
        return cls(tasks, trials, features, spaces, name=name, protocol="tabrepo")

    @classmethod
    def from_optuna(
        cls,
        study: Any,
        X: Any = None,
        y: Any = None,
        *,
        learner: str | None = None,
        kind: TaskKind | None = None,
        metric: str | None = None,
        space: ConfigurationSpace | None = None,
        name: str = "own",
    ) -> MetaDataset:
        """Import the trials of an Optuna study.

        Parameters
        ----------
        study : Study, storage or URL
            A storage holds one study. Parameters are named as the estimator names them, with or without the step of a
            pipeline before the name.
        X, y : default=None
            The dataset that was tuned on; without it there are no meta-features, and `kind` must be given.
        learner : str, default=None
            Learner that was tuned. Its space holds the trials, so that they can stand beside others of it; trials
            outside of that space are left out. None: a space of their own.
        kind : {"classification", "regression"}, default=None
            None infers it from `y`.
        metric : str, default=None
            scikit-learn scorer name of the value; None: balanced accuracy, or R2. A study that minimises has losses.
        space : ConfigurationSpace, default=None
            In place of the learner's own, such as ``MetaDataset.load(...).spaces["svm"]``.
        name : str, default="own"
            Of the task.

        Raises
        ------
        DataError
            No finished trial, none that the space holds, or several objectives.
        MissingDependencyError
            Optuna is not installed.
        """
        recorded = _own_trials().trials_of_study(study)
        return cls._of_own(recorded, X, y, learner=learner, kind=kind, metric=metric, space=space, name=name)

    @classmethod
    def from_cv_results(
        cls,
        search: Any,
        X: Any = None,
        y: Any = None,
        *,
        learner: str | None = None,
        kind: TaskKind | None = None,
        metric: str | None = None,
        space: ConfigurationSpace | None = None,
        name: str = "own",
    ) -> MetaDataset:
        """Import the candidates of a fitted search of scikit-learn, with the scores of its folds.

        Parameters
        ----------
        search : GridSearchCV, RandomizedSearchCV, or another with ``cv_results_``
        X, y, kind, space, name
            See :meth:`from_optuna`.
        learner : str, default=None
            None: the learner that lies in the search's estimator; a space of their own where it holds none.
        metric : str, default=None
            None: what the search scored by.

        Raises
        ------
        DataError
            A search that was not fitted, or none of its candidates in the space.
        """
        recorded = _own_trials().trials_of_search(search)
        return cls._of_own(recorded, X, y, learner=learner, kind=kind, metric=metric, space=space, name=name)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        X: Any = None,
        y: Any = None,
        *,
        value: str | None = None,
        minimise: bool = False,
        learner: str | None = None,
        kind: TaskKind | None = None,
        metric: str | None = None,
        space: ConfigurationSpace | None = None,
        name: str = "own",
    ) -> MetaDataset:
        """Import trials from a frame, one row a trial.

        Parameters
        ----------
        frame : DataFrame
            Columns ``params.NAME`` or ``params_NAME``, the value, and optionally ``seconds`` and ``task``.
        value : str, default=None
            Column of the value; None takes "value", "score" or "loss". NaN is a trial that failed.
        minimise : bool, default=False
            Whether lower values are better; those of a column "loss" are.
        X, y, learner, kind, metric, space, name
            See :meth:`from_optuna`.

        Raises
        ------
        DataError
            No columns of parameters or of the value.
        """
        recorded = _own_trials().trials_of_frame(frame, value, minimise=minimise)
        return cls._of_own(recorded, X, y, learner=learner, kind=kind, metric=metric, space=space, name=name)

    @classmethod
    def from_mlflow(
        cls,
        experiment: str | pd.DataFrame,
        X: Any = None,
        y: Any = None,
        *,
        value: str | None = None,
        minimise: bool = False,
        learner: str | None = None,
        kind: TaskKind | None = None,
        metric: str | None = None,
        space: ConfigurationSpace | None = None,
        name: str = "own",
    ) -> MetaDataset:
        """Import the runs of an MLflow experiment.

        Parameters
        ----------
        experiment : str or DataFrame
            Name of the experiment, or the frame that ``mlflow.search_runs`` gives.
        value : str, default=None
            Column of the value, such as ``metrics.accuracy``; None takes the only one.
        X, y, minimise, learner, kind, metric, space, name
            See :meth:`from_frame`.

        Raises
        ------
        MissingDependencyError
            MLflow is not installed, and `experiment` is no frame.
        DataError
            See :meth:`from_frame`.
        """
        own = _own_trials()
        recorded = own.trials_of_frame(own.runs_of_mlflow(experiment), value, minimise=minimise)
        return cls._of_own(recorded, X, y, learner=learner, kind=kind, metric=metric, space=space, name=name)

    @classmethod
    def _of_own(cls, recorded: Any, X: Any, y: Any, *, name: str, **about: Any) -> MetaDataset:
        tables = _own_trials().tables_of(recorded, X, y, name=name, **about)
        return cls(tables.tasks, tables.trials, tables.meta_features, tables.spaces, name=name, protocol="own")


def check_meta_dataset(given: Any) -> None:
    """Refuse what is no meta-dataset.

    Raises
    ------
    DataError
        Such as the name of one, which :meth:`MetaDataset.load` reads.
    """
    if not isinstance(given, MetaDataset):
        raise DataError(f"a MetaDataset is expected, but got {given!r}; MetaDataset.load(name or folder) reads one.")


def _own_trials() -> ModuleType:
    """What reads trials of other libraries; it needs the learners, which a meta-dataset otherwise does not."""
    from metahpo.metadata import own_trials

    return own_trials
