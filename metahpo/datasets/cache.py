"""The dataset cache: one Parquet file and one JSON sidecar for each dataset, verified by SHA-256.

Layout of a folder::

    KEY.parquet                  the rows, the target among the columns
    KEY.json                     at least ``name``, ``kind``, ``target`` and ``sha256`` (of the Parquet file), and where
                                 known ``family``, ``data_id``, ``version``, ``categorical``, ``licence``, ``source``,
                                 ``image_shape`` (height, width and channels) and ``tasks`` (see below)
    KEY.following.parquet        the rows of the next version of the dataset, while it is written
    KEY.splits-TASK.parquet      official splits of an OpenML task (see :mod:`metahpo.datasets.splits`)
    refusals/KEY.json            why a dataset that was asked for cannot be used: ``{"reason": ...}``

``tasks`` of a sidecar: ``{TASK: {"file", "sha256"} or null}``, the OpenML tasks that were asked for on this dataset and
its target, each with its splits if it has any.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from metahpo.datasets.files import check_file, read_json_file, read_table_file, write_json_file, write_table_file
from metahpo.exceptions import DataError, StoreError
from metahpo.tasks.target import KINDS, TaskKind
from metahpo.tasks.task import Modality, Task
from metahpo.trials.plain_names import is_plain

#: Kinds of datasets that are no tables, and are classified.
CLASSIFIED: tuple[Modality, ...] = ("image", "text")
#: Ending of the data that follow those of a dataset, until the sidecar is theirs.
FOLLOWING = ".following.parquet"


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
    # A name that begins with a dot is a temporary file of a killed writer.
    found = (p for p in folder.glob("*.json") if not p.name.startswith(".") and p.with_suffix(".parquet").exists())
    return sorted(p.stem for p in found)


def read_sidecar(folder: Path | str, key: str) -> dict[str, Any]:
    """Sidecar of one dataset, which describes it without reading the data.

    Raises
    ------
    StoreError
        Missing or unreadable sidecar.
    DataError
        The dataset was requested and cannot be used.
    """
    path = _path(folder, key, ".json")
    hint = how_to_fetch(folder, key)
    try:
        sidecar = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        refusal = read_refusals(folder).get(key)
        if refusal is not None:
            raise DataError(f"dataset {key!r} cannot be used: {refusal['reason']}") from None
        raise StoreError(
            f"no dataset {key!r} in {str(folder)!r}; there are {cached_keys(folder)[:10]} ... {hint}".strip()
        ) from None
    except (OSError, ValueError) as error:
        raise StoreError(
            f"the sidecar {str(path)!r} cannot be read ({error}); delete it and fetch the dataset again. {hint}".strip()
        ) from error
    wanted = {"name", "kind", "target", "sha256"}
    if not isinstance(sidecar, dict) or not wanted <= sidecar.keys() or not _are_splits(sidecar.get("tasks", {})):
        expected = f"the sidecar {str(path)!r} must hold {sorted(wanted)}, and plain names of files of splits"
        raise StoreError(f"{expected}; delete it and fetch the dataset again. {hint}".strip())
    return sidecar


def _path(folder: Path | str, key: str, ending: str) -> Path:
    """File of a dataset. A key that would lead out of the cache is refused."""
    if not is_plain(key):
        raise StoreError(
            f"{key!r} cannot be the key of a dataset: it names files of the cache; expected a plain name, without "
            "slashes and not beginning with a dot."
        )
    return Path(folder) / f"{key}{ending}"


def _are_splits(tasks: Any) -> bool:
    """Whether this is what a sidecar says under ``tasks``."""
    return isinstance(tasks, dict) and all(
        number.isdecimal()
        and (record is None or (isinstance(record, dict) and is_plain(record.get("file")) and "sha256" in record))
        for number, record in tasks.items()
    )


def read_sidecars(folder: Path | str) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Sidecars of a cache by key, and for those that cannot be read, the reason.

    Raises
    ------
    StoreError
        The folder does not exist.
    """
    sidecars, damaged = {}, {}
    for key in cached_keys(folder):
        try:
            sidecars[key] = read_sidecar(folder, key)
        except StoreError as error:
            damaged[key] = str(error)
    return sidecars, damaged


def task_kind(sidecar: Mapping[str, Any]) -> TaskKind | None:
    """Kind of task that a dataset makes: images and texts are classified; None for a kind that makes none."""
    kind: TaskKind | None = "classification" if sidecar["kind"] in CLASSIFIED else None
    return next((known for known in KINDS if known == sidecar["kind"]), kind)


def task_modality(sidecar: Mapping[str, Any]) -> Modality:
    """What the rows of a dataset are."""
    return next((modality for modality in CLASSIFIED if modality == sidecar["kind"]), "table")


