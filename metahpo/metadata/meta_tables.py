"""Consistent tables of tasks, trials and meta-features, and operations that return new ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import DataError, SpaceError, UnknownNameError
from metahpo.metadata.families import family_folds, family_split
from metahpo.space.configuration import to_json
from metahpo.space.domain import Domain
from metahpo.space.space_comparison import difference

#: Columns that every trials table has; metrics come as ``loss.METRIC``, and per fold as ``folds.METRIC``.
TRIAL_COLUMNS = ("task", "space", "configuration", "status", "seconds")
#: Columns that every tasks table has.
TASK_COLUMNS = ("family", "kind")


class MetaTables:
    """The checked tables of a meta-dataset, with operations that return new meta-datasets.

    See :class:`metahpo.metadata.meta_dataset.MetaDataset` for the parameters and what is raised.
    """

    def __init__(
        self,
        tasks: pd.DataFrame,
        trials: pd.DataFrame,
        meta_features: pd.DataFrame | None,
        spaces: Mapping[str, ConfigurationSpace],
        *,
        name: str = "meta-dataset",
        version: str = "1",
        protocol: str = "",
        canonical: bool = False,
    ) -> None:
        self.tasks, self.trials, self.meta_features = tasks, trials.reset_index(drop=True), meta_features
        self.spaces = dict(spaces)
        self.name, self.version, self.protocol = name, version, protocol
        self._check()
        if not canonical:
            self.trials = _canonical(self.trials, self.spaces)

    @property
    def metrics(self) -> list[str]:
        """Metrics recorded, the default one first."""
        return [c.removeprefix("loss.") for c in self.trials.columns if c.startswith("loss.")]

    def append(
        self,
        tasks: pd.DataFrame | MetaTables,
        trials: pd.DataFrame | None = None,
        meta_features: pd.DataFrame | None = None,
    ) -> Self:
        """Add tasks and trials: another meta-dataset, or tables like those of the constructor.

        A task that exists keeps its row. Its new trials are added; repeated trials are not.

        Raises
        ------
        DataError
            Tasks without trials, or as in :meth:`merge`.
        """
        if isinstance(tasks, MetaTables):
            return self.merge(tasks)
        if trials is None:
            raise DataError("append takes a meta-dataset, or tables of tasks and of trials; the trials are missing.")
        return self.merge(MetaTables(tasks, trials, meta_features, self.spaces, name=self.name, version=self.version))

    def merge(self, other: MetaTables) -> Self:
        """Tasks and trials of both meta-datasets. If both have a task or trial, that of this one is kept.

        Raises
        ------
        DataError
            A space of the same name differs, so its trials cannot be combined. The order of its choices may differ.
            Or a task of the same name is of other data.
        """
        for name in self.spaces.keys() & other.spaces.keys():
            found = difference(self.spaces[name], other.spaces[name])
            if found is not None:
                raise DataError(f"the search space {name!r} differs between {self.name!r} and {other.name!r}: {found}.")
        for task in self.tasks.index.intersection(other.tasks.index):
            if _of_other_data(self.tasks.loc[task], other.tasks.loc[task]):
                raise DataError(
                    f"the task {task!r} of {self.name!r} is of other data than that of {other.name!r}: give one of "
                    "them another name."
                )
        tasks = pd.concat([self.tasks, other.tasks.loc[~other.tasks.index.isin(self.tasks.index)]])
        theirs = _canonical(other.trials, {**other.spaces, **self.spaces})
        trials = pd.concat([self.trials, theirs]).drop_duplicates(["task", "space", "configuration"])
        features = [f for f in (self.meta_features, other.meta_features) if f is not None]
        joined = pd.concat(features) if features else None
        if joined is not None:
            joined = joined.loc[~joined.index.duplicated()]
        return self._with(tasks, trials, joined, {**other.spaces, **self.spaces})

    def drop(self, *, tasks: Sequence[str] = (), families: Sequence[str] = (), data_ids: Sequence[int] = ()) -> Self:
        """The meta-dataset without the named tasks, families or OpenML data ids.

        Raises
        ------
        UnknownNameError
            A name that does not exist, because it may be a typing error.
        """
        ids = (
            self.tasks["data_id"] if "data_id" in self.tasks.columns else pd.Series(index=self.tasks.index, dtype=float)
        )
        for what, wanted, known in (
            ("task", tasks, list(self.tasks.index)),
            ("family", families, list(self.tasks["family"].unique())),
            ("OpenML data id", data_ids, list(ids.dropna().astype(int))),
        ):
            for name in wanted:
                if name not in known:
                    raise UnknownNameError(what, name, [str(k) for k in known[:20]], f"({len(known)} in all)")
        gone = self.tasks.index.isin(tasks) | self.tasks["family"].isin(families) | ids.isin(data_ids)
        return self._only(self.tasks.index[~np.asarray(gone, dtype=bool)])

    def folds(self, n_folds: int = 5, random_state: int = 0) -> Iterator[tuple[Self, Self]]:
        """Pairs (training, held-out) such that every task is held out once and no family is split.

        Raises
        ------
        DataError
            Fewer than two folds, or fewer families than folds.
        """
        for train, held_out in family_folds(self.tasks["family"], n_folds, random_state):
            yield self._only(self.tasks.index[train]), self._only(self.tasks.index[held_out])

    def split(self, test_share: float = 0.2, random_state: int = 0) -> tuple[Self, Self]:
        """One pair (training, held-out), split by family, with `test_share` of the families (rounded up) held out.

        Raises
        ------
        DataError
            A share outside (0, 1), or too few families for both sides.
        """
        train, held_out = family_split(self.tasks["family"], test_share, random_state)
        return self._only(self.tasks.index[train]), self._only(self.tasks.index[held_out])

    def _only(self, names: pd.Index) -> Self:
        features = self.meta_features
        if features is not None:
            features = features.loc[features.index.isin(names)]
        return self._with(self.tasks.loc[names], self.trials[self.trials["task"].isin(names)], features, self.spaces)

    def _with(
        self,
        tasks: pd.DataFrame,
        trials: pd.DataFrame,
        meta_features: pd.DataFrame | None,
        spaces: Mapping[str, ConfigurationSpace],
    ) -> Self:
        return type(self)(
            tasks,
            trials,
            meta_features,
            spaces,
            name=self.name,
            version=self.version,
            protocol=self.protocol,
            canonical=True,
        )

    def _check(self) -> None:
        for what, frame, columns in (("trials", self.trials, TRIAL_COLUMNS), ("tasks", self.tasks, TASK_COLUMNS)):
            missing = [c for c in columns if c not in frame.columns]
            if missing:
                raise DataError(f"the {what} table lacks the columns {missing}; it has {list(frame.columns)}.")
        if not self.metrics:
            raise DataError("the trials table has no column loss.METRIC, so there is nothing to learn from.")
        for what, index in (("tasks", self.tasks.index), ("meta-features", getattr(self.meta_features, "index", ()))):
            twice = sorted({str(name) for name in pd.Index(index)[pd.Index(index).duplicated()]})
            if twice:
                raise DataError(f"the {what} table lists tasks twice: {twice[:10]}.")
        unknown = sorted(set(self.trials["task"].unique()) - set(self.tasks.index))
        if unknown:
            raise DataError(f"trials name tasks that the tasks table does not have: {unknown[:10]}.")
        unknown = sorted(set(self.trials["space"].unique()) - set(self.spaces))
        if unknown:
            raise DataError(
                f"trials name search spaces that are not given: {unknown}; given are {sorted(self.spaces)}."
            )


def _canonical(trials: pd.DataFrame, spaces: Mapping[str, ConfigurationSpace]) -> pd.DataFrame:
    """Trials with the text of each configuration in the canonical form of its space.

    Raises
    ------
    DataError
        A text that is no JSON object.
    SpaceError
        A configuration that is not of its space.
    """
    texts = trials["configuration"].to_numpy(dtype=object, copy=True)
    for name in trials["space"].unique():
        rows = np.flatnonzero(trials["space"] == name)
        domain = Domain(spaces[name])
        known: dict[str, str] = {}
        for row in rows:
            given = texts[row]
            if not isinstance(given, str):
                raise DataError(f"the configuration of a trial must be a JSON text, but is {given!r}: use to_json.")
            if given not in known:
                known[given] = _canonical_text(given, domain, str(name))
            texts[row] = known[given]
    return trials if (texts == trials["configuration"].to_numpy()).all() else trials.assign(configuration=texts)


def _canonical_text(text: str, domain: Domain, space: str) -> str:
    expected = f"{text!r} must be the JSON text of a configuration of the search space {space!r}"
    try:
        values = json.loads(text)
    except ValueError as error:
        raise DataError(f"{expected}, but cannot be read: {error}.") from error
    if not isinstance(values, dict):
        raise DataError(f"{expected}, but holds no names.")
    try:
        return to_json(domain.canonical(values))
    except SpaceError as error:
        raise SpaceError(f"{expected}, but: {error}") from error


def _of_other_data(one: pd.Series, other: pd.Series) -> bool:
    """Whether the rows of two tasks are known, and they have none in common."""
    known: list[Any] = [row.get("row_sketch") for row in (one, other)]
    if not all(isinstance(sketch, np.ndarray | list) and len(sketch) for sketch in known):
        return False
    return one.get("fingerprint") != other.get("fingerprint") and not set(known[0]) & set(known[1])
