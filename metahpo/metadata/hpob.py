"""Recorded benchmarks in the layout of HPO-B (Pineda Arango et al., NeurIPS Datasets and Benchmarks 2021)."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray

from metahpo.exceptions import DataError, StoreError
from metahpo.metadata.task_table import TaskTable
from metahpo.space.configuration import to_json
from metahpo.space.encoding import unit_cube_space

#: How many times its size a gzipped benchmark may be: those of HPO-B are up to 10 times. A small one may be more.
MAX_EXPANSION = 50
SMALL = 4 << 20
#: How far a coordinate may lie outside the unit cube by rounding.
TOLERANCE = 1e-6

#: Files of a folder in HPO-B's layout; seeds of its initial configurations, and how many each has.
SPLITS = {
    "train": "meta-train-dataset.json",
    "validation": "meta-validation-dataset.json",
    "test": "meta-test-dataset.json",
}
INITIALISATIONS, META_FEATURES = "bo-initializations.json", "metafeatures.json"
SEEDS, N_INITIAL = 5, 5

Tables = Mapping[str, Mapping[str, Mapping[str, Any]]]


def read(source: Path | str | Tables) -> tuple[pd.DataFrame, dict[str, ConfigurationSpace]]:
    """Trials table and search spaces of a recorded benchmark.

    See :meth:`metahpo.metadata.meta_dataset.MetaDataset.from_hpob` for the layout.

    The metric is called ``y``; its loss is ``-y``, because HPO-B maximises.

    A value of y that is not finite is a failed trial.

    Raises
    ------
    DataError
        Another layout, X outside the unit cube, X and y of different lengths, or no task at all.
    """
    parts, spaces = [], {}
    benchmark = source if isinstance(source, Mapping) else _parse(Path(source))
    if not isinstance(benchmark, Mapping) or not all(isinstance(tables, Mapping) for tables in benchmark.values()):
        raise DataError('a benchmark must be {space: {task: {"X": [[...]], "y": [[...]]}}}, but is laid out otherwise.')
    for space, tables in benchmark.items():
        width = None
        for task, table in tables.items():
            X, y = _arrays(space, task, table)
            if width not in (None, X.shape[1]):
                raise DataError(f"task {task!r} of space {space!r} has {X.shape[1]} columns, others have {width}.")
            width = X.shape[1]
            names = list(unit_cube_space(width))
            configurations = [to_json(dict(zip(names, x, strict=True))) for x in X.tolist()]
            parts.append(pd.DataFrame({"task": task, "space": space, "configuration": configurations, "loss.y": -y}))
        if width is not None:
            spaces[space] = unit_cube_space(width)
    if not parts:
        raise DataError("the benchmark holds no task.")
    trials = pd.concat(parts, ignore_index=True)
    trials["status"] = np.where(trials["loss.y"].isna(), "crashed", "success")
    trials["seconds"] = np.nan
    return trials, spaces


def read_folder(folder: Path) -> tuple[Tables, Mapping[str, Mapping[str, float | None]] | None]:
    """The parts of a folder in HPO-B's layout as one benchmark, and its meta-features where it has a file of them.

    Raises
    ------
    DataError
        It holds none of the parts, one cannot be read, or two hold the same task of a space.
    """
    merged: dict[str, dict[str, Mapping[str, Any]]] = {}
    paths = [folder / name for name in SPLITS.values() if (folder / name).is_file()]
    if not paths:
        raise DataError(f"{str(folder)!r} holds none of {', '.join(SPLITS.values())}; give such a folder, or a file.")
    for path in paths:
        part = _parse(path)
        if not isinstance(part, Mapping) or not all(isinstance(tables, Mapping) for tables in part.values()):
            raise DataError(
                f'{str(path)!r} must be {{space: {{task: {{"X": ..., "y": ...}}}}}}, but is laid out otherwise.'
            )
        for space, tables in part.items():
            own = merged.setdefault(space, {})
            twice = sorted(own.keys() & tables.keys())
            if twice:
                raise DataError(
                    f"{str(path)!r} holds tasks of space {space!r} that another part holds too: {twice[:5]}."
                )
            own.update(tables)
    features: Any = _parse(folder / META_FEATURES) if (folder / META_FEATURES).is_file() else None
    return merged, features


def _parse(path: Path) -> Tables:
    try:
        tables: Tables = json.loads(_unpacked(path) if path.suffix == ".gz" else path.read_bytes())
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{str(path)!r} cannot be read as (gzipped) JSON: {error}.") from error
    return tables


def _unpacked(path: Path) -> bytes:
    """Content of a gzipped file. A file that grows by a far larger factor than numbers do is refused."""
    limit = max(SMALL, MAX_EXPANSION * path.stat().st_size)
    with gzip.open(path, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise DataError(
            f"{str(path)!r} unpacks to more than {limit} bytes, {MAX_EXPANSION} times its size; benchmarks do not. "
            "Unpack it yourself, and give the JSON file, if you trust it."
        )
    return content


def _arrays(space: str, task: str, table: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    where = f"task {task!r} of space {space!r}"
    try:
        X, y = np.asarray(table["X"], dtype=np.float64), np.asarray(table["y"], dtype=np.float64).ravel()
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where} must hold numeric X and y, but: {error!r}.") from None
    if X.ndim != 2 or len(X) != len(y) or len(X) == 0:
        raise DataError(f"{where}: X must be of shape (n, d) and y (n,), but they are {X.shape} and {y.shape}.")
    if not (X >= -TOLERANCE).all() or not (X <= 1 + TOLERANCE).all():
        raise DataError(f"{where}: X must lie in the unit cube, but spans {X.min()}..{X.max()}.")
    return X.clip(0.0, 1.0), np.where(np.isfinite(y), y, np.nan)


def tables_of(space: str, tables: Iterable[TaskTable]) -> dict[str, dict[str, dict[str, list[list[float]]]]]:
    """Tasks of one space in HPO-B's layout: see :meth:`metahpo.metadata.meta_dataset.MetaDataset.to_hpob`."""
    found = {}
    for table in tables:
        known = np.isfinite(table.loss)
        if known.any():
            found[table.task] = {"X": table.X[known].tolist(), "y": (-table.loss[known])[:, None].tolist()}
    return {space: found}


def initial_rows(n: int, random_state: int, task: str) -> dict[str, list[int]]:
    """Rows of the initial configurations of each seed: ``test0`` to ``test4``."""
    found = {}
    for k in range(SEEDS):
        rng = np.random.default_rng([random_state, k, zlib.crc32(task.encode())])
        found[f"test{k}"] = np.sort(rng.permutation(n)[:N_INITIAL]).tolist()
    return found


def write(folder: Path, contents: Mapping[str, Any]) -> None:
    """Write files of JSON by name, each under a temporary name that is replaced when it is whole.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            part = folder / f".{name}.part"
            part.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
            part.replace(folder / name)
    except OSError as error:
        raise StoreError(f"{str(folder)!r} cannot be written: {error}. Give another folder.") from error
