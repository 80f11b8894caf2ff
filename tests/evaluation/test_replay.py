from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from metahpo.evaluation.baselines.random_search import RandomSearch
from metahpo.evaluation.replay import replay, search, task_seed
from metahpo.metadata.task_table import TaskTable

Array = NDArray[np.float64]


def table(loss: list[float], name: str = "t") -> TaskTable:
    return TaskTable(name, name, np.arange(len(loss), dtype=float)[:, None] / 10, np.array(loss), {"size": 1.0})


@dataclass
class InOrder:
    """Takes the pool from its front and keeps what it was shown."""

    shown: list[tuple[Array, Array, Array]] = field(default_factory=list)
    started_with: list[Mapping[str, float] | None] = field(default_factory=list)

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> InOrder:
        self.started_with.append(meta_features)
        return self

    def suggest(self, X_obs: Array, loss_obs: Array, X_pool: Array) -> int:
        self.shown.append((X_obs, loss_obs, X_pool))
        return 0


def test_a_run_sees_its_own_trials_and_what_is_left() -> None:
    policy = InOrder()
    replay(policy, table([3.0, 1.0, 2.0]), n_trials=2)
    first, second = policy.shown
    assert first[0].shape == (0, 1)
    assert first[2][:, 0].tolist() == [0.0, 0.1, 0.2]
    assert second[0][:, 0].tolist() == [0.0]
    assert second[1].tolist() == [3.0]
    assert second[2][:, 0].tolist() == [0.1, 0.2]
    assert policy.started_with == [{"size": 1.0}]


def test_regret_is_the_incumbents_and_a_failed_trial_counts() -> None:
    found = replay(InOrder(), table([np.nan, 2.0, 3.0, 1.0]), n_trials=4)
    assert found.regret.tolist() == [1.0, 0.5, 0.5, 0.0]
    assert found.first_picks == (0,)


def test_a_small_pool_is_searched_to_its_end_and_no_further() -> None:
    policy = InOrder()
    assert replay(policy, table([2.0, 1.0]), n_trials=5).regret.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert len(policy.shown) == 2


def test_replays_are_averaged() -> None:
    losses = list(np.linspace(0, 1, 11))
    found = replay(RandomSearch(), table(losses), n_trials=3, n_replays=400)
    assert found.regret[0] == pytest.approx(0.5, abs=0.05)
    assert len(found.first_picks) == 400


def test_random_picks_depend_on_seed_task_and_replay_only() -> None:
    losses = list(np.linspace(0, 1, 30))
    once, again = (replay(RandomSearch(), table(losses), 10, 2, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(once.regret, again.regret)
    seeds = {task_seed(s, name, k) for s in (0, 1) for name in ("a", "b") for k in (0, 1)}
    assert len(seeds) == 8


def test_a_search_ends_where_nothing_better_is_left_to_find() -> None:
    policy, whole = InOrder(), table([3.0, np.nan, 1.0, 2.0, 1.0])
    assert replay(policy, whole, n_trials=5).regret.tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert len(policy.shown) == 3
    tried: list[int] = []
    search(InOrder(), whole, 5, 0, tried, default=4)
    assert tried == [4]
