"""Numbers and dates in text form: detection of the format of a column, and conversion of its texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.exceptions import DataError

Mark = Literal[".", ","]

_OTHER: Mapping[Mark, Mark] = {".": ",", ",": "."}
#: Texts that stand for a missing value among numbers and dates, in small letters.
MISSING = frozenset(
    {"", "?", "-", "--", "---", "–", "—", ".", "#n/a", "#na", "<na>", "n/a", "na", "nan", "nat", "nil", "none", "null"}
)
#: Words beside numbers are taken for missing values where there are at most so many different ones, and more than so
#: many different numbers.
MAX_MARKERS, MIN_NUMBERS = 3, 20
#: So many texts are tried before all of them are.
SAMPLE = 200

_SIGN, _UNIT = r"(?P<sign{0}>[+-]?)", r"(?P<{0}>[$€£¥%]?)"
#: A sign, a unit before or behind, and what is between them.
_WRITTEN = re.compile(
    rf"{_SIGN.format(1)} ?{_UNIT.format('before')} ?{_SIGN.format(2)}"
    rf"(?P<digits>[0-9.,' ]*[0-9.](?:e[+-]?[0-9]+)?|inf(?:inity)?) ?{_UNIT.format('behind')}",
    re.IGNORECASE,
)
#: Other characters that are printed for a blank and for a minus.
_SAME = str.maketrans({"\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2212": "-", "\u2019": "'"})
_SEPARATORS = {".": "'.'", ",": "','", " ": "blanks", "'": "apostrophes"}

_DAYS = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d", "%Y.%m.%d", "%d-%m-%Y", "%m-%d-%Y",
         "%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y",
         "%B %d, %Y", "%b %d %Y")  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
#: ISO 8601, the day at least; pandas reads the rest.
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ].*)?")
#: What any date looks like: digits, with letters for months, and at least two separators.
_DATE = re.compile(r"(?=.*[0-9])[0-9A-Za-z]+[-/. ][0-9A-Za-z]+,?[-/. ][0-9]+.*")


@dataclass(frozen=True)
class NumberWriting:
    """Format of numbers in text form.

    Attributes
    ----------
    decimal : {".", ","}
    thousands : str
        Separator of groups of three digits; empty for none.
    unit : str
        Percent or currency sign that is left out.
    markers : tuple of str
        Texts found in the column that stand for a missing value; those of :data:`MISSING` always do.
    """

    decimal: Mark = "."
    thousands: str = ""
    unit: str = ""
    markers: tuple[str, ...] = ()

    def values(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Numbers of texts; NaN for missing values.

        Raises
        ------
        DataError
            A text that says no number; the message quotes it.
        """
        read = self._reader()
        found = np.full(len(texts), np.nan)
        for i, text in enumerate(texts):
            if not self.is_missing(text):
                number = read(text)
                if number is None:
                    raise DataError(f"{text!r} is no number ({self}); give NaN where one is missing")
                found[i] = number
        return found

    def is_missing(self, text: str) -> bool:
        """Whether a text stands for a missing value."""
        return text.strip().casefold() in MISSING or text.strip() in self.markers

    def unread(self, texts: Sequence[str]) -> list[str]:
        """Texts that say no number."""
        read = self._reader()
        return [text for text in texts if read(text) is None]

    def _reader(self) -> Callable[[str], float | None]:
        whole = "(?:0|[1-9][0-9]*)"
        if self.thousands:
            whole = f"(?:[1-9][0-9]{{0,2}}(?:{re.escape(self.thousands)}[0-9]{{3}})+|{whole})"
        mark = re.escape(self.decimal)
        number = re.compile(rf"(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?", re.IGNORECASE)

        def read(text: str) -> float | None:
            parts = _parts(text)
            if parts is None:
                return None
            sign, digits, unit = parts
            if unit != self.unit and (unit or digits.strip("0.,")):  # a zero may stand without its unit
                return None
            if not number.fullmatch(digits):
                return None
            if self.thousands:
                digits = digits.replace(self.thousands, "")
            return float(sign + digits.replace(self.decimal, "."))

        return read

    def __str__(self) -> str:
        details = [
            "decimal comma" if self.decimal == "," else "",
            f"{_SEPARATORS[self.thousands]} between thousands" if self.thousands else "",
            "in percent" if self.unit == "%" else f"in {self.unit}" if self.unit else "",
            f"{', '.join(map(repr, self.markers))} for missing" if self.markers else "",
        ]
        return ", ".join(detail for detail in details if detail) or "decimal point"


