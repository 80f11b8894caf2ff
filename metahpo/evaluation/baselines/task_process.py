"""Gaussian processes of single tasks, and searches by a weighted ensemble of them.

Symbols: T training tasks, n trials of the task at hand, m configurations, S samples; mu_t and s_t the mean and the
standard deviation of the process of task t, whose losses were standardised; that of the task at hand is the last.

    mean(x) = sum_t w_t mu_t(x)

How the weights w come about, and what becomes of the variances, is what the methods differ in. A source's scale is not
that of the task at hand, so improvement is measured from the lowest ensemble mean at a configuration tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor

from metahpo.evaluation.baselines.sequential_search import highest_improvement
from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.gaussian_process import GaussianProcessSurrogate, standardised

Array = NDArray[np.float64]

#: Trials that the process of a training task is fitted to, at most; a random sample of those recorded.
MAX_TRIALS = 100


@dataclass(frozen=True)
class TaskProcess:
    """A Gaussian process fitted to one task's standardised losses."""

    regressor: GaussianProcessRegressor

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Mean and standard deviation, without noise, at X (m, d); each of shape (m,)."""
        mean, std = self.regressor.predict(X, return_std=True)
        return mean, np.sqrt(np.maximum(std**2 - self.noise, 1e-12))

    def sample(self, X: Array, n_samples: int, rng: np.random.Generator) -> Array:
        """Joint samples of the function at X (m, d), shape (S, m)."""
        mean, covariance = self.regressor.predict(X, return_cov=True)
        values, vectors = np.linalg.eigh(covariance - self.noise * np.eye(len(X)))
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(mean + rng.standard_normal((n_samples, len(X))) @ root.T)

    def leave_one_out(self) -> tuple[Array, Array]:
        """Mean and standard deviation of each of its own losses given the others, shapes (n,).

        Rasmussen and Williams, "Gaussian processes for machine learning", 2006, equations 5.10 to 5.12.
        """
        inverse_factor = np.linalg.inv(self.regressor.L_)
        precision = np.square(inverse_factor).sum(axis=0)
        return self.regressor.y_train_ - self.regressor.alpha_ / precision, 1.0 / np.sqrt(precision)

    @property
    def noise(self) -> float:
        """Variance of the noise."""
        return float(np.exp(self.regressor.kernel_.theta[-1]))


def source_processes(tables: Sequence[TaskTable], random_state: int) -> list[TaskProcess]:
    """Process of each training task whose losses differ."""
    rng = np.random.default_rng(random_state)
    processes = []
    for table in tables:
        rows = np.sort(rng.permutation(len(table.loss))[:MAX_TRIALS])
        y = standardised(table.loss[rows])
        if y is not None:
            processes.append(TaskProcess(GaussianProcessSurrogate().fit(table.X[rows], y)))
    return processes


class Combination(Protocol):
    """Combination of the processes of tasks to an ensemble."""

    def weights(self, sources: Sequence[TaskProcess], target: TaskProcess | None, X: Array, y: Array) -> Array:
        """Weights w, shape (T + 1,), the last that of the task at hand.

        Parameters
        ----------
        sources : sequence of TaskProcess
        target : TaskProcess or None
            Of the task at hand; None while its losses do not differ.
        X : ndarray of shape (n, d)
            Its trials.
        y : ndarray of shape (n,)
            Their standardised losses; zeros while these do not differ.
        """
        ...

    def variance(self, weights: Array, variances: Array) -> Array:
        """Variance of the ensemble, shape (m,), from those of its members, shape (T + 1, m)."""
        ...


@dataclass
class EnsembleRun:
    """Search of one task by an ensemble of processes: the highest expected improvement; the lowest mean at first."""

    sources: Sequence[TaskProcess]
    combination: Combination
    surrogate: GaussianProcessSurrogate = field(default_factory=GaussianProcessSurrogate)

    def suggest(self, X_obs: Array, loss_obs: Array, X_pool: Array) -> int:
        """Pick the row of the pool with the highest expected improvement; the first of equals."""
        y = standardised(loss_obs)
        target = None if y is None else TaskProcess(self.surrogate.fit(X_obs, y))
        weights = self.combination.weights(self.sources, target, X_obs, np.zeros(len(X_obs)) if y is None else y)
        mean, variance = self._predict(weights, target, np.concatenate([X_obs, X_pool]))
        n = len(X_obs)
        incumbent = float((mean[:n] if n else mean).min())
        return highest_improvement(mean[n:], np.sqrt(variance[n:]), incumbent)

    def _predict(self, weights: Array, target: TaskProcess | None, X: Array) -> tuple[Array, Array]:
        """Mean and variance of the ensemble at X (m, d); members without weight are not asked."""
        means, variances = np.zeros((len(weights), len(X))), np.ones((len(weights), len(X)))
        for i in np.flatnonzero(weights).tolist():
            member = target if i == len(self.sources) else self.sources[i]
            if member is not None:
                means[i], std = member.predict(X)
                variances[i] = std**2
        return weights @ means, np.maximum(self.combination.variance(weights, variances), 1e-12)
