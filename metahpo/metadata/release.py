"""A released meta-dataset on disk: Parquet tables and a manifest with their checksums.

The manifest names the file of each table. If a meta-dataset replaces an older one, its tables are written to files with
other names first. Then the manifest is replaced, and then the old files are removed. A reader therefore sees the older
or the newer meta-dataset at any moment, also after a kill.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from metahpo.exceptions import ArtefactError, DataError, StoreError, UnknownNameError
from metahpo.trials.plain_names import is_plain

FORMAT = "metahpo meta-dataset"
#: Version that is written. In version 1 the file of a table is always ``NAME.parquet``; before version 3, trials hold
#: the texts of their configurations.
FORMAT_VERSION = 3
READABLE_VERSIONS = (1, 2, 3)
MANIFEST = "manifest.json"
#: What a reader needs of a manifest, and its type.
MANIFEST_KEYS = {"name": str, "version": str, "protocol": str, "spaces": dict, "files": dict}
#: Rows of a table that are written together.
BLOCK = 20_000
#: Level of zstd. Higher ones save a few percent more, and take several times as long.
COMPRESSION = 15
#: What a killed writer leaves, unless the manifest names it.
_REMAINS = re.compile(r"\w+-[0-9a-f]{16}\.parquet|\.\w+(\.json)?\.\d+\.part")

_PACKAGE = Path(__file__).resolve().parent.parent
#: Where shipped meta-datasets lie: inside an installed wheel, or beside the package in a checkout.
SHIPPED = (_PACKAGE / "_meta_datasets", _PACKAGE.parent / "meta_datasets")


def shipped_names() -> list[str]:
    """Names of the meta-datasets that come with the package."""
    return sorted({path.parent.name for root in SHIPPED for path in root.glob(f"*/{MANIFEST}")})


def locate(folder: Path | str) -> Path:
    """Folder of a meta-dataset: a path, or the name of a shipped one.

    Raises
    ------
    UnknownNameError
        Neither; the message lists what ships.
    """
    return Path(folder) if (Path(folder) / MANIFEST).is_file() else shipped_folder(str(folder))


def shipped_folder(name: str) -> Path:
    """Folder of a meta-dataset that comes with the package, whatever the working directory holds.

    Raises
    ------
    UnknownNameError
        None of that name; the message lists what ships.
    """
    for root in SHIPPED:
        if (root / name / MANIFEST).is_file():
            return root / name
    raise UnknownNameError(
        "meta-dataset", name, shipped_names(), "Give one of these names, or a folder with a manifest.json."
    )


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tables_checksum(folder: Path) -> str:
    """One checksum of all tables of a meta-dataset, as its manifest has them.

    Raises
    ------
    ArtefactError
        See :func:`read_manifest`.
    """
    entries = read_manifest(folder)["files"]
    return hashlib.sha256(json.dumps({k: v["sha256"] for k, v in entries.items()}, sort_keys=True).encode()).hexdigest()


def write(folder: Path, header: Mapping[str, Any], tables: Iterable[tuple[str, Iterable[pd.DataFrame]]]) -> None:
    """Write a meta-dataset.

    An existing one is replaced when the new one is complete and on disk. On file systems with locks, two writers of one
    folder wait for each other.

    Parameters
    ----------
    header : mapping
        Entries of the manifest besides the files.
    tables : iterable of (str, iterable of DataFrame)
        Name of each table, and its rows in blocks. One block is in memory at a time. If the iterable raises, nothing
        changes.

    Raises
    ------
    ArtefactError
        The name of a search space that cannot be that of a file.
    DataError
        A table that Parquet cannot hold.
    StoreError
        The folder cannot be written.
    """
    from metahpo.trials.log import sync_folder  # Unix only, like _alone

    _check_spaces(header.get("spaces", {}), folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            older = _files_in_use(folder)
            _remove(folder, {path.name for path in folder.iterdir() if _REMAINS.fullmatch(path.name)} - older)
            files = {name: _write_table(folder, name, blocks) for name, blocks in tables}
            manifest = {"format": FORMAT, "format_version": FORMAT_VERSION, **header, "files": files}
            with _temporary(folder, MANIFEST) as (temporary, file):
                file.write(json.dumps(manifest, indent=1).encode())
                _sync(file)
                temporary.replace(folder / MANIFEST)
            sync_folder(folder)
            _remove(folder, older - {entry["file"] for entry in files.values()})
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"the meta-dataset cannot be written to {str(folder)!r}: {error}. What was there before is unchanged."
        ) from error


def _write_table(folder: Path, name: str, blocks: Iterable[pd.DataFrame]) -> dict[str, Any]:
    """Write one table and return its entry in the manifest."""
    n_rows, writer = 0, None
    with _temporary(folder, name) as (temporary, file):
        try:
            for block in _joined(blocks):
                table = _to_arrow(name, block, writer and writer.schema)
                writer = writer or _writer(file, table.schema)
                writer.write_table(table)
                n_rows += len(block)
        finally:
            if writer is not None:
                writer.close()
        _sync(file)
        sha256 = checksum(temporary)
        return {"file": _place(temporary, folder, name, sha256), "sha256": sha256, "rows": n_rows}


def _writer(file: BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of Parquet that stores the bytes of numbers in single precision apart, which makes small files."""
    measured = {field.name: path for field in schema if (path := _path_of_singles(field)) is not None}
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=COMPRESSION,
        use_dictionary=[name for name in schema.names if name not in measured],
        use_byte_stream_split=list(measured.values()),
    )


