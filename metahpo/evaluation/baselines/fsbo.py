"""FSBO: a deep-kernel Gaussian process, meta-trained on the training tasks and fine-tuned on the task at hand.

Symbols: B tasks in a batch, n trials, m configurations, d columns; phi four layers of 32 units.

    y ~ N(c 1, K + e I),       K_ij = s Matern52(phi(x_i) / l, phi(x_j) / l)
    loss = -log p(y | X) = (y - c 1)' (K + e I)^-1 (y - c 1) / 2 + log det (K + e I) / 2 + n log(2 pi) / 2

Meta-training draws tasks, trials of each, and two bounds between the least and the largest loss of these, which y is
scaled by: the range of a new task is not known. At use, y is scaled to [0, 1]; all weights, starting from those that
were meta-learnt, take some more steps for each suggestion; the highest expected improvement is picked. The first trials
are configurations that do well on the training tasks together (picked greedily here, by an evolutionary search there).
Meta-training is shorter than the authors' by far: 1000 steps of 8 tasks, 50 steps of fine-tuning; and the two bounds
are a quarter of the range apart at least.
Source: Wistuba and Grabocka, "Few-shot Bayesian optimization with deep kernel surrogates", ICLR 2021; sizes as in the
authors' experiments on HPO-B (Pineda Arango et al., NeurIPS Datasets and Benchmarks 2021).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metahpo.evaluation.baselines.greedy_portfolio import GreedyPortfolio
from metahpo.evaluation.baselines.meta_training import source_tasks, step, unit_range
from metahpo.evaluation.baselines.sequential_search import PicksFirstRun, highest_improvement
from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.device import SINGLE
from metahpo.numerics.torch_seed import torch_seeded
from metahpo.surrogates.fitting.training_batches import TrialBatches
from metahpo.surrogates.mixture.source_functions import matern52

Array = NDArray[np.float64]

UNITS = 32
#: Least noise e, and least distance of the two bounds as a share of the range.
MIN_NOISE, MIN_WIDTH = 1e-4, 0.25


@dataclass(frozen=True)
class FewShotDeepKernel:
    """Few-shot Bayesian optimisation.

    Attributes
    ----------
    n_initial : int, default=5
        Trials that the training tasks decide.
    meta_steps, fine_steps : int, default=1000, 50
        Steps of Adam in meta-training, and before each suggestion.
    batch_tasks, batch_trials : int, default=8, 50
        Size of a batch in meta-training.
    rate : float, default=1e-3
        Learning rate; it falls to zero in meta-training (cosine).
    """

    n_initial: int = 5
    meta_steps: int = 1000
    fine_steps: int = 50
    batch_tasks: int = 8
    batch_trials: int = 50
    rate: float = 1e-3

    @property
    def name(self) -> str:
        """`fsbo`."""
        return "fsbo"

    @property
    def n_replays(self) -> int:
        """1: the picks are determined."""
        return 1

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> FewShotPolicy:
        """Pick the first trials, and meta-train the deep kernel."""
        first = GreedyPortfolio(self.n_initial).learn(tables, space_name, random_state).picks
        tasks = source_tasks(tables)
        batches = TrialBatches(tasks)
        generator = torch.Generator().manual_seed(random_state)
        with torch_seeded(random_state):  # layers take their initial weights from the global generator
            process = DeepKernelProcess(tables[0].X.shape[1]).double()
        optimizer = torch.optim.Adam(process.parameters(), lr=self.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, self.meta_steps))
        for _ in range(self.meta_steps if tasks else 0):
            batch = batches.sample(self.batch_tasks, self.batch_trials, generator)
            y = randomly_scaled(batch.loss, generator)
            step(optimizer, process.negative_log_likelihood(batch.X, y).mean() / y.shape[1])
            schedule.step()
        return FewShotPolicy(first, process, self.fine_steps, self.rate)


@dataclass(frozen=True)
class FewShotPolicy:
    """First trials, shape (k, d), and the meta-trained process."""

    picks: Array
    process: DeepKernelProcess
    fine_steps: int
    rate: float

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> PicksFirstRun:
        """Begin at the first pick."""
        return PicksFirstRun(self.picks, FewShotRun(self.process, self.fine_steps, self.rate))


@dataclass
class FewShotRun:
    """The process on one task."""

    process: DeepKernelProcess
    fine_steps: int
    rate: float

    def suggest(self, X_obs: Array, loss_obs: Array, X_pool: Array) -> int:
        """Fine-tune, and pick the row of the pool with the highest expected improvement; the first of equals."""
        y = unit_range(loss_obs)
        X, targets = torch.tensor(X_obs), torch.tensor(y)
        tuned = copy.deepcopy(self.process)
        optimizer = torch.optim.Adam(tuned.parameters(), lr=self.rate)
        for _ in range(self.fine_steps):
            step(optimizer, tuned.negative_log_likelihood(X, targets) / len(y))
        mean, std = tuned.predict(X, targets, torch.tensor(X_pool))
        return highest_improvement(mean.numpy(), std.numpy(), float(y.min()))


class DeepKernelProcess(nn.Module):
    """Exact Gaussian process with a Matern kernel on features of a network."""

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        hidden = [layer for _ in range(3) for layer in (nn.Linear(UNITS, UNITS, dtype=SINGLE), nn.ReLU())]
        self.network = nn.Sequential(nn.Linear(n_columns, UNITS, dtype=SINGLE), nn.ReLU(), *hidden[:-1])
        self.mean = nn.Parameter(torch.tensor(0.5, dtype=SINGLE))
        self.log_scale = nn.Parameter(torch.tensor(0.0, dtype=SINGLE))
        self.log_variance = nn.Parameter(torch.tensor(0.0, dtype=SINGLE))
        self.log_noise = nn.Parameter(torch.tensor(-3.0, dtype=SINGLE))

    def negative_log_likelihood(self, X: Tensor, y: Tensor) -> Tensor:
        """Of values (B, n) at configurations (B, n, d); shape (B,)."""
        _, factor, white = self._condition(X, y)
        log_det = 2.0 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return 0.5 * (white.square().sum((-2, -1)) + log_det + y.shape[-1] * math.log(2.0 * math.pi))

    @torch.no_grad()
    def predict(self, X: Tensor, y: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the function, each (m,), at configurations (m, d), given trials."""
        places, factor, white = self._condition(X, y)
        Q = torch.linalg.solve_triangular(
            factor, self.log_variance.exp() * matern52(places, self._place(at)), upper=False
        )
        variance = self.log_variance.exp() - Q.square().sum(0)
        return self.mean + (Q.T @ white)[:, 0], variance.clamp_min(1e-12).sqrt()

    def _place(self, X: Tensor) -> Tensor:
        features: Tensor = self.network(X)
        return features / self.log_scale.exp()

    def _condition(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Places (B, n, 32), Cholesky factor (B, n, n) of K + e I, and whitened residuals (B, n, 1)."""
        places = self._place(X)
        noise = (self.log_noise.exp() + MIN_NOISE) * torch.eye(y.shape[-1], dtype=y.dtype)
        factor = torch.linalg.cholesky(self.log_variance.exp() * matern52(places, places) + noise)
        return places, factor, torch.linalg.solve_triangular(factor, (y - self.mean)[..., None], upper=False)


def randomly_scaled(loss: Tensor, generator: torch.Generator) -> Tensor:
    """Losses (B, n) by two random bounds of their task."""
    low, spread = loss.amin(-1, keepdim=True), (loss.amax(-1, keepdim=True) - loss.amin(-1, keepdim=True))
    bounds = torch.rand(len(loss), 2, generator=generator, dtype=loss.dtype).sort(-1).values
    width = (bounds[:, 1:] - bounds[:, :1]).clamp_min(MIN_WIDTH)
    return ((loss - low) / spread.clamp_min(1e-12) - bounds[:, :1]) / width
