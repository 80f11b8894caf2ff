"""The reading of the columns of a table, as numbers or categories. It is learnt once and applied to any rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.exceptions import DataError
from metahpo.tasks.containers import as_frame
from metahpo.tasks.written import (
    MISSING,
    DateWriting,
    Mark,
    NumberWriting,
    Writing,
    date_writing,
    days,
    needs_comma,
    number_writing,
)

#: Object columns with more distinct values than this share of the rows (and more than `MAX_CATEGORIES`) are free text.
TEXT_SHARE = 0.5
MAX_CATEGORIES = 50
#: Larger numbers are taken as this one: single precision holds it, and its square is finite in double precision.
LARGEST = 1e38
#: So many names of columns are listed where several are treated alike.
MAX_LISTED = 20

#: What pandas infers of object columns that hold nothing but numbers, though some of them fit no integer type.
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal"}
#: Undeclared columns: texts that stand for a missing category.
_NO_CATEGORY = ("?", "")

Sort = Literal["number", "category", "date", "duration"]

#: Treatment of one column, and of several.
_TREATMENTS = {
    "missing": ("is all missing and was dropped", "are all missing and were dropped"),
    "date": ("holds dates and became days since 1970-01-01", "hold dates and became days since 1970-01-01"),
    "large": (
        f"holds numbers beyond {LARGEST:g}, which are taken as that",
        f"hold numbers beyond {LARGEST:g}, which are taken as that",
    ),
    "duration": ("holds durations and became days", "hold durations and became days"),
}


@dataclass(frozen=True)
class ColumnReading:
    """The reading of one column.

    Attributes
    ----------
    name : str
    sort : {"number", "category", "date", "duration"}
    writing : NumberWriting, DateWriting or None
        Format of numbers or dates that are text.
    no_category : tuple of str
        Texts that stand for a missing category.
    """

    name: str
    sort: Sort
    writing: Writing | None = None
    no_category: tuple[str, ...] = ()

    def read(self, series: pd.Series) -> pd.Series:
        """Read a column as float64 numbers (dates and durations in days) or categories of strings.

        Read columns are unchanged.

        Raises
        ------
        DataError
            Values of another sort, infinite or complex ones, or integers beyond float64.
        """
        if self.sort == "category":
            return self._categories(series)
        series = _plain(series)
        if is_texts(series):
            return self._from_texts(series)
        if self.sort == "date" and pd.api.types.is_datetime64_any_dtype(series):
            naive = series.dt.tz_localize(None) if series.dt.tz is not None else series
            return pd.Series(days(naive), series.index, name=series.name)
        if self.sort == "duration" and pd.api.types.is_timedelta64_dtype(series):
            return pd.Series(series.dt.total_seconds() / 86400.0)
        if not pd.api.types.is_numeric_dtype(series) and not series.isna().all():
            sort = pd.api.types.infer_dtype(series, skipna=True)
            raise DataError(f"column {self.name!r} must hold {self.sort}s, but holds values of type {sort}.")
        return as_finite(series, f"column {self.name!r}")

    def _categories(self, series: pd.Series) -> pd.Series:
        dtype = series.dtype
        text_already = isinstance(dtype, pd.CategoricalDtype) and pd.api.types.is_string_dtype(dtype.categories)
        if text_already and not self.no_category:
            values = series.cat.remove_unused_categories()
            if list(values.cat.categories) == sorted(values.cat.categories):
                return values
        text = series.astype(object).where(series.notna(), None).map(category_text, na_action="ignore")
        if self.no_category:
            text = text.where(~text.isin(self.no_category), None)
        return text.astype(pd.CategoricalDtype(sorted(text.dropna().unique())))

    def _from_texts(self, series: pd.Series) -> pd.Series:
        codes, values = pd.factorize(series.astype(object))
        writing = self.writing or (DateWriting() if self.sort == "date" else NumberWriting())
        is_text = [isinstance(value, str) for value in values]
        found = np.full(len(values) + 1, np.nan)  # the last is of what is missing
        try:
            found[[*is_text, False]] = writing.values([value for value in values if isinstance(value, str)])
            found[[*(not text for text in is_text), False]] = [float(v) for v in values if not isinstance(v, str)]
        except DataError as error:
            raise DataError(f"column {self.name!r} must hold {self.sort}s, but {error}.") from None
        return as_finite(pd.Series(found[codes], series.index, name=series.name), f"column {self.name!r}")


@dataclass(frozen=True)
class TableReading:
    """The reading of all columns of a table, as learnt by :func:`learn_reading`.

    Attributes
    ----------
    columns : tuple of ColumnReading
        The columns that are used, in their order.
    names : tuple of str
        Names of all columns, including dropped ones. They are needed for rows without names.
    """

    columns: tuple[ColumnReading, ...]
    names: tuple[str, ...]

    @classmethod
    def of_prepared(cls, X: pd.DataFrame) -> TableReading:
        """Reading of prepared columns, which leaves them unchanged."""
        columns = [
            ColumnReading(str(name), "category" if isinstance(dtype, pd.CategoricalDtype) else "number")
            for name, dtype in X.dtypes.items()
        ]
        return cls(tuple(columns), tuple(column.name for column in columns))

    @property
    def column_names(self) -> list[str]:
        """Names of the columns that are used."""
        return [column.name for column in self.columns]

    def prepared(self, X: Any) -> pd.DataFrame:
        """The rows that :meth:`prepared_with_notes` gives."""
        return self.prepared_with_notes(X)[0]

    def prepared_with_notes(self, X: Any) -> tuple[pd.DataFrame, list[str]]:
        """Rows of the table as numbers and categories; rows that are prepared already stay what they are.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_features)
            Further columns of a DataFrame are left out.

        Returns
        -------
        rows : DataFrame
            Numbers beyond :data:`LARGEST` are taken as that.
        notes : list of str
            In words, which columns hold such.

        Raises
        ------
        DataError
            A column is missing, or holds other values than it did.
        """
        frame = as_frame(X, self.names)
        there = set(frame.columns)
        missing = [name for name in self.column_names if name not in there]
        if missing:
            raise DataError(f"X lacks the columns {missing[:MAX_LISTED]}; its columns are {list(frame.columns)[:20]}.")
        plain = set(_plain_numbers(frame))
        numbers = [column.name for column in self.columns if column.sort != "category" and column.name in plain]
        block, large = _finite_block(frame, numbers)
        if len(numbers) == len(self.columns):
            return block, _large_in_words(large)
        read = set(numbers)
        others = pd.DataFrame(
            {column.name: column.read(frame[column.name]) for column in self.columns if column.name not in read},
            frame.index,
        )
        bounded, more = _finite_block(others, _plain_numbers(others))
        others = others.assign(**bounded[more])
        rows = pd.concat([block, others], axis=1)[self.column_names]
        return rows, _large_in_words([*large, *more])


def learn_reading(frame: pd.DataFrame, categorical: frozenset[str]) -> tuple[TableReading, list[str]]:
    """Learn the reading of the columns of a table. The second result describes in words how columns are changed.

    Parameters
    ----------
    frame : DataFrame
    categorical : frozenset of str
        Columns that are categories, whatever they hold.

    Raises
    ------
    DataError
        Complex numbers, or no usable column.
    """
    numbers = [name for name in _plain_numbers(frame) if name not in categorical]
    empty = dict(zip(numbers, frame[numbers].isna().all().tolist(), strict=True))
    others = {
        name: frame[name] if name in categorical else _plain(frame[name]) for name in frame.columns if name not in empty
    }
    texts = {name: _texts(series) for name, series in others.items() if name not in categorical and is_texts(series)}
    mark: Mark = "," if any(map(needs_comma, texts.values())) else "."
    columns: list[ColumnReading] = []
    treated: dict[tuple[str, str], list[str]] = {}
    for name in frame.columns:
        column: ColumnReading | None = None
        treatment: tuple[str, str] | None = None
        if name in texts:
            column, treatment = _of_texts(name, others[name], texts[name], mark)
        elif name in others:
            column, treatment = _of_values(name, others[name], name in categorical)
        elif empty[name]:
            treatment = _TREATMENTS["missing"]
        else:
            column = ColumnReading(name, "number")
        if column is not None:
            columns.append(column)
        if treatment is not None:
            treated.setdefault(treatment, []).append(name)
    notes = [_in_words(names, treatment) for treatment, names in treated.items()]
    if not columns:
        raise DataError(f"no usable column is left: {'; '.join(notes)}.")
    return TableReading(tuple(columns), tuple(frame.columns)), notes


def _of_values(name: str, series: pd.Series, declared: bool) -> tuple[ColumnReading | None, tuple[str, str] | None]:
    if series.isna().all():
        return None, _TREATMENTS["missing"]
    if declared or isinstance(series.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(series):
        return ColumnReading(name, "category"), None
    if pd.api.types.is_datetime64_any_dtype(series):
        return ColumnReading(name, "date"), _TREATMENTS["date"]
    if pd.api.types.is_timedelta64_dtype(series):
        return ColumnReading(name, "duration"), _TREATMENTS["duration"]
    if pd.api.types.is_complex_dtype(series):
        raise DataError(f"column {name!r} holds complex numbers; give their parts as two columns.")
    if pd.api.types.is_numeric_dtype(series):
        return ColumnReading(name, "number"), None
    return _of_categories(name, series, ())


def _of_texts(
    name: str, series: pd.Series, texts: list[str], mark: Mark
) -> tuple[ColumnReading | None, tuple[str, str] | None]:
    n_beside = len({value for value in series.dropna() if not isinstance(value, str)}) if series.dtype == object else 0
    if all(text.strip().casefold() in MISSING for text in texts) and not n_beside:
        return None, _TREATMENTS["missing"]
    numbers = number_writing(texts, mark, n_beside)
    if numbers is not None:
        how = f"numbers as text ({numbers}) and became numeric"
        return ColumnReading(name, "number", numbers), (f"holds {how}", f"hold {how}")
    dates = None if n_beside else date_writing(texts)
    if dates is not None:
        how = f"dates as text ({dates}) and became days since 1970-01-01"
        return ColumnReading(name, "date", dates), (f"holds {how}", f"hold {how}")
    return _of_categories(name, series, tuple(gap for gap in _NO_CATEGORY if gap in texts))


def _of_categories(
    name: str, series: pd.Series, gaps: tuple[str, ...]
) -> tuple[ColumnReading | None, tuple[str, str] | None]:
    distinct = series.dropna().map(category_text).nunique()
    if _are_free_text(distinct, len(series)):
        how = f"like text ({distinct} distinct values) and"
        return None, (f"looks {how} was dropped", f"look {how} were dropped")
    said = f"({', '.join(map(repr, gaps))} for missing)"
    note = (f"holds categories {said}", f"hold categories {said}") if gaps else None
    return ColumnReading(name, "category", no_category=gaps), note


def _are_free_text(distinct: int, n_rows: int) -> bool:
    return distinct > max(MAX_CATEGORIES, TEXT_SHARE * n_rows)


def _in_words(names: Sequence[str], treatment: tuple[str, str]) -> str:
    if len(names) == 1:
        return f"column {names[0]!r} {treatment[0]}"
    listed = ", ".join(map(repr, names[:MAX_LISTED]))
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"columns {listed}{more} {treatment[1]}"


def _plain_numbers(frame: pd.DataFrame) -> list[str]:
    """Columns of plain numbers. They are read together, which is much faster for wide tables."""
    return [
        str(name)
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
        if isinstance(dtype, np.dtype) and dtype.kind in "iuf"
    ]


def _finite_block(frame: pd.DataFrame, names: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Result of :func:`as_finite` for columns of plain numbers, and names of those with numbers beyond `LARGEST`."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = frame[names].to_numpy(np.float64)
        flat = values.ravel(order="K")
        # One pass without a copy. If the sum is NaN, each column is checked.
        is_plain = bool(flat @ flat < LARGEST**2)
        large = [] if is_plain else [name for name, found in zip(names, values.T, strict=True) if _has_large(found)]
    if not large:
        return pd.DataFrame(values, frame.index, names, copy=False), []
    for name in large:
        as_finite(frame[name], f"column {name!r}")
    return pd.DataFrame(np.clip(values, -LARGEST, LARGEST), frame.index, names), large


def _has_large(values: NDArray[np.float64]) -> bool:
    return bool(np.fmax.reduce(values, initial=0.0) > LARGEST or np.fmin.reduce(values, initial=0.0) < -LARGEST)


def _large_in_words(names: list[str]) -> list[str]:
    return [_in_words(names, _TREATMENTS["large"])] if names else []


def as_finite(series: pd.Series, what: str) -> pd.Series:
    """Numbers as float64.

    Missing values are NaN, integers beyond 2**53 are rounded, and infinite values are an error.
    """
    if pd.api.types.is_complex_dtype(series):
        raise DataError(f"{what} holds complex numbers; give their parts as two columns.")
    try:
        with np.errstate(over="ignore"):  # long doubles beyond float64 become infinite, and are refused as such
            values = series.to_numpy(np.float64, na_value=np.nan)
    except OverflowError:
        raise DataError(f"{what} holds integers beyond the range of float64; give their logarithms.") from None
    if np.isinf(values).any():
        raise DataError(f"{what} holds infinite values; replace them by NaN (missing) or finite numbers.")
    return pd.Series(values, series.index, name=series.name)


def holds_numbers(series: pd.Series) -> bool:
    """Whether an object column holds only numbers and missing values: huge integers, decimals, floats with NA."""
    return bool(series.dtype == object and pd.api.types.infer_dtype(series, skipna=True) in _NUMBERS)


def is_texts(series: pd.Series) -> bool:
    """Whether the known values of a column are texts, or texts and numbers."""
    if isinstance(series.dtype, pd.StringDtype):
        return True
    if series.dtype != object or pd.api.types.infer_dtype(series, skipna=True) not in (
        "string",
        "mixed-integer",
        "mixed",
    ):
        return False
    known = series.dropna()
    return all(isinstance(v, str) or _is_number(v) for v in known) and any(isinstance(v, str) for v in known)


def is_free_text(series: pd.Series) -> bool:
    """Whether a column holds texts that are neither numbers nor dates, and too many different ones for categories."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    if not is_texts(series) or not _are_free_text(series.nunique(), len(series)):
        return False
    texts = _texts(series)
    return number_writing(texts, "," if needs_comma(texts) else ".", 0) is None and date_writing(texts) is None


def category_text(value: Any) -> str:
    """Text of a category. Whole numbers of any type have the same text."""
    if isinstance(value, (float, np.floating)) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (Real, Decimal)) and not isinstance(value, (bool, np.bool_))


def _texts(series: pd.Series) -> list[str]:
    """The distinct texts of a column."""
    return [value for value in series.dropna().unique() if isinstance(value, str)]


def _plain(series: pd.Series) -> pd.Series:
    """Convert columns of Arrow values, Python objects and periods to plain types."""
    if isinstance(series.dtype, pd.ArrowDtype):
        series = series.astype(object).infer_objects()
    if isinstance(series.dtype, pd.PeriodDtype):
        return pd.Series(series.dt.to_timestamp())
    if holds_numbers(series):
        return as_finite(series, f"column {series.name!r}")
    if series.dtype == object and pd.api.types.infer_dtype(series, skipna=True) in ("date", "datetime"):
        return series.map(_as_utc, na_action="ignore").astype("datetime64[us]")
    return series


def _as_utc(day: date) -> datetime:
    """A date, or a time with or without a zone, as time in UTC without one."""
    moment = day if isinstance(day, datetime) else datetime(day.year, day.month, day.day)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
