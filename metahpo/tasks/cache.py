"""Our dataset cache: one Parquet file and one JSON sidecar a dataset, verified by SHA-256, written then renamed.

Layout of a folder: ``KEY.parquet`` (the target is one of its columns) and ``KEY.json`` with at least ``name``,
``kind``, ``target`` and ``sha256`` (of the Parquet file), and where known ``family``, ``data_id``, ``categorical``,
``licence`` and ``source``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from metahpo.exceptions import DataError, StoreError
from metahpo.tasks.task import KINDS, Task


def cached_keys(folder: Path | str) -> list[str]:
    """Keys of the datasets in a cache folder, sorted.

    Raises
    ------
    StoreError
        The folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StoreError(
            f"the dataset cache {str(folder)!r} is not a folder; expected KEY.parquet and KEY.json files in it."
        )
    # A name that begins with a dot is what a killed writer left.
    found = (p for p in folder.glob("*.json") if not p.name.startswith(".") and p.with_suffix(".parquet").exists())
    return sorted(p.stem for p in found)


def read_sidecar(folder: Path | str, key: str) -> dict[str, Any]:
    """Sidecar of one dataset: what is known of it without reading the data.

    Raises
    ------
    StoreError
        Missing or unreadable sidecar.
    """
    path = Path(folder) / f"{key}.json"
    try:
        sidecar = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"no dataset {key!r} in {str(folder)!r}; there are {cached_keys(folder)[:10]} ...") from None
    except (OSError, ValueError) as error:
        raise StoreError(
            f"the sidecar {str(path)!r} cannot be read ({error}); delete it and fetch the dataset again."
        ) from error
    wanted = {"name", "kind", "target", "sha256"}
    if not isinstance(sidecar, dict) or not wanted <= sidecar.keys():
        raise StoreError(
            f"the sidecar {str(path)!r} must hold {sorted(wanted)}; delete it and fetch the dataset again."
        )
    return sidecar


def read_task(folder: Path | str, key: str) -> Task:
    """Read one dataset as a task.

    Raises
    ------
    StoreError
        Missing files, or data that do not match the checksum in the sidecar.
    DataError
        A kind that is not tabular (image, text), or data that make no task.
    """
    sidecar = read_sidecar(folder, key)
    path = Path(folder) / f"{key}.parquet"
    if sidecar["kind"] not in KINDS:
        raise DataError(f"dataset {key!r} is of kind {sidecar['kind']!r}; tabular learners take {list(KINDS)}.")
    if not path.exists():
        raise StoreError(f"the data file {str(path)!r} is missing; fetch the dataset again.")
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise StoreError(f"the data file {str(path)!r} cannot be read: {error}.") from error
    if found != sidecar["sha256"]:
        raise StoreError(
            f"{str(path)!r} is damaged: expected SHA-256 {sidecar['sha256']}, found {found}; fetch it again."
        )
    # One thread: a trial process runs under a memory limit, where Arrow's threads cannot start and take it down.
    frame = pd.read_parquet(path, use_threads=False, pre_buffer=False)
    target = sidecar["target"]
    if target not in frame.columns:
        raise DataError(f"dataset {key!r} has no target column {target!r}; its columns are {list(frame.columns)[:20]}.")
    return Task.from_arrays(
        frame.drop(columns=target),
        frame[target],
        kind=sidecar["kind"],
        categorical=sidecar.get("categorical") or (),
        name=str(sidecar["name"]),
        family=sidecar.get("family"),
        data_id=sidecar.get("data_id"),
    )


def write_task(folder: Path | str, key: str, frame: pd.DataFrame, target: str, sidecar: dict[str, Any]) -> None:
    """Write one dataset; a reader sees the whole of it or nothing.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_features + 1)
        Features and target.
    target : str
        Name of the target column.
    sidecar : dict
        At least ``name`` and ``kind``; ``target`` and ``sha256`` are filled in.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        data, meta = folder / f".{key}.{os.getpid()}.parquet", folder / f".{key}.{os.getpid()}.json"
        frame.to_parquet(data, index=False)
        full = {**sidecar, "target": target, "sha256": hashlib.sha256(data.read_bytes()).hexdigest()}
        meta.write_text(json.dumps(full, indent=1), encoding="utf-8")
        # The sidecar goes last: a dataset exists from the moment its sidecar does.
        data.replace(folder / f"{key}.parquet")
        meta.replace(folder / f"{key}.json")
    except OSError as error:
        raise StoreError(f"dataset {key!r} cannot be written to {str(folder)!r}: {error}.") from error


def read_tasks(folder: Path | str, keys: list[str] | None = None) -> Iterator[Task]:
    """Tasks of a cache folder, one at a time; image and text datasets are passed over when `keys` is None."""
    for key in keys if keys is not None else cached_keys(folder):
        if keys is None and read_sidecar(folder, key)["kind"] not in KINDS:
            continue
        yield read_task(folder, key)
