"""Bayesian optimisation from a cold start: the process that a search without experience has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from metahpo.evaluation.baselines.sequential_search import ColdMethod, ModelRun
from metahpo.surrogates.cold_surrogate import ColdSurrogate


class ColdGaussianProcess(ColdMethod):
    """The cold surrogate with expected improvement, after a few random trials."""

    @property
    def name(self) -> str:
        """`gaussian_process`."""
        return "gaussian_process"

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> ModelRun:
        """Begin with a generator of the task's own."""
        return ModelRun(np.random.default_rng(random_state), ColdSurrogate(), self.n_initial)