def read_task(folder: Path | str, key: str) -> Task:
    """Read one dataset as a task.

    Raises
    ------
    StoreError
        Missing files, or data that do not match the checksum in the sidecar.
    DataError
        An unknown kind, or data that make no task.
    """
    sidecar = read_sidecar(folder, key)
    kind = task_kind(sidecar)
    if kind is None:
        known = [*KINDS, *CLASSIFIED]
        raise DataError(f"dataset {key!r} is of kind {sidecar['kind']!r}; tasks can be made of {known}.")
    frame = read_table_file(data_file(folder, key, sidecar["sha256"]), sidecar["sha256"], how_to_fetch(folder, key))
    target = sidecar["target"]
    if target not in frame.columns:
        raise DataError(f"dataset {key!r} has no target column {target!r}; its columns are {list(frame.columns)[:20]}.")
    X, y = frame.drop(columns=target), frame[target]
    about: dict[str, Any] = {
        "name": str(sidecar["name"]),
        "family": sidecar.get("family"),
        "data_id": sidecar.get("data_id"),
    }
    categorical = sidecar.get("categorical") or ()
    if sidecar["kind"] == "image":
        return Task.from_images(X, y, shape=sidecar.get("image_shape"), **about)
    if sidecar["kind"] == "text":
        return Task.from_texts(X, y, columns=categorical, **about)
    return Task.from_arrays(X, y, kind=kind, categorical=categorical, **about)


def verify(folder: Path | str, key: str) -> dict[str, Any]:
    """Check every file of one dataset against its checksum; its sidecar if all are whole.

    Raises
    ------
    StoreError
        A file is missing, unreadable or damaged.
    """
    sidecar = read_sidecar(folder, key)
    hint = how_to_fetch(folder, key)
    check_file(data_file(folder, key, sidecar["sha256"]), sidecar["sha256"], hint)
    for splits in sidecar.get("tasks", {}).values():
        if splits is not None:
            check_file(Path(folder) / splits["file"], splits["sha256"], hint)
    return sidecar


def how_to_fetch(folder: Path | str, key: str) -> str:
    """The command that fetches a dataset if its key is an OpenML id; otherwise an empty text."""
    number, dash, rest = key.partition("-")
    wanted = f"--task-ids {rest}" if number == "task" else f"--data-ids {number}"
    known = rest.isdecimal() if number == "task" else number.isdecimal() and not dash
    return f"`metahpo build prefetch --cache {folder} {wanted}` brings it from OpenML." if known else ""


def write_task(folder: Path | str, key: str, frame: pd.DataFrame, target: str, sidecar: Mapping[str, Any]) -> None:
    """Write one dataset.

    A reader sees the old dataset (or none) until the new one is complete. A recorded refusal of the same key is
    removed.

    Parameters
    ----------
    folder : path
        Dataset cache; created where it does not exist.
    key : str
        Name of the files ``KEY.parquet`` and ``KEY.json``: no slashes, and no dot at its beginning.
    frame : DataFrame of shape (n_rows, n_features + 1)
        Features and target.
    target : str
        Name of the target column.
    sidecar : dict
        At least ``name`` and ``kind`` ("classification" or "regression"); ``target`` and ``sha256`` are filled in.

    Raises
    ------
    StoreError
        The folder cannot be written, or the key is no plain name.
    DataError
        Columns that Parquet cannot hold.
    """
    data, about, following = (_path(folder, key, ending) for ending in (".parquet", ".json", FOLLOWING))
    # The sidecar is written last, because a dataset exists, or is replaced, when its sidecar is.
    rows = following if about.exists() else data
    sha256 = write_table_file(rows, frame)
    write_json_file(about, {**sidecar, "target": target, "sha256": sha256})
    if rows == following:
        following.replace(data)
    forget_refusal(folder, key)


def data_file(folder: Path | str, key: str, sha256: str) -> Path:
    """The Parquet file of a dataset.

    If its writer was killed at the last step, this is the file of the next version.
    """
    following = _path(folder, key, FOLLOWING)
    with suppress(StoreError):
        if following.exists():
            check_file(following, sha256)
            return following
    return _path(folder, key, ".parquet")


def read_refusals(folder: Path | str) -> dict[str, dict[str, Any]]:
    """Reasons why requested datasets cannot be used: key -> ``{"reason": ..., ...}``. Damaged records are skipped."""
    refusals = {}
    for path in sorted((Path(folder) / "refusals").glob("[!.]*.json")):
        record = read_json_file(path)
        if isinstance(record, dict) and isinstance(record.get("reason"), str):
            refusals[path.stem] = record
    return refusals


def write_refusal(folder: Path | str, key: str, reason: str, **about: Any) -> None:
    """Record why a dataset cannot be used, so that it is not fetched again."""
    write_json_file(_path(Path(folder) / "refusals", key, ".json"), {"reason": reason, **about})


def forget_refusal(folder: Path | str, key: str) -> None:
    """Remove a recorded refusal, if there is one."""
    _path(Path(folder) / "refusals", key, ".json").unlink(missing_ok=True)


def read_tasks(folder: Path | str, keys: list[str] | None = None) -> Iterator[Task]:
    """Tasks of a cache folder, one at a time. If `keys` is None, image and text datasets are left out."""
    for key in keys if keys is not None else cached_keys(folder):
        if keys is None and read_sidecar(folder, key)["kind"] not in KINDS:
            continue
        yield read_task(folder, key)
