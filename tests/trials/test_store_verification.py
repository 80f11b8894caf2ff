"""What verification finds: each fault named with its file, its place and what to do; nothing where nothing is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from metahpo.exceptions import StoreError
from metahpo.trials.compaction import compact
from metahpo.trials.records import RetryRequest, TaskRefusal
from metahpo.trials.store import TrialStore
from metahpo.trials.store_verification import repair_store, verify_store
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

SOUND = Trial(TrialKey("task", "svm", {"C": 1.0}, "v1"), TrialStatus.SUCCESS, fold_losses={"r2": [0.1, 0.2]})
OTHER = Trial(TrialKey("task", "svm", {"C": 5.0}, "v1"), TrialStatus.SUCCESS, fold_losses={"r2": [0.1, 0.2]})
FAILED = Trial(TrialKey("task", "svm", {"C": 2.0}, "v1"), TrialStatus.TIMEOUT, message="stopped")


def test_a_sound_store_has_no_problems_compacted_or_not(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    store.append([SOUND, FAILED, SOUND, TaskRefusal("bad", "no rows")])
    store.retry([TrialStatus.TIMEOUT])
    assert verify_store(tmp_path) == []
    store._writer.close()
    compact(tmp_path)
    assert verify_store(tmp_path) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("garbage", "record 2: not a trial record"),
        (SOUND.to_json().replace('"C":1.0', '"C":3.0'), "record 2: a trial record says it is"),
        (SOUND.to_json().replace("0.2", "NaN"), "record 2: a success without losses, or with one that is not finite"),
        (dataclasses.replace(SOUND, seconds=-1.0).to_json(), "record 2: seconds that are negative"),
        (dataclasses.replace(SOUND, peak_memory_bytes=-1).to_json(), "record 2: a negative amount of memory"),
        (dataclasses.replace(SOUND, attempt=0).to_json(), "record 2: attempt 0"),
        (dataclasses.replace(SOUND, fold_losses={"a": [1], "b": [1, 2]}).to_json(), "different numbers of folds"),
        (dataclasses.replace(FAILED, fold_losses={"a": [1]}).to_json(), "losses of a trial with status timeout"),
        (dataclasses.replace(FAILED, message="").to_json(), "a failure without a message"),
        (RetryRequest("0", 1).to_json(), "attempt 1 was asked for"),
        ('{"schema":2,"kind":"dream"}', "not a record of the kind 'dream'"),
        ('{"schema":9}', "version 9, written by a newer metahpo"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "trials-a.jsonl").write_text(f"{OTHER.to_json()}\n{line}\n")
    (found,) = verify_store(tmp_path)
    assert "trials-a.jsonl' holds 1 damaged records" in found
    assert problem in found
    assert "remove these lines, or bring the file back from a copy" in found


def test_two_different_results_of_one_trial_and_an_unreadable_file_are_problems(tmp_path: Path) -> None:
    TrialStore(tmp_path).append([SOUND, dataclasses.replace(SOUND, fold_losses={"r2": [0.1, 0.3]})])
    (tmp_path / "trials-b.parquet").write_bytes(b"no part")
    unreadable, differing = sorted(verify_store(tmp_path))
    assert "trials-b.parquet' cannot be read" in unreadable
    assert "recorded twice with different losses (1 of svm)" in differing


def test_repair_sets_aside_what_verification_calls_damaged_and_no_more(tmp_path: Path) -> None:
    bad = dataclasses.replace(SOUND, seconds=-1.0).to_json()
    (tmp_path / "trials-a.jsonl").write_text(f"{OTHER.to_json()}\n{bad}\n\n{FAILED.to_json()}\n")
    assert len(verify_store(tmp_path)) == 1
    done = repair_store(tmp_path)
    assert (done.n_records, [path.read_text() for path in done.set_aside]) == (2, [f"{bad}\n\n"])
    assert verify_store(tmp_path) == []
    assert TrialStore(tmp_path).identities() == {OTHER.key.identity, FAILED.key.identity}
    assert repair_store(tmp_path).set_aside == ()


def test_repair_writes_a_part_anew_and_sets_an_unreadable_one_aside(tmp_path: Path) -> None:
    bad = dataclasses.replace(SOUND, attempt=0).to_json()
    (tmp_path / "trials-a.jsonl").write_text(f"{OTHER.to_json()}\n{bad}\n")
    compact(tmp_path)  # it takes what is a record; verification looks at the values too
    (tmp_path / "trials-b.parquet").write_bytes(b"no part")
    done = repair_store(tmp_path)
    assert {path.suffix for path in done.set_aside} == {".lines", ".parquet"}
    assert verify_store(tmp_path) == []
    assert [t.to_json() for t in TrialStore(tmp_path)] == [OTHER.to_json()]


def test_repair_leaves_a_growing_log_and_records_of_a_newer_version_alone(tmp_path: Path) -> None:
    writer = TrialStore(tmp_path)
    writer.append([SOUND])
    (tmp_path / "trials-b.jsonl").write_text('{"schema":9}\n')
    with pytest.raises(StoreError, match="written by a newer metahpo"):
        repair_store(tmp_path)
    assert (tmp_path / "trials-b.jsonl").read_text() == '{"schema":9}\n'
    (tmp_path / "trials-b.jsonl").unlink()
    assert repair_store(tmp_path).n_growing == 1
