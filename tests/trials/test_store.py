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

from metahpo.exceptions import StoreError
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


@pytest.mark.parametrize("damage", [b"garbage\n", b"\n", b"[1]\n", b"\xff\x00\xfe\n", b'{"identity": "x"}\n'])
def test_a_damaged_middle_line_is_an_error_that_names_the_file(tmp_path: Path, damage: bytes) -> None:
    store = TrialStore(tmp_path)
    store.append([trial(0)])
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(damage + path.read_bytes())
    with pytest.raises(StoreError, match=rf"{path.name}' holds a damaged line"):
        list(store)
    if b"identity" not in damage:
        with pytest.raises(StoreError, match=rf"{path.name}' holds a damaged line"):
            store.identities()


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    writers = [writer(tmp_path, 0, 50), writer(tmp_path, 40, 50)]
    for process in writers:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert numbers(tmp_path) == list(range(90))


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
