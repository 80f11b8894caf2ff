from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metahpo.evaluation.baselines.nearest_tasks import NearestTasks
from metahpo.evaluation.replay import replay
from metahpo.metadata.task_table import TaskTable
from tests.evaluation.bowls import bowl

CENTRES = (0.1, 0.3, 0.5, 0.7, 0.9)


def world() -> list[TaskTable]:
    """Bowls whose centre a meta-feature tells, on a design of each task's own; another says nothing."""
    return [
        replace(bowl(f"t{i}", c, n=80, seed=i), meta_features={"centre": 1000.0 * c, "noise": (i * 7 % 5) / 50.0})
        for i, c in enumerate(CENTRES)
    ]


def test_distance_is_the_1_norm_of_meta_features_in_the_unit_interval() -> None:
    policy = NearestTasks().learn(world(), "s", 0)
    expected = [abs(c - 0.3) / 0.8 + abs((i * 7 % 5) / 4.0 - 0.5) for i, c in enumerate(CENTRES)]
    np.testing.assert_allclose(policy.distances({"centre": 300.0, "noise": 0.04}), expected)


@pytest.mark.parametrize(("features", "equal"), [({"centre": 300.0, "noise": np.nan}, False), ({"other": 1.0}, True)])
def test_what_is_not_known_tells_no_tasks_apart(features: dict[str, float], equal: bool) -> None:
    distances = NearestTasks().learn(world(), "s", 0).distances(features)
    assert np.isfinite(distances).all()
    assert (np.ptp(distances) == 0) == equal


def test_a_gap_in_the_records_counts_as_the_mean_difference() -> None:
    tasks = world()
    tasks[4] = replace(tasks[4], meta_features={"centre": 900.0})
    distances = NearestTasks().learn(tasks, "s", 0).distances({"centre": 900.0, "noise": 0.0})
    noise = np.array([0.0, 2.0, 4.0, 1.0]) / 4.0
    assert distances[4] == pytest.approx(noise.mean())


def test_search_begins_with_the_best_of_the_nearest_tasks_each_once() -> None:
    tasks = world()
    shared = [*tasks, replace(tasks[1], task="again", family="again")]
    policy = NearestTasks(n_picks=3).learn(shared, "s", 0)
    run = policy.start({"centre": 310.0}, 0)
    best = [t.X[t.loss.argmin()] for t in (tasks[1], tasks[2], tasks[0])]
    np.testing.assert_array_equal(run.picks, best)
    pool = bowl("new", 0.3, n=80, seed=9)
    assert replay(policy, replace(pool, meta_features={"centre": 300.0}), 1).regret[0] < 0.05


def test_without_meta_features_it_still_takes_what_was_best_somewhere() -> None:
    tasks = [replace(t, meta_features=None) for t in world()]
    run = NearestTasks().learn(tasks, "s", 0).start(None, 3)
    assert sorted(map(tuple, run.picks)) == sorted(tuple(t.X[t.loss.argmin()]) for t in tasks)
