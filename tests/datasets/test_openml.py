"""What OpenML serves, through the real client: every format, checksums, splits, and tasks of other types."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metahpo.datasets.cache import cached_keys, read_task
from metahpo.datasets.prefetch import prefetch
from metahpo.datasets.splits import read_splits
from metahpo.exceptions import DataError, StoreError
from tests.datasets.openml_server import FRUIT, HALVES, Hosted, HostedTask, OpenMLServer, fetch, splits_of

openml = pytest.importorskip("openml")


@pytest.mark.parametrize("type_id", [5, 7])
def test_tasks_of_other_types_are_refused(server: OpenMLServer, tmp_path: Path, type_id: int) -> None:
    server.tasks[15] = HostedTask(1, type_id=type_id)
    outcomes = fetch(server, tmp_path, task_ids=[15, 11])
    assert outcomes["task 15"].startswith("not usable: task 15 is of ")
    assert outcomes["task 11"] == "fetched"


@pytest.mark.parametrize(
    ("splits", "reason"),
    [
        ("", "OpenML does not give the official splits of task 11"),
        (splits_of(HALVES, 13), "other rows than 0 to 11"),
        (splits_of(HALVES[:1], 12), "expected 1 x 2 folds"),
    ],
)
def test_a_dataset_is_kept_when_its_splits_cannot_be(
    server: OpenMLServer, tmp_path: Path, splits: str, reason: str
) -> None:
    server.tasks[11].splits = splits
    outcome = fetch(server, tmp_path, task_ids=[11])["task 11"]
    assert outcome.startswith("fetched, without official splits: ")
    assert reason in outcome
    assert fetch(server, tmp_path, task_ids=[11]) == {"task 11": "cached"}
    with pytest.raises(DataError, match=r"has official splits of the OpenML tasks \[\]"):
        read_splits(tmp_path, "1")


def test_the_client_is_left_as_it_was(server: OpenMLServer, tmp_path: Path) -> None:
    before = openml.config.get_config_as_dict()
    for fetched in prefetch(tmp_path, data_ids=[1], server=server.api, pause_seconds=0.0):
        assert json.dumps(openml.config.get_config_as_dict(), default=str) == json.dumps(before, default=str), fetched
    with pytest.raises(DataError):
        fetch(server, tmp_path, data_ids=[77])
    assert json.dumps(openml.config.get_config_as_dict(), default=str) == json.dumps(before, default=str)


def test_parquet_is_preferred_and_arff_its_substitute(server: OpenMLServer, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": range(12),
            "weight": [np.nan, *range(1, 12)],
            "colour": pd.Categorical(["red", "green", None] * 4),
            "class": pd.Categorical(["apple", "pear"] * 6),
            "price": np.arange(12, dtype=np.uint8),
        }
    )
    server.datasets = {i: Hosted(FRUIT, row_id="id", n_rows=12, parquet=frame) for i in (1, 2, 4)}
    server.datasets[2].parquet = frame[:0]  # announced, but not in the bucket
    server.faults = [("/datasets/4", "cut")]
    assert set(fetch(server, tmp_path, data_ids=[1, 2, 4]).values()) == {"fetched"}
    assert sum("/download/" in path for path in server.asked) == 1
    assert [read_task(tmp_path, key).X["weight"][2] for key in ("1", "2", "4")] == [2.0, 1.0, 2.0]
    assert read_task(tmp_path, "1").categorical == ("colour",)
    server.datasets[5] = Hosted(FRUIT, n_rows=13, parquet=frame)
    with pytest.raises(StoreError, match="13 rows were announced, but 12 came"):
        fetch(server, tmp_path, data_ids=[5])


def test_every_sort_of_attribute_arrives(server: OpenMLServer, tmp_path: Path) -> None:
    arff = (
        "% a comment\n@relation 'odd fruit'\n@attribute 'serial no' string\n@attribute picked date 'yyyy-MM-dd'\n"
        "@attribute note string\n@attribute size {S,M,L}\n@attribute ripe {True,False}\n@attribute sweet integer\n"
        "@attribute class {apple,pear}\n@data\n"
        + "\n".join(
            f"'n {i}',{'?' if i == 2 else f'2024-01-{i + 1:02d}'},'as it comes',{'SML'[i % 3]},{i % 2 == 0},{i},"
            + ("?" if i == 5 else "apple" if i % 3 else "pear")
            for i in range(12)
        )
    )
    server.datasets[6] = Hosted(arff, ignored=("serial no",))
    server.tasks[16] = HostedTask(6, splits=splits_of(HALVES, 12))
    assert fetch(server, tmp_path, task_ids=[16]) == {"task 16": "fetched"}
    task = read_task(tmp_path, "6")
    assert list(task.X.columns) == ["picked", "note", "size", "ripe", "sweet"]
    assert task.categorical == ("note", "size", "ripe")
    assert task.X["picked"][:4].tolist() == pytest.approx([19723, 19724, np.nan, 19726], nan_ok=True)
    # The row without a target is gone, and the official splits count without it.
    assert task.n_rows == 11
    assert task.X["sweet"].tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    (train, test), _ = read_splits(tmp_path, "6")
    assert task.X["sweet"].iloc[test].tolist() == [0, 2, 4, 6, 8, 10]
    assert task.X["sweet"].iloc[train].tolist() == [1, 3, 7, 9, 11]


def test_sparse_files_keep_their_empty_rows_and_columns(server: OpenMLServer, tmp_path: Path) -> None:
    server.datasets[7] = Hosted(
        "@relation s\n@attribute a numeric\n@attribute b numeric\n@attribute class {apple,pear}\n@attribute z numeric\n"
        "@data\n{0 1.5, 2 pear}\n{1 0.1}\n{2 pear}\n{0 ?}\n{ }\n{}\n"
    )
    assert fetch(server, tmp_path, data_ids=[7]) == {"dataset 7": "fetched"}
    task = read_task(tmp_path, "7")
    assert task.y.tolist() == [1, 0, 1, 0, 0, 0]
    assert task.X["b"].tolist() == [0, 0.1, 0, 0, 0, 0]
    assert task.X["a"].tolist() == pytest.approx([1.5, 0, 0, np.nan, 0, 0], nan_ok=True)
    assert (task.X["z"] == 0).all()


def test_a_file_with_a_wrong_checksum_is_fetched_again(server: OpenMLServer, tmp_path: Path) -> None:
    server.faults = [("/download/1", "other bytes")] * 3
    assert fetch(server, tmp_path, data_ids=[1]) == {"dataset 1": "fetched"}
    server.faults = [("/download/2", "other bytes")] * 4
    with pytest.raises(StoreError, match=r"dataset 2 could not be fetched in 4 tries: Checksum .* start the same"):
        fetch(server, tmp_path, data_ids=[2])
    assert cached_keys(tmp_path) == ["1"]


def test_without_a_checksum_the_counted_rows_tell_a_cut_file(server: OpenMLServer, tmp_path: Path) -> None:
    server.datasets[1].checksum = False
    server.faults = [("/download/1", "cut quietly")]
    assert fetch(server, tmp_path, data_ids=[1]) == {"dataset 1": "fetched"}
    assert read_task(tmp_path, "1").n_rows == 12
    server.datasets[2] = Hosted(FRUIT, n_rows=13, checksum=False)
    with pytest.raises(StoreError, match="13 rows were announced, but 12 came"):
        fetch(server, tmp_path, data_ids=[2])


def test_official_splits_come_with_a_task(server: OpenMLServer, tmp_path: Path) -> None:
    fetch(server, tmp_path, task_ids=[11])
    (first_train, first_test), (_, second_test) = read_splits(tmp_path, "1")
    assert first_test.tolist() == HALVES[0]
    assert second_test.tolist() == first_train.tolist() == HALVES[1]
