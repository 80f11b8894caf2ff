"""Validation of a surrogate in training on held-out task families, by the log density of unseen z-scores.

For each of `TRIAL_COUNTS`, that number of trials of a held-out task is observed. The measure is the mean of log p(z)
over the other trials, averaged over tasks. The observed trials are the same at every validation, so the numbers of
different steps can be compared. Validation does not use the random numbers of the training.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from metahpo.exceptions import DataError
from metahpo.metadata.families import family_split
from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.fitting.calibration_learning import MAX_PREDICTED, predict_unseen
from metahpo.surrogates.fitting.source_tasks import HeldOutTask, SourceTask
from metahpo.surrogates.fitting.training_loop import LogDensities
from metahpo.surrogates.mixture.meta_learned import TRIAL_COUNTS
from metahpo.surrogates.mixture.mixture import Mixture, MixtureComponents
from metahpo.surrogates.mixture.source_functions import ZScoreKernel
from metahpo.surrogates.posterior import Posterior


def set_aside(tables: Sequence[TaskTable], share: float, random_state: int) -> tuple[list[TaskTable], list[TaskTable]]:
    """Split tables into those to learn from and those of a share of the families, rounded up.

    Raises
    ------
    DataError
        A share outside [0, 1), or one that leaves fewer than two tasks to learn from.
    """
    if share == 0.0:
        return list(tables), []
    families = pd.Series([t.family for t in tables])
    if 0.0 < share < 1.0 and families.nunique() > math.ceil(share * families.nunique()):
        kept, away = family_split(families, share, random_state)
        if len(kept) > 1:
            return [tables[i] for i in kept], [tables[i] for i in away]
    raise DataError(
        f"validation_share must be in [0, 1) and leave two tasks to learn from, but is {share}, of {len(tables)} tasks "
        f"in {families.nunique()} families."
    )


class HeldOut:
    """Held-out tasks of a training.

    Parameters
    ----------
    tables : sequence of TaskTable
        Informative tables.
    """

    def __init__(self, tables: Sequence[TaskTable]) -> None:
        self.tables = tables
        self._tasks = [SourceTask.from_table(t) for t in tables]
        generator = torch.Generator().manual_seed(0)
        self._orders = [torch.randperm(len(t.z), generator=generator) for t in self._tasks]

    def kernel_densities(self, kernel: ZScoreKernel) -> LogDensities:
        """Log densities of a Gaussian process with this kernel, given the z-scores of the observed trials."""
        learnt = copy.deepcopy(kernel).cpu().double().requires_grad_(False)

        def log_density(i: int, seen: Tensor, unseen: Tensor) -> float:
            task = self._tasks[i]
            return density_of_kernel(learnt, task.rows(seen), task.rows(unseen))

        return self._densities(log_density)

    def component_densities(
        self, kernel: ZScoreKernel, held_out_tasks: Sequence[HeldOutTask], components: MixtureComponents
    ) -> LogDensities:
        """Log densities of the mixture, given the losses of the observed trials of `held_out_tasks`."""
        learnt = copy.deepcopy(components).cpu().requires_grad_(False)
        mixture = Mixture(kernel, learnt)

        def log_density(i: int, seen: Tensor, unseen: Tensor) -> float:
            posterior = predict_unseen(mixture, held_out_tasks[i], seen, unseen)
            return float(posterior.log_density(held_out_tasks[i].task.z[unseen].numpy()).mean())

        return self._densities(log_density)

    def _densities(self, log_density: Callable[[int, Tensor, Tensor], float]) -> LogDensities:
        means = []
        for n in TRIAL_COUNTS:
            densities = [
                log_density(i, order[:n], order[n : n + MAX_PREDICTED])
                for i, order in enumerate(self._orders)
                if len(order) >= 2 * n
            ]
            if densities:
                means.append(float(np.mean(densities)))
        return tuple(means)


def density_of_kernel(kernel: ZScoreKernel, seen: SourceTask, unseen: SourceTask) -> float:
    """Mean log density of unseen z-scores of a task under a Gaussian process with this kernel, given seen ones."""
    place, at = kernel.locate(seen.X), kernel.locate(unseen.X)
    noise = kernel.noise() * torch.eye(len(seen.z), dtype=seen.z.dtype)
    L = torch.linalg.cholesky(kernel(place, place) + noise)
    Q = torch.linalg.solve_triangular(L, kernel(place, at), upper=False)
    mean = Q.T @ torch.linalg.solve_triangular(L, seen.z[:, None], upper=False)[:, 0]
    variance = kernel.variance() + kernel.noise() - Q.square().sum(0)
    posterior = Posterior(np.ones(1), mean[None].numpy(), variance[None].sqrt().numpy(), np.zeros(1))
    return float(posterior.log_density(unseen.z.numpy()).mean())
