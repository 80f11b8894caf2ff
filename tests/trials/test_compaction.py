"""Compaction, merging and asking again: what a store says is the same before and after, whatever interrupts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metahpo.exceptions import StoreError
from metahpo.trials.compaction import LOCK_FILE, compact, repair
from metahpo.trials.records import TaskRefusal, record_from_json
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialKey, TrialStatus


def trial(i: int, status: TrialStatus = TrialStatus.SUCCESS, loss: float = 0.5, attempt: int = 1) -> Trial:
    succeeded = status is TrialStatus.SUCCESS
    return Trial(
        TrialKey("task", "svm", {"C": float(i), "kernel": None}, "v1"),
        status,
        fold_losses={"accuracy": [loss]} if succeeded else {},
        message="" if succeeded else "why",
        attempt=attempt,
        learning_curve={"accuracy": [float("nan"), loss]} if succeeded else {},
    )


def write(folder: Path, *trials: Trial | TaskRefusal) -> None:
    """By a writer that is gone afterwards."""
    store = TrialStore(folder)
    store.append(trials)
    store._writer.close()


def state(folder: Path) -> dict[str, str]:
    """All trials that stand, as their lines."""
    return {t.key.identity: t.to_json() for t in TrialStore(folder)}


def consistent(folder: Path) -> None:
    """The three ways to read a store agree."""
    stands = state(folder)
    store = TrialStore(folder)
    assert store.identities() == stands.keys()
    frame = store.to_frame(identities=True).set_index("identity")
    assert set(frame.index) == stands.keys()
    for t in TrialStore(folder):
        row = frame.loc[t.key.identity]
        assert (row["status"], row["attempt"], row["task"]) == (t.status, t.attempt, "task")


def test_compaction_keeps_every_record_and_removes_the_logs(tmp_path: Path) -> None:
    write(tmp_path, *(trial(i) for i in range(50)))
    write(tmp_path, *(trial(i, TrialStatus.TIMEOUT) for i in range(40, 60)), TaskRefusal("bad", "no rows", 1.0))
    before = state(tmp_path)
    assert str(compact(tmp_path)) == "71 records of 2 files are in Parquet now"
    assert [p.suffix for p in tmp_path.glob("trials-*")] == [".parquet"]
    assert state(tmp_path) == before
    assert TrialStore(tmp_path).refusals() == {"bad": TaskRefusal("bad", "no rows", 1.0)}
    consistent(tmp_path)
    write(tmp_path, trial(100))
    consistent(tmp_path)
    assert len(state(tmp_path)) == 61
    assert compact(tmp_path).n_records == 1
    assert compact(tmp_path).n_records == 0
    assert len(list(tmp_path.glob("trials-*"))) == 2
    assert len(state(tmp_path)) == 61


def test_a_writer_of_many_records_compacts_as_it_goes(tmp_path: Path) -> None:
    store = TrialStore(tmp_path, compact_every=20)
    for i in range(0, 50, 5):
        store.append(trial(j) for j in range(i, i + 5))
        assert len(TrialStore(tmp_path).identities()) == i + 5
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    assert len(list(tmp_path.glob("*.jsonl"))) == 1
    consistent(tmp_path)


def test_a_log_that_is_still_written_stays(tmp_path: Path) -> None:
    writer = TrialStore(tmp_path)
    writer.append([trial(0)])
    write(tmp_path, trial(1))
    assert str(compact(tmp_path)).endswith("1 files are still being written and stay")
    writer.append([trial(2)])
    assert len(state(tmp_path)) == 3


def test_a_reader_that_remembers_meets_moved_records_again_and_keeps_its_count(tmp_path: Path) -> None:
    reader = TrialStore(tmp_path)
    write(tmp_path, trial(0), trial(1, TrialStatus.CRASHED))
    assert len(reader.identities()) == 2
    compact(tmp_path)
    write(tmp_path, trial(1), trial(2))
    assert reader.identities() == {trial(i).key.identity for i in range(3)}


def test_a_compaction_killed_before_it_removed_the_logs_is_finished_by_the_next(tmp_path: Path) -> None:
    write(tmp_path, trial(0), trial(1))
    (log,) = tmp_path.glob("*.jsonl")
    content = log.read_bytes()
    compact(tmp_path)
    log.write_bytes(content)
    (tmp_path / ".trials-0.parquet.1").write_bytes(b"half a part")
    assert len(state(tmp_path)) == 2
    assert compact(tmp_path).n_records == 0
    assert len([p for p in tmp_path.iterdir() if p.name != LOCK_FILE]) == 1
    consistent(tmp_path)


def test_a_torn_last_line_is_left_behind_and_damaged_ones_are_set_aside(tmp_path: Path) -> None:
    write(tmp_path, trial(0), trial(1))
    (log,) = tmp_path.glob("*.jsonl")
    log.write_bytes(log.read_bytes()[:-30])
    assert compact(tmp_path).n_records == 1
    (tmp_path / "trials-bad.jsonl").write_text(f"garbage\n{trial(2).to_json()}\n\n")
    done = compact(tmp_path)
    aside = tmp_path / "damaged" / "trials-bad.jsonl.lines"
    assert (done.n_records, done.set_aside) == (1, (aside,))
    assert str(done).endswith(f"what was damaged is in {str(aside)!r} now")
    assert aside.read_text() == "garbage\n\n"
    assert not list(tmp_path.glob("*.jsonl"))
    assert len(state(tmp_path)) == 2
    consistent(tmp_path)


def rename_sources(part: Path, sources: object) -> None:
    """Write a part anew that says it was made of other files."""
    table = pq.read_table(part)
    pq.write_table(table.replace_schema_metadata({"metahpo": json.dumps(sources)}), part)


@pytest.mark.parametrize(
    "name",
    [
        "../home/trials-a.jsonl",
        "../home/precious.txt",
        "plan.json",
        ".compaction.lock",
        "trials-/../plan.json.jsonl",
        "",
    ],
)
def test_a_part_that_names_other_files_than_logs_removes_none(tmp_path: Path, name: str) -> None:
    home, folder = tmp_path / "home", tmp_path / "store"
    for path in (home / "trials-a.jsonl", home / "precious.txt", folder / "plan.json"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("1234")
    write(folder, trial(0))
    compact(folder)
    (part,) = folder.glob("*.parquet")
    rename_sources(part, {name: 4})
    with pytest.raises(StoreError, match=rf"{part.name}' cannot be read .its metadata name other files"):
        compact(folder)
    assert repair(folder, record_from_json).set_aside == (folder / "damaged" / part.name,)
    for path in (home / "trials-a.jsonl", home / "precious.txt", folder / "plan.json"):
        assert path.read_text() == "1234"
    assert compact(folder).n_records == 0
    assert len(state(folder)) == 1


@pytest.mark.parametrize("sources", [[], [1], "trials-a.jsonl", None, {"trials-a.jsonl": "4"}])
def test_damaged_metadata_of_a_part_are_named(tmp_path: Path, sources: object) -> None:
    write(tmp_path, trial(0))
    compact(tmp_path)
    (part,) = tmp_path.glob("*.parquet")
    rename_sources(part, sources)
    with pytest.raises(StoreError, match=part.name):
        compact(tmp_path)


def test_a_log_goes_only_if_its_records_are_in_the_part_that_claims_it(tmp_path: Path) -> None:
    write(tmp_path, trial(0))
    compact(tmp_path)
    (part,) = tmp_path.glob("*.parquet")
    write(tmp_path, trial(1))
    (log,) = tmp_path.glob("*.jsonl")
    rename_sources(part, {log.name: log.stat().st_size})
    assert compact(tmp_path).n_records == 1
    assert len(state(tmp_path)) == 2


def test_a_part_of_other_columns_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"kind": ["trial"], "line": ["x"]}), tmp_path / "trials-x.parquet")
    for read in (list, TrialStore.identities, TrialStore.to_frame, TrialStore.refusals):
        with pytest.raises(StoreError, match=r"trials-x.parquet' cannot be read"):
            read(TrialStore(tmp_path))


def test_compaction_while_others_write_loses_nothing(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom metahpo.trials.store import TrialStore\n"
        "from metahpo.trials.trial import Trial, TrialKey, TrialStatus\n"
        "for i in range(300):\n"
        "    if i % 10 == 0: store = TrialStore(sys.argv[1])\n"  # thirty short writers
        "    store.append([Trial(TrialKey('task', 'svm', {'C': float(i)}, 'v1'), TrialStatus.SUCCESS)])\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    reader = TrialStore(tmp_path)
    while writer.poll() is None:
        compact(tmp_path)
        reader.identities()
    assert writer.wait() == 0
    compact(tmp_path)
    assert len(state(tmp_path)) == len(reader.identities()) == 300
    consistent(tmp_path)


def test_a_second_compaction_waits_for_its_turn(tmp_path: Path) -> None:
    hold = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True); time.sleep(1000)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / LOCK_FILE)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StoreError, match=r"another compaction of .* is running"):
            compact(tmp_path)
    finally:
        holder.kill()
        holder.communicate()


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    write(tmp_path, trial(0))
    compact(tmp_path)
    (part,) = tmp_path.glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-20])
    for read in (list, TrialStore.identities, TrialStore.to_frame):
        with pytest.raises(StoreError, match=rf"the part .*{part.name}' cannot be read .* bring it back from a copy"):
            read(TrialStore(tmp_path))


def test_a_success_stands_before_failures_and_a_later_attempt_before_an_earlier_one(tmp_path: Path) -> None:
    write(tmp_path, trial(0, TrialStatus.TIMEOUT), trial(1, TrialStatus.CRASHED, attempt=2), trial(2, loss=0.1))
    write(tmp_path, trial(0), trial(1, TrialStatus.TIMEOUT), trial(2, loss=0.9), trial(2, TrialStatus.CRASHED))
    for _ in range(2):
        stands = {t.key.configuration["C"]: t for t in TrialStore(tmp_path)}
        assert [stands[i].status for i in (0, 1, 2)] == ["success", "crashed", "success"]
        consistent(tmp_path)
        compact(tmp_path)


def test_retry_owes_failures_again_and_counts_attempts(tmp_path: Path) -> None:
    write(tmp_path, trial(0), trial(1, TrialStatus.TIMEOUT), trial(2, TrialStatus.CRASHED))
    store = TrialStore(tmp_path)
    assert store.retry([TrialStatus.TIMEOUT, TrialStatus.SUCCESS]) == 1
    again = trial(1).key.identity
    for compacted in (False, True):
        if compacted:
            store._writer.close()
            compact(tmp_path)
        assert TrialStore(tmp_path).identities() == {trial(0).key.identity, trial(2).key.identity}
        consistent(tmp_path)
    worker = TrialStore(tmp_path)
    worker.identities()
    worker.append([trial(1, TrialStatus.TIMEOUT)])
    assert next(t for t in TrialStore(tmp_path) if t.key.identity == again).attempt == 2
    assert TrialStore(tmp_path).retry([TrialStatus.TIMEOUT]) == 1
    assert again not in worker.identities()
    worker.append([trial(1)])
    assert next(t for t in TrialStore(tmp_path) if t.key.identity == again).status is TrialStatus.SUCCESS
    assert TrialStore(tmp_path).retry(list(TrialStatus)) == 1  # the crashed one
    consistent(tmp_path)


def test_merge_brings_what_is_missing_once(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    write(mine, trial(0, loss=0.1), trial(1, TrialStatus.TIMEOUT))
    write(other, trial(0, loss=0.9), trial(1), trial(2), trial(3, TrialStatus.INVALID))
    before = state(other)
    assert TrialStore(mine).merge(TrialStore(other)) == 3
    assert TrialStore(mine).merge(TrialStore(other)) == 0
    assert TrialStore(mine).merge(TrialStore(mine)) == 0
    merged = {t.key.configuration["C"]: t for t in TrialStore(mine)}
    assert merged[0.0].loss("accuracy") == 0.1
    assert [merged[i].status for i in (1, 2, 3)] == ["success", "success", "invalid"]
    assert state(other) == before


def test_a_kill_in_the_middle_of_a_compaction_loses_nothing(tmp_path: Path) -> None:
    write(tmp_path, *(trial(i) for i in range(3000)))
    before = state(tmp_path)
    script = (  # one process that takes a second to import compacts in a child for each delay, and kills it
        "import os, signal, sys, time\nfrom metahpo.trials.compaction import compact\n"
        "for delay in sys.stdin:\n"
        "    if (child := os.fork()) == 0:\n"
        "        compact(sys.argv[1])\n"
        "        os._exit(0)\n"
        "    time.sleep(float(delay))\n"
        "    os.kill(child, signal.SIGKILL)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for delay in (0.0, 0.02, 0.05, 0.1):
            process.stdin.write(f"{delay}\n")
            process.stdin.flush()
            assert process.stdout.readline() in (f"{-signal.SIGKILL}\n", "0\n")
            assert state(tmp_path) == before
    compact(tmp_path)
    assert state(tmp_path) == before
    assert len(os.listdir(tmp_path)) == 2  # one part, and the lock


def test_versions__the_first_is_read_and_one_above_ours_says_what_to_do(tmp_path: Path) -> None:
    record = json.loads(trial(0).to_json())
    news = ["schema", "kind", "attempt", "finished", "learning_curve", "device", "peak_device_memory_bytes"]
    first = {name: value for name, value in record.items() if name not in news}
    (tmp_path / "trials-first.jsonl").write_text(json.dumps(first) + "\n")
    (read,) = TrialStore(tmp_path)
    assert (read.attempt, read.device, read.loss("accuracy")) == (1, "cpu", 0.5)
    compact(tmp_path)
    consistent(tmp_path)
    (tmp_path / "trials-later.jsonl").write_text(json.dumps({**record, "schema": 3}) + "\n")
    for read_all in (list, TrialStore.identities, TrialStore.to_frame):
        with pytest.raises(StoreError, match=r"trials-later.jsonl' cannot be read: .* version 3, .* Upgrade metahpo"):
            read_all(TrialStore(tmp_path))
