"""The description of a dataset by OpenML, and the conversion of its table for the cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pandas as pd

from metahpo.exceptions import DataError
from metahpo.tasks.target import TaskKind
from metahpo.tasks.task import Task


@dataclass(frozen=True)
class Description:
    """A dataset as OpenML describes it.

    Attributes
    ----------
    data_id, name, version, licence, source
        Id, name, version of that name, licence, and page on openml.org.
    default_target : str or None
        Target, unless a task names another.
    not_features : tuple of str
        Row ids and attributes to be ignored.
    sorts : mapping of str to str
        Name of each attribute -> "numeric", "nominal", "string" or "date".
    n_rows : int or None
        Rows that OpenML counted; None where it did not.
    has_checksum : bool
        Whether its ARFF file comes with one.
    """

    data_id: int
    name: str
    version: int | None
    licence: str | None
    source: str | None
    default_target: str | None
    not_features: tuple[str, ...]
    sorts: Mapping[str, str]
    n_rows: int | None
    has_checksum: bool

    def target(self, target: str | None) -> str:
        """The target that a task names, else the default one.

        Raises
        ------
        DataError
            There is none, or several, or it is no attribute.
        """
        target = target or self.default_target
        if target is None or target not in self.sorts:
            raise DataError(f"{self.name} has no single target column (its default is {self.default_target!r}).")
        return target

    def key(self, target: str) -> str:
        """Key in our cache: the data id, with the target where it is not the default one."""
        return str(self.data_id) if target == self.default_target else f"{self.data_id}-{quote(target, safe='')}"

    def refuse_beyond(self, max_cells: int) -> None:
        """Raise DataError if rows times columns are known to be more than `max_cells`."""
        cells = (self.n_rows or 0) * len(self.sorts)
        if cells > max_cells:
            raise DataError(
                f"{self.name} has {self.n_rows} rows of {len(self.sorts)} columns, {cells} cells, which is over the "
                f"size limit of {max_cells}; raise the limit (max_cells) to take it."
            )

    def converted(self, frame: pd.DataFrame, target: str, kind: TaskKind | None) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Table without row ids and ignored columns, and its sidecar.

        Parameters
        ----------
        frame : DataFrame
            As it was downloaded. Rows without a target are kept too, because official splits count them.
        target : str
            Column to be predicted.
        kind : {"classification", "regression"}, default=None
            Kind of the OpenML task; None: classification where the target is nominal or a string, else regression.

        Raises
        ------
        DataError
            No such target, or data that make no task.
        """
        if target not in frame.columns:
            raise DataError(f"{self.name} has no column {target!r}; its columns are {list(frame.columns)[:20]}.")
        ignored = set(self.not_features) - {target}
        frame = frame[[c for c in frame.columns if c not in ignored]]
        nominal = {name for name, sort in self.sorts.items() if sort == "nominal"}
        categorical = [c for c in frame.columns if c in nominal and c != target]
        kind = kind or ("classification" if self.sorts.get(target) in ("nominal", "string") else "regression")
        name = self.name if target == self.default_target else f"{self.name}-{target}"
        features = frame.drop(columns=target)
        task = Task.from_arrays(features, frame[target], kind=kind, categorical=categorical, name=name)
        return frame, {
            "data_id": self.data_id,
            "name": name,
            "version": self.version,
            "kind": kind,
            "family": self.name,
            "n_rows": len(frame),
            "n_features": features.shape[1],
            "n_classes": len(task.classes) or None,
            "categorical": categorical,
            "n_missing": int(features.isna().sum().sum()),
            "licence": self.licence,
            "source": self.source,
            "tasks": {},
        }
