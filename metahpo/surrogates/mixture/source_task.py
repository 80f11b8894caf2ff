"""The recorded trials of one source task, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.copula import normal_scores
from metahpo.surrogates.loss_spread import failed_as_worse

#: Most trials that are used of one task. More trials add little to a few hundred reference configurations.
MAX_TRIALS = 5000


@dataclass(frozen=True)
class SourceTask:
    """Recorded trials of one source task.

    Attributes
    ----------
    name, family : str
    X : Tensor of shape (n, d)
        Encoded configurations.
    loss : Tensor of shape (n,)
        Losses. Failed trials have a loss that is worse than all others.
    z : Tensor of shape (n,)
        Copula z-scores of the losses.
    """

    name: str
    family: str
    X: Tensor
    loss: Tensor
    z: Tensor

    @classmethod
    def from_table(cls, table: TaskTable) -> SourceTask:
        """Read an informative table. Of more than `MAX_TRIALS` trials, a fixed random sample is kept."""
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
        """Copy of the task with a subset of its trials."""
        return replace(self, X=self.X[index], loss=self.loss[index], z=self.z[index])
