"""The target of a task: which kind of task it makes, and its values as numbers."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.exceptions import DataError
from metahpo.tasks.columns import as_array, as_finite, encodable, holds_numbers

TaskKind = Literal["classification", "regression"]
KINDS: tuple[TaskKind, ...] = get_args(TaskKind)

#: Whole numbers are a quantity, not class labels, from more than so many distinct ones, more than this share of rows.
MAX_CLASSES = 20
CLASS_SHARE = 0.05

#: What pandas infers of targets that are neither numbers nor labels.
_NEITHER = {"complex", "date", "datetime", "datetime64", "period", "time", "timedelta", "timedelta64"}


def as_target(y: Any) -> pd.Series:
    """Target of any container as one column of the plainest type.

    Raises
    ------
    DataError
        Not one column, not rectangular, or dates, durations, complex or infinite values in it.
    """
    if isinstance(y, pd.DataFrame):
        if y.shape[1] != 1:
            raise DataError(f"y must be one column, but has {y.shape[1]}; multi-output targets are not supported.")
        y = y.iloc[:, 0]
    if isinstance(y, pd.Series) and not isinstance(y.dtype, pd.CategoricalDtype):
        array = y.to_numpy()
    else:
        array = as_array(y, "y")
    if array.ndim == 2 and array.size == len(array):
        array = array.ravel()
    if array.ndim != 1:
        raise DataError(f"y must be of shape (n_rows,), but its shape is {array.shape}.")
    target = encodable(lambda: pd.Series(array).infer_objects(), "y")
    sort = pd.api.types.infer_dtype(target, skipna=True)
    if sort in _NEITHER:
        raise DataError(f"y holds values of type {sort}; give numbers (days, parts, ...) or class labels.")
    return as_finite(target, "y") if target.dtype.kind == "f" or holds_numbers(target) else target


def with_target(frame: pd.DataFrame, y: Any) -> tuple[pd.DataFrame, pd.Series, list[str]]:
    """The rows that have a target, their targets, and what was dropped, in words.

    Raises
    ------
    DataError
        No rows or columns, wrong length of `y`, no target at all, or one as :func:`as_target` refuses.
    """
    target = as_target(y)
    if len(frame) == 0 or frame.shape[1] == 0:
        raise DataError(f"X must have at least one row and one column, but its shape is {frame.shape}.")
    if len(target) != len(frame):
        raise DataError(f"X and y must be of equal length, but X has {len(frame)} rows and y has {len(target)}.")
    known = ~target.isna().to_numpy()
    treatments: list[str] = []
    if not known.any():
        raise DataError("y holds no value: every row's target is missing.")
    if not known.all():
        treatments.append(f"{int((~known).sum())} rows without a target were dropped")
        frame, target = frame[known], target[known].infer_objects()
    return frame, target, treatments


def infer_kind(target: pd.Series) -> TaskKind:
    """Kind of task that a target column suggests: see :meth:`Task.from_arrays`."""
    if not pd.api.types.is_numeric_dtype(target) or pd.api.types.is_bool_dtype(target):
        return "classification"
    distinct = target.nunique()
    quantity = distinct > MAX_CLASSES and distinct > CLASS_SHARE * len(target)
    return "regression" if quantity or is_continuous(target) else "classification"


def is_continuous(target: pd.Series) -> bool:
    """Whether a target column without gaps holds numbers with a fraction."""
    if not pd.api.types.is_numeric_dtype(target):
        return False
    values = target.to_numpy(np.float64)
    return bool((values != np.floor(values)).any())


def encode_target(target: pd.Series, kind: TaskKind) -> tuple[NDArray[Any], tuple[Any, ...]]:
    """Values of a target without gaps as float64, or as class indices with the labels they stand for.

    Raises
    ------
    DataError
        A regression target that is not numeric or does not vary, or fewer than two classes.
    """
    if kind == "regression":
        try:
            values = target.to_numpy(np.float64)
        except (TypeError, ValueError):
            raise DataError(f"a regression target must be numeric, but y holds {target.iloc[0]!r}.") from None
        if not np.isfinite(values).all():  # text that reads as a number: "inf", "nan"
            raise DataError("a regression target must be finite, but y holds text such as 'inf' or 'nan'.")
        if values.min() == values.max():
            raise DataError("a regression target must vary, but y is constant.")
        return values, ()
    classes, codes = np.unique(
        target.to_numpy() if pd.api.types.is_numeric_dtype(target) else target.map(str), return_inverse=True
    )
    if len(classes) < 2:
        raise DataError(f"classification needs at least two classes, but y holds only {classes.tolist()}.")
    return codes.astype(np.int64), tuple(classes.tolist())
