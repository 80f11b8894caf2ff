"""Columns of a table: which are numbers and which are categories, and what becomes of all other sorts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.exceptions import DataError

T = TypeVar("T")

#: Object columns with more distinct values than this share of the rows (and more than `MAX_CATEGORIES`) are free text.
TEXT_SHARE = 0.5
MAX_CATEGORIES = 50

#: What pandas infers of object columns that hold nothing but numbers, though some of them fit no integer type.
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal"}


def as_frame(X: Any) -> pd.DataFrame:
    """Table of any container, with strings for column names.

    Raises
    ------
    DataError
        Not of two dimensions, not rectangular, or with two columns of one name.
    """
    if isinstance(X, pd.DataFrame):
        frame = X.copy(deep=False)
    else:
        if hasattr(X, "toarray"):  # scipy sparse
            X = X.toarray()
        array = as_array(X, "X")
        if array.ndim != 2:
            raise DataError(f"X must be of shape (n_rows, n_features), but has {array.ndim} dimension(s).")
        frame = encodable(lambda: pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])]), "X")
    frame = encodable(frame.infer_objects, "X")
    frame.columns = pd.Index([str(c) for c in frame.columns])
    if frame.columns.has_duplicates:
        raise DataError(
            f"column names must differ, but {sorted(set(frame.columns[frame.columns.duplicated()]))} occur twice."
        )
    return frame


def as_array(values: Any, what: str) -> NDArray[Any]:
    """Array of any nested sequence; numbers that stand in one list with strings stay numbers."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "US" and not isinstance(values, np.ndarray):
            # numpy makes strings of the numbers and the NaN that stand in one list with strings.
            array = np.asarray(values, dtype=object)
    except ValueError as error:
        raise DataError(f"{what} must be rectangular, but: {error}") from None
    return array


def encodable(make: Callable[[], T], what: str) -> T:
    """What `make` returns; pandas keeps text as UTF-8, and text that is none is refused."""
    try:
        return make()
    except UnicodeError as error:
        raise DataError(f"{what} holds text that cannot be stored as UTF-8 ({error}); mend its encoding.") from None


def clean_columns(frame: pd.DataFrame, categorical: frozenset[str]) -> tuple[pd.DataFrame, list[str]]:
    """Numeric columns to float64, the rest to categories of strings; unusable columns dropped, with a note each.

    Raises
    ------
    DataError
        Infinite or complex values, integers beyond float64, or no usable column.
    """
    columns: dict[str, pd.Series] = {}
    notes: list[str] = []
    for name in frame.columns:
        series = frame[name] if name in categorical else _as_numbers_or_dates(frame[name], name)
        if series.isna().all():
            notes.append(f"column {name!r} is all missing and was dropped")
        elif name in categorical or isinstance(series.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(series):
            columns[name] = _as_category(series)
        elif pd.api.types.is_datetime64_any_dtype(series):
            naive = series.dt.tz_localize(None) if series.dt.tz is not None else series
            since = naive.to_numpy("datetime64[us]") - np.datetime64(0, "us")  # nanoseconds would end in 2262
            columns[name] = pd.Series(since / np.timedelta64(1, "D"), series.index)
            notes.append(f"column {name!r} holds dates and became days since 1970-01-01")
        elif pd.api.types.is_timedelta64_dtype(series):
            columns[name] = series.dt.total_seconds() / 86400.0
            notes.append(f"column {name!r} holds durations and became days")
        elif pd.api.types.is_complex_dtype(series):
            raise DataError(f"column {name!r} holds complex numbers; give their parts as two columns.")
        elif pd.api.types.is_numeric_dtype(series):
            columns[name] = as_finite(series, f"column {name!r}")
        else:
            distinct = series.dropna().map(str).nunique()
            if distinct > max(MAX_CATEGORIES, TEXT_SHARE * len(series)):
                notes.append(f"column {name!r} looks like text ({distinct} distinct values) and was dropped")
            else:
                columns[name] = _as_category(series)
    if not columns:
        raise DataError(f"no usable column is left: {'; '.join(notes)}.")
    return pd.DataFrame(columns), notes


def as_finite(series: pd.Series, what: str) -> pd.Series:
    """Numbers as float64 (missing = NaN; integers beyond 2**53 are rounded); what is not finite is refused."""
    try:
        with np.errstate(over="ignore"):  # long doubles beyond float64 become infinite, and are refused as such
            values = series.to_numpy(np.float64, na_value=np.nan)
    except OverflowError:
        raise DataError(f"{what} holds integers beyond the range of float64; give their logarithms.") from None
    if np.isinf(values).any():
        raise DataError(f"{what} holds infinite values; replace them by NaN (missing) or finite numbers.")
    return pd.Series(values, series.index, name=series.name)


def holds_numbers(series: pd.Series) -> bool:
    """Whether an object column holds numbers and missing values alone: huge integers, decimals, NA beside floats."""
    return bool(series.dtype == object and pd.api.types.infer_dtype(series, skipna=True) in _NUMBERS)


def _as_numbers_or_dates(series: pd.Series, name: str) -> pd.Series:
    """Columns of Arrow values, Python objects and periods in the plain type of what they hold."""
    if isinstance(series.dtype, pd.ArrowDtype):
        series = series.astype(object).infer_objects()
    if isinstance(series.dtype, pd.PeriodDtype):
        return pd.Series(series.dt.to_timestamp())
    if holds_numbers(series):
        return as_finite(series, f"column {name!r}")
    if series.dtype == object and pd.api.types.infer_dtype(series, skipna=True) in ("date", "datetime"):
        return series.map(_as_utc, na_action="ignore").astype("datetime64[us]")
    return series


def _as_utc(day: date) -> datetime:
    """A date, or a time with or without a zone, as time in UTC without one."""
    moment = day if isinstance(day, datetime) else datetime(day.year, day.month, day.day)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _as_category(series: pd.Series) -> pd.Series:
    text = series.astype(object).where(series.notna(), None).map(str, na_action="ignore")
    return text.astype(pd.CategoricalDtype(sorted(text.dropna().unique())))
