"""Batches of training: some tasks, and of each as many of its recorded trials as the batch asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.copula import normal_scores
from metahpo.numerics.device import SINGLE
from metahpo.surrogates.loss_spread import failed_as_worse, spread_of

#: Share of the distinct configurations that is hidden.
HIDDEN_SHARE = 0.25
#: Trials that are learnt from a task; what more of them would add to a few hundred reference configurations is little.
MAX_TRIALS = 5000


@dataclass(frozen=True)
class SourceTask:
    """A task to learn from: configurations X (n, d), losses (n,) with failed trials filled in, and scores z (n,)."""

    name: str
    family: str
    X: Tensor
    loss: Tensor
    z: Tensor

    @classmethod
    def from_table(cls, table: TaskTable) -> SourceTask:
        """Read an informative table; of more than `MAX_TRIALS` trials, as many by chance, and always the same."""
        task = cls(
            table.task,
            table.family,
            torch.tensor(table.X),
            torch.tensor(failed_as_worse(table.loss, typical_spread=0.0)),
            torch.tensor(normal_scores(table.loss)),
        )
        if len(table.loss) <= MAX_TRIALS:
            return task
        drawn = torch.randperm(len(table.loss), generator=torch.Generator().manual_seed(0))[:MAX_TRIALS]
        return task.rows(drawn)

    def rows(self, index: Tensor | slice) -> SourceTask:
        """The task with some of its trials."""
        return replace(self, X=self.X[index], loss=self.loss[index], z=self.z[index])


def representative(tables: Sequence[TaskTable], n: int, rng: np.random.Generator) -> list[TaskTable]:
    """At most `n` tables, by chance, in their order: of as many families as can be, and of each about as many."""
    if len(tables) <= n:
        return list(tables)
    seen: Counter[str] = Counter()
    rank = np.zeros(len(tables))
    for i in rng.permutation(len(tables)):
        rank[i] = seen[tables[i].family] + rng.random()
        seen[tables[i].family] += 1
    return [tables[i] for i in np.sort(np.argsort(rank)[:n])]


def informative(tables: Iterable[TaskTable]) -> list[TaskTable]:
    """Tables to learn from: those whose losses differ by more than rounding."""
    return [t for t in tables if spread_of(t.loss) > 0.0]


def hide_configurations(tables: Sequence[TaskTable], rng: np.random.Generator) -> list[TaskTable]:
    """Tables without some configurations, the same of all; but for those that would be informative no more."""
    distinct, where = np.unique(np.concatenate([t.X for t in tables]), axis=0, return_inverse=True)
    shown = (rng.random(len(distinct)) >= HIDDEN_SHARE)[where.ravel()]
    parts = np.split(shown, np.cumsum([len(t.loss) for t in tables])[:-1])
    less = [replace(t, X=t.X[part], loss=t.loss[part]) for t, part in zip(tables, parts, strict=True)]
    return [part if informative([part]) else table for table, part in zip(tables, less, strict=True)]


@dataclass(frozen=True)
class Batch:
    """B tasks with n trials each: task numbers (B,), row numbers (B, n), configurations, losses and scores (B, n)."""

    tasks: Tensor
    rows: Tensor
    X: Tensor
    loss: Tensor
    z: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same with its configurations, losses and scores on a device."""
        return replace(self, X=self.X.to(device), loss=self.loss.to(device), z=self.z.to(device))


def sample_batch(
    tasks: list[SourceTask], n_tasks: int, n_trials: int, generator: torch.Generator, greed: float = 0.0
) -> Batch:
    """Draw tasks, and trials of each, without replacement; both are cut to what half of the tasks can give.

    Every other task, by chance, shows trials drawn in proportion to ``exp(-greed z)``: a search under way has seen more
    good configurations than bad ones. (Without replacement by the Gumbel-top-k trick: Kool et al., ICML 2019.)
    """
    lengths = torch.tensor([len(t.z) for t in tasks])
    n_trials = min(n_trials, int(lengths.median()))
    long_enough = torch.nonzero(lengths >= n_trials)[:, 0]
    chosen = long_enough[torch.randperm(len(long_enough), generator=generator)[:n_tasks]]
    rows = []
    for i in chosen.tolist():
        uniform = torch.rand(len(tasks[i].z), generator=generator, dtype=SINGLE).clamp(1e-6, 1.0 - 1e-6)
        biased = bool(torch.rand((), generator=generator, dtype=SINGLE) < 0.5)
        keys = -torch.log(-torch.log(uniform)) - (greed if biased else 0.0) * tasks[i].z
        rows.append(torch.topk(keys, n_trials).indices)
    drawn = [(tasks[i], r) for i, r in zip(chosen.tolist(), rows, strict=True)]
    return Batch(
        chosen,
        torch.stack(rows),
        torch.stack([task.X[r] for task, r in drawn]),
        torch.stack([task.loss[r] for task, r in drawn]),
        torch.stack([task.z[r] for task, r in drawn]),
    )
