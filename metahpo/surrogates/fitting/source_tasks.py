"""The source tasks under one kernel: their trials, source functions, similarity, and each as a held-out task.

Symbols: T source tasks; R reference configurations Z; n_t recorded configurations X_t of task t, with copula z-scores
z_t; s the variance of the noise of one z-score. The source function of task t is

    m_t(x) = k(x, Z) W_t,     W_t = (K_ZX K_XZ / s + K_ZZ)^-1 K_ZX z_t / s

If tasks share a design, Z contains all of it and m_t is the mean of the exact process. With fewer reference
configurations, m_t would smooth over the best configurations of the design. Adding the residuals of the z-scores at Z
to m_t helps on some spaces and harms on others, so it is not done.

The source features of a held-out task use the functions of tasks of other families only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.copula import normal_scores
from metahpo.surrogates.fitting.similarity_learning import learn_similarity
from metahpo.surrogates.loss_spread import failed_as_worse
from metahpo.surrogates.mixture.source_functions import (
    Located,
    SourceFeatures,
    SourceFunctions,
    TaskSimilarity,
    ZScoreKernel,
    source_features_at,
    squared_distances,
)

#: Most trials that are used of one task. More trials add little to a few hundred reference configurations.
MAX_TRIALS = 5000
#: Most recorded configurations that are considered as reference configurations.
MAX_CANDIDATES = 4000
#: Jitter for K_ZZ.
JITTER = 1e-6


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


def reference_configurations(
    X: list[NDArray[np.float64]], n: int, n_shared: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Choose reference configurations among the distinct recorded ones, shape (R, d).

    First come configurations that several tasks recorded, at most `n_shared` of them, because source functions are most
    exact at shared configurations. If these are fewer than `n`, other configurations fill up to `n`. If there are too
    many candidates, each chosen one is the farthest from those chosen before.
    """
    distinct, counts = np.unique(np.concatenate([np.unique(own, axis=0) for own in X]), axis=0, return_counts=True)
    if len(distinct) <= n:
        return distinct
    shared = _covering(distinct[counts > 1], n_shared, distinct[:0], rng)
    return np.concatenate([shared, _covering(distinct[counts == 1], n - len(shared), shared, rng)])


def _covering(
    candidates: NDArray[np.float64], n: int, beside: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """At most `n` of the candidates, each the farthest from those before it and from those beside."""
    if len(candidates) <= n:
        return candidates
    candidates = candidates[rng.permutation(len(candidates))[:MAX_CANDIDATES]]
    distance = np.full(len(candidates), np.inf)
    for other in beside:
        distance = np.minimum(distance, np.square(candidates - other).sum(axis=1))
    chosen: list[int] = []
    while len(chosen) < n:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.square(candidates - candidates[chosen[-1]]).sum(axis=1))
    return candidates[chosen]


def source_weights(kernel: ZScoreKernel, Z: Tensor, tasks: list[SourceTask]) -> Tensor:
    """Weights W, shape (R, T), of the source functions on the reference configurations `Z`, shape (R, d)."""
    noise = kernel.noise()
    at_Z = kernel.locate(Z)
    K_ZZ = kernel(at_Z, at_Z) + JITTER * torch.eye(len(Z), dtype=Z.dtype)
    columns = []
    for task in tasks:
        K_ZX = kernel(at_Z, kernel.locate(task.X))
        factor = torch.linalg.cholesky(K_ZX @ K_ZX.T / noise + K_ZZ)
        columns.append(torch.cholesky_solve(K_ZX @ task.z[:, None] / noise, factor))
    return torch.cat(columns, dim=1)


@dataclass(frozen=True)
class ReferenceSettings:
    """Settings of the reference configurations of the source functions."""

    n_reference: int = 300
    """Most reference configurations where every task has its own configurations."""
    n_shared: int = 1000
    """Most reference configurations that several tasks recorded. It should cover all of a shared design."""


