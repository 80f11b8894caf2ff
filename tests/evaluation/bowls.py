"""Tasks shaped like bowls, for tests of methods."""

from __future__ import annotations

import numpy as np

from metahpo.metadata.task_table import TaskTable


def bowl(name: str, centre: float, n: int = 40, seed: int = 0) -> TaskTable:
    """Squared distance from a centre, at configurations of the task's own."""
    X = np.random.default_rng(seed).random((n, 2))
    return TaskTable(name, name, X, ((X - centre) ** 2).sum(axis=1), None)
