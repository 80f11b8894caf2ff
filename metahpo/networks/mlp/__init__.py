"""Multi-layer perceptrons for tables: estimators, their search space, and the stacked network behind both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.networks.mlp.compiled.compiled_training import compile_ahead, train_on_cpu
    from metahpo.networks.mlp.mlp_classifier import NetworkClassifier
    from metahpo.networks.mlp.mlp_estimator import NetworkEstimator
    from metahpo.networks.mlp.mlp_fitting import fit_together, training_configuration_of
    from metahpo.networks.mlp.mlp_network import StackedMLP, stacking_order
    from metahpo.networks.mlp.mlp_regressor import NetworkRegressor
    from metahpo.networks.mlp.mlp_shape import ACTIVATIONS, NORMALISATIONS, MLPShape

__all__ = [
    "ACTIVATIONS",
    "NORMALISATIONS",
    "MLPShape",
    "NetworkClassifier",
    "NetworkEstimator",
    "NetworkRegressor",
    "StackedMLP",
    "compile_ahead",
    "fit_together",
    "stacking_order",
    "train_on_cpu",
    "training_configuration_of",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
