"""A task: one dataset with a target, checked when built, so that nothing deeper has to doubt it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold

from metahpo.exceptions import DataError
from metahpo.tasks.columns import as_frame, clean_columns
from metahpo.tasks.target import KINDS, TaskKind, as_target, encode_target, infer_kind

__all__ = ["KINDS", "Task", "TaskKind", "infer_kind"]


@dataclass(frozen=True, eq=False)
class Task:
    """One supervised learning task.

    Build one with :meth:`from_arrays`, which checks and normalises the data; the constructor only stores.

    Attributes
    ----------
    X : DataFrame of shape (n_rows, n_features)
        Numeric columns as float64 (missing = NaN), categorical columns as pandas categories of strings.
    y : ndarray of shape (n_rows,)
        Class indices 0..n_classes-1 (int64) for classification, float64 for regression.
    kind : {"classification", "regression"}
    name : str
        Identity of the task in a meta-dataset.
    family : str
        Tasks of one origin share a family; training and test tasks are separated by it.
    data_id : int or None
        OpenML data id.
    classes : tuple
        Original class labels in the order of the indices in `y`; empty for regression.
    treatments : tuple of str
        What was changed on the way in (dropped columns, converted dates, ...), in words.
    """

    X: pd.DataFrame
    y: NDArray[Any]
    kind: TaskKind
    name: str = "task"
    family: str = "task"
    data_id: int | None = None
    classes: tuple[Any, ...] = ()
    treatments: tuple[str, ...] = field(default=())

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        y: Any,
        *,
        kind: TaskKind | None = None,
        categorical: Sequence[str] = (),
        name: str = "task",
        family: str | None = None,
        data_id: int | None = None,
    ) -> Task:
        """Check a dataset and make it a task.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_features)
            Columns of strings, booleans and categories, and those that mix types, are categorical by their text;
            numbers (decimals and integers of any size among them) are numeric. Dates become days since 1970-01-01,
            durations days; all-missing columns, and text columns with too many distinct values, are dropped. Each
            such treatment is listed in ``Task.treatments``.
        y : array-like of shape (n_rows,)
            The target. Rows with a missing target are dropped.
        kind : {"classification", "regression"}, default=None
            None: regression where the target is continuous (floats with a fraction, or more than 20 distinct
            numbers that are more than 5 % of the rows), else classification.
        categorical : sequence of str, default=()
            Columns to be read as categorical although they hold numbers.
        name, family, data_id
            See the class; `family` defaults to `name`.

        Raises
        ------
        DataError
            No rows or columns, wrong length of `y`, no target at all, infinite or complex values, integers beyond
            float64, dates for a target, duplicate column names, one class, constant target, or no usable column; the
            message says which.
        """
        frame = as_frame(X)
        target = as_target(y)
        if len(frame) == 0 or frame.shape[1] == 0:
            raise DataError(f"X must have at least one row and one column, but its shape is {frame.shape}.")
        if len(target) != len(frame):
            raise DataError(f"X and y must be of equal length, but X has {len(frame)} rows and y has {len(target)}.")
        known = ~target.isna().to_numpy()
        treatments = []
        if not known.any():
            raise DataError("y holds no value: every row's target is missing.")
        if not known.all():
            treatments.append(f"{int((~known).sum())} rows without a target were dropped")
            frame, target = frame[known], target[known].infer_objects()
        if kind is None:
            kind = infer_kind(target)
        if kind not in KINDS:
            raise DataError(f"kind must be one of {list(KINDS)}, but is {kind!r}.")
        missing = [c for c in categorical if c not in frame.columns]
        if missing:
            raise DataError(
                f"categorical columns {missing} are not in X, whose columns are {list(frame.columns)[:20]}."
            )
        frame, notes = clean_columns(frame.reset_index(drop=True), frozenset(categorical))
        values, classes = encode_target(target, kind)
        return cls(frame, values, kind, name, family or name, data_id, classes, tuple(treatments + notes))

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.X)

    @cached_property
    def categorical(self) -> tuple[str, ...]:
        """Names of the categorical columns."""
        return tuple(c for c, is_category in zip(self.X.columns, self._is_category, strict=True) if is_category)

    @cached_property
    def numeric(self) -> tuple[str, ...]:
        """Names of the numeric columns."""
        return tuple(c for c, is_category in zip(self.X.columns, self._is_category, strict=True) if not is_category)

    @property
    def _is_category(self) -> list[bool]:
        return [isinstance(dtype, pd.CategoricalDtype) for dtype in self.X.dtypes]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the values: equal for equal data, whatever the columns are called and however they are ordered."""
        columns = [
            series.cat.codes if isinstance(series.dtype, pd.CategoricalDtype) else series
            for _, series in self.X.items()
        ]
        digests = sorted(hashlib.sha256(c.to_numpy(np.float64).tobytes()).digest() for c in columns)
        digest = hashlib.sha256(self.kind.encode() + b"".join(digests))
        digest.update(np.ascontiguousarray(self.y, dtype=np.float64).tobytes())
        return digest.hexdigest()

    def splits(self, n_folds: int, random_state: int = 0) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Cross-validation folds, stratified for classification; the same for the same task and `random_state`.

        Raises
        ------
        DataError
            Fewer than two folds, fewer rows than folds, or a class with fewer members than folds.
        """
        if n_folds < 2:
            raise DataError(f"cross-validation needs at least 2 folds, but n_folds = {n_folds}.")
        if self.n_rows < n_folds:
            raise DataError(f"{n_folds} folds need at least {n_folds} rows, but task {self.name!r} has {self.n_rows}.")
        if self.kind == "regression":
            return list(KFold(n_folds, shuffle=True, random_state=random_state).split(self.X))
        smallest = int(np.bincount(self.y).min())
        if smallest < n_folds:
            raise DataError(
                f"{n_folds} stratified folds need at least {n_folds} rows of each class, but the smallest class of "
                f"task {self.name!r} has {smallest}; use fewer folds, or `without_rare_classes({n_folds})`."
            )
        return list(StratifiedKFold(n_folds, shuffle=True, random_state=random_state).split(self.X, self.y))

    def take(self, rows: NDArray[np.intp]) -> Task:
        """The task restricted to `rows`, with classes and categories kept as they are."""
        return Task(
            self.X.iloc[rows].reset_index(drop=True),
            self.y[rows],
            self.kind,
            self.name,
            self.family,
            self.data_id,
            self.classes,
            self.treatments,
        )

    def without_rare_classes(self, minimum: int) -> Task:
        """Drop the rows of classes with fewer than `minimum` members, so that stratified folds exist."""
        if self.kind == "regression":
            return self
        counts = np.bincount(self.y, minlength=len(self.classes))
        if counts.min() >= minimum:
            return self
        kept = np.flatnonzero(counts >= minimum)
        if len(kept) < 2:
            raise DataError(f"task {self.name!r} has fewer than two classes of at least {minimum} rows.")
        rows = np.flatnonzero(np.isin(self.y, kept))
        renumbered = np.searchsorted(kept, self.y[rows])
        gone = [self.classes[i] for i in np.flatnonzero(counts < minimum)]
        note = f"classes with fewer than {minimum} rows were dropped: {gone}"
        return Task(
            self.X.iloc[rows].reset_index(drop=True),
            renumbered,
            self.kind,
            self.name,
            self.family,
            self.data_id,
            tuple(self.classes[i] for i in kept),
            (*self.treatments, note),
        )

    def subsample(self, max_rows: int, random_state: int = 0) -> Task:
        """About `max_rows` rows, drawn without replacement.

        Stratified: every class keeps its share, rounded, and at least two rows (a class of one keeps that), so that
        many small classes can make it a few rows more.
        """
        if self.n_rows <= max_rows:
            return self
        rng = np.random.default_rng(random_state)
        order = rng.permutation(self.n_rows)
        if self.kind == "regression":
            return self.take(np.sort(order[:max_rows]))
        rank = pd.Series(self.y[order]).groupby(self.y[order]).cumcount().to_numpy()
        share = np.bincount(self.y, minlength=len(self.classes)) * (max_rows / self.n_rows)
        quota = np.maximum(2, np.round(share)).astype(int)
        return self.take(np.sort(order[rank < quota[self.y[order]]]))
