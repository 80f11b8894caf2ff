"""A task: one dataset with a target, checked when built, so that nothing deeper has to doubt it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils.multiclass import type_of_target

from metahpo.exceptions import DataError

TaskKind = Literal["classification", "regression"]
KINDS: tuple[TaskKind, ...] = get_args(TaskKind)

#: Object columns with more distinct values than this share of the rows (and more than `MAX_CATEGORIES`) are free text.
TEXT_SHARE = 0.5
MAX_CATEGORIES = 50


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
            Columns of strings, booleans and categories are categorical, numbers numeric. Dates become days since
            1970-01-01, durations days; all-missing columns, and text columns with too many distinct values, are
            dropped. Each such treatment is listed in ``Task.treatments``.
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
            No rows or columns, wrong length of `y`, no target at all, infinite or complex values, duplicate column
            names, one class, constant target, or no usable column; the message says which.
        """
        frame = _as_frame(X)
        target = _as_target(y)
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
        if pd.api.types.is_float_dtype(target) and np.isinf(target.to_numpy(np.float64)).any():
            raise DataError("y holds infinite values; drop those rows or replace the values.")
        if kind is None:
            kind = infer_kind(target)
        if kind not in KINDS:
            raise DataError(f"kind must be one of {list(KINDS)}, but is {kind!r}.")
        missing = [c for c in categorical if c not in frame.columns]
        if missing:
            raise DataError(
                f"categorical columns {missing} are not in X, whose columns are {list(frame.columns)[:20]}."
            )
        frame, notes = _clean(frame.reset_index(drop=True), frozenset(categorical))
        values, classes = _encode_target(target, kind)
        return cls(frame, values, kind, name, family or name, data_id, classes, tuple(treatments + notes))

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.X)

    @cached_property
    def categorical(self) -> tuple[str, ...]:
        """Names of the categorical columns."""
        return tuple(c for c in self.X.columns if isinstance(self.X[c].dtype, pd.CategoricalDtype))

    @cached_property
    def numeric(self) -> tuple[str, ...]:
        """Names of the numeric columns."""
        return tuple(c for c in self.X.columns if c not in set(self.categorical))

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


def infer_kind(target: pd.Series) -> TaskKind:
    """Kind of task that a target column suggests: see :meth:`Task.from_arrays`."""
    if not pd.api.types.is_numeric_dtype(target) or pd.api.types.is_bool_dtype(target):
        return "classification"
    distinct = target.nunique()
    continuous = type_of_target(target.to_numpy()).startswith("continuous")
    return "regression" if continuous or (distinct > 20 and distinct > 0.05 * len(target)) else "classification"


def _as_frame(X: Any) -> pd.DataFrame:
    if isinstance(X, pd.DataFrame):
        frame = X.copy(deep=False)
    else:
        if hasattr(X, "toarray"):  # scipy sparse
            X = X.toarray()
        array = _as_array(X, "X")
        if array.ndim != 2:
            raise DataError(f"X must be of shape (n_rows, n_features), but has {array.ndim} dimension(s).")
        frame = pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])
    frame = frame.infer_objects()
    frame.columns = pd.Index([str(c) for c in frame.columns])
    if frame.columns.has_duplicates:
        raise DataError(
            f"column names must differ, but {sorted(set(frame.columns[frame.columns.duplicated()]))} occur twice."
        )
    return frame


def _as_array(values: Any, what: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
        if array.dtype.kind in "US" and not isinstance(values, np.ndarray):
            # numpy makes strings of the numbers and the NaN that stand in one list with strings.
            array = np.asarray(values, dtype=object)
    except ValueError as error:
        raise DataError(f"{what} must be rectangular, but: {error}") from None
    return array


def _as_target(y: Any) -> pd.Series:
    if isinstance(y, pd.DataFrame):
        if y.shape[1] != 1:
            raise DataError(f"y must be one column, but has {y.shape[1]}; multi-output targets are not supported.")
        y = y.iloc[:, 0]
    if isinstance(y, pd.Series) and not isinstance(y.dtype, pd.CategoricalDtype):
        array = y.to_numpy()
    else:
        array = _as_array(y, "y")
    if array.ndim == 2 and array.size == len(array):
        array = array.ravel()
    if array.ndim != 1:
        raise DataError(f"y must be of shape (n_rows,), but its shape is {array.shape}.")
    return pd.Series(array).infer_objects()


def _clean(frame: pd.DataFrame, categorical: frozenset[str]) -> tuple[pd.DataFrame, list[str]]:
    """Numeric columns to float64, the rest to categories of strings; unusable columns dropped, with a note each."""
    columns: dict[str, pd.Series] = {}
    notes = []
    for name in frame.columns:
        series = frame[name]
        if series.isna().all():
            notes.append(f"column {name!r} is all missing and was dropped")
        elif name in categorical or isinstance(series.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(series):
            columns[name] = _as_category(series)
        elif pd.api.types.is_datetime64_any_dtype(series):
            naive = series.dt.tz_localize(None) if series.dt.tz is not None else series
            columns[name] = (naive - pd.Timestamp(0)) / pd.Timedelta(days=1)
            notes.append(f"column {name!r} holds dates and became days since 1970-01-01")
        elif pd.api.types.is_timedelta64_dtype(series):
            columns[name] = series.dt.total_seconds() / 86400.0
            notes.append(f"column {name!r} holds durations and became days")
        elif pd.api.types.is_complex_dtype(series):
            raise DataError(f"column {name!r} holds complex numbers; give their parts as two columns.")
        elif pd.api.types.is_numeric_dtype(series):
            values = series.astype("float64")
            if np.isinf(values.to_numpy()).any():
                raise DataError(
                    f"column {name!r} holds infinite values; replace them by NaN (missing) or finite numbers."
                )
            columns[name] = values
        else:
            distinct = series.dropna().astype(str).nunique()
            if distinct > max(MAX_CATEGORIES, TEXT_SHARE * len(series)):
                notes.append(f"column {name!r} looks like text ({distinct} distinct values) and was dropped")
            else:
                columns[name] = _as_category(series)
    if not columns:
        raise DataError(f"no usable column is left: {'; '.join(notes)}.")
    return pd.DataFrame(columns), notes


def _as_category(series: pd.Series) -> pd.Series:
    text = series.astype(object).where(series.notna(), None).map(str, na_action="ignore")
    return text.astype(pd.CategoricalDtype(sorted(text.dropna().unique())))


def _encode_target(target: pd.Series, kind: TaskKind) -> tuple[NDArray[Any], tuple[Any, ...]]:
    if kind == "regression":
        try:
            values = target.to_numpy(np.float64)
        except (TypeError, ValueError):
            raise DataError(f"a regression target must be numeric, but y holds {target.iloc[0]!r}.") from None
        if np.ptp(values) == 0:
            raise DataError("a regression target must vary, but y is constant.")
        return values, ()
    classes, codes = np.unique(
        target.to_numpy() if pd.api.types.is_numeric_dtype(target) else target.astype(str), return_inverse=True
    )
    if len(classes) < 2:
        raise DataError(f"classification needs at least two classes, but y holds only {list(classes)}.")
    return codes.astype(np.int64), tuple(classes.tolist())
