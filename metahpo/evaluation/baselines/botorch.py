"""BoTorch's default: a single-task Gaussian process with log expected improvement, both the library's own.

``SingleTaskGP`` with its default kernel, priors and standardised outcomes, fitted by ``fit_gpytorch_mll``, and
``LogExpectedImprovement`` of the pool; after a few random trials.
Sources: Balandat et al., "BoTorch: a framework for efficient Monte-Carlo Bayesian optimization", NeurIPS 2020;
Hvarfner, Hellsten and Nardi, ICML 2024 (the default priors); Ament et al., NeurIPS 2023 (the acquisition function).
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from metahpo.evaluation.baselines.sequential_search import ColdMethod
from metahpo.exceptions import MissingDependencyError
from metahpo.numerics.torch_seed import torch_seeded
from metahpo.surrogates.gaussian_process import standardised

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BoTorch(ColdMethod):
    """BoTorch's default Gaussian process, after a few random trials.

    Raises
    ------
    MissingDependencyError
        BoTorch is not installed.
    """

    def __post_init__(self) -> None:
        if importlib.util.find_spec("botorch") is None:
            raise MissingDependencyError(
                "the method 'botorch' needs BoTorch; install it with: pip install 'metahpo[botorch]'"
            )

    @property
    def name(self) -> str:
        """`botorch`."""
        return "botorch"

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> BoTorchRun:
        """Begin with a generator of the task's own."""
        return BoTorchRun(np.random.default_rng(random_state), random_state, self.n_initial)


@dataclass
class BoTorchRun:
    """The library's process on one task."""

    rng: np.random.Generator
    random_state: int
    n_initial: int

    def suggest(self, X_obs: Array, loss_obs: Array, X_pool: Array) -> int:
        """Pick the row of the pool with the highest log expected improvement; at random while losses do not differ."""
        y = standardised(loss_obs)
        if len(X_obs) < self.n_initial or y is None:
            return int(self.rng.integers(len(X_pool)))
        # The library's repeated fits draw from the global generator; its import warns of what torch deprecates.
        with torch_seeded(self.random_state), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(log_expected_improvement(torch.tensor(X_obs), -torch.tensor(y), torch.tensor(X_pool)).argmax())


def log_expected_improvement(X: torch.Tensor, y: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """Log expected improvement of candidates (m, d) on values y (n,), to be maximised, at X (n, d); shape (m,)."""
    from botorch.acquisition import LogExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from gpytorch.mlls import ExactMarginalLogLikelihood

    process = SingleTaskGP(X, y[:, None])
    fit_gpytorch_mll(ExactMarginalLogLikelihood(process.likelihood, process))
    with torch.no_grad():
        values: torch.Tensor = LogExpectedImprovement(process, best_f=y.max())(candidates[:, None])
    return values
