"""The source tasks as one whole: their functions, what meta-features say of them, and each of them as if it were new.

As a new one, a task is described by the functions of tasks of other families only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metahpo.surrogates.affinity import TaskAffinity
from metahpo.surrogates.batches import SourceTask
from metahpo.surrogates.kernels import DeepKernel
from metahpo.surrogates.sources import SourceFunctions, reference_configurations, source_weights
from metahpo.surrogates.transfer import Described, describe, squared_distances
from metahpo.task_table import TaskTable


@dataclass(frozen=True, eq=False)
class Experience:
    """T source tasks under one kernel.

    Attributes
    ----------
    tasks : list of SourceTask
    reference : Tensor of shape (R, d)
        Reference configurations.
    weights : Tensor of shape (R, T)
        Weights of the source functions.
    affinity : TaskAffinity
    described : list of Described
        All trials of each task, as those of a new one.
    distances : Tensor of shape (T, T)
        Squared distances of the source functions from what is expected of each task; infinite within a family.
    functions : SourceFunctions
        Of all tasks, at any configurations.
    """

    tasks: list[SourceTask]
    reference: Tensor
    weights: Tensor
    affinity: TaskAffinity
    described: list[Described]
    distances: Tensor
    functions: SourceFunctions

    @classmethod
    def of(
        cls, kernel: DeepKernel, tables: Sequence[TaskTable], n_reference: int, rng: np.random.Generator
    ) -> Experience:
        """In closed form, from informative tables."""
        tasks = [SourceTask.from_table(t) for t in tables]
        Z = torch.tensor(reference_configurations([t.X for t in tables], n_reference, rng))
        W = source_weights(kernel, Z, tasks)
        families = [t.family for t in tasks] if len({t.family for t in tasks}) > 1 else [t.name for t in tasks]
        functions = SourceFunctions(kernel, Z, W)
        affinity = TaskAffinity.learn([t.meta_features for t in tables], families, functions.at_reference.numpy())
        strangers = torch.tensor([[a != b for b in families] for a in families])
        alpha = torch.from_numpy(affinity.leaving_out(families))
        described = [describe(functions.at(t.X.numpy()), alpha[i], strangers[i]) for i, t in enumerate(tasks)]
        distances = squared_distances(functions.at_reference, alpha, strangers)
        return cls(tasks, Z, W, affinity, described, distances, functions)

    def describe(self, table: TaskTable) -> tuple[Described, Tensor]:
        """Trials of a task that is none of the source tasks, and the distances (T,) from what is expected of it."""
        alpha = torch.from_numpy(self.affinity.weights(table.meta_features))
        distances = squared_distances(self.functions.at_reference, alpha)
        return describe(self.functions.at(table.X), alpha), distances
