"""Convolutional networks, learners of image tasks. The columns of such a task are pixels."""

from __future__ import annotations

from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, Float, InCondition, Integer, OrdinalHyperparameter

from metahpo.learners.learner import Learner
from metahpo.networks.batched.training_configuration import OPTIMISERS, SCHEDULES
from metahpo.networks.convnet.convnet_classifier import POOLINGS, ConvNetClassifier
from metahpo.networks.single.network_classifier import fit_each
from metahpo.tasks.task import Task


def _fixed(task: Task) -> dict[str, Any]:
    return {"device": "auto", "image_shape": task.image_shape}


def convnet_classifier() -> Learner:
    """Small residual network, small enough to record many of them.

    On a task of a table, rows are read as square images of one or three channels.
    """
    default = ConvNetClassifier().get_params()
    space = ConfigurationSpace()
    optimiser = Categorical("optimiser", OPTIMISERS, default=default["optimiser"])
    momentum = Float("momentum", (0.5, 0.99), default=default["momentum"])
    space.add(
        optimiser,
        momentum,
        Integer("width", (4, 32), log=True, default=default["width"]),
        Integer("stages", (1, 4), default=default["stages"]),
        OrdinalHyperparameter("blocks", [1, 2, 3], default_value=default["blocks"]),
        OrdinalHyperparameter("kernel_size", [3, 5], default_value=default["kernel_size"]),
        Categorical("pooling", POOLINGS, default=default["pooling"]),
        Float("dropout", (0.0, 0.5), default=default["dropout"]),
        Float("augmentation", (0.0, 1.0), default=default["augmentation"]),
        Categorical("flip", [False, True], default=default["flip"]),
        Float("learning_rate", (1e-4, 0.5), log=True, default=default["learning_rate"]),
        Float("weight_decay", (1e-6, 1.0), log=True, default=default["weight_decay"]),
        OrdinalHyperparameter("batch_size", [16, 32, 64, 128, 256], default_value=default["batch_size"]),
        Categorical("schedule", SCHEDULES, default=default["schedule"]),
        Float("label_smoothing", (0.0, 0.2), default=default["label_smoothing"]),
        Integer("epochs", (2, 40), log=True, default=default["epochs"]),
        Categorical("class_weight", [None, "balanced"], default=None),
        InCondition(momentum, optimiser, ["momentum", "nesterov"]),
    )
    return Learner(
        "convnet",
        "classification",
        space,
        ConvNetClassifier,
        "ordinal",
        fixed=_fixed,
        fit_together=fit_each,
        fidelity="epochs",
        libraries=("torch",),
    )
