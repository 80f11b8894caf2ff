"""TST-R, the two-stage transfer surrogate: processes of the training tasks, weighted by how alike they rank.

Symbols: T training tasks, n trials; mu_t the mean of the process of task t, the task at hand among them.

    dist(t)     = share of the pairs of trials that mu_t ranks otherwise than their losses do;   0 for the task itself
    kappa(t)    = 3/4 (1 - (dist(t) / rho)^2)   where dist(t) <= rho, else 0                  (Epanechnikov's kernel)
    mean(x)     = sum_t kappa(t) mu_t(x) / sum_t kappa(t)                                       (Nadaraya and Watson)
    variance(x) = that of the task's own process

While there is no pair of trials that differ, all tasks are equally near.
Source: Wistuba, Schilling and Schmidt-Thieme, "Two-stage transfer surrogate model for automatic hyperparameter
optimization", ECML PKDD 2016 (the variant with rankings, TST-R); Feurer, Letham, Hutter and Bakshy, "Practical transfer
learning for Bayesian optimization", 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metahpo.evaluation.baselines.task_process import EnsembleRun, TaskProcess, source_processes
from metahpo.metadata.task_table import TaskTable

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TwoStageTransfer:
    """Two-stage transfer surrogate with rankings.

    Attributes
    ----------
    bandwidth : float, default=0.1
        rho, as in the comparison of Feurer et al. (2022); a task that has nothing to do with the one at hand has a
        distance of one half.
    """

    bandwidth: float = 0.1

    @property
    def name(self) -> str:
        """`two_stage_transfer`."""
        return "two_stage_transfer"

    @property
    def n_replays(self) -> int:
        """1: the picks are determined."""
        return 1

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> TwoStagePolicy:
        """First stage: fit a Gaussian process to each training task."""
        return TwoStagePolicy(source_processes(tables, random_state), self.bandwidth)


@dataclass(frozen=True)
class TwoStagePolicy:
    """Processes of the training tasks."""

    sources: Sequence[TaskProcess]
    bandwidth: float

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> EnsembleRun:
        """Begin with all tasks equally near."""
        return EnsembleRun(self.sources, KernelWeights(self.bandwidth))


@dataclass(frozen=True)
class KernelWeights:
    """Second stage: see :class:`~metahpo.evaluation.baselines.task_process.Combination`."""

    bandwidth: float

    def weights(self, sources: Sequence[TaskProcess], target: TaskProcess | None, X: Array, y: Array) -> Array:
        """Kernel of the ranking distances, to sum one; that of the task itself is the kernel's peak."""
        distances = np.zeros(len(sources) + 1)
        if target is not None:
            distances[:-1] = [discordance(source.predict(X)[0], y) for source in sources]
        kernel = epanechnikov(distances / self.bandwidth)
        return np.asarray(kernel / kernel.sum())

    def variance(self, weights: Array, variances: Array) -> Array:
        """Of the task's own process."""
        return np.asarray(variances[-1])


def epanechnikov(t: Array) -> Array:
    """``3/4 (1 - t^2)`` up to a distance of one, 0 beyond."""
    return 0.75 * np.maximum(0.0, 1.0 - t**2)


def discordance(predicted: Array, y: Array) -> float:
    """Share of the pairs of trials that differ in loss y (n,) which the prediction (n,) ranks otherwise."""
    i, j = np.nonzero(y[:, None] < y[None, :])
    return float((predicted[i] >= predicted[j]).mean())
