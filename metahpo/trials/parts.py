"""Parquet parts of a trial store: the lines of finished logs, and beside them the columns that are asked for.

A part holds each record's line as it was written, so nothing is lost in it and :mod:`metahpo.trials.schema` alone says
what a record is; the other columns repeat what counts and searches need, so that they need not read the lines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from metahpo.exceptions import StoreError
from metahpo.space.configuration import to_json
from metahpo.trials.log import sync_folder

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
#: The columns that say of a record all but what was measured.
INDEX = [name for name in _COLUMNS.names if name != "line"]
_WORDS = [field.name for field in _COLUMNS if field.type == _WORD]


class Rows:
    """Records on their way into a table."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, line: bytes, kind: str, content: Mapping[str, Any]) -> None:
        """One record: its line, and what :func:`metahpo.trials.schema.from_line` made of it."""
        key = content.get("key", content)
        self._rows.append(
            (
                kind,
                content.get("identity"),
                key.get("task"),
                key.get("learner"),
                to_json(key["configuration"]) if "configuration" in key else None,
                key.get("protocol"),
                key.get("seed", 0),
                key.get("fidelity", 1.0),
                content.get("status"),
                content.get("attempt", 1),
                content.get("seconds", 0.0),
                content.get("finished", 0.0),
                line.decode().rstrip("\n"),
            )
        )

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

    def add(self, line: bytes, kind: str, content: Mapping[str, Any]) -> None:
        """See :meth:`Rows.add`."""
        self._rows.add(line, kind, content)
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
                sync_folder(self._path.parent)
        finally:
            self._file.close()
            self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        if len(self._rows):
            self.n_records += len(self._rows)
            self._parquet.write_table(self._rows.take())

    def describe(self, about: Mapping[str, Any]) -> None:
        """Say in the part's own head what it was made of."""
        self._parquet.add_key_value_metadata({"metahpo": json.dumps(about)})


def part_paths(folder: Path) -> list[Path]:
    """Parts of a store, sorted."""
    return sorted(folder.glob(PATTERN))


def read_description(path: Path) -> dict[str, Any]:
    """What :meth:`PartWriter.describe` was given; empty where it was not.

    Raises
    ------
    StoreError
        No readable part.
    """
    try:
        metadata = pq.read_metadata(path).metadata or {}
        return dict(json.loads(metadata.get(b"metahpo", b"{}")))
    except (OSError, ValueError) as error:  # Arrow's own errors are of these two
        raise _unreadable(path, error) from error


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of a part, as a table.

    Raises
    ------
    StoreError
        No readable part.
    """
    try:
        words = [name for name in columns if name in _WORDS]
        return pq.read_table(path, columns=list(columns), read_dictionary=words)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def read_lines(path: Path) -> Iterator[bytes]:
    """Lines of a part; memory holds a block of them at a time.

    Raises
    ------
    StoreError
        No readable part.
    """
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BLOCK, columns=["line"]):
                yield from (line.encode() for line in batch.column(0).to_pylist())
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def read_kind(path: Path, kind: str) -> list[bytes]:
    """Lines of the records of one kind, of which there are few: only the blocks that hold one are read.

    Raises
    ------
    StoreError
        No readable part.
    """
    found: list[bytes] = []
    try:
        with pq.ParquetFile(path) as file:
            for i in range(file.num_row_groups):
                kinds = file.metadata.row_group(i).column(_COLUMNS.get_field_index("kind")).statistics
                if kinds.min <= kind <= kinds.max:
                    block = file.read_row_group(i, columns=["kind", "line"]).to_pylist()
                    found += [row["line"].encode() for row in block if row["kind"] == kind]
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return found


def to_frame(tables: Sequence[pa.Table]) -> pd.DataFrame:
    """Tables below each other as a frame: words as categories, identities as Arrow has them, which costs nothing."""
    table = pa.concat_tables(tables).unify_dictionaries()
    frame = table.to_pandas(types_mapper={pa.string(): pd.ArrowDtype(pa.string())}.get)
    return pd.DataFrame(frame)


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(f"the part {str(path)!r} cannot be read ({error}); bring it back from a copy, or remove it.")
