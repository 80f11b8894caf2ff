"""The contract of a baseline: a subclass gives the fixture `method` and inherits the tests."""

from __future__ import annotations

import numpy as np
import pytest

from metahpo.evaluation.baselines.baseline import Method, Policy
from metahpo.evaluation.replay import replay
from metahpo.metadata.task_table import TaskTable


def toy_tables(n_tasks: int = 6, n_configurations: int = 24, seed: int = 0) -> list[TaskTable]:
    """Tasks in two dimensions, each a bowl with a minimum of its own, which its one meta-feature tells.

    The arrays are read-only, so that a method that changes them fails.
    """
    rng = np.random.default_rng(seed)
    X = rng.random((n_configurations, 2))
    X.flags.writeable = False
    tables = []
    for i in range(n_tasks):
        centre = rng.uniform(0.2, 0.8)
        loss = ((X - centre) ** 2).sum(axis=1)
        loss.flags.writeable = False
        tables.append(TaskTable(f"task{i}", f"family{i}", X, loss, {"centre": float(centre)}))
    return tables


class BaselineContract:
    """Contract of :class:`metahpo.evaluation.baselines.baseline.Method`; give the fixture ``method``.

    A subclass may give the fixture ``tables`` too: the tables of training tasks, and last that of the held-out task.
    """

    @pytest.fixture
    def method(self) -> Method:
        """The method under test."""
        raise NotImplementedError

    @pytest.fixture
    def tables(self) -> list[TaskTable]:
        """Tables of the training tasks, and last that of the held-out task."""
        return toy_tables()

    @pytest.fixture
    def learnt(self, method: Method, tables: list[TaskTable]) -> tuple[Policy, TaskTable]:
        """Result of learning from all tasks but the last, and the last task."""
        return method.learn(tables[:-1], "toy", random_state=0), tables[-1]

    def test_has_a_name_and_a_number_of_replays(self, method: Method) -> None:
        assert method.name
        assert isinstance(method.name, str)
        assert isinstance(method.n_replays, int)
        assert method.n_replays >= 1

    def test_picks_a_row_of_the_pool_whatever_was_observed(self, learnt: tuple[Policy, TaskTable]) -> None:
        policy, table = learnt
        for losses in ([], [0.3], [np.nan], [np.nan] * 9, [0.5] * 9, [1e9, -1e9] * 5, list(table.loss[:10])):
            run = policy.start(table.meta_features, random_state=0)
            n = len(losses)
            pick = run.suggest(table.X[:n], np.array(losses, dtype=float), table.X[n:])
            assert pick in range(len(table.X) - n)

    def test_needs_no_meta_features(self, learnt: tuple[Policy, TaskTable]) -> None:
        policy, table = learnt
        unknown: dict[str, float] | None
        for unknown in (None, {}):
            pick = policy.start(unknown, random_state=0).suggest(table.X[:0], table.loss[:0], table.X)
            assert pick in range(len(table.X))

    def test_takes_the_last_of_the_pool(self, learnt: tuple[Policy, TaskTable]) -> None:
        policy, table = learnt
        assert policy.start(table.meta_features, 0).suggest(table.X[:-1], table.loss[:-1], table.X[-1:]) == 0

    def test_is_reproducible(self, learnt: tuple[Policy, TaskTable]) -> None:
        policy, table = learnt
        once, again = (replay(policy, table, 8, n_replays=1, random_state=5) for _ in range(2))
        np.testing.assert_array_equal(once.regret, again.regret)
