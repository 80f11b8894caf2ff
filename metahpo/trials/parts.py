"""Parquet parts of a trial store: the lines of finished logs, with columns for fast queries.

A part holds the line of each record as it was written, so it loses nothing, and only :mod:`metahpo.trials.schema`
defines records. The other columns repeat fields for counting and searching, so that the lines need not be parsed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from fnmatch import fnmatch
from itertools import compress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from metahpo.exceptions import StoreError
from metahpo.space.configuration import to_json
from metahpo.trials import log
from metahpo.trials.plain_names import is_plain
from metahpo.trials.records import Record, RetryRequest
from metahpo.trials.trial import Trial

PATTERN = "trials-*.parquet"
#: Records that a writer or a reader holds in memory at a time.
BLOCK = 20_000
_WORD = pa.dictionary(pa.int32(), pa.string())
_COLUMNS = pa.schema(
    [
        ("kind", _WORD),
        ("identity", pa.string()),
        ("task", _WORD),
        ("learner", _WORD),
        ("configuration", _WORD),
        ("protocol", _WORD),
        ("seed", pa.int64()),
        ("fidelity", pa.float64()),
        ("status", _WORD),
        ("attempt", pa.int32()),
        ("seconds", pa.float64()),
        ("finished", pa.float64()),
        ("line", pa.string()),
    ]
)
#: Key of the metadata that name the logs that a part was made of.
_ABOUT = b"metahpo"
#: The columns that say of a record all but what was measured.
INDEX = [name for name in _COLUMNS.names if name != "line"]
_WORDS = [field.name for field in _COLUMNS if field.type == _WORD]
#: Columns that not every kind of record has.
_MAY_BE_EMPTY = {"identity", "task", "learner", "configuration", "protocol", "status"}


class UnreadablePartError(StoreError):
    """A file is missing, damaged, or not a part."""


class Rows:
    """Records that are collected for a table."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, record: Record, line: bytes = b"") -> None:
        """One record, and its line where that is to be kept."""
        if isinstance(record, Trial):
            key = record.key
            words = (key.task, key.learner, to_json(key.configuration), key.protocol, key.seed, key.fidelity)
            measured = (str(record.status), record.attempt, record.seconds, record.finished)
            values: tuple[Any, ...] = ("trial", key.identity, *words, *measured)
        elif isinstance(record, RetryRequest):
            values = ("retry", record.identity, *[None] * 4, 0, 1.0, None, record.attempt, 0.0, 0.0)
        else:
            values = ("refusal", None, record.task, *[None] * 3, 0, 1.0, None, 1, 0.0, 0.0)
        self._rows.append((*values, line.decode().rstrip("\n")))

    def take(self) -> pa.Table:
        """All of them, in the columns of a part; none is left here."""
        columns = list(zip(*self._rows, strict=True)) or [()] * len(_COLUMNS)
        arrays = [
            pa.array(values, pa.string()).dictionary_encode() if field.type == _WORD else pa.array(values, field.type)
            for field, values in zip(_COLUMNS, columns, strict=True)
        ]
        self._rows = []
        return pa.Table.from_arrays(arrays, schema=_COLUMNS)


