"""The trial store loses nothing that was finished: kills, full disks, many writers, damaged files."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metahpo.exceptions import StoreError, StoreWarning
from metahpo.trials.compaction import compact
from metahpo.trials.log import whole_lines
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

WRITER = """
import sys
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

store, first, n = TrialStore(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for i in range(first, first + n):
    store.append([Trial(TrialKey("task", "svm", {"C": float(i)}, "v1"), TrialStatus.SUCCESS, message="x" * 3000)])
    print(i, flush=True)
"""


def trial(i: int, message: str = "") -> Trial:
    return Trial(TrialKey("task", "svm", {"C": float(i)}, "v1"), TrialStatus.SUCCESS, message=message)


def numbers(folder: Path) -> list[float]:
    return sorted(t.key.configuration["C"] for t in TrialStore(folder))


def writer(folder: Path, first: int, n: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(first), str(n)], stdout=subprocess.PIPE, text=True
    )


def test_trials_come_back_from_every_writer_once(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "store"
    one, two = TrialStore(folder), TrialStore(folder)
    one.append([trial(0), trial(1)])
    two.append([trial(1), trial(2)])
    one.append([])
    one.append([trial(3)])
    assert numbers(folder) == [0, 1, 2, 3]
    assert one.identities() == {trial(i).key.identity for i in range(4)}
    assert len(list(folder.iterdir())) == 2


def test_an_empty_store_has_no_trials(tmp_path: Path) -> None:
    assert list(TrialStore(tmp_path)) == []
    assert TrialStore(tmp_path).identities() == set()


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_torn_last_line_is_passed_over(tmp_path: Path, cut: int) -> None:
    store = TrialStore(tmp_path)
    store.append([trial(0), trial(1)])
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-cut])
    assert numbers(tmp_path) == [0]
    assert len(store.identities()) == 1
    TrialStore(tmp_path).append([trial(1)])  # started again, the writer has a new file
    assert numbers(tmp_path) == [0, 1]


WHOLE = trial(7).to_json()
DAMAGE = [
    b"garbage\n",
    b"\n",
    b"[1]\n",
    b"\xff\x00\xfe\n",
    bytes(500) + b"\n",
    b"[" * 100_000 + b"\n",
    b'{"identity": "x"}\n',
    b'{"schema":2,"kind":"dream"}\n',
    b'{"schema":2,"kind":"retry","identity":7,"attempt":2}\n',
    b'{"schema":2,"kind":"retry","identity":"x","attempt":"2"}\n',
    b'{"schema":2,"kind":"refusal","task":["a"],"reason":"r"}\n',
    f"{WHOLE[:100]}{WHOLE}\n".encode(),
    WHOLE.replace('"C":7.0', '"C":8.0').encode() + b"\n",
    WHOLE.replace('"attempt":1', '"attempt":"1"').encode() + b"\n",
    WHOLE.replace('"attempt":1', f'"attempt":{2**70}').encode() + b"\n",
    WHOLE.replace('"fold_losses":{}', '"fold_losses":{"r2":["a"]}').encode() + b"\n",
    WHOLE.replace('"message":""', '"message":null').encode() + b"\n",
    WHOLE.replace('"seconds":0.0', '"seconds":"0"').encode() + b"\n",
    WHOLE.encode("utf-16") + b"\n",
]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: repr(damage[-30:]))
def test_a_damaged_line_is_passed_over_and_its_file_named_by_every_way_to_read(tmp_path: Path, damage: bytes) -> None:
    TrialStore(tmp_path).append([trial(0), trial(1)])
    (path,) = tmp_path.glob("*.jsonl")
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + damage + second)
    names = rf"{path.name}' holds 1 damaged lines, .* pending again; `metahpo build verify .* --repair` sets"
    store = TrialStore(tmp_path)
    with pytest.warns(StoreWarning, match=names):
        assert numbers(tmp_path) == [0, 1]
    with pytest.warns(StoreWarning, match=names):
        assert store.identities() == {trial(i).key.identity for i in (0, 1)}
    assert len(store.identities()) == 2  # said once
    with pytest.warns(StoreWarning, match=names):
        assert len(store.to_frame()) == 2
    with pytest.warns(StoreWarning, match=names):
        assert len(list(store.of_tasks({"task"}))) == 2
    assert store.refusals() == {}


def test_a_reader_waits_for_the_end_of_a_line_that_is_being_written(tmp_path: Path) -> None:
    lines = b"".join(f"{trial(i).to_json()}\n".encode() for i in range(3))
    path = tmp_path / "trials-a.jsonl"
    store = TrialStore(tmp_path)
    for end in range(0, len(lines) + 1, 7):
        path.write_bytes(lines[:end])
        assert len(store.identities()) == lines[:end].count(b"\n")
    path.write_bytes(lines)
    assert len(store.identities()) == 3


def test_a_line_that_grows_while_it_is_read_is_not_taken_for_two(tmp_path: Path) -> None:
    line = f"{trial(0).to_json()}\n".encode()
    path = tmp_path / "trials-a.jsonl"
    path.write_bytes(line + line[:50])
    reading = whole_lines(path)
    assert next(reading) == line
    with open(path, "ab") as file:
        file.write(line[50:] + line)
    assert [*reading] in ([], [line, line])


def test_a_record_of_a_newer_version_stops_every_call_and_not_the_first_alone(tmp_path: Path) -> None:
    (tmp_path / "trials-a.jsonl").write_text('{"schema":99}\n')
    store = TrialStore(tmp_path)
    for _ in range(2):
        with pytest.raises(StoreError, match="version 99"):
            store.identities()


def test_of_tasks_gives_what_iteration_gives_of_them_compacted_or_not(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    store.append(Trial(TrialKey(f"t{i % 5}", "svm", {"C": float(i)}, "v1"), TrialStatus.SUCCESS) for i in range(40))
    failed = TrialKey("t1", "svm", {"C": -1.0}, "v1")
    store.append([Trial(failed, TrialStatus.TIMEOUT, message="why")])
    store.retry([TrialStatus.TIMEOUT])
    for _ in range(2):
        expected = sorted(t.to_json() for t in TrialStore(tmp_path) if t.key.task in ("t1", "t4"))
        assert len(expected) == 16
        assert sorted(t.to_json() for t in TrialStore(tmp_path).of_tasks({"t1", "t4", "t9"})) == expected
        store._writer.close()
        compact(tmp_path)


READER = """
import sys, time
from metahpo.trials.store import TrialStore

reader, n = TrialStore(sys.argv[1]), int(sys.argv[2])
while len(reader.identities()) < n:
    time.sleep(0.001)
"""


def test_two_processes_write_at_once_and_a_reader_that_polls_beside_them_meets_no_damaged_line(tmp_path: Path) -> None:
    writers = [writer(tmp_path, first, 200) for first in (0, 160)]
    command = [sys.executable, "-W", "error", "-c", READER, str(tmp_path), "360"]
    try:
        subprocess.run(command, check=True, timeout=100)
        assert [process.wait(timeout=60) for process in writers] == [0, 0]
    finally:
        for process in writers:
            process.kill()
            process.communicate()
    assert numbers(tmp_path) == list(range(360))


def test_kill_in_the_middle_of_appending_leaves_every_finished_trial(tmp_path: Path) -> None:
    process = writer(tmp_path, 0, 10**6)
    assert process.stdout is not None
    try:
        while int(process.stdout.readline()) < 30:
            pass
        time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        reported = [int(line) for line in process.communicate()[0].splitlines() if line.strip()]
    finally:
        process.kill()
    survived = numbers(tmp_path)
    assert survived == list(range(len(survived)))
    assert len(survived) > max(reported, default=30)  # all that the writer reported, and perhaps one more


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: writes there fail half-way, as on a full disk.

    It spans one call alone: the test runner's own output may be a longer file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal_before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, signal_before)


def test_a_full_disk_is_an_error_and_what_was_written_stays_whole(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    store.append([trial(0)])
    with (
        small_disk(4000),
        pytest.raises(StoreError, match=r"cannot be appended to .* Nothing finished before is lost; make room"),
    ):
        store.append([trial(1, "x" * 4000)])
    assert numbers(tmp_path) == [0]
    store.append([trial(2)])  # half of trial 1 must not stand before it
    assert numbers(tmp_path) == [0, 2]


def test_a_folder_that_is_a_file_or_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"trial store .*file' cannot be created"):
        TrialStore(tmp_path / "file")
    store = TrialStore(tmp_path / "store")
    (tmp_path / "store").rmdir()
    with pytest.raises(StoreError, match="cannot be appended to"):
        store.append([trial(0)])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_can_be_read_and_not_written(tmp_path: Path) -> None:
    TrialStore(tmp_path).append([trial(0)])
    tmp_path.chmod(0o500)
    try:
        assert numbers(tmp_path) == [0]
        with pytest.raises(StoreError, match="cannot be appended to"):
            TrialStore(tmp_path).append([trial(1)])
    finally:
        tmp_path.chmod(0o700)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "trials-a.jsonl").mkdir()
    with pytest.raises(StoreError, match=r"trials-a.jsonl' cannot be read"):
        list(TrialStore(tmp_path))
