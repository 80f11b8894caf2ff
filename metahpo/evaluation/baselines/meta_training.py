"""Shared parts of baselines with networks: source tasks, a training step, and losses scaled to the unit range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.fitting.source_tasks import SourceTask
from metahpo.surrogates.fitting.training_batches import informative
from metahpo.surrogates.loss_spread import failed_as_worse


def source_tasks(tables: Sequence[TaskTable]) -> list[SourceTask]:
    """Tasks to learn from, of those whose losses tell configurations apart."""
    return [SourceTask.from_table(t) for t in informative(tables)]


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down the gradient of a loss."""
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()


def unit_range(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses (n,) to [0, 1], a failed trial behind the worst; zeros where they do not differ."""
    filled = failed_as_worse(loss, typical_spread=1.0)
    low, high = filled.min(initial=np.inf), filled.max(initial=-np.inf)
    return (filled - low) / (high - low) if high > low else np.zeros(len(filled))
