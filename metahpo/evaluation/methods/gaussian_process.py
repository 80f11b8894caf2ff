"""Bayesian optimisation from a cold start: a Gaussian process on the task's own trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from metahpo.meta_dataset import TaskTable
from metahpo.optimization.acquisition import log_expected_improvement
from metahpo.surrogates.gaussian_process import GaussianProcessSurrogate


@dataclass(frozen=True)
class ColdGaussianProcess:
    """Gaussian process with expected improvement, after a few random trials.

    Attributes
    ----------
    n_initial : int, default=5
        Random trials at the start; they count.
    n_replays : int, default=5
        See :class:`~metahpo.evaluation.methods.method.Method`.
    """

    n_initial: int = 5
    n_replays: int = 5

    @property
    def name(self) -> str:
        """`gaussian_process`."""
        return "gaussian_process"

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> ColdGaussianProcess:
        """Nothing is learnt."""
        return self

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> GaussianProcessRun:
        """Begin with a generator of the task's own."""
        return GaussianProcessRun(np.random.default_rng(random_state), self.n_initial)


@dataclass
class GaussianProcessRun:
    """The Gaussian process of one task."""

    rng: np.random.Generator
    n_initial: int = 5
    surrogate: GaussianProcessSurrogate = field(default_factory=GaussianProcessSurrogate)

    def suggest(self, X_obs: NDArray[np.float64], loss_obs: NDArray[np.float64], X_pool: NDArray[np.float64]) -> int:
        """Pick the row of the pool with the highest expected improvement; among equals, and at first, at random."""
        if len(X_obs) < self.n_initial:
            return int(self.rng.integers(len(X_pool)))
        gain = log_expected_improvement(self.surrogate.posterior(X_pool, (X_obs, loss_obs)))
        return int(self.rng.choice(np.flatnonzero(gain == gain.max())))
