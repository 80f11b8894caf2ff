"""Methods that know nothing: random search, and the library's default before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metahpo.metadata.task_table import TaskTable


@dataclass(frozen=True)
class RandomSearch:
    """Uniform draws from the pool.

    Attributes
    ----------
    n_replays : int, default=5
        See :class:`~metahpo.evaluation.baselines.baseline.Method`.
    default_first : bool, default=False
        Try the first recorded configuration first: in the project's own meta-datasets it is the learner's default.
    """

    n_replays: int = 5
    default_first: bool = False

    @property
    def name(self) -> str:
        """`default`, or `random_search`."""
        return "default" if self.default_first else "random_search"

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> RandomSearch:
        """Nothing is learnt."""
        return self

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> RandomRun:
        """Begin with a generator of the task's own."""
        return RandomRun(np.random.default_rng(random_state), self.default_first)


@dataclass
class RandomRun:
    """Random search on one task."""

    rng: np.random.Generator
    default_first: bool = False

    def suggest(self, X_obs: NDArray[np.float64], loss_obs: NDArray[np.float64], X_pool: NDArray[np.float64]) -> int:
        """Pick a row of the pool at random (the first row, where the default is to be tried first)."""
        if self.default_first and len(X_obs) == 0:
            return 0
        return int(self.rng.integers(len(X_pool)))
