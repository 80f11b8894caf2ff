"""The source tasks under one kernel: source functions, task similarity, and each task as a held-out task.

The source features of a held-out task use the functions of tasks of other families only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.mixture.kernels import ZScoreKernel
from metahpo.surrogates.mixture.source_features import SourceFeatures, source_features_at, squared_distances
from metahpo.surrogates.mixture.source_functions import SourceFunctions, reference_configurations, source_weights
from metahpo.surrogates.mixture.source_task import SourceTask
from metahpo.surrogates.mixture.task_similarity import TaskSimilarity


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
        Z = torch.tensor(reference_configurations(X, settings.n_reference, settings.n_shared, rng))
        W = source_weights(kernel, Z, recorded)
        families = [t.family for t in tasks] if len({t.family for t in tasks}) > 1 else [t.name for t in tasks]
        functions = SourceFunctions(kernel, Z, W)
        meta_features = [t.meta_features for t in tables]
        similarity, leaving_out = TaskSimilarity.learn(meta_features, families, functions.at_reference.numpy(), rng)
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