def _path_of_singles(field: pa.Field) -> str | None:
    """Path of the numbers of a column, as Parquet names it; None where they are not in single precision."""
    lists = pa.types.is_list(field.type)
    kind = field.type.value_type if lists else field.type
    return (f"{field.name}.list.element" if lists else field.name) if pa.types.is_float32(kind) else None


def _to_arrow(name: str, block: pd.DataFrame, schema: pa.Schema | None) -> pa.Table:
    try:
        table = pa.Table.from_pandas(block, schema=schema)
        return table if schema else table.cast(_with_lists(table.schema))
    except (TypeError, ValueError, LookupError) as error:
        raise DataError(
            f"the {name} table cannot be written as Parquet: {error}; give columns of one type each, of other names."
        ) from error


def _joined(blocks: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The same rows in blocks of `BLOCK` rows or a few more. A single block keeps its index."""
    waiting: list[pd.DataFrame] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= BLOCK:
            yield pd.concat(waiting, ignore_index=True) if len(waiting) > 1 else waiting[0]
            waiting = []
    if waiting:
        yield pd.concat(waiting, ignore_index=True) if len(waiting) > 1 else waiting[0]


def _with_lists(schema: pa.Schema) -> pa.Schema:
    """A schema whose columns of lists hold numbers, even if the lists of the first block are all empty."""
    for i, field in enumerate(schema):
        lists = field.name == "learning_curve" or field.name.startswith("folds.")
        if lists and not (pa.types.is_list(field.type) and pa.types.is_floating(field.type.value_type)):
            schema = schema.set(i, field.with_type(pa.list_(pa.float32())))
    return schema


def _place(temporary: Path, folder: Path, name: str, sha256: str) -> str:
    """File name of a table: ``NAME.parquet``, or another name if that file has other content."""
    usual = folder / f"{name}.parquet"
    taken = usual.exists() and checksum(usual) != sha256
    path = folder / f"{name}-{sha256[:16]}.parquet" if taken else usual
    temporary.replace(path)
    return path.name


def _files_in_use(folder: Path) -> set[str]:
    """Files of the existing meta-dataset; empty if there is none that can be read."""
    try:
        return {_file_of(name, entry) for name, entry in read_manifest(folder)["files"].items()}
    except ArtefactError:
        return set()


def _remove(folder: Path, names: set[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _temporary(folder: Path, name: str) -> Iterator[tuple[Path, BinaryIO]]:
    """A file with a hidden name, which is removed at the end if it was not renamed."""
    path = folder / f".{name}.{os.getpid()}.part"
    try:
        with open(path, "wb") as file:
            yield path, file
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for the lock on a folder, and hold it."""
    import fcntl  # Unix only: what is saved can be loaded on any system

    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # no locks on this file system
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def read_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a meta-dataset, checked.

    Raises
    ------
    ArtefactError
        Missing, unreadable, foreign, incomplete, of a newer format, or with names that are not plain.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ArtefactError(f"{str(path)!r} cannot be read: {error}.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtefactError(f"{str(path)!r} is not the manifest of a meta-dataset (expected format {FORMAT!r}).")
    if manifest.get("format_version") not in READABLE_VERSIONS:
        raise ArtefactError(
            f"{str(path)!r} has format version {manifest.get('format_version')}, this package reads "
            f"{', '.join(map(str, READABLE_VERSIONS))}; install the version of metahpo that wrote it, or build the "
            "meta-dataset again."
        )
    missing = [key for key in MANIFEST_KEYS if key not in manifest]
    if missing:
        raise ArtefactError(f"{str(path)!r} is damaged: it lacks {missing}; install or copy the meta-dataset again.")
    wrong = [key for key, kind in MANIFEST_KEYS.items() if not isinstance(manifest[key], kind)]
    if "files" not in wrong:
        wrong += [f"files: {name!r}" for name, entry in manifest["files"].items() if not _is_entry(name, entry)]
    if wrong:
        raise ArtefactError(
            f"{str(path)!r} is damaged: {', '.join(wrong)} is not what it should be (a file is named by a plain name, "
            "and described by its sha256 and rows); install or copy the meta-dataset again."
        )
    _check_spaces(manifest["spaces"], folder)
    return manifest


def _is_entry(name: str, entry: Any) -> bool:
    return (
        is_plain(name)
        and isinstance(entry, dict)
        and isinstance(entry.get("sha256"), str)
        and is_plain(_file_of(name, entry))
    )


def _file_of(name: str, entry: Mapping[str, Any]) -> Any:
    return entry.get("file", f"{name}.parquet")


def _check_spaces(spaces: Mapping[str, Any], folder: Path) -> None:
    """Raise an error for names of search spaces that are not plain, because they are part of file names."""
    wrong = [name for name in spaces if not is_plain(name)]
    if wrong:
        raise ArtefactError(
            f"the meta-dataset {str(folder)!r} has search spaces named {wrong}; expected plain names, without slashes "
            "and not beginning with a dot."
        )


def read(folder: Path) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Manifest and tables, checked.

    Raises
    ------
    ArtefactError
        See :func:`read_manifest`; or a table that is missing or does not match its checksum.
    """
    while True:
        seen = _stamp(folder)
        manifest = read_manifest(folder)
        try:
            return manifest, {name: _read_table(folder, name, entry) for name, entry in manifest["files"].items()}
        except ArtefactError:
            # A newer meta-dataset may have replaced it in the meantime.
            if _stamp(folder) == seen:
                raise


def _stamp(folder: Path) -> tuple[int, int] | None:
    """A value that changes when the manifest is replaced, even by an equal one."""
    try:
        status = os.stat(folder / MANIFEST)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _read_table(folder: Path, name: str, entry: Mapping[str, Any]) -> pd.DataFrame:
    path = folder / _file_of(name, entry)
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != entry["sha256"]:
                raise ArtefactError(
                    f"{str(path)!r} is damaged: expected SHA-256 {entry['sha256']}, found {found}; "
                    "install or copy it again."
                )
            file.seek(0)
            return pd.read_parquet(file)
    except FileNotFoundError:
        raise ArtefactError(f"the meta-dataset {str(folder)!r} lacks {path.name}; install or copy it again.") from None
    except ArtefactError:
        raise
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise ArtefactError(f"{str(path)!r} cannot be read as Parquet: {error}.") from error
