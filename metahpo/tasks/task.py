"""A task: one dataset with a target. It is checked when it is built, so no later code needs to check it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.exceptions import DataError
from metahpo.tasks.columns import TableReading, is_texts, learn_reading
from metahpo.tasks.containers import as_frame, is_sparse
from metahpo.tasks.images import ImageReading, ImageShape
from metahpo.tasks.target import KINDS, TaskKind, encode_target, infer_kind, with_target
from metahpo.tasks.texts import as_texts, is_text

__all__ = ["KINDS", "Modality", "Task", "TaskKind", "infer_kind"]

#: Most cells of a sparse matrix that become a table (400 MB of numbers). Larger matrices are sampled by rows.
MAX_SPARSE_CELLS = 50_000_000

#: What the rows of a task are.
Modality = Literal["table", "image", "text"]


@dataclass(frozen=True, eq=False)
class Task:
    """One supervised learning task.

    Build one with :meth:`from_arrays`, :meth:`from_images` or :meth:`from_texts`, which check and normalise the data.
    :func:`metahpo.tasks.modality.as_task` finds out which of them is right. The constructor only stores its arguments.

    Attributes
    ----------
    X : DataFrame of shape (n_rows, n_features)
        Numeric columns as float64 (missing = NaN), categorical columns as pandas categories of strings. The columns of
        images are their pixels, row by row, the channels of a pixel side by side; texts are categorical columns.
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
        What was changed when the data were read (dropped columns, converted dates, ...), in words.
    modality : {"table", "image", "text"}
        What the rows are.
    image_shape : tuple of int or None
        (height, width, channels) of images.
    reading : TableReading, ImageReading or None
        How `X` was made from the user's data. None if `X` was given in this form.
    """

    X: pd.DataFrame
    y: NDArray[Any]
    kind: TaskKind
    name: str = "task"
    family: str = "task"
    data_id: int | None = None
    classes: tuple[Any, ...] = ()
    treatments: tuple[str, ...] = field(default=())
    modality: Modality = "table"
    image_shape: ImageShape | None = None
    reading: TableReading | ImageReading | None = field(default=None, repr=False)

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
            numbers (decimals and integers of any size among them) are numeric. Texts that say numbers (with decimal
            comma, separated thousands, percent or currency signs, "?" for missing) are read as such, and so are
            dates, which become days since 1970-01-01; durations become days; all-missing columns, and text columns
            with too many distinct values, are dropped. Each such treatment is listed in ``Task.treatments``. Of a
            sparse matrix that is too large for a table, rows are drawn.
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
        rows, target, treatments = with_target(X.tocsr() if is_sparse(X) else as_frame(X), y)
        if kind is None:
            kind = infer_kind(target)
        if kind not in KINDS:
            raise DataError(f"kind must be one of {list(KINDS)}, but is {kind!r}.")
        values, labels = encode_target(target, kind)
        classes = () if labels is None else tuple(labels.values.tolist())
        if labels is None and is_texts(target):
            treatments.append("y holds numbers as text and became numeric")
        if is_sparse(rows):
            drawn = _drawn_rows(rows.shape, values, kind, classes)
            if len(drawn) < len(values):
                treatments.append(f"X is sparse and large: {len(drawn)} of its {len(values)} rows were drawn")
            rows, values = as_frame(rows[drawn]), values[drawn]
        frame = rows.reset_index(drop=True)
        missing = [c for c in categorical if c not in frame.columns]
        if missing:
            raise DataError(
                f"categorical columns {missing} are not in X, whose columns are {list(frame.columns)[:20]}."
            )
        reading, notes = learn_reading(frame, frozenset(categorical))
        columns, more_notes = reading.prepared_with_notes(frame)
        return cls(
            columns,
            values,
            kind,
            name,
            family or name,
            data_id,
            classes,
            (*treatments, *notes, *more_notes),
            reading=reading,
        )

    @classmethod
    def from_images(
        cls,
        X: Any,
        y: Any,
        *,
        shape: Sequence[int] | None = None,
        name: str = "task",
        family: str | None = None,
        data_id: int | None = None,
    ) -> Task:
        """Check images of one shape and make them a classification task.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, pixels)
            See :func:`metahpo.tasks.images.as_images`; NaN is a missing pixel.
        y : array-like of shape (n,)
            Class labels. Images without one are dropped.
        shape : sequence of int, default=None
            (height, width) or (height, width, channels) of flattened images; None: square, of one or three channels.
        name, family, data_id
            See the class; `family` defaults to `name`.

        Raises
        ------
        DataError
            What are no images of one shape, or labels as in :meth:`from_arrays`.
        """
        reading = ImageReading.of(X, shape)
        frame, target, treatments = with_target(reading.prepared(X), y)
        values, labels = encode_target(target, "classification")
        classes = () if labels is None else tuple(labels.values.tolist())
        task = cls(frame.reset_index(drop=True), values, "classification", name, family or name, data_id, classes)
        told = tuple(treatments)
        return replace(task, treatments=told, modality="image", image_shape=reading.shape, reading=reading)

    @classmethod
    def from_texts(
        cls,
        X: Any,
        y: Any,
        *,
        columns: Sequence[str] | None = None,
        name: str = "task",
        family: str | None = None,
        data_id: int | None = None,
    ) -> Task:
        """Check texts and make them a classification task.

        Parameters
        ----------
        X : sequence of str, or DataFrame with columns of text
            Several columns are the parts of a text; columns of numbers stay what they are.
        y : array-like of shape (n,)
            Class labels. Texts without one are dropped.
        columns : sequence of str, default=None
            Columns of a DataFrame that are text; None: those of strings.
        name, family, data_id
            See the class; `family` defaults to `name`.

        Raises
        ------
        DataError
            Values that are no text, no text at all, or labels as in :meth:`from_arrays`.
        """
        if not isinstance(X, pd.DataFrame):
            as_texts(X)  # refuses what is no text
            X = pd.DataFrame({"text": pd.Series(list(X), dtype=object)})
        of_text = columns or [str(column) for column, values in X.items() if is_text(values)]
        if not of_text:
            raise DataError(f"there is no column of text among {[str(column) for column in X.columns][:20]}.")
        task = cls.from_arrays(
            X, y, kind="classification", categorical=of_text, name=name, family=family, data_id=data_id
        )
        return replace(task, modality="text")

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
        numbers = self.X[list(self.numeric)].to_numpy(np.float64)
        codes = [self.X[name].cat.codes.to_numpy(np.float64) for name in self.categorical]
        digests = sorted(hashlib.sha256(column.tobytes()).digest() for column in (*numbers.T, *codes))
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
        # Imported here, because code that counts the trials of a store imports this module and needs no scikit-learn.
        from sklearn.model_selection import KFold, StratifiedKFold

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
        return replace(self, X=self.X.iloc[rows].reset_index(drop=True), y=self.y[rows])

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
        return replace(
            self,
            X=self.X.iloc[rows].reset_index(drop=True),
            y=renumbered,
            classes=tuple(self.classes[i] for i in kept),
            treatments=(*self.treatments, note),
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
        counts = np.bincount(self.y, minlength=len(self.classes))
        quota = np.minimum(counts, np.maximum(2, np.round(counts * (max_rows / self.n_rows)).astype(np.int64)))
        return self.take(np.sort(_first_of_classes(order, self.y, quota)))


def _first_of_classes(order: NDArray[np.intp], y: NDArray[np.int64], quota: NDArray[np.int64]) -> NDArray[np.intp]:
    """The first rows of each class in a given order, as many as the quota of the class."""
    n_seen = 2 * int(quota.sum())  # most often the beginning has all of them
    while n_seen < len(order) and (np.bincount(y[order[:n_seen]], minlength=len(quota)) < quota).any():
        n_seen *= 8
    order = order[:n_seen]
    # In the smallest type, because NumPy sorts short integers in linear time.
    classes = y[order].astype(np.min_scalar_type(len(quota)))
    by_class = np.argsort(classes, kind="stable")
    counts = np.bincount(classes, minlength=len(quota))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[by_class[rank < np.repeat(quota, counts)]]


def _drawn_rows(
    shape: tuple[int, int], values: NDArray[Any], kind: TaskKind, classes: tuple[Any, ...]
) -> NDArray[np.intp]:
    """Rows of a sparse matrix that are made a table: all, or a stratified draw."""
    rows = Task(pd.DataFrame({"row": np.arange(shape[0])}), values, kind, classes=classes)
    drawn: NDArray[np.intp] = rows.subsample(max(2, MAX_SPARSE_CELLS // shape[1])).X["row"].to_numpy(np.intp)
    return drawn
