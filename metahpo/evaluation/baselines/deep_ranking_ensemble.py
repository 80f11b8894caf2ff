"""Deep ranking ensemble: networks that learn to rank, told of the task by its trials.

Symbols: M scorers, B tasks in a batch, s trials of the context, m configurations of a list, d columns; pi(i) the
configuration of the i-th lowest loss.

    context = rho( mean_j phi(x_j, y_j) )               a deep set (Zaheer et al., NeurIPS 2017), shared by the scorers
    f(x)    = scorer(x, context)                        four layers of 32 units and a score, higher is better
    loss    = -sum_i w_i log( exp f(x_pi(i)) / sum_{k >= i} exp f(x_pi(k)) )       w_i = 1 / log(i + 1), position i >= 1

which is ListMLE, weighted so that the best positions count most.

Each scorer ranks the trials and the pool together; the mean and the standard deviation of a configuration's rank over
the scorers make the expected improvement on the best mean rank of a trial. Before each suggestion the meta-learnt
weights take some more steps, on lists of the task's own trials of which a fifth is the context.
Shorter than the authors' by far: 1000 steps of 8 lists of 50 in meta-training, 50 steps of fine-tuning. A context holds
between none and a fifth of a list, so that the search can begin before any trial; y is scaled to [0, 1] in it.
Source: Khazi, Pineda Arango and Grabocka, "Deep ranking ensembles for hyperparameter optimization", ICLR 2023.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from metahpo.evaluation.baselines.meta_training import source_tasks, step, unit_range
from metahpo.evaluation.baselines.sequential_search import highest_improvement
from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.device import SINGLE
from metahpo.numerics.torch_seed import torch_seeded
from metahpo.surrogates.fitting.training_batches import TrialBatches

Array = NDArray[np.float64]

#: Units of a layer, and numbers that describe a context.
UNITS, DESCRIPTION = 32, 16
#: Share of a list that is its context, at most.
CONTEXT_SHARE = 0.2
#: Trials from which there is something to fine-tune on.
MIN_TRIALS = 3


@dataclass(frozen=True)
class DeepRankingEnsemble:
    """Deep ranking ensemble.

    Attributes
    ----------
    n_scorers : int, default=10
        M.
    meta_steps, fine_steps : int, default=1000, 50
        Steps of Adam in meta-training, and before each suggestion.
    batch_tasks, list_length : int, default=8, 50
        Size of a batch in meta-training.
    rate : float, default=1e-3
        Learning rate.
    """

    n_scorers: int = 10
    meta_steps: int = 1000
    fine_steps: int = 50
    batch_tasks: int = 8
    list_length: int = 50
    rate: float = 1e-3

    @property
    def name(self) -> str:
        """`deep_ranking_ensemble`."""
        return "deep_ranking_ensemble"

    @property
    def n_replays(self) -> int:
        """1: the ensemble is the same for every replay."""
        return 1

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> RankingPolicy:
        """Meta-train the scorers and the deep set together."""
        tasks = source_tasks(tables)
        batches = TrialBatches(tasks)
        generator = torch.Generator().manual_seed(random_state)
        with torch_seeded(random_state):  # layers take their initial weights from the global generator
            ensemble = RankingNetworks(tables[0].X.shape[1], self.n_scorers)
        optimizer = torch.optim.Adam(ensemble.parameters(), lr=self.rate)
        for _ in range(self.meta_steps if tasks else 0):
            batch = batches.sample(self.batch_tasks, self.list_length, generator)
            most = int(CONTEXT_SHARE * batch.loss.shape[1])
            n_context = int(torch.randint(most + 1, (1,), generator=generator))
            step(optimizer, ensemble.loss(batch.X.float(), batch.loss, n_context))
        return RankingPolicy(ensemble, self.fine_steps, self.rate)


@dataclass(frozen=True)
class RankingPolicy:
    """The meta-trained ensemble."""

    ensemble: RankingNetworks
    fine_steps: int
    rate: float

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> RankingRun:
        """Begin with the weights that were meta-learnt."""
        return RankingRun(self.ensemble, self.fine_steps, self.rate, torch.Generator().manual_seed(random_state))


@dataclass
class RankingRun:
    """The ensemble on one task."""

    ensemble: RankingNetworks
    fine_steps: int
    rate: float
    generator: torch.Generator

    def suggest(self, X_obs: Array, loss_obs: Array, X_pool: Array) -> int:
        """Fine-tune, and pick the row of the pool with the highest expected improvement in rank."""
        X, y, n = torch.tensor(X_obs, dtype=torch.float32), torch.tensor(unit_range(loss_obs)), len(loss_obs)
        tuned = copy.deepcopy(self.ensemble)
        optimizer = torch.optim.Adam(tuned.parameters(), lr=self.rate)
        for _ in range(self.fine_steps if n >= MIN_TRIALS else 0):
            order = torch.randperm(n, generator=self.generator)
            step(optimizer, tuned.loss(X[order][None], y[order][None], max(1, int(CONTEXT_SHARE * n))))
        asked = torch.cat([X, torch.tensor(X_pool, dtype=torch.float32)])
        with torch.no_grad():
            scores = tuned(X[None], y[None], asked[None])[:, 0].numpy()
        ranks = rankdata(-scores, axis=1)
        mean, std = ranks.mean(axis=0), np.maximum(ranks.std(axis=0), 1e-3)
        incumbent = float((mean[:n] if n else mean).min())
        return highest_improvement(mean[n:], std[n:], incumbent)


class RankingNetworks(nn.Module):
    """M scorers with a deep set before them; the scorers' layers are stacked, (M, inputs, units)."""

    def __init__(self, n_columns: int, n_scorers: int) -> None:
        super().__init__()
        self.phi = nn.Sequential(_linear(n_columns + 1, UNITS), nn.ReLU(), _linear(UNITS, UNITS), nn.ReLU())
        self.rho = nn.Sequential(_linear(UNITS, UNITS), nn.ReLU(), _linear(UNITS, DESCRIPTION))
        sizes = [n_columns + DESCRIPTION, *[UNITS] * 4, 1]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in pairwise(sizes):
            bound = 1.0 / math.sqrt(inputs)
            self.weights.append(
                nn.Parameter(torch.empty(n_scorers, inputs, outputs, dtype=SINGLE).uniform_(-bound, bound))
            )
            self.biases.append(nn.Parameter(torch.empty(n_scorers, 1, outputs, dtype=SINGLE).uniform_(-bound, bound)))

    def forward(self, X_context: Tensor, y_context: Tensor, X: Tensor) -> Tensor:
        """Scores (M, B, m) of configurations (B, m, d), told of trials (B, s, d) and their scaled losses (B, s)."""
        trials = self.phi(torch.cat([X_context, y_context[..., None].float()], dim=-1))
        context = self.rho(trials.sum(-2) / max(1, trials.shape[-2]))
        described = torch.cat([X, context[:, None].expand(-1, X.shape[1], -1)], dim=-1)
        h = described.flatten(0, 1).expand(len(self.weights[0]), -1, -1)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, h.relu() if i else h, weight)
        return h.reshape(len(h), *X.shape[:2])

    def loss(self, X: Tensor, y: Tensor, n_context: int) -> Tensor:
        """Mean loss over scorers and lists (B, n, d), of each of which the first `n_context` trials are the context."""
        known = y[:, :n_context]
        low = known.amin(-1, keepdim=True) if n_context else 0.0
        spread = (known.amax(-1, keepdim=True) - low).clamp_min(1e-12) if n_context else 1.0
        scores = self(X[:, :n_context], (known - low) / spread, X[:, n_context:])
        return weighted_list_mle(scores, y[:, n_context:].expand(len(scores), -1, -1)).mean()


def _linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, dtype=SINGLE)


def weighted_list_mle(scores: Tensor, loss: Tensor) -> Tensor:
    """Weighted ListMLE of scores (..., m), higher is better, for losses (..., m), lower is better; shape (...)."""
    ordered = scores.gather(-1, loss.argsort(dim=-1, stable=True))
    log_rest = ordered.flip(-1).logcumsumexp(-1).flip(-1)
    weights = 1.0 / torch.log(torch.arange(scores.shape[-1], dtype=SINGLE) + 2.0)
    return ((log_rest - ordered) * weights).sum(-1)
