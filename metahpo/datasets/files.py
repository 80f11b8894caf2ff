"""Files that are written under a temporary name and then renamed. Tables are read only if their SHA-256 is right."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from metahpo.exceptions import DataError, StoreError


def read_table_file(path: Path, sha256: str, hint: str = "", columns: list[str] | None = None) -> pd.DataFrame:
    """Table of one Parquet file, or some of its columns, after a check of its checksum.

    Raises
    ------
    StoreError
        Missing, damaged or unreadable; the message ends in `hint`.
    """
    check_file(path, sha256, hint)
    try:
        # One thread, because threads of Arrow cannot start under the memory limit of a trial process and would end it.
        return pd.read_parquet(path, columns=columns, use_threads=False, pre_buffer=False)
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{str(path)!r} cannot be read as Parquet: {error}. {hint}".strip()) from error


def check_file(path: Path, sha256: str, hint: str = "") -> None:
    """Compare a file with its checksum.

    Raises
    ------
    StoreError
        Missing, unreadable or damaged; the message ends in `hint`.
    """
    try:
        with open(path, "rb") as data:
            found = hashlib.file_digest(data, "sha256").hexdigest()
    except FileNotFoundError:
        raise StoreError(f"the data file {str(path)!r} is missing; fetch the dataset again. {hint}".strip()) from None
    except OSError as error:
        raise StoreError(f"the data file {str(path)!r} cannot be read: {error}.") from error
    if found != sha256:
        raise StoreError(
            f"{str(path)!r} is damaged: expected SHA-256 {sha256}, found {found}; fetch it again. {hint}".strip()
        )


def write_table_file(path: Path, frame: pd.DataFrame) -> str:
    """Write a table as Parquet and return its SHA-256.

    Raises
    ------
    StoreError
        The folder cannot be written.
    DataError
        Columns that Parquet cannot hold.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(temporary, index=False)
        with open(temporary, "rb") as data:
            sha256 = hashlib.file_digest(data, "sha256").hexdigest()
        temporary.replace(path)
    except (TypeError, ValueError) as error:
        _discard(temporary)
        raise DataError(
            f"{path.name!r} cannot be written as Parquet: {error}; give columns of one type each, of different names."
        ) from error
    except OSError as error:
        _discard(temporary)
        raise StoreError(f"{path.name!r} cannot be written to {str(path.parent)!r}: {error}.") from error
    return sha256


def write_json_file(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        _discard(temporary)
        raise StoreError(f"{path.name!r} cannot be written to {str(path.parent)!r}: {error}.") from error


def _discard(temporary: Path) -> None:
    """Remove an incomplete file, so that a full disk has room again."""
    with suppress(OSError):
        temporary.unlink(missing_ok=True)


def read_json_file(path: Path) -> Any:
    """Content of a JSON file; None if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
