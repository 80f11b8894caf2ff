"""Bayesian optimisation: maximisation of acquisition functions, ask and tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.optimization.optimizer import BayesianOptimizer, HasConfigurations, without_outliers

__all__ = [
    "BayesianOptimizer",
    "HasConfigurations",
    "without_outliers",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
