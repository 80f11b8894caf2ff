"""RGPE: Gaussian processes of the training tasks, weighted by how often they rank the task's own trials best.

Symbols: T training tasks, n trials, S samples f of each process at the n trials, y their losses.

    loss(f)  = sum_j sum_{k != j}  [ (f_j < f_k)  xor  (y_j < y_k) ]
    w_i      = share of the S samples in which process i has the lowest loss
    mean(x)  = sum_i w_i mu_i(x),      variance(x) = sum_i w_i^2 s_i(x)^2

The process of the task at hand is among them. It is judged where it has not seen: f_j is a sample of its prediction of
the j-th loss from the others, and f_k is y_k. It wins ties. Against weight dilution, a process whose median loss is
above the 95th percentile of that of the task's own process is left out. Below three trials there is nothing to rank by,
and the training tasks count alike.
Source: Feurer, Letham and Bakshy, "Scalable meta-learning for Bayesian optimization using ranking-weighted Gaussian
process ensembles", AutoML workshop at ICML 2018 (ranking loss, its minimisation by samples, weight dilution).
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
class RankingWeightedEnsemble:
    """Ranking-weighted Gaussian process ensemble.

    Attributes
    ----------
    n_samples : int, default=256
        S.
    """

    n_samples: int = 256

    @property
    def name(self) -> str:
        """`rgpe`."""
        return "rgpe"

    @property
    def n_replays(self) -> int:
        """1: the samples are many, so that the picks hardly depend on chance."""
        return 1

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> RankingWeightedPolicy:
        """Fit a Gaussian process to each training task."""
        return RankingWeightedPolicy(source_processes(tables, random_state), self.n_samples)


@dataclass(frozen=True)
class RankingWeightedPolicy:
    """Processes of the training tasks."""

    sources: Sequence[TaskProcess]
    n_samples: int

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> EnsembleRun:
        """Begin with a generator of the task's own."""
        return EnsembleRun(self.sources, RankingWeights(np.random.default_rng(random_state), self.n_samples))


@dataclass
class RankingWeights:
    """Weights by ranking loss: see :class:`~metahpo.evaluation.baselines.task_process.Combination`."""

    rng: np.random.Generator
    n_samples: int

    def weights(self, sources: Sequence[TaskProcess], target: TaskProcess | None, X: Array, y: Array) -> Array:
        """Share of samples in which each process ranks the trials best."""
        if target is None or len(y) < 3:
            return np.append(np.full(len(sources), 1.0 / max(1, len(sources))), 0.0)
        mean, std = target.leave_one_out()
        own = ranking_losses(mean + std * self.rng.standard_normal((self.n_samples, len(y))), y[None], y)
        samples = (source.sample(X, self.n_samples, self.rng) for source in sources)
        losses = np.array([ranking_losses(f, f, y) for f in samples]).reshape(len(sources), self.n_samples)
        losses[np.median(losses, axis=1) > np.quantile(own, 0.95)] = np.inf
        lowest = np.minimum(own, losses.min(axis=0, initial=np.inf))
        own_wins = own == lowest
        wins = (losses == lowest) & ~own_wins
        shared = wins / np.maximum(1, wins.sum(axis=0))
        return np.append(shared.mean(axis=1), own_wins.mean())

    def variance(self, weights: Array, variances: Array) -> Array:
        """Of a weighted sum of independent processes."""
        return np.asarray(weights**2 @ variances)


def ranking_losses(f: Array, others: Array, y: Array) -> Array:
    """Number of ordered pairs that f_j (S, n) and f_k of `others`, as many or one, rank otherwise than y (n,); (S,)."""
    differ = (f[:, :, None] < others[:, None, :]) != (y[:, None] < y[None, :])
    return np.asarray((differ & ~np.eye(len(y), dtype=bool)).sum(axis=(1, 2)), dtype=float)
