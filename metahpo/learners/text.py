"""Networks for texts, learners of tasks whose categorical columns are text."""

from __future__ import annotations

from typing import Any

from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    InCondition,
    Integer,
    OrdinalHyperparameter,
)

from metahpo.learners.learner import Learner
from metahpo.networks.batched.training_configuration import OPTIMISERS, SCHEDULES
from metahpo.networks.single.network_classifier import fit_each
from metahpo.networks.text.text_classifier import ENCODERS, TextClassifier
from metahpo.tasks.task import Task


def _fixed(task: Task) -> dict[str, Any]:
    return {"device": "auto"}


def text_classifier() -> Learner:
    """Mean of word vectors or a small Transformer. Every number of heads divides every size."""
    default = TextClassifier().get_params()
    space = ConfigurationSpace()
    encoder = Categorical("encoder", ENCODERS, default=default["encoder"])
    heads = OrdinalHyperparameter("heads", [1, 2, 4, 8], default_value=default["heads"])
    pairs = Categorical("pairs", [True, False], default=default["pairs"])
    optimiser = Categorical("optimiser", OPTIMISERS, default=default["optimiser"])
    momentum = Float("momentum", (0.5, 0.99), default=default["momentum"])
    space.add(
        encoder,
        heads,
        pairs,
        optimiser,
        momentum,
        OrdinalHyperparameter("size", [16, 32, 64, 128], default_value=default["size"]),
        OrdinalHyperparameter("layers", [0, 1, 2, 3], default_value=default["layers"]),
        OrdinalHyperparameter("min_count", [1, 2, 5], default_value=default["min_count"]),
        OrdinalHyperparameter("max_length", [32, 64, 128, 256], default_value=default["max_length"]),
        Categorical("lowercase", [True, False], default=default["lowercase"]),
        Float("word_dropout", (0.0, 0.5), default=default["word_dropout"]),
        Float("dropout", (0.0, 0.6), default=default["dropout"]),
        Float("learning_rate", (1e-4, 0.5), log=True, default=default["learning_rate"]),
        Float("weight_decay", (1e-6, 1.0), log=True, default=default["weight_decay"]),
        OrdinalHyperparameter("batch_size", [16, 32, 64, 128], default_value=default["batch_size"]),
        Categorical("schedule", SCHEDULES, default=default["schedule"]),
        Float("label_smoothing", (0.0, 0.2), default=default["label_smoothing"]),
        Integer("epochs", (2, 40), log=True, default=default["epochs"]),
        Categorical("class_weight", [None, "balanced"], default=None),
        InCondition(momentum, optimiser, ["momentum", "nesterov"]),
        EqualsCondition(heads, encoder, "transformer"),
        EqualsCondition(pairs, encoder, "mean"),
    )
    return Learner(
        "text",
        "classification",
        space,
        TextClassifier,
        "text",
        fixed=_fixed,
        fit_together=fit_each,
        fidelity="epochs",
        libraries=("torch",),
    )
