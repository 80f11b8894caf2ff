"""Prefetching through the real client, from a local server that answers as OpenML's does, and fails as it does."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from metahpo.datasets.cache import cached_keys, read_refusals, read_sidecar, read_task
from metahpo.datasets.prefetch import prefetch
from metahpo.datasets.splits import read_splits
from metahpo.exceptions import DataError, StoreError
from tests.datasets.openml_server import FRUIT, HALVES, HEAD, Hosted, HostedTask, OpenMLServer, fetch, splits_of

openml = pytest.importorskip("openml")


def fetch_in_part(server: OpenMLServer, cache: Path, message: str, **what: Any) -> list[str]:
    """Outcomes before the error that says `message`."""
    seen: list[str] = []
    fetching = prefetch(cache, server=server.api, first_wait_seconds=0.01, pause_seconds=0.0, **what)
    with pytest.raises(StoreError, match=message):
        seen.extend(str(fetched) for fetched in fetching)
    return seen


def test_a_suite_becomes_tasks_of_our_cache(server: OpenMLServer, tmp_path: Path) -> None:
    outcomes = fetch(server, tmp_path, suite="fruits")
    assert outcomes["task 11"] == outcomes["task 12"] == "fetched"
    assert outcomes["task 13"].startswith("not usable: classification needs at least two classes")
    assert cached_keys(tmp_path) == ["1", "2-price"]
    fruit = read_task(tmp_path, "1")
    assert (fruit.kind, fruit.classes, fruit.data_id, fruit.name) == ("classification", ("apple", "pear"), 1, "fruit1")
    assert fruit.numeric == ("weight", "price")  # the row id is no feature
    assert fruit.categorical == ("colour",)
    np.testing.assert_array_equal(fruit.X["weight"][:3], [np.nan, 0.5, 1.0])
    price = read_task(tmp_path, "2-price")
    assert (price.kind, price.name, price.family) == ("regression", "fruit2-price", "fruit2")
    assert price.categorical == ("colour", "class")
    assert price.numeric == ()
    assert price.y.tolist() == [i * 1.5 for i in range(12)]
    about = read_sidecar(tmp_path, "1")
    assert {k: v for k, v in about.items() if k not in ("sha256", "source", "tasks")} == {
        "data_id": 1, "name": "fruit1", "version": 3, "kind": "classification", "family": "fruit1", "target": "class",
        "n_rows": 12, "n_features": 3, "n_classes": 2, "categorical": ["colour"], "n_missing": 3, "licence": "CC0",
    }  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_with_everything_cached_the_network_is_not_touched(server: OpenMLServer, tmp_path: Path) -> None:
    fetch(server, tmp_path, suite="fruits", data_ids=[1])
    server.asked.clear()
    again = fetch(server, tmp_path, suite="fruits", data_ids=[1], task_ids=[11])
    assert server.asked == []
    assert again.pop("task 13").startswith("not usable: classification needs at least two classes")
    assert set(again.values()) == {"cached"}


def test_only_what_is_missing_is_asked_for(server: OpenMLServer, tmp_path: Path) -> None:
    assert fetch(server, tmp_path, data_ids=[1]) == {"dataset 1": "fetched"}
    server.asked.clear()
    assert fetch(server, tmp_path, data_ids=[1, 2]) == {"dataset 1": "cached", "dataset 2": "fetched"}
    assert not any(path.endswith("/1") for path in server.asked)
    server.asked.clear()
    assert fetch(server, tmp_path, task_ids=[11]) == {"task 11": "fetched"}  # the dataset is there: splits alone
    assert not any("download" in path for path in server.asked)
    assert len(read_splits(tmp_path, "1", task_id=11)) == 2


REQUESTS = ("/task/11", "/data/1", "/features/1", "/download/1", "/splits/11")


@pytest.mark.parametrize("fault", ["500", "503", "page", "busy", "412", "hang up", "cut", "cut quietly"])
def test_a_passing_fault_of_any_request_leaves_no_trace(server: OpenMLServer, tmp_path: Path, fault: str) -> None:
    server.faults = [(request, fault) for request in REQUESTS]
    assert fetch(server, tmp_path, task_ids=[11]) == {"task 11": "fetched"}
    assert server.faults == []
    assert read_task(tmp_path, "1").n_rows == 12
    assert [test.tolist() for _, test in read_splits(tmp_path, "1")] == HALVES


def test_a_server_that_falls_silent_is_asked_again(server: OpenMLServer, tmp_path: Path) -> None:
    server.faults = [("/download/1", "silent")]
    assert fetch(server, tmp_path, data_ids=[1], timeout_seconds=0.5) == {"dataset 1": "fetched"}
    assert sum("/download/1" in path for path in server.asked) == 2


def test_each_wait_is_twice_the_one_before_and_requests_keep_a_distance(server: OpenMLServer, tmp_path: Path) -> None:
    server.faults = [("/data/1", "503")] * 3
    fetch(server, tmp_path, data_ids=[1], first_wait_seconds=0.05, pause_seconds=0.02)
    between = np.diff(server.asked_at)
    assert (between[:3] > [0.05, 0.1, 0.2]).all()
    assert (between[3:] > 0.02).all()


def test_a_lasting_fault_fails_its_dataset_and_no_other(server: OpenMLServer, tmp_path: Path) -> None:
    server.faults = [("/download/2", "500")] * 4
    message = r"dataset 2 could not be fetched in 4 tries: .* start the same command again"
    seen = fetch_in_part(server, tmp_path, message, data_ids=[2, 1])
    assert seen[0].startswith("[1/2] dataset 2: failed: dataset 2 could not be fetched in 4 tries")
    assert seen[1] == "[2/2] dataset 1: fetched"
    assert fetch(server, tmp_path, data_ids=[2, 1]) == {"dataset 2": "fetched", "dataset 1": "cached"}


def test_a_server_that_is_gone_is_not_asked_for_everything(server: OpenMLServer, tmp_path: Path) -> None:
    server.faults = [("", "hang up")] * 100
    seen = fetch_in_part(
        server, tmp_path, "dataset 1 could not .* with 2 more. 46 were not tried", data_ids=range(1, 50)
    )
    assert len(seen) == 3


def test_a_killed_run_goes_on_where_it_stopped(server: OpenMLServer, tmp_path: Path) -> None:
    server.faults = [("/download/2", "silent")]
    code = (
        "import sys; from metahpo.datasets.prefetch import prefetch; "
        "list(prefetch(sys.argv[1], data_ids=[1, 2], server=sys.argv[2]))"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), server.api])
    try:
        deadline = time.monotonic() + 60
        while server.faults and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        child.kill()
        child.wait()
    assert cached_keys(tmp_path) == ["1"]
    assert fetch(server, tmp_path, data_ids=[1, 2]) == {"dataset 1": "cached", "dataset 2": "fetched"}
    assert read_task(tmp_path, "2").n_rows == 12


@pytest.mark.parametrize("victim", ["1.parquet", "1.splits-11.parquet", "1.json"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "removed"])
def test_a_damaged_entry_is_fetched_again(server: OpenMLServer, tmp_path: Path, victim: str, damage: str) -> None:
    fetch(server, tmp_path, task_ids=[11])
    path = tmp_path / victim
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[1] ^= 255
        path.write_bytes(content)
    outcome = fetch(server, tmp_path, task_ids=[11])["task 11"]
    assert outcome.startswith("fetched")
    assert victim == "1.json" or damage == "removed" or "is damaged: expected SHA-256" in outcome
    assert read_task(tmp_path, "1").n_rows == 12
    assert len(read_splits(tmp_path, "1")) == 2
    assert fetch(server, tmp_path, task_ids=[11]) == {"task 11": "cached"}


def test_a_damaged_entry_of_two_tasks_is_mended_for_both(server: OpenMLServer, tmp_path: Path) -> None:
    server.tasks[21] = HostedTask(1, splits=splits_of(HALVES[::-1], 12))
    fetch(server, tmp_path, task_ids=[11, 21])
    assert read_splits(tmp_path, "1", task_id=21)[0][1].tolist() == HALVES[1]
    (tmp_path / "1.splits-21.parquet").write_bytes(b"")
    assert all(outcome.startswith("fetched") for outcome in fetch(server, tmp_path, task_ids=[11, 21]).values())
    assert set(fetch(server, tmp_path, task_ids=[11, 21]).values()) == {"cached"}
    assert read_splits(tmp_path, "1", task_id=21)[0][1].tolist() == HALVES[1]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"data_ids": [77]}, "OpenML does not give dataset 77: .*Unknown thing"),
        ({"task_ids": [77]}, "OpenML does not give task 77"),
        ({"suite": "vegetables"}, "OpenML does not give suite 'vegetables'"),
        ({"suite": "empty"}, "suite 'empty' lists no tasks"),
        ({"suite": "runs"}, "'runs' is a study of runs; expected a suite of tasks"),
        ({}, "nothing to fetch: give the name of a suite"),
    ],
)
def test_what_the_server_does_not_have_is_named(server: OpenMLServer, tmp_path: Path, what: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fetch(server, tmp_path, **what)


def test_unknown_ids_are_recorded_and_asked_for_again(server: OpenMLServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"OpenML does not give dataset 77.* 1 more"):
        fetch(server, tmp_path, data_ids=[77, 1], task_ids=[78])
    assert cached_keys(tmp_path) == ["1"]
    assert read_refusals(tmp_path).keys() == {"77", "task-78"}
    with pytest.raises(DataError, match="dataset '77' cannot be used: OpenML does not give dataset 77"):
        read_task(tmp_path, "77")
    server.datasets[77] = server.datasets[1]
    assert fetch(server, tmp_path, data_ids=[77]) == {"dataset 77": "fetched"}
    assert read_refusals(tmp_path).keys() == {"task-78"}


def test_the_size_limit_spares_the_download(server: OpenMLServer, tmp_path: Path) -> None:
    outcome = fetch(server, tmp_path, data_ids=[1], max_cells=59)["dataset 1"]
    assert "12 rows of 5 columns, 60 cells, which is over the size limit of 59" in outcome
    assert not any("download" in path for path in server.asked)
    server.asked.clear()
    assert "size limit of 59" in fetch(server, tmp_path, data_ids=[1], max_cells=59)["dataset 1"]
    assert server.asked == []  # the refusal is remembered, until the limit changes
    assert fetch(server, tmp_path, data_ids=[1], max_cells=60) == {"dataset 1": "fetched"}
    # Where OpenML has not counted, reading stops at the limit.
    assert "over the size limit" in fetch(server, tmp_path, data_ids=[2], max_cells=59)["dataset 2"]


@pytest.mark.parametrize(
    ("hosted", "reason"),
    [
        (Hosted(FRUIT, target=None), "no single target column (its default is None)"),
        (Hosted(FRUIT, target="class,price"), "no single target column (its default is 'class,price')"),
        (Hosted(FRUIT, target="taste"), "no single target column (its default is 'taste')"),
        (Hosted(HEAD), "at least one row and one column"),
        (Hosted(HEAD + "1,2,red,?,3\n"), "every row's target is missing"),
        (Hosted(FRUIT.replace("colour", "weight")), "no ARFF file that can be read"),
        (Hosted(FRUIT.replace("{red,green}", "{red,blue}")), "no ARFF file that can be read"),
        (Hosted(FRUIT, ignored=("id", "weight", "colour", "price")), "at least one row and one column"),
    ],
)
def test_what_makes_no_task_is_named_and_the_rest_fetched(
    server: OpenMLServer, tmp_path: Path, hosted: Hosted, reason: str
) -> None:
    server.datasets[5] = hosted
    outcomes = fetch(server, tmp_path, data_ids=[5, 1])
    assert outcomes["dataset 5"].startswith("not usable: ")
    assert reason in outcomes["dataset 5"]
    assert outcomes["dataset 1"] == "fetched"
    assert reason in read_refusals(tmp_path)["5"]["reason"]


def test_a_cache_that_cannot_be_made_is_named(server: OpenMLServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"the dataset cache .* cannot be written"):
        fetch(server, tmp_path / "file", data_ids=[1])


def test_the_command_line_tells_what_became_of_each(
    server: OpenMLServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from metahpo.cli import main

    fetch(server, tmp_path, task_ids=[11, 13])
    arguments = ["prefetch", "--cache", str(tmp_path), "--server", server.api, "--task-ids", "11", "13"]
    assert main(arguments) == 1  # not everything that was asked for is there
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "[1/2] task 11: cached"
    assert lines[1].startswith("[2/2] task 13: not usable: ")
    assert "1 cannot be used" in printed.err
    assert main([*arguments[:-2], "77"]) == 1
    assert "OpenML does not give task 77" in capsys.readouterr().err


def test_a_file_beyond_the_limit_is_refused_until_the_limit_is_raised(server: OpenMLServer, tmp_path: Path) -> None:
    server.datasets[2] = Hosted(HEAD + "\n".join(f"{i},1,red,apple,1" for i in range(5000)))
    outcomes = fetch(server, tmp_path, data_ids=[2, 1], max_bytes=20_000)
    assert outcomes["dataset 2"].startswith("not usable: ")
    assert outcomes["dataset 2"].endswith("is larger than 20000 bytes; raise the limit (max_bytes) to take it.")
    assert outcomes["dataset 1"] == "fetched"
    server.asked.clear()
    assert fetch(server, tmp_path, data_ids=[2], max_bytes=20_000)["dataset 2"].startswith("not usable: ")
    assert server.asked == []
    server.datasets[2] = Hosted(FRUIT)
    assert fetch(server, tmp_path, data_ids=[2], max_bytes=30_000) == {"dataset 2": "fetched"}


def test_other_users_of_requests_are_not_slowed_down(server: OpenMLServer, tmp_path: Path) -> None:
    before = requests.Session, requests.Session.request
    for fetched in prefetch(tmp_path, data_ids=[1], server=server.api, pause_seconds=0.0):
        assert (requests.Session, requests.Session.request) == before, fetched
    assert openml._api_calls.requests is requests
