"""ARFF files as tables: dense and sparse, with numeric, nominal, string and date attributes.

The client's own reader knows no dates, keeps sparse values as float32 and loses the last rows and columns of a sparse
file where nothing is stored in them; so OpenML's ARFF files are read here, through the same parser (liac-arff).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import arff
import pandas as pd

from metahpo.exceptions import DataError

#: Rows that stand in memory as Python objects at one time.
CHUNK = 5000

#: ``@attribute NAME date ["FORMAT"]``; NAME may be quoted.
_DATE = re.compile(
    r"""^(?P<head>@attribute\s+(?P<name>"[^"]*"|'[^']*'|\S+)\s+)date\b\s*(?P<format>.*)$""", re.IGNORECASE
)
_ISO = "yyyy-MM-dd'T'HH:mm:ss"
#: Letters of Java's SimpleDateFormat, by which ARFF writes dates -> directive of strptime; quoted text as it is.
_DIRECTIVES = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%m", "dd": "%d", "d": "%d", "HH": "%H",
    "H": "%H", "hh": "%I", "h": "%I", "mm": "%M", "m": "%M", "ss": "%S", "s": "%S", "SSS": "%f", "SS": "%f",
    "S": "%f", "a": "%p", "EEEE": "%A", "EEE": "%a", "E": "%a", "D": "%j", "DDD": "%j", "Z": "%z", "X": "%z",
    "XXX": "%z", "z": "%Z",
}  # fmt: skip


def read_arff(path: Path | str, max_cells: int | None = None) -> pd.DataFrame:
    """Read an ARFF file.

    Parameters
    ----------
    path : path
        UTF-8 text.
    max_cells : int, default=None
        Rows times columns beyond which reading stops; None: no limit.

    Returns
    -------
    DataFrame of shape (n_rows, n_attributes)
        Numeric attributes as float64, nominal ones as categories in the order of their declaration, strings as text,
        dates as timestamps. Missing values (``?``) are missing. Values that a sparse row leaves out are 0, or the
        first category.

    Raises
    ------
    DataError
        Not an ARFF file, an attribute declared twice, a value that is not of its declaration, or too large.
    OSError
        The file cannot be opened.
    """
    dates: dict[str, str] = {}
    decoder = arff.ArffDecoder()
    with open(path, encoding="utf-8") as lines:
        try:
            decoded = decoder.decode(_dates_as_strings(lines, dates), return_type=arff.DENSE_GEN)
            attributes: list[tuple[str, Any]] = decoded["attributes"]
            limit = None if max_cells is None else max_cells // len(attributes)
            frame = _table(decoded["data"], attributes, limit)
        except DataError:
            raise
        except (arff.ArffException, ValueError, TypeError) as error:
            # The parser's errors format themselves with what they quote from the file, and fall over a "%" in it.
            said = str(getattr(error, "message", error)).replace("%d", str(decoder._current_line))
            raise DataError(f"{Path(path).name} is no ARFF file that can be read: {said}") from error
    for name, pattern in dates.items():
        frame[name] = _timestamps(frame[name], pattern)
    return frame


def _dates_as_strings(lines: Iterator[str], dates: dict[str, str]) -> Iterator[str]:
    """The file with its date attributes declared as strings, which the parser knows; their formats go to `dates`."""
    for line in lines:
        stripped = line.strip().expandtabs(1)
        if match := _DATE.match(stripped):
            dates[match["name"].strip("\"'")] = match["format"].strip().strip("\"'") or _ISO
            line = f"{match['head']}string"
        elif stripped.startswith("@"):
            line = stripped
        yield line
        if stripped.lower().startswith("@data"):
            break
    yield from lines


def _table(rows: Iterator[list[Any]], attributes: list[tuple[str, Any]], limit: int | None) -> pd.DataFrame:
    names = [name for name, _ in attributes]
    dtypes = {
        name: pd.CategoricalDtype(list(dict.fromkeys(declared)))
        if isinstance(declared, list)
        else ("object" if declared == "STRING" else "float64")
        for name, declared in attributes
    }
    chunks = [pd.DataFrame(columns=names).astype(dtypes)]
    n_rows = 0
    while chunk := list(islice(rows, CHUNK)):
        n_rows += len(chunk)
        if limit is not None and n_rows > limit:
            raise DataError(f"it has more than {limit} rows of {len(names)} columns, which is over the size limit.")
        columns = dict(zip(names, zip(*chunk, strict=True), strict=True))
        chunks.append(pd.DataFrame(columns, dtype=object).astype(dtypes))
    return pd.concat(chunks[1:] or chunks, ignore_index=True)


def _timestamps(column: pd.Series, pattern: str) -> pd.Series:
    """Dates written in a pattern of Java's SimpleDateFormat."""

    def directive(token: re.Match[str]) -> str:
        quoted = token[1]  # a doubled quote is a quote, within quotes and without
        return _DIRECTIVES[token[0]] if quoted is None else quoted.replace("''", "'") or "'"

    try:
        strptime = re.sub(r"'((?:[^']|'')*)'|([A-Za-z])\2*", directive, pattern)
        return pd.Series(pd.to_datetime(column, format=strptime))
    except (KeyError, ValueError) as error:
        raise DataError(f"attribute {column.name!r} declares dates as {pattern!r}, but: {error}") from None
