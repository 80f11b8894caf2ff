"""Training batches: a sample of tasks, with the same number of recorded trials of each task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.device import SINGLE
from metahpo.surrogates.fitting.source_tasks import SourceTask
from metahpo.surrogates.loss_spread import spread_of

#: Share of the distinct configurations that :func:`hide_configurations` removes.
HIDDEN_SHARE = 0.25


def representative(tables: Sequence[TaskTable], n: int, rng: np.random.Generator) -> list[TaskTable]:
    """Draw at most `n` tables at random and keep their order.

    The draw covers as many families as it can, with about the same number of tasks of each.
    """
    if len(tables) <= n:
        return list(tables)
    seen: Counter[str] = Counter()
    rank = np.zeros(len(tables))
    for i in rng.permutation(len(tables)):
        rank[i] = seen[tables[i].family] + rng.random()
        seen[tables[i].family] += 1
    return [tables[i] for i in np.sort(np.argsort(rank)[:n])]


def informative(tables: Iterable[TaskTable]) -> list[TaskTable]:
    """Select the tables whose losses differ by more than rounding errors."""
    return [t for t in tables if spread_of(t.loss) > 0.0]


def hide_configurations(tables: Sequence[TaskTable], rng: np.random.Generator) -> list[TaskTable]:
    """Remove a random share of the configurations, the same ones from every table.

    A table stays as it is where what remains would not be informative.
    """
    distinct, where = np.unique(np.concatenate([t.X for t in tables]), axis=0, return_inverse=True)
    shown = (rng.random(len(distinct)) >= HIDDEN_SHARE)[where.ravel()]
    parts = np.split(shown, np.cumsum([len(t.loss) for t in tables])[:-1])
    less = [replace(t, X=t.X[part], loss=t.loss[part]) for t, part in zip(tables, parts, strict=True)]
    return [part if informative([part]) else table for table, part in zip(tables, less, strict=True)]


@dataclass(frozen=True)
class Batch:
    """B tasks with n trials each: task numbers (B,), row numbers (B, n), configurations, losses and z-scores (B, n)."""

    tasks: Tensor
    rows: Tensor
    X: Tensor
    loss: Tensor
    z: Tensor

    def to(self, device: torch.device) -> Batch:
        """Copy of the batch with its configurations, losses and z-scores on a device."""
        return replace(self, X=self.X.to(device), loss=self.loss.to(device), z=self.z.to(device))


class TrialBatches:
    """Draws batches from tasks.

    Parameters
    ----------
    tasks : sequence of SourceTask
    """

    def __init__(self, tasks: Sequence[SourceTask]) -> None:
        self.lengths = torch.tensor([len(t.z) for t in tasks])
        columns = ([t.X for t in tasks], [t.loss for t in tasks], [t.z for t in tasks])
        self._X, self._loss, self._z = (
            pad_sequence(column, batch_first=True) if column else torch.empty(0) for column in columns
        )

    def sample(self, n_tasks: int, n_trials: int, generator: torch.Generator, greed: float = 0.0) -> Batch:
        """Draw tasks, and trials of each task, without replacement.

        The number of trials is at most the median number of trials of a task. Tasks with fewer trials are not drawn.
        With probability 1/2, the trials of a task are drawn in proportion to ``exp(-greed z)``. These trials are like
        those of a running search, which has seen more good configurations than bad ones. The draw uses the
        Gumbel-top-k trick (Kool et al., ICML 2019).
        """
        n_trials = min(n_trials, int(self.lengths.median()))
        long_enough = torch.nonzero(self.lengths >= n_trials)[:, 0]
        chosen = long_enough[torch.randperm(len(long_enough), generator=generator)[:n_tasks]]
        # Of each task, a number a trial, and one that tells whether the draw is biased: all in one call.
        lengths, trial = self.lengths[chosen], torch.arange(self._z.shape[1])
        ends = (lengths + 1).cumsum(0)
        drawn = torch.rand(int(ends[-1]), generator=generator, dtype=SINGLE)
        biased = drawn[ends - 1] < 0.5
        places = (ends - lengths - 1)[:, None] + trial
        uniform = drawn[places.clamp_max_(len(drawn) - 1)].clamp_(1e-6, 1.0 - 1e-6)
        z = self._z[chosen]
        keys = -torch.log(-torch.log(uniform)) - torch.where(biased, greed, 0.0)[:, None] * z
        rows = torch.topk(keys.masked_fill_(trial >= lengths[:, None], -torch.inf), n_trials).indices
        of = chosen[:, None]
        return Batch(chosen, rows, self._X[of, rows], self._loss[of, rows], z.gather(1, rows))