class PartWriter:
    """Writes one part, block by block, under a temporary name until it is whole and on disk.

    Parameters
    ----------
    path : path
        Its name in the end.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, path.with_name(f".{path.name}.{os.getpid()}")
        self._rows = Rows()
        self.n_records = 0

    def __enter__(self) -> Self:
        self._file = open(self._temporary, "wb")
        plain = ["identity", "line", "seconds", "finished"]
        words = [name for name in _COLUMNS.names if name not in plain]
        self._parquet = pq.ParquetWriter(self._file, _COLUMNS, compression="zstd", use_dictionary=words)
        return self

    def add(self, record: Record, line: bytes) -> None:
        """See :meth:`Rows.add`."""
        self._rows.add(record, line)
        if len(self._rows) == BLOCK:
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._flush()
            self._parquet.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            if error is None and self.n_records:
                self._temporary.replace(self._path)
                log.sync_folder(self._path.parent)
        finally:
            self._file.close()
            self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        if len(self._rows):
            self.n_records += len(self._rows)
            self._parquet.write_table(self._rows.take())

    def describe(self, sources: Mapping[str, int]) -> None:
        """Write the names and sizes of the source logs into the metadata of the part."""
        self._parquet.add_key_value_metadata({_ABOUT: json.dumps(sources)})


def part_paths(folder: Path) -> list[Path]:
    """Parts of a store, sorted."""
    return sorted(folder.glob(PATTERN))


def read_sources(path: Path) -> dict[str, int]:
    """Logs that a part was made of, with their sizes in bytes; empty where that is not known.

    Raises
    ------
    StoreError
        No readable part, or one that names anything but logs.
    """
    with _readable(path):
        metadata = pq.read_metadata(path).metadata or {}
        sources = json.loads(metadata.get(_ABOUT, b"{}"))
        if not isinstance(sources, dict) or not all(map(_is_log, sources.items())):
            raise ValueError("its metadata name other files than the logs of this folder")
    return sources


def _is_log(source: tuple[str, Any]) -> bool:
    name, size = source
    return is_plain(name) and fnmatch(name, log.PATTERN) and type(size) is int


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of a part, as a table.

    Raises
    ------
    StoreError
        No readable part.
    """
    with _readable(path), _opened(path, [name for name in columns if name in _WORDS]) as file:
        table = file.read(columns=list(columns)).select(list(columns))
        empty = [name for name in columns if name not in _MAY_BE_EMPTY and table.column(name).null_count]
        if empty:
            raise ValueError(f"values are missing in {empty}")
        return table


def read_lines(path: Path, tasks: Set[str] | None = None) -> Iterator[bytes]:
    """Lines of a part; memory holds a block of them at a time.

    Parameters
    ----------
    tasks : set of str, default=None
        Trials of other tasks are left out, and blocks without one of these tasks are not read; None: there are none.

    Raises
    ------
    StoreError
        No readable part.
    """
    with _readable(path), _opened(path) as file:
        for i in range(file.num_row_groups):
            chosen = None
            if tasks is not None:
                block = file.read_row_group(i, columns=["kind", "task"])
                kinds, names = (block.column(name).to_pylist() for name in ("kind", "task"))
                chosen = [k != "trial" or name in tasks for k, name in zip(kinds, names, strict=True)]
                if not any(chosen):
                    continue
            for batch in file.iter_batches(BLOCK, row_groups=[i], columns=["line"]):
                lines = batch.column(0).to_pylist()
                wanted = lines if chosen is None else compress(lines, chosen)
                chosen = None if chosen is None else chosen[len(lines) :]
                yield from (line.encode() for line in wanted)


def read_kind(path: Path, kind: str) -> list[bytes]:
    """Lines of the records of one rare kind. Only blocks with such records are read.

    Raises
    ------
    StoreError
        No readable part.
    """
    found: list[bytes] = []
    with _readable(path), _opened(path) as file:
        for i in range(file.num_row_groups):
            kinds = file.metadata.row_group(i).column(_COLUMNS.get_field_index("kind")).statistics
            if kinds is None or not kinds.has_min_max or kinds.min <= kind <= kinds.max:
                block = file.read_row_group(i, columns=["kind", "line"]).to_pylist()
                found += [row["line"].encode() for row in block if row["kind"] == kind]
    return found


@contextlib.contextmanager
def _opened(path: Path, words: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """A part with the columns that it should have; those named `words` are read as words of a dictionary."""
    with pq.ParquetFile(path, read_dictionary=list(words)) as file:
        found = {field.name: _plain_type(field.type) for field in file.schema_arrow}
        if found != {field.name: _plain_type(field.type) for field in _COLUMNS}:
            raise ValueError(f"expected the columns {_COLUMNS.names}, but it has {list(found)}")
        yield file


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn any error of a damaged part into a StoreError with its name."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError) as error:  # Arrow's own errors are of the first three
        if isinstance(error, StoreError):
            raise
        raise UnreadablePartError(
            f"the part {str(path)!r} cannot be read ({error}); bring it back from a copy, or set it aside with "
            f"`metahpo build verify {path.parent} --repair`: its trials are then pending again."
        ) from error


def to_frame(tables: Sequence[pa.Table]) -> pd.DataFrame:
    """Tables below each other as a frame: words as categories, identities as Arrow has them, which costs nothing."""
    table = pa.concat_tables(tables).unify_dictionaries()
    frame = table.to_pandas(types_mapper={pa.string(): pd.ArrowDtype(pa.string())}.get)
    return pd.DataFrame(frame)
