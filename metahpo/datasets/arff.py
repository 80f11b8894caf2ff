"""ARFF files as tables: dense and sparse, with numeric, nominal, string and date attributes.

The reader of the OpenML client knows no dates and keeps sparse values as float32. It also loses the last rows and
columns of a sparse file if they are empty. This module therefore reads OpenML's ARFF files itself, with the same parser
(liac-arff).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import arff
import pandas as pd

from metahpo.datasets.text_encoding import text_encoding
from metahpo.exceptions import DataError

#: What the parser raises over files that are no ARFF.
_UNREADABLE = (arff.ArffException, csv.Error, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
#: Rows that stand in memory as Python objects at one time.
CHUNK = 5000

#: A value in quotes, in which a backslash keeps a quote from ending it; and one without, up to a comma or brace.
_QUOTED = r"""\"(?:\\.|[^"\\])*\"|'(?:\\.|[^'\\])*'"""
#: ``@attribute NAME TYPE``; TYPE includes everything after it.
_ATTRIBUTE = re.compile(rf"@attribute\s+(?P<name>{_QUOTED}|[^\s{{]+)\s*(?P<type>.+)", re.IGNORECASE)
#: A word for a type, a range that is not checked, and a comment.
_TYPE = re.compile(r"(?P<word>[a-z]+)\s*(?:\[[^\]]*\]|\([^)]*\))?\s*(?:%.*)?", re.IGNORECASE)
_DATE = re.compile(rf"date\b\s*(?P<format>{_QUOTED}|[^\s%]*)\s*(?:%.*)?", re.IGNORECASE)
_NOMINAL = re.compile(rf"\{{(?P<values>(?:{_QUOTED}|[^\"'}}])*)\}}\s*(?:%.*)?")
#: A value of a list, and what ends it.
_VALUE = re.compile(rf"\s*(?P<value>{_QUOTED}|[^,]*?)\s*(?P<end>,|$)")
_PLAIN = re.compile(r"[\w.+-]+")
#: A missing value in quotes, and in a sparse row behind the number of its attribute; the weight of a row.
_QUOTED_GAPS = ("'?'", '"?"')
_SPARSE_GAP = re.compile(r"""([{,]\s*[0-9]+\s+)(?:'\?'|\"\?\")""")
_WEIGHT = re.compile(r",\s*\{\s*[0-9.eE+-]+\s*\}\s*$")
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
        Text in UTF-8, or as its byte-order mark says, else Windows-1252 (latin-1).
    max_cells : int, default=None
        Most rows times columns. Reading stops with an error at more. None means no limit.

    Returns
    -------
    DataFrame of shape (n_rows, n_attributes)
        Numeric attributes as float64, nominal ones as categories in the order of their declaration, strings as text,
        dates as timestamps. Missing values (``?``, also in quotes) are missing. Values that a sparse row leaves out are
        0, or the first category. Weights of rows are left out.

    Raises
    ------
    DataError
        Not an ARFF file, an attribute declared twice, a value that is not of its declaration, or too large.
    OSError
        The file cannot be opened.
    """
    with open(path, "rb") as raw:
        encoding = text_encoding(raw)
    header = _Header()
    decoder = arff.ArffDecoder()
    with open(path, encoding=encoding) as lines:
        try:
            decoded = decoder.decode(header.in_plain_words(lines), return_type=arff.DENSE_GEN)
            attributes = [(n, t) for n, (_, t) in zip(header.lines, decoded["attributes"], strict=True)]
            limit = None if max_cells is None else max_cells // len(attributes)
            frame = _table(decoded["data"], attributes, limit)
        except DataError:
            raise
        except _UNREADABLE as error:
            # Errors of the parser format text of the file, which fails if the text contains "%".
            said = str(getattr(error, "message", error)).replace("%d", str(decoder._current_line))
            raise DataError(f"{Path(path).name} is no ARFF file that can be read: {said}") from error
    for name, pattern in header.dates.items():
        frame[name] = _timestamps(frame[name], pattern)
    return frame


class _Header:
    """The attributes of a file. The parser gets them in the types that it knows; this object keeps names and dates.

    Attributes
    ----------
    lines : dict of str to int
        Name of each attribute -> line of its declaration.
    dates : dict of str to str
        Names of date attributes -> pattern of their dates.
    """

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self.dates: dict[str, str] = {}
        self._has_blanks = False
        self._has_question_mark = False

    def in_plain_words(self, lines: Iterator[str]) -> Iterator[str]:
        """The lines of a file, a line for a line."""
        for number, line in enumerate(lines, start=1):
            stripped = line.strip().expandtabs(1)
            if stripped.lower().startswith("@attribute"):
                stripped = self._attribute(stripped, number)
            yield stripped if stripped.startswith("@") else line
            if stripped.lower().startswith("@data"):
                break
        for line in lines:
            yield self._row(line)

    def _attribute(self, line: str, number: int) -> str:
        match = _ATTRIBUTE.fullmatch(line)
        if match is None:
            raise ValueError(f"an attribute needs a name and a type, at line {number}.")
        name = _unquoted(match["name"])
        if name in self.lines:
            raise ValueError(f"attribute {name!r} is declared twice, at lines {self.lines[name]} and {number}.")
        self.lines[name] = number
        return f"@attribute a{number} {self._type(match['type'], name, number)}"

    def _type(self, declared: str, name: str, number: int) -> str:
        if nominal := _NOMINAL.fullmatch(declared):
            return "{" + ",".join(self._nominal(nominal["values"])) + "}"
        if date := _DATE.fullmatch(declared):
            self.dates[name] = _unquoted(date["format"]) or _ISO
            return "string"
        word = _TYPE.fullmatch(declared)
        if word is None or word["word"].lower() not in ("numeric", "real", "integer", "string"):
            raise ValueError(f"attribute {name!r} is of no known type: {declared!r}, at line {number}.")
        return "string" if word["word"].lower() == "string" else "numeric"

    def _nominal(self, declared: str) -> Iterator[str]:
        for value in _values(declared):
            self._has_question_mark |= value in _QUOTED_GAPS
            if value[:1] in ("'", '"') or _PLAIN.fullmatch(value):
                yield value
            elif value not in ("?", ""):
                self._has_blanks |= " " in value
                yield _quoted(value)

    def _row(self, line: str) -> str:
        """A row of data without its weight; a gap without quotes, and values with blanks in quotes."""
        if line.rstrip().endswith("}"):
            line = _WEIGHT.sub("", line)
        stripped = line.strip()
        has_gap = not self._has_question_mark and any(gap in line for gap in _QUOTED_GAPS)
        if not (has_gap or self._has_blanks) or not stripped or stripped.startswith("%"):
            return line
        if stripped.startswith("{"):
            return _SPARSE_GAP.sub(r"\1?", line) if has_gap else line
        return ",".join(self._value(value) for value in _values(stripped))

    def _value(self, value: str) -> str:
        if value in _QUOTED_GAPS and not self._has_question_mark:
            return "?"
        return _quoted(value) if " " in value and value[:1] not in ("'", '"') else value


def _values(listed: str) -> Iterator[str]:
    """Values of a list, as they are written."""
    for match in _VALUE.finditer(listed):
        yield match["value"]
        if not match["end"]:
            return


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] in ("'", '"') else text


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