@dataclass(frozen=True)
class DateWriting:
    """Format of dates in text form.

    Attributes
    ----------
    format : str
        Of ``strptime``, or "ISO8601".
    """

    format: str = "ISO8601"

    def values(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Days since 1970-01-01 that texts say, in UTC where they name a zone; NaN for missing ones.

        Raises
        ------
        DataError
            A text that says no date; the message quotes it.
        """
        known = [text for text in texts if text.strip().casefold() not in MISSING]
        wrong = self.unread(known)
        if wrong:
            raise DataError(f"{wrong[0]!r} is no date ({self}); give NaT where one is missing")
        found = np.full(len(texts), np.nan)
        found[[text.strip().casefold() not in MISSING for text in texts]] = days(self._moments(known))
        return found

    def unread(self, texts: Sequence[str]) -> list[str]:
        """Texts that say no date."""
        looks = (_ISO if self.format == "ISO8601" else _DATE).fullmatch
        moments = self._moments([text if looks(text.strip()) else None for text in texts])
        return [text for text, unknown in zip(texts, moments.isna(), strict=True) if unknown]

    def _moments(self, texts: Sequence[str | None]) -> pd.Series:
        stripped = [None if text is None else text.strip() for text in texts]
        moments = pd.to_datetime(pd.Series(stripped, dtype=object), format=self.format, errors="coerce", utc=True)
        return pd.Series(moments).dt.tz_localize(None)

    def __str__(self) -> str:
        return "ISO 8601" if self.format == "ISO8601" else self.format


Writing = NumberWriting | DateWriting


def days(moments: pd.Series) -> NDArray[np.float64]:
    """Days since 1970-01-01 of moments without a zone."""
    since = moments.to_numpy("datetime64[us]") - np.datetime64(0, "us")  # nanoseconds would end in 2262
    passed: NDArray[np.float64] = since / np.timedelta64(1, "D")
    return passed


def number_writing(texts: Sequence[str], mark: Mark = ".", n_beside: int = 0) -> NumberWriting | None:
    """Format of the numbers, if all texts are numbers or missing values; else None.

    Parameters
    ----------
    texts : sequence of str
        The distinct texts of a column.
    mark : {".", ","}
        Decimal mark to be preferred where the texts allow both: "1,234" may be a thousand or a little over one.
    n_beside : int, default=0
        Distinct numbers that stand in the column beside the texts.
    """
    gaps = {text.strip() for text in texts if text.strip().casefold() in MISSING} - {""}
    known = [text for text in texts if text.strip().casefold() not in MISSING]
    if sum(_parts(text) is None for text in known[:SAMPLE]) > MAX_MARKERS:
        return None
    parts = [_parts(text) for text in known]
    units = {part[2] for part in parts if part is not None}
    read = sum(part is not None for part in parts)
    if not read + n_beside or len(units - {""}) > 1 or len(known) - read > MAX_MARKERS:
        return None
    unit = max(units, default="")
    for decimal in (mark, _OTHER[mark]):
        for thousands in ("", _OTHER[decimal], " ", "'"):
            writing = NumberWriting(decimal, thousands, unit)
            if len(writing.unread(known[:SAMPLE])) > MAX_MARKERS:
                continue
            wrong = writing.unread(known)
            words = not any(character.isdigit() for text in wrong for character in text)
            if not wrong or (words and len(wrong) <= MAX_MARKERS and len(known) - len(wrong) + n_beside > MIN_NUMBERS):
                markers = gaps | {text.strip() for text in wrong}
                return NumberWriting(decimal, thousands, unit, tuple(sorted(markers)))
    return None


def needs_comma(texts: Sequence[str]) -> bool:
    """Whether texts are numbers that can be read only with a decimal comma."""
    writing = number_writing(texts)
    return writing is not None and writing.decimal == ","


def date_writing(texts: Sequence[str]) -> DateWriting | None:
    """Format of the dates, if all texts are dates or missing values; else None.

    Where texts allow both, the month comes first between slashes, and the day between dots and dashes.
    """
    known = [text for text in texts if text.strip().casefold() not in MISSING]
    if not known or not all(_DATE.fullmatch(text.strip()) for text in known[:SAMPLE]):
        return None
    for pattern in ("ISO8601", *(day + time for time in _TIMES for day in _DAYS)):
        writing = DateWriting(pattern)
        if not writing.unread(known[:20]) and not writing.unread(known):
            return writing
    return None


def _parts(text: str) -> tuple[str, str, str] | None:
    """Sign, digits and unit of a text that may be a number."""
    match = _WRITTEN.fullmatch(text.strip().translate(_SAME))
    if match is None or (match["sign1"] and match["sign2"]) or (match["before"] and match["behind"]):
        return None
    return match["sign1"] + match["sign2"], match["digits"].strip(), match["before"] + match["behind"]
