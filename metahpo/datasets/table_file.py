"""A task from a file: text with separated columns, Parquet, or the name of a bundled dataset."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import lzma
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metahpo.datasets.bundled import BUNDLED, bundled_task
from metahpo.datasets.text_encoding import FALLBACK, text_encoding
from metahpo.exceptions import DataError
from metahpo.tasks.columns import is_texts
from metahpo.tasks.modality import as_task
from metahpo.tasks.task import Task, TaskKind
from metahpo.tasks.written import needs_comma, number_writing

#: Endings of files of text, and the separator that each is made for.
SEPARATORS: Mapping[str, str] = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": ","}
_OPENERS: Mapping[str, Callable[..., Any]] = {"": open, ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
#: A decimal or negative number, which is hardly the name of a column. A year or the index of a pixel can be one.
_FRACTION = re.compile(r"[+-]?\d*[.,]\d+(?:[eE][+-]?\d+)?|-\d+")
#: Lines that separators are told by.
SAMPLE_LINES = 200


@dataclass(frozen=True)
class Layout:
    """Layout of a text file.

    Attributes
    ----------
    encoding, sep : str
    trailing : bool
        Whether lines end in a separator, behind which there is no column.
    notes : tuple of str
        Unusual findings, in words.
    """

    encoding: str
    sep: str
    trailing: bool = False
    notes: tuple[str, ...] = ()


def read_table(
    source: str,
    target: str | None = None,
    *,
    kind: TaskKind | None = None,
    sep: str | None = None,
    encoding: str | None = None,
) -> Task:
    """Read a task from a file with a header.

    Parameters
    ----------
    source : str
        Path of a .csv, .tsv, .tab or .txt file, which may be compressed (.gz, .bz2, .xz), or of a .parquet file, or the
        name of a bundled dataset.
    target : str, default=None
        Column to be predicted; None takes the last.
    kind : {"classification", "regression"}, default=None
        None infers it from the target.
    sep : str, default=None
        What separates columns of text; None finds it among comma, semicolon, tabulator and "|".
    encoding : str, default=None
        Of text; None: what a byte-order mark says, else UTF-8, else Windows-1252 (latin-1).

    Returns
    -------
    Task
        Its treatments list what was guessed and how columns were changed.

    Raises
    ------
    DataError
        No such file, another format, an encoding that is not the file's, or no such column.
    """
    if source in BUNDLED:
        if target is not None:
            raise DataError(f"{source!r} is a bundled dataset with a target of its own, but target is {target!r}.")
        return bundled_task(source, kind)
    path = Path(source)
    if not path.is_file():
        raise DataError(f"{source!r} is neither a file nor one of the bundled datasets {list(BUNDLED)}.")
    frame, notes = _read(path, sep, encoding)
    if frame.shape[1] < 2:
        raise DataError(
            f"{source!r} must hold a target and at least one feature, but has {frame.shape[1]} column(s): "
            f"{list(frame.columns)}. Another separator is given by sep (--sep)."
        )
    if not len(frame):
        raise DataError(f"{source!r} has the columns {list(frame.columns)[:20]}, but no rows.")
    if target is None:
        notes.append(f"the last column, {str(frame.columns[-1])!r}, is taken for the target")
    column = frame.columns[-1] if target is None else target
    if column not in frame.columns:
        raise DataError(f"{source!r} has no column {column!r}; its columns are {list(frame.columns)[:20]}.")
    task = as_task(frame.drop(columns=column), frame[column], kind=kind, name=_parts(path)[0])
    return replace(task, treatments=(*notes, *task.treatments))


def _read(path: Path, sep: str | None, encoding: str | None) -> tuple[pd.DataFrame, list[str]]:
    _, form, packed = _parts(path)
    try:
        if form == ".parquet" and not packed:
            return pd.read_parquet(path), []
        if form not in SEPARATORS:
            known = ", ".join([*SEPARATORS, ".parquet"])
            raise DataError(f"{str(path)!r} must end in one of {known} (text also in .gz, .bz2, .xz), not in {form!r}.")
        layout = _layout(_OPENERS[packed], path, SEPARATORS[form], sep, encoding)
        return _columns(path, layout), list(layout.notes)
    except DataError:
        raise
    except (ValueError, OSError, EOFError, LookupError, csv.Error, lzma.LZMAError) as error:
        reason = str(error).strip().removesuffix(".")  # pandas ends some with a line break
        raise DataError(f"{str(path)!r} cannot be read: {reason}.") from error


def _parts(path: Path) -> tuple[str, str, str]:
    """Name of a file without its endings; the ending that tells its form, and that of its compression."""
    packed = path.suffix.lower() if path.suffix.lower() in _OPENERS else ""
    whole = Path(path.stem) if packed else path
    return whole.stem, whole.suffix.lower(), packed


def _columns(path: Path, layout: Layout) -> pd.DataFrame:
    """Read the columns. If some numbers have a decimal comma, dots in whole numbers separate thousands."""
    options: dict[str, Any] = {
        "sep": layout.sep,
        "encoding": layout.encoding,
        "low_memory": False,  # in pieces, one column could get several types
        "index_col": False if layout.trailing else None,
    }
    frame: pd.DataFrame = pd.read_csv(path, **options)
    texts = [frame[name] for name in frame.columns if is_texts(frame[name])]
    if not any(needs_comma(_distinct(values)) for values in texts):
        return frame
    maybe = [name for name in frame.columns if _may_be_thousands(frame[name])]
    as_text = pd.read_csv(path, **options, dtype=dict.fromkeys(maybe, "str"))
    for name in maybe:
        writing = number_writing(_distinct(as_text[name]), ",")
        if writing is not None and writing.thousands:
            frame[name] = as_text[name]
    return frame


def _distinct(texts: pd.Series) -> list[str]:
    return [text for text in texts.dropna().unique() if isinstance(text, str)]


def _may_be_thousands(column: pd.Series) -> bool:
    """Whether numbers that were read with a decimal point may be whole ones with a dot between thousands."""
    if column.dtype.kind != "f":
        return False
    thousandths = 1000.0 * column.dropna().to_numpy()
    return bool(np.allclose(thousandths, np.round(thousandths), rtol=0.0, atol=1e-6))


def _layout(opener: Callable[..., Any], path: Path, usual: str, sep: str | None, encoding: str | None) -> Layout:
    notes = []
    if encoding is None:
        with opener(path, "rb") as raw:
            encoding = text_encoding(raw)
        if encoding == FALLBACK:
            notes.append(f"the file is no UTF-8 and is read as {FALLBACK} (latin-1)")
    with opener(path, "rb") as raw, codecs.getreader(encoding)(raw) as lines:
        sample = list(islice((line for line in lines if line.strip()), SAMPLE_LINES))
    if not sample:
        raise ValueError("it is empty")
    if sep is None:
        sep = _separator(sample, usual)
        if sep != usual:
            notes.append(f"columns are taken to be separated by {sep!r}")
    if len(sep) != 1:
        raise ValueError(f"sep must be one character, but is {sep!r}")
    header, *rows = csv.reader(sample, delimiter=sep)
    twice = sorted({name for name in header if name.strip() and header.count(name) > 1})
    if twice:
        raise ValueError(f"column names must differ, but {twice} occur twice")
    fractions = [name for name in header if _FRACTION.fullmatch(name.strip())]
    if fractions:
        notes.append(
            f"the first line is taken for the names of the columns, though it holds numbers such as {fractions[0]!r}: "
            "put a line of names before it if it is a row"
        )
    longer = [row for row in rows if len(row) == len(header) + 1]
    trailing = bool(longer) and all(row[-1] == "" for row in longer)
    if longer and not trailing:
        notes.append("lines have one value more than there are names: the first is taken for the name of the row")
    return Layout(encoding, sep, trailing, tuple(notes))


def _separator(sample: list[str], usual: str) -> str:
    """The separator that gives the lines of a file the same number of columns, and the most; else the usual one."""

    def width(sep: str) -> int:
        rows = list(csv.reader(sample, delimiter=sep))[: SAMPLE_LINES - 1]  # the last line may end within quotes
        columns = len(rows[0])
        return columns if all(len(row) in (columns, columns + 1) for row in rows) else 1

    return max((usual, *(sep for sep in (",", ";", "\t", "|") if sep != usual)), key=width)
