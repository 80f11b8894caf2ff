"""Batches are of one learner on one task, drawn one at a time, and as long as the trials are short."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metahpo.building.trial_batches import MAX_BATCH, TARGET_SECONDS, Pace, in_batches
from metahpo.trials.trial import TrialKey


def keys(task: str, learner: str, n: int) -> list[TrialKey]:
    return [TrialKey(task, learner, {"x": i}, "v1") for i in range(n)]


def test_a_batch_is_of_one_learner_on_one_task_and_nothing_is_left_out() -> None:
    pace = Pace()
    for learner in ("a", "b"):
        pace.observe(learner, 10, 0.001)
    pending = [*keys("s", "a", 100), *keys("s", "b", 3), *keys("t", "b", 70)]
    batches = list(in_batches(pending, pace))
    assert [key for batch in batches for key in batch] == pending
    assert [len(batch) for batch in batches] == [MAX_BATCH, 100 - MAX_BATCH, 3, MAX_BATCH, 70 - MAX_BATCH]
    assert all(len({(key.task, key.learner) for key in batch}) == 1 for batch in batches)
    assert list(in_batches([], pace)) == []


def test_batches_grow_where_trials_turn_out_to_be_cheap() -> None:
    pace = Pace()
    batches = in_batches(keys("s", "a", 1000), pace)
    assert len(next(batches)) == len(next(batches)) == 1  # nothing is known yet
    pace.observe("a", 1, TARGET_SECONDS / 10)
    next(batches)  # was begun before
    assert len(next(batches)) == 10
    for _ in range(20):
        pace.observe("a", 10, 100 * TARGET_SECONDS)
    next(batches)
    assert len(next(batches)) == 1


@pytest.mark.parametrize(("n", "seconds", "size"), [(0, 9.0, 1), (1, 1e-9, MAX_BATCH), (4, TARGET_SECONDS, 4)])
def test_the_size_is_what_fills_the_target(n: int, seconds: float, size: int) -> None:
    pace = Pace()
    pace.observe("a", n, seconds)
    assert pace.batch_size("a") == size
    assert pace.batch_size("another") == 1


def test_a_plan_of_any_length_is_drawn_only_as_far_as_needed() -> None:
    drawn = 0

    def endless() -> Iterator[TrialKey]:
        nonlocal drawn
        while True:
            drawn += 1
            yield TrialKey("s", "a", {"x": drawn}, "v1")

    batches = in_batches(endless(), Pace())
    for _ in range(5):
        next(batches)
    assert drawn <= 6
