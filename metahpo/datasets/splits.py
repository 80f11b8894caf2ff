"""The official splits of OpenML's tasks. They are stored beside the dataset in the cache and read as rows of a Task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.datasets.cache import data_file, how_to_fetch, read_sidecar
from metahpo.datasets.files import read_table_file, write_table_file
from metahpo.exceptions import DataError


def write_splits(folder: Path | str, key: str, task_id: int, splits: pd.DataFrame) -> dict[str, Any]:
    """Write the splits of one task and return their entry in the sidecar under ``tasks``.

    Parameters
    ----------
    splits : DataFrame with columns repeat, fold, row, test
        One line for each row of the dataset (counted from 0, rows without a target included) in each fold of each
        repeat; `test` tells whether the row is tested on there, or trained on.
    """
    name = f"{key}.splits-{task_id}.parquet"
    return {"file": name, "sha256": write_table_file(Path(folder) / name, splits)}


def read_splits(
    folder: Path | str, key: str, *, task_id: int | None = None, repeat: int = 0
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Official splits of one repeat, as :meth:`Task.splits` gives them.

    Parameters
    ----------
    folder, key
        See :func:`metahpo.datasets.cache.read_task`, whose task the splits belong to.
    task_id : int, default=None
        OpenML task; None takes the only one that was fetched for this dataset.
    repeat : int, default=0
        Repeat of the estimation procedure.

    Returns
    -------
    list of (train, test)
        Row numbers of the task that `read_task` returns, a pair a fold. Rows without a target are in none of them.

    Raises
    ------
    StoreError
        Missing or damaged files.
    DataError
        No splits were fetched, several and `task_id` names none of them, or no such repeat.
    """
    sidecar = read_sidecar(folder, key)
    hint = how_to_fetch(folder, key)
    tasks = {int(number): splits for number, splits in sidecar.get("tasks", {}).items() if splits is not None}
    if task_id is None and len(tasks) == 1:
        task_id = next(iter(tasks))
    if task_id not in tasks:
        raise DataError(
            f"dataset {key!r} has official splits of the OpenML tasks {sorted(tasks)}, but {task_id} was asked for; "
            f"`metahpo build prefetch --cache {folder} --task-ids ID` fetches those of a task."
        )
    rows = read_table_file(Path(folder) / tasks[task_id]["file"], tasks[task_id]["sha256"], hint)
    rows = rows[rows["repeat"] == repeat]
    if rows.empty:
        raise DataError(f"task {task_id} has no repeat {repeat}; repeats are counted from 0.")
    target = sidecar["target"]
    column = read_table_file(data_file(folder, key, sidecar["sha256"]), sidecar["sha256"], hint, columns=[target])[
        target
    ]
    known = column.notna().to_numpy()
    number = np.cumsum(known) - 1  # of a row among those that have a target
    rows = rows[known[rows["row"]]]
    return [
        (number[fold.loc[~fold["test"], "row"]], number[fold.loc[fold["test"], "row"]])
        for _, fold in rows.groupby("fold", sort=True)
    ]


def check_splits(splits: pd.DataFrame, n_rows: int, n_repeats: int, n_folds: int) -> None:
    """Raise an error for splits that do not fit a dataset of `n_rows` rows or are incomplete.

    Raises
    ------
    DataError
        Rows beyond the dataset, fewer folds than announced, a fold without training or test rows, or folds of
        different numbers of rows.
    """
    if splits.empty or splits["row"].min() < 0 or splits["row"].max() >= n_rows:
        raise DataError(f"the official splits hold other rows than 0 to {n_rows - 1}.")
    fold = splits.groupby(["repeat", "fold"])
    sizes = fold.size()
    if len(sizes) != n_repeats * n_folds or sizes.nunique() != 1 or (fold["test"].nunique() != 2).any():
        raise DataError(
            f"a part of the official splits is missing: expected {n_repeats} x {n_folds} folds, each with the same "
            f"number of rows, in training and in test; found {len(sizes)} of {sorted(set(sizes))[:5]} rows."
        )
