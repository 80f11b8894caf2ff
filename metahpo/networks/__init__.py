"""Neural networks that are tuned, and their training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.networks.batched.batched_training import Pool
    from metahpo.networks.batched.grouping import train_models
    from metahpo.networks.batched.learning_rate_schedule import factors
    from metahpo.networks.batched.training_configuration import (
        OPTIMISERS,
        SCHEDULES,
        BatchedModel,
        TrainingConfiguration,
    )
    from metahpo.networks.convnet.convnet_classifier import POOLINGS, ConvNetClassifier
    from metahpo.networks.mlp.compiled.compiled_training import compile_ahead, train_on_cpu
    from metahpo.networks.mlp.mlp_classifier import NetworkClassifier
    from metahpo.networks.mlp.mlp_estimator import NetworkEstimator
    from metahpo.networks.mlp.mlp_fitting import fit_together, training_configuration_of
    from metahpo.networks.mlp.mlp_network import StackedMLP, stacking_order
    from metahpo.networks.mlp.mlp_regressor import NetworkRegressor
    from metahpo.networks.mlp.mlp_shape import ACTIVATIONS, NORMALISATIONS, MLPShape
    from metahpo.networks.network_targets import classes_of, training_of
    from metahpo.networks.single.network_classifier import fit_each
    from metahpo.networks.text.text_classifier import ENCODERS, TextClassifier
    from metahpo.networks.training_record import Training

__all__ = [
    "ACTIVATIONS",
    "ENCODERS",
    "NORMALISATIONS",
    "OPTIMISERS",
    "POOLINGS",
    "SCHEDULES",
    "BatchedModel",
    "ConvNetClassifier",
    "MLPShape",
    "NetworkClassifier",
    "NetworkEstimator",
    "NetworkRegressor",
    "Pool",
    "StackedMLP",
    "TextClassifier",
    "Training",
    "TrainingConfiguration",
    "classes_of",
    "compile_ahead",
    "factors",
    "fit_each",
    "fit_together",
    "stacking_order",
    "train_models",
    "train_on_cpu",
    "training_configuration_of",
    "training_of",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
