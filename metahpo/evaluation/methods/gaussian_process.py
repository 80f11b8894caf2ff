"""Bayesian optimisation from a cold start: a Gaussian process on the task's own trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metahpo.evaluation.methods.search import ModelRun
from metahpo.surrogates.gaussian_process import GaussianProcessSurrogate
from metahpo.task_table import TaskTable


@dataclass(frozen=True)
class ColdGaussianProcess:
    """Gaussian process with expected improvement, after a few random trials.

    Attributes
    ----------
    n_initial : int, default=5
        Random trials at the start; they count.
    n_replays : int, default=5
        See :class:`~metahpo.evaluation.methods.method.Method`.
    """

    n_initial: int = 5
    n_replays: int = 5

    @property
    def name(self) -> str:
        """`gaussian_process`."""
        return "gaussian_process"

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> ColdGaussianProcess:
        """Nothing is learnt."""
        return self

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> ModelRun:
        """Begin with a generator of the task's own."""
        return ModelRun(np.random.default_rng(random_state), GaussianProcessSurrogate(), self.n_initial)
