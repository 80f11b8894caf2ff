"""How well a surrogate under training predicts task families held out of it: the log density of scores not shown.

After `TRIAL_COUNTS` trials of a held-out task, the mean over its other trials of log p(z), averaged over tasks. Always
the same trials are shown, so that numbers compare from step to step; random numbers of the training are not touched.
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
from metahpo.surrogates.fitting.calibration import MAX_PREDICTED, TRIAL_COUNTS, predict_unseen
from metahpo.surrogates.fitting.source_tasks import NewTask
from metahpo.surrogates.fitting.training_batches import SourceTask
from metahpo.surrogates.fitting.training_loop import Score
from metahpo.surrogates.mixture.components import Regimes
from metahpo.surrogates.mixture.kernels import ScoreKernel
from metahpo.surrogates.mixture.mixture import Mixture
from metahpo.surrogates.posterior import Posterior


def set_aside(tables: Sequence[TaskTable], share: float, random_state: int) -> tuple[list[TaskTable], list[TaskTable]]:
    """Tables to learn from, and those of a share of the families (rounded up); none where the share is 0.

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
    """Tasks held out of a training.

    Parameters
    ----------
    tables : sequence of TaskTable
        Informative ones.
    """

    def __init__(self, tables: Sequence[TaskTable]) -> None:
        self.tables = tables
        self._tasks = [SourceTask.from_table(t) for t in tables]
        generator = torch.Generator().manual_seed(0)
        self._orders = [torch.randperm(len(t.z), generator=generator) for t in self._tasks]

    def score_of_kernel(self, kernel: ScoreKernel) -> Score:
        """Of a process with this kernel, conditioned on the scores of the trials shown; nothing of other tasks."""
        learnt = copy.deepcopy(kernel).cpu().double().requires_grad_(False)

        def log_density(i: int, seen: Tensor, unseen: Tensor) -> float:
            task = self._tasks[i]
            return density_of_kernel(learnt, task.rows(seen), task.rows(unseen))

        return self._score(log_density)

    def score_of_regimes(self, kernel: ScoreKernel, as_new: Sequence[NewTask], regimes: Regimes) -> Score:
        """Of the mixture, conditioned on the losses of the trials shown; `as_new` are the tasks held out."""
        learnt = copy.deepcopy(regimes).cpu().requires_grad_(False)
        mixture = Mixture(kernel, learnt)

        def log_density(i: int, seen: Tensor, unseen: Tensor) -> float:
            posterior = predict_unseen(mixture, as_new[i], seen, unseen)
            return float(posterior.log_density(as_new[i].task.z[unseen].numpy()).mean())

        return self._score(log_density)

    def _score(self, log_density: Callable[[int, Tensor, Tensor], float]) -> Score:
        score = []
        for n in TRIAL_COUNTS:
            densities = [
                log_density(i, order[:n], order[n : n + MAX_PREDICTED])
                for i, order in enumerate(self._orders)
                if len(order) >= 2 * n
            ]
            if densities:
                score.append(float(np.mean(densities)))
        return tuple(score)


def density_of_kernel(kernel: ScoreKernel, seen: SourceTask, unseen: SourceTask) -> float:
    """Mean log density of scores of one task, under a process with this kernel, given others of the task."""
    place, at = kernel.locate(seen.X), kernel.locate(unseen.X)
    noise = kernel.noise() * torch.eye(len(seen.z), dtype=seen.z.dtype)
    L = torch.linalg.cholesky(kernel(place, place) + noise)
    Q = torch.linalg.solve_triangular(L, kernel(place, at), upper=False)
    mean = Q.T @ torch.linalg.solve_triangular(L, seen.z[:, None], upper=False)[:, 0]
    variance = kernel.variance() + kernel.noise() - Q.square().sum(0)
    posterior = Posterior(np.ones(1), mean[None].numpy(), variance[None].sqrt().numpy(), np.zeros(1))
    return float(posterior.log_density(unseen.z.numpy()).mean())
