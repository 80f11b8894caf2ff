"""Official splits: kept beside the dataset, read as rows of the task, refused when a part is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metahpo.datasets.cache import read_sidecar, read_task, verify, write_task
from metahpo.datasets.splits import check_splits, read_splits, write_splits
from metahpo.exceptions import DataError, StoreError

N = 6
FRAME = pd.DataFrame({"a": np.arange(N, dtype=float), "class": ["x", "y", None, "x", "y", "x"]})


def splits(*repeats: list[list[int]]) -> pd.DataFrame:
    """Cross-validation splits: the test rows of each fold of each repeat."""
    return pd.DataFrame(
        [
            (repeat, fold, row, row in test)
            for repeat, folds in enumerate(repeats)
            for fold, test in enumerate(folds)
            for row in range(N)
        ],
        columns=["repeat", "fold", "row", "test"],
    )


def cache(folder: Path, **tasks: pd.DataFrame) -> None:
    records = {name[1:]: write_splits(folder, "1", int(name[1:]), rows) for name, rows in tasks.items()}
    about = {"name": "s", "kind": "classification", "tasks": {**records, "99": None}}
    write_task(folder, "1", FRAME, "class", about)


def test_splits_are_rows_of_the_task_although_rows_without_a_target_are_gone(tmp_path: Path) -> None:
    cache(tmp_path, t7=splits([[0, 1, 2], [3, 4, 5]], [[0, 5, 4], [1, 2, 3]]))
    task = read_task(tmp_path, "1")
    (train, test), _ = read_splits(tmp_path, "1")
    assert task.X["a"].iloc[test].tolist() == [0, 1]
    assert task.X["a"].iloc[train].tolist() == [3, 4, 5]
    (train, test), _ = read_splits(tmp_path, "1", task_id=7, repeat=1)
    assert task.X["a"].iloc[test].tolist() == [0, 4, 5]
    assert task.X["a"].iloc[train].tolist() == [1, 3]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    cache(tmp_path, t7=splits([[0, 1], [2, 3, 4, 5]]), t8=splits([[2, 1], [0, 3, 4, 5]]))
    with pytest.raises(DataError, match=r"of the OpenML tasks \[7, 8\], but None was asked for; .*--task-ids"):
        read_splits(tmp_path, "1")
    with pytest.raises(DataError, match=r"\[7, 8\], but 99 was asked for"):
        read_splits(tmp_path, "1", task_id=99)
    with pytest.raises(DataError, match="task 7 has no repeat 1"):
        read_splits(tmp_path, "1", task_id=7, repeat=1)
    assert len(read_splits(tmp_path, "1", task_id=8)) == 2


def test_damaged_splits_are_refused_with_the_command_that_mends_them(tmp_path: Path) -> None:
    cache(tmp_path, t7=splits([[0, 1, 2], [3, 4, 5]]))
    assert verify(tmp_path, "1") == read_sidecar(tmp_path, "1")
    (tmp_path / "1.splits-7.parquet").write_bytes(b"PAR1")
    for look in (read_splits, verify):
        with pytest.raises(StoreError, match=r"splits-7.parquet' is damaged: .* `metahpo build prefetch --cache "):
            look(tmp_path, "1")
    (tmp_path / "1.splits-7.parquet").unlink()
    with pytest.raises(StoreError, match=r"splits-7.parquet' is missing"):
        read_splits(tmp_path, "1")


WHOLE = splits([[0, 1, 2], [3, 4, 5]], [[0, 2, 4], [1, 3, 5]])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (WHOLE[:0], "other rows than 0 to 5"),
        (WHOLE.assign(row=WHOLE["row"] + 1), "other rows than 0 to 5"),
        (WHOLE.assign(row=WHOLE["row"] - 1), "other rows than 0 to 5"),
        (WHOLE[:-1], r"expected 2 x 2 folds, .* found 4 of \[5, 6\] rows"),
        (WHOLE[:-6], r"found 3 of \[6\] rows"),
        (WHOLE.assign(test=False), "in training and in test"),
    ],
)
def test_incomplete_splits_are_refused(rows: pd.DataFrame, message: str) -> None:
    check_splits(WHOLE, N, 2, 2)
    with pytest.raises(DataError, match=message):
        check_splits(rows, N, 2, 2)
