"""A world of bowls: tasks whose best configuration lies where a meta-feature says, for tests of the surrogate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.fitting.training import TrainingSettings

#: Enough to learn this world; the defaults are for the real one.
QUICK = TrainingSettings(n_reference=60, kernel_steps=80, component_steps=60, batch_trials=16)


def centre(where: float) -> NDArray[np.float64]:
    """Best configuration of a task."""
    return np.array([0.2 + 0.6 * where, 0.5, 0.7 - 0.4 * where])


def bowl(name: str, where: float, scale: float = 1.0, n: int = 30, seed: int = 0, shared: bool = True) -> TaskTable:
    """A task with its best configuration at `centre(where)`, measured on a shared design or on one of its own."""
    rng = np.random.default_rng(seed if not shared else 12345)
    X = rng.random((n, 3))
    noise = np.random.default_rng(seed + 1).standard_normal(n)
    loss = scale * (np.square(X - centre(where)).sum(axis=1) + 0.01 * noise)
    features = {"where": where, "noise": float(noise[0]), "sometimes": np.nan if seed % 2 else where}
    return TaskTable(name, name, X, loss, features)


def world(n_tasks: int = 14, n: int = 30, shared: bool = True) -> list[TaskTable]:
    """Tasks with centres all along the line, on scales from 0.1 to 10."""
    rng = np.random.default_rng(0)
    wheres = rng.permutation(np.linspace(0.0, 1.0, n_tasks))
    scales = 10.0 ** rng.uniform(-1.0, 1.0, n_tasks)
    return [
        bowl(f"task{i}", float(w), float(s), n, i, shared) for i, (w, s) in enumerate(zip(wheres, scales, strict=True))
    ]
