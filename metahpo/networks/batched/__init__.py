"""Batched training: many configurations of one kind of network, trained at once as one stacked network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.networks.batched.batched_training import Pool, predict_rows, validation
    from metahpo.networks.batched.grouping import planned_bytes, too_large, train_models
    from metahpo.networks.batched.learning_rate_schedule import factors
    from metahpo.networks.batched.optimiser_step import TINY, Coefficients
    from metahpo.networks.batched.random_streams import LAYERS, STRIDE, Stream
    from metahpo.networks.batched.stacked_network import Noise, StackedParameters
    from metahpo.networks.batched.training_configuration import (
        OPTIMISERS,
        SCHEDULES,
        BatchedModel,
        ModelStatus,
        Outcome,
        Progress,
        State,
        TrainingConfiguration,
    )
    from metahpo.networks.batched.training_history import TrainingHistory

__all__ = [
    "LAYERS",
    "OPTIMISERS",
    "SCHEDULES",
    "STRIDE",
    "TINY",
    "BatchedModel",
    "Coefficients",
    "ModelStatus",
    "Noise",
    "Outcome",
    "Pool",
    "Progress",
    "StackedParameters",
    "State",
    "Stream",
    "TrainingConfiguration",
    "TrainingHistory",
    "factors",
    "planned_bytes",
    "predict_rows",
    "too_large",
    "train_models",
    "validation",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
