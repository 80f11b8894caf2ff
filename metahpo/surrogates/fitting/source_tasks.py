"""The source tasks as one whole: their functions, what meta-features say of them, and each of them as if it were new.

As a new one, a task is described by the functions of tasks of other families only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.fitting.training_batches import SourceTask
from metahpo.surrogates.mixture.kernels import ScoreKernel
from metahpo.surrogates.mixture.source_features import Described, describe, squared_distances
from metahpo.surrogates.mixture.source_functions import SourceFunctions, reference_configurations, source_weights
from metahpo.surrogates.mixture.task_similarity import TaskAffinity


@dataclass(frozen=True)
class ReferenceSettings:
    """Settings of the configurations that source functions are read from."""

    n_reference: int = 300
    """Reference configurations, at most, where every task has configurations of its own."""
    n_shared: int = 1000
    """Reference configurations that several tasks recorded, at most; all of a shared design should be among them."""


@dataclass(frozen=True, eq=False)
class NewTask:
    """A task seen as a new one: weights alpha (T,) of the function expected of it, and which source tasks are known.

    Attributes
    ----------
    task : SourceTask
        Its trials.
    alpha, distances : Tensor of shape (T,)
        Weights of the function expected of it, and squared distances of the source functions from that.
    known : Tensor of shape (T,) or None
        Which of the source tasks are; None: all of them.
    functions : SourceFunctions
    """

    task: SourceTask
    alpha: Tensor
    distances: Tensor
    known: Tensor | None
    functions: SourceFunctions

    def described(self, rows: Tensor) -> Described:
        """Some of its trials, by the source functions; computed when asked for, since all do not fit into memory."""
        return describe(self.functions.at(self.task.X[rows]), self.alpha, self.known)


@dataclass(frozen=True, eq=False)
class Experience:
    """T source tasks under one kernel.

    Attributes
    ----------
    as_new : list of NewTask
        Each of them as a new one: none of its family is known.
    reference : Tensor of shape (R, d)
        Reference configurations.
    weights : Tensor of shape (R, T)
        Weights of the source functions.
    affinity : TaskAffinity
    functions : SourceFunctions
        Of all tasks, at any configurations.
    """

    as_new: list[NewTask]
    reference: Tensor
    weights: Tensor
    affinity: TaskAffinity
    functions: SourceFunctions

    @classmethod
    def of(
        cls,
        kernel: ScoreKernel,
        tables: Sequence[TaskTable],
        settings: ReferenceSettings,
        rng: np.random.Generator,
        shown: Sequence[TaskTable] | None = None,
    ) -> Experience:
        """In closed form, from informative tables; functions from `shown`, some trials of each, where that is given."""
        tasks = [SourceTask.from_table(t) for t in tables]
        recorded = tasks if shown is None else [SourceTask.from_table(t) for t in shown]
        X = [t.X.numpy() for t in recorded]
        Z = torch.tensor(reference_configurations(X, settings.n_reference, settings.n_shared, rng))
        W = source_weights(kernel, Z, recorded)
        families = [t.family for t in tasks] if len({t.family for t in tasks}) > 1 else [t.name for t in tasks]
        functions = SourceFunctions(kernel, Z, W)
        meta_features = [t.meta_features for t in tables]
        affinity, leaving_out = TaskAffinity.learn(meta_features, families, functions.at_reference.numpy(), rng)
        strangers = torch.from_numpy(np.asarray(families)[:, None] != np.asarray(families)[None])
        alpha = torch.from_numpy(leaving_out)
        distances = squared_distances(functions.at_reference, alpha, strangers)
        as_new = [NewTask(t, alpha[i], distances[i], strangers[i], functions) for i, t in enumerate(tasks)]
        return cls(as_new, Z, W, affinity, functions)

    def stranger(self, table: TaskTable) -> NewTask:
        """A task that is none of the source tasks."""
        alpha = torch.from_numpy(self.affinity.weights(table.meta_features))
        distances = squared_distances(self.functions.at_reference, alpha)
        return NewTask(SourceTask.from_table(table), alpha, distances, None, self.functions)
