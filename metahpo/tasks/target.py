"""The target of a task: the kind of task that it implies, and its values as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.exceptions import DataError
from metahpo.tasks.columns import as_finite, holds_numbers, is_texts
from metahpo.tasks.containers import as_array, encodable
from metahpo.tasks.written import NumberWriting, number_writing

TaskKind = Literal["classification", "regression"]
KINDS: tuple[TaskKind, ...] = get_args(TaskKind)

#: Rows that a mask selects from: a DataFrame, or a sparse matrix.
Rows = TypeVar("Rows", bound=Any)

#: Whole numbers are a quantity, not class labels, from more than so many distinct ones, more than this share of rows.
MAX_CLASSES = 20
CLASS_SHARE = 0.05

#: Texts that stand for a missing target.
_NO_TARGET = ("?", "")
#: What pandas infers of targets that are neither numbers nor labels.
_NEITHER = {"complex", "date", "datetime", "datetime64", "period", "time", "timedelta", "timedelta64"}


def as_target(y: Any) -> pd.Series:
    """Target of any container as one column of the plainest type.

    Raises
    ------
    DataError
        Not one column, not rectangular, or dates, durations, complex or infinite values in it.
    """
    if isinstance(y, str):
        raise DataError(
            f"y must hold the values of the target, of shape (n_rows,), but is the text {y!r}. If that is a column of "
            f"a table, give X=table.drop(columns={y!r}) and y=table[{y!r}]."
        )
    if isinstance(y, pd.DataFrame):
        if y.shape[1] != 1:
            raise DataError(f"y must be one column, but has {y.shape[1]}; multi-output targets are not supported.")
        y = y.iloc[:, 0]
    dtype = getattr(y, "dtype", None)
    if isinstance(dtype, pd.api.extensions.ExtensionDtype) and pd.api.types.is_integer_dtype(dtype):
        y = pd.Series(y).astype(object)  # an array of numbers would hold fractions beside its gaps
    if isinstance(y, pd.Series) and not isinstance(y.dtype, pd.CategoricalDtype):
        array = y.to_numpy()
    elif isinstance(y, (list, pd.Index)) and len(y) and all(isinstance(label, tuple) for label in y):
        array = _objects(list(y))  # tuples are labels, as they are in a Series; the rows of a matrix are lists
    else:
        array = as_array(y, "y")
    if array.ndim == 2 and array.size == len(array):
        array = array.ravel()
    if array.ndim != 1:
        raise DataError(f"y must be of shape (n_rows,), but its shape is {array.shape}.")
    target = encodable(lambda: pd.Series(array).infer_objects(), "y")
    if is_texts(target):
        target = target.where(~target.isin(_NO_TARGET), None)
    sort = pd.api.types.infer_dtype(target, skipna=True)
    if sort in _NEITHER:
        raise DataError(f"y holds values of type {sort}; give numbers (days, parts, ...) or class labels.")
    if target.dtype.kind != "f" and not holds_numbers(target):
        return target
    given = pd.Series(array)
    is_whole = given.dtype == object and given.dropna().infer_objects().dtype.kind in "iu"
    return given if is_whole else as_finite(target, "y")  # whole labels stay whole beside gaps


def with_target(X: Rows, y: Any) -> tuple[Rows, pd.Series, list[str]]:
    """The rows that have a target, their targets, and what was dropped, in words.

    Parameters
    ----------
    X : DataFrame or sparse matrix (CSR) of shape (n_rows, n_features)
    y : array-like of shape (n_rows,)

    Raises
    ------
    DataError
        No rows or columns, wrong length of `y`, no target at all, or one as :func:`as_target` refuses.
    """
    target = as_target(y)
    if 0 in X.shape:
        raise DataError(f"X must have at least one row and one column, but its shape is {X.shape}.")
    if len(target) != X.shape[0]:
        raise DataError(f"X and y must be of equal length, but X has {X.shape[0]} rows and y has {len(target)}.")
    known = ~target.isna().to_numpy()
    treatments: list[str] = []
    if not known.any():
        raise DataError("y holds no value: every row's target is missing.")
    if not known.all():
        treatments.append(f"{int((~known).sum())} rows without a target were dropped")
        X, target = X[known], target[known].infer_objects()
    return X, target, treatments


def infer_kind(target: pd.Series) -> TaskKind:
    """Kind of task that a target column suggests: see :meth:`Task.from_arrays`."""
    numbers = as_numbers(target)
    if numbers is None or pd.api.types.is_bool_dtype(target):
        return "classification"
    if is_texts(target) and all(str(value).isdecimal() for value in target):  # names of classes that look like numbers
        return "classification"
    distinct = numbers.nunique()
    quantity = distinct > MAX_CLASSES and distinct > CLASS_SHARE * len(numbers)
    return "regression" if quantity or is_continuous(target) else "classification"


def is_continuous(target: pd.Series) -> bool:
    """Whether a target column without gaps holds numbers with a fraction."""
    numbers = as_numbers(target)
    return numbers is not None and bool((numbers != np.floor(numbers)).any())


def as_numbers(target: pd.Series) -> pd.Series | None:
    """A target column without gaps as float64 where it holds numbers, or texts that say numbers; else None."""
    target = target.infer_objects()
    if pd.api.types.is_numeric_dtype(target) and not pd.api.types.is_complex_dtype(target):
        return target.astype(np.float64)
    if not is_texts(target):
        return None
    texts = [value for value in target if isinstance(value, str)]
    beside = [value for value in target if not isinstance(value, str)]
    writing = number_writing(list(dict.fromkeys(texts)), n_beside=len(set(beside)))
    if writing is None or writing.markers:
        return None
    numbers = np.empty(len(target))
    is_text = np.array([isinstance(value, str) for value in target])
    numbers[is_text], numbers[~is_text] = writing.values(texts), [float(value) for value in beside]
    return pd.Series(numbers, target.index)


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of classes, each with its place as its code.

    Attributes
    ----------
    values : ndarray of shape (n_classes,)
        The labels as they came: numbers by size, all others by their text.
    """

    values: NDArray[Any]

    @classmethod
    def of(cls, target: pd.Series) -> Labels:
        """The distinct labels of a target column without gaps."""
        first: dict[Any, Any] = {}
        for value in _distinct(target)[1]:
            first.setdefault(_key(value), value)
        labels = _objects([first[key] for key in sorted(first)])
        plain = pd.Series(labels).infer_objects()
        return cls(plain.to_numpy() if plain.dtype.kind in "biuf" else labels)

    def codes(self, target: pd.Series) -> NDArray[np.int64]:
        """Index of each label of a target column without missing values; -1 for an unknown label."""
        code = {_key(value): i for i, value in enumerate(self.values.tolist())}
        places, distinct = _distinct(target)
        return np.array([code.get(_key(value), -1) for value in distinct], dtype=np.int64)[places]


