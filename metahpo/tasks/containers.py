"""Conversion of features and targets of any container to a table with named columns, or to one array."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.exceptions import DataError

T = TypeVar("T")

#: Most cells of a table from a sparse matrix (2 GiB of numbers).
MAX_DENSE_CELLS = 2**28


def as_frame(X: Any, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Table of any container, with strings for column names.

    Parameters
    ----------
    X : DataFrame or array-like of shape (n_rows, n_features), or of shape (n_rows,), which is one column
        Mappings (name -> column), lists of mappings, structured arrays and tables of other libraries keep their names.
    names : sequence of str, default=None
        Names of the columns of a container that has none; None: x0, x1, ...

    Raises
    ------
    DataError
        Not of one or two dimensions, not rectangular, with two columns of one name, with another number of columns than
        `names`, or a sparse matrix that would not fit the memory as a table.
    """
    X = as_pandas(X)
    if isinstance(X, Iterator):
        X = list(X)
    if isinstance(X, pd.DataFrame):
        frame = X.copy(deep=False)
    elif isinstance(X, pd.Series) and X.name is not None:
        frame = X.to_frame()
    elif isinstance(X, Mapping) or (isinstance(X, list) and X and all(isinstance(row, Mapping) for row in X)):
        frame = _built(lambda: pd.DataFrame(X))
    elif getattr(getattr(X, "dtype", None), "names", None):
        frame = pd.DataFrame.from_records(X)
    else:
        frame = _without_names(X, names)
    frame = encodable(frame.infer_objects, "X")
    frame.columns = pd.Index([str(c) for c in frame.columns])
    if frame.columns.has_duplicates:
        raise DataError(
            f"column names must differ, but {sorted(set(frame.columns[frame.columns.duplicated()]))} occur twice."
        )
    return frame


def as_pandas(X: Any) -> Any:
    """A table or column of Arrow or polars as one of pandas; everything else as it is."""
    return X.to_pandas() if hasattr(X, "to_pandas") else X


def _built(make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    try:
        return encodable(make, "X")
    except (TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"X must be a table, but: {error}") from error


def _without_names(X: Any, names: Sequence[str] | None) -> pd.DataFrame:
    if isinstance(X, (str, os.PathLike)):
        raise DataError(
            f"X must be a table of shape (n_rows, n_features), but is {str(X)!r}. If that is a file, read it first, "
            "such as with pandas.read_csv, or run `metahpo recommend FILE --target COLUMN`."
        )
    if is_sparse(X) and math.prod(X.shape) > MAX_DENSE_CELLS:
        raise DataError(
            f"X is sparse, and its {X.shape[0]} rows of {X.shape[1]} columns would take "
            f"{8e-9 * math.prod(X.shape):.1f} GB as a table; give fewer columns (SelectKBest, TruncatedSVD) or rows."
        )
    array = as_array(X, "X")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        sort = f"is of type {type(X).__name__}; convert it to such a table"
        what = f"has {array.ndim} dimension(s)" if array.ndim else sort
        raise DataError(f"X must be a table or an array of shape (n_rows, n_features), but {what}.")
    if names is None:
        names = [f"x{i}" for i in range(array.shape[1])]
    if len(names) != array.shape[1]:
        raise DataError(f"X must have {len(names)} columns, {list(names)[:20]}, but has {array.shape[1]}.")
    # Without a copy: a task changes nothing of its rows, and a copy of a large table takes longer than all the rest.
    return encodable(lambda: pd.DataFrame(array, columns=list(names), copy=False), "X")


def as_array(values: Any, what: str) -> NDArray[Any]:
    """Array of any nested sequence. Masked values become missing, and numbers in a list with strings stay numbers.

    Raises
    ------
    DataError
        Not rectangular.
    """
    if is_sparse(values):
        values = values.toarray()
    if hasattr(values, "detach"):  # a tensor of torch, whose gradients are of no use here
        values = values.detach().cpu()
    if isinstance(values, Iterator):
        values = list(values)
    if isinstance(values, np.ma.MaskedArray):
        known: NDArray[Any] = values.data.astype(object)
        known[np.ma.getmaskarray(values)] = None
        return known
    try:
        array = np.asarray(values)
        if array.dtype.kind in "US" and not isinstance(values, np.ndarray):
            # numpy converts numbers and NaN to strings if a list also has strings.
            array = np.asarray(values, dtype=object)
    except ValueError as error:
        raise DataError(f"{what} must be rectangular, but: {error}") from None
    return array


def is_sparse(X: Any) -> bool:
    """Whether it is a sparse matrix or array of scipy."""
    return hasattr(X, "toarray") and hasattr(X, "nnz")


def encodable(make: Callable[[], T], what: str) -> T:
    """Result of `make`. Text that cannot be encoded in UTF-8, which pandas needs, is an error."""
    try:
        return make()
    except UnicodeError as error:
        raise DataError(f"{what} holds text that cannot be stored as UTF-8 ({error}); mend its encoding.") from None
