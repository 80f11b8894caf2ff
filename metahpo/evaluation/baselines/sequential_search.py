"""Sequential model-based search on one task: an initial design, then the highest expected improvement.

Symbols: n trials so far, m configurations left in the pool, d columns, k picks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from metahpo.acquisition.expected_improvement import log_expected_improvement
from metahpo.evaluation.baselines.baseline import Run
from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.posterior import Posterior

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ColdMethod(ABC):
    """A method that learns nothing from other tasks.

    Attributes
    ----------
    n_initial : int, default=5
        Random trials at the start; they count.
    n_replays : int, default=5
        See :class:`~metahpo.evaluation.baselines.baseline.Method`.
    """

    n_initial: int = 5
    n_replays: int = 5

    @property
    @abstractmethod
    def name(self) -> str:
        """As in the catalogue."""

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> Self:
        """Nothing is learnt."""
        return self

    @abstractmethod
    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> Run:
        """Begin with a generator of the task's own."""


class Model(Protocol):
    """Predicts the losses of one task from its own trials."""

    def posterior(self, configurations: Array, observed: tuple[Array, Array]) -> Posterior:
        """Posterior of the standardised losses of `configurations` (m, d), given trials (n, d) and losses (n,)."""
        ...


@dataclass
class ModelRun:
    """Search of one task with a model of its own trials, after `n_initial` trials at random."""

    rng: np.random.Generator
    model: Model
    n_initial: int = 5

    def suggest(self, X_obs: Array, loss_obs: Array, X_pool: Array) -> int:
        """Pick the row of the pool with the highest expected improvement; among equals, and at first, at random."""
        if len(X_obs) < self.n_initial:
            return int(self.rng.integers(len(X_pool)))
        gain = log_expected_improvement(self.model.posterior(X_pool, (X_obs, loss_obs)))
        return int(self.rng.choice(np.flatnonzero(gain == gain.max())))


@dataclass
class PicksFirstRun:
    """Search of one task that begins with configurations picked elsewhere, shape (k, d), and goes on with another.

    A trial that the search did not pick itself, such as the default before it, takes no pick's place. A pick that was
    tried before is passed over.
    """

    picks: Array
    afterwards: Run
    n_picked: int = 0

    def suggest(self, X_obs: Array, loss_obs: Array, X_pool: Array) -> int:
        """Pick the row of the pool nearest to the next of the picks."""
        while self.n_picked < len(self.picks):
            pick = self.picks[self.n_picked]
            self.n_picked += 1
            if not (pick == X_obs).all(axis=1).any():
                return int(cdist(pick[None], X_pool).argmin())
        return self.afterwards.suggest(X_obs, loss_obs, X_pool)


def highest_improvement(mean: Array, std: Array, incumbent: float) -> int:
    """Index of the highest expected improvement among m predictions, to be minimised; the first of equals."""
    posterior = Posterior(np.ones(1), mean[None], std[None], np.array([incumbent]))
    return int(log_expected_improvement(posterior).argmax())