def _key(value: Any) -> tuple[Any, str, bool]:
    """Key that identifies and orders labels: numbers by size, then texts. True and "True" differ."""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        return (value, "", False)
    return (np.inf, str(value), isinstance(value, str))


def _distinct(target: pd.Series) -> tuple[NDArray[np.intp], list[Any]]:
    """Place of each value among the distinct ones, and those."""
    try:
        places, distinct = pd.factorize(target)
    except TypeError:  # lists cannot be hashed
        return np.arange(len(target)), list(target)
    return places, list(distinct)


def _objects(values: Sequence[Any]) -> NDArray[Any]:
    """One-dimensional array of objects, also if the objects are sequences."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def encode_target(target: pd.Series, kind: TaskKind) -> tuple[NDArray[Any], Labels | None]:
    """Values of a target without gaps as float64, or as class indices (int64) with the labels they stand for.

    Raises
    ------
    DataError
        A regression target that is not numeric or does not vary, or fewer than two classes.
    """
    if kind == "regression":
        numbers = as_numbers(target)
        if numbers is None:
            raise DataError(f"a regression target must be numeric, but y holds {_no_number(target)!r}.")
        values = numbers.to_numpy(np.float64)
        if not np.isfinite(values).all():  # text that reads as a number: "inf"
            raise DataError("a regression target must be finite, but y holds text such as 'inf'.")
        if values.min() == values.max():
            raise DataError("a regression target must vary, but y is constant.")
        return values, None
    labels = Labels.of(target)
    if len(labels.values) < 2:
        raise DataError(f"classification needs at least two classes, but y holds only {labels.values.tolist()}.")
    return labels.codes(target), labels


def _no_number(target: pd.Series) -> Any:
    """A value of a target that is no number."""
    return next((v for v in target if not isinstance(v, str) or NumberWriting().unread([v])), target.iloc[0])
