"""Learning of the kernel of z-scores across tasks, by exact marginal likelihood on random subsets of trials.

This follows FSBO (Wistuba and Grabocka, ICLR 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.device import device_named
from metahpo.surrogates.fitting.kernel_likelihood import negative_log_likelihood
from metahpo.surrogates.fitting.source_tasks import SourceTask
from metahpo.surrogates.fitting.training_batches import TrialBatches
from metahpo.surrogates.fitting.training_loop import LogDensities, TrainingLoop, TrainingState
from metahpo.surrogates.mixture.source_functions import ZScoreKernel


@dataclass(frozen=True)
class KernelSettings:
    """Settings of learning the kernel."""

    kernel_steps: int = 600
    """Steps of the optimiser for the kernel."""
    kernel_rate: float = 0.02
    """Highest learning rate of these steps (one cycle)."""
    batch_tasks: int = 10
    """Tasks a batch."""
    batch_trials: int = 40
    """Trials a task in the batches of the kernel; in those of the components, at most."""
    device: str = "cpu"
    """Device of the computation: "cpu", "cuda", "cuda:N", or "auto", which takes a GPU if there is one."""


def learn_kernel(
    tables: Sequence[TaskTable],
    settings: KernelSettings,
    generator: torch.Generator,
    training_loop: TrainingLoop,
    stage: str,
    validate: Callable[[ZScoreKernel], LogDensities] | None = None,
) -> ZScoreKernel:
    """Learn the kernel that maximises the likelihood of the z-scores of single tasks. It is returned on the CPU."""
    device, tasks = device_named(settings.device), [SourceTask.from_table(t) for t in tables]
    batches, maps = TrialBatches(tasks), torch.Generator().manual_seed(generator.initial_seed())
    kernel = ZScoreKernel(tasks[0].X.shape[1], maps).to(device)
    n_distinct = len(np.unique(np.concatenate([t.X.numpy() for t in tasks]), axis=0))
    optimizer = torch.optim.Adam(kernel.parameters(), lr=settings.kernel_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.kernel_rate, total_steps=settings.kernel_steps)
    training_state = TrainingState(kernel, optimizer, schedule, generator)
    for _ in training_loop.steps(stage, settings.kernel_steps, training_state, validate and partial(validate, kernel)):
        batch = batches.sample(settings.batch_tasks, settings.batch_trials, generator).to(device)
        # Single precision is accurate enough, and faster.
        of_trials = negative_log_likelihood(kernel, batch.X.float(), batch.z.float())
        # Tasks with a shared design observe the same configurations: the prior counts each distinct one once.
        loss = of_trials - kernel.log_prior() / n_distinct
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(kernel.parameters(), 5.0)
        optimizer.step()
        schedule.step()
    return kernel.cpu().double().requires_grad_(False)