@dataclass(frozen=True, eq=False)
class HeldOutTask:
    """A task that is predicted from source tasks of other families.

    Attributes
    ----------
    task : SourceTask
        Its trials.
    alpha, distances : Tensor of shape (T,)
        Weights of the expected function of the task, and squared distances of the source functions to it.
    known : Tensor of shape (T,) or None
        Source tasks that may be used. None allows all of them.
    functions : SourceFunctions
    """

    task: SourceTask
    alpha: Tensor
    distances: Tensor
    known: Tensor | None
    functions: SourceFunctions

    def source_features(self, rows: Tensor) -> SourceFeatures:
        """Source features of some of its trials. They are computed on demand, because all of them need much memory."""
        return source_features_at(self.functions.at(self.task.X[rows]), self.alpha, self.known)


def source_features_of(tasks: Sequence[HeldOutTask], X: Tensor) -> SourceFeatures:
    """Source features of n configurations of each of B tasks that share their source functions.

    Parameters
    ----------
    tasks : sequence of HeldOutTask
    X : Tensor of shape (B, n, d)
    """
    at = tasks[0].functions.at(X.flatten(0, 1))
    mapped, plain, values, recorded = (
        part.reshape(*X.shape[:2], *part.shape[1:])
        for part in (at.place.mapped, at.place.plain, at.values, at.recorded)
    )
    mean = values @ torch.stack([task.alpha for task in tasks])[..., None]
    known = [torch.ones_like(task.alpha, dtype=torch.bool) if task.known is None else task.known for task in tasks]
    return SourceFeatures(Located(mapped, plain), mean, (values - mean) * torch.stack(known)[:, None], recorded)


@dataclass(frozen=True, eq=False)
class SourceTasks:
    """T source tasks under one kernel.

    Attributes
    ----------
    held_out_tasks : list of HeldOutTask
        Each source task as a held-out task. The tasks of its family are not used.
    reference : Tensor of shape (R, d)
        Reference configurations.
    weights : Tensor of shape (R, T)
        Weights of the source functions.
    similarity : TaskSimilarity
    functions : SourceFunctions
        Source functions of all tasks, at any configurations.
    """

    held_out_tasks: list[HeldOutTask]
    reference: Tensor
    weights: Tensor
    similarity: TaskSimilarity
    functions: SourceFunctions

    @classmethod
    def of(
        cls,
        kernel: ZScoreKernel,
        tables: Sequence[TaskTable],
        settings: ReferenceSettings,
        rng: np.random.Generator,
        shown: Sequence[TaskTable] | None = None,
    ) -> SourceTasks:
        """Compute source functions and similarity from informative tables.

        If `shown` is given, it holds a subset of the trials of each table, and the source functions use only these.
        """
        tasks = [SourceTask.from_table(t) for t in tables]
        recorded = tasks if shown is None else [SourceTask.from_table(t) for t in shown]
        X = [t.X.numpy() for t in recorded]
        # They are rounded to single precision, because files hold them so.
        Z = torch.tensor(reference_configurations(X, settings.n_reference, settings.n_shared, rng)).float().double()
        W = source_weights(kernel, Z, recorded)
        families = [t.family for t in tasks] if len({t.family for t in tasks}) > 1 else [t.name for t in tasks]
        functions = SourceFunctions(kernel, Z, W)
        meta_features = [t.meta_features for t in tables]
        similarity, leaving_out = learn_similarity(meta_features, families, functions.at_reference.numpy(), rng)
        other_family = torch.from_numpy(np.asarray(families)[:, None] != np.asarray(families)[None])
        alpha = torch.from_numpy(leaving_out)
        distances = squared_distances(functions.at_reference, alpha, other_family)
        held_out_tasks = [
            HeldOutTask(t, alpha[i], distances[i], other_family[i], functions) for i, t in enumerate(tasks)
        ]
        return cls(held_out_tasks, Z, W, similarity, functions)

    def held_out_task(self, table: TaskTable) -> HeldOutTask:
        """Treat a task that is not a source task as a held-out task."""
        alpha = torch.from_numpy(self.similarity.weights(table.meta_features))
        distances = squared_distances(self.functions.at_reference, alpha)
        return HeldOutTask(SourceTask.from_table(table), alpha, distances, None, self.functions)
