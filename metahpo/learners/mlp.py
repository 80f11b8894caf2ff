"""Multi-layer perceptrons as learners.

Ranges: depth, width, dropout, weight decay and learning rate as in the tuning of tabular networks by Gorishniy et al.
(NeurIPS 2021) and Holzmüller et al. (NeurIPS 2024), with networks that are small enough to record thousands of them.
The range of the learning rate is wide, because plain SGD needs a hundred times the rate of Adam.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    GreaterThanCondition,
    InCondition,
    Integer,
    OrdinalHyperparameter,
)
from numpy.typing import NDArray

from metahpo.learners.learner import BY_VALUE, Learner
from metahpo.networks.batched.training_configuration import OPTIMISERS, SCHEDULES
from metahpo.networks.mlp.mlp_classifier import NetworkClassifier
from metahpo.networks.mlp.mlp_estimator import NetworkEstimator
from metahpo.networks.mlp.mlp_regressor import NetworkRegressor
from metahpo.networks.mlp.mlp_shape import ACTIVATIONS, NORMALISATIONS
from metahpo.networks.network_targets import training_of
from metahpo.networks.training_record import Training
from metahpo.tasks.task import Task

#: The rule's word is the value itself: no L1 penalty.
_RULES = {"l1_rule": "l1"}


def _network_space(estimator_class: Callable[[], NetworkEstimator]) -> ConfigurationSpace:
    space = ConfigurationSpace()
    default = estimator_class().get_params()
    depth = Integer("depth", (1, 4), default=default["depth"])
    residual = Categorical("residual", [False, True], default=default["residual"])
    optimiser = Categorical("optimiser", OPTIMISERS, default=default["optimiser"])
    momentum = Float("momentum", (0.5, 0.99), default=default["momentum"])
    l1_rule = Categorical("l1_rule", [0.0, BY_VALUE], default=0.0)
    l1 = Float("l1", (1e-6, 1e-2), log=True, default=1e-4)
    space.add(
        depth,
        residual,
        optimiser,
        momentum,
        l1_rule,
        l1,
        Integer("width", (16, 256), log=True, default=default["width"]),
        Categorical("activation", ACTIVATIONS, default=default["activation"]),
        Categorical("normalisation", NORMALISATIONS, default=default["normalisation"]),
        Float("dropout", (0.0, 0.5), default=default["dropout"]),
        OrdinalHyperparameter("bins", [0, 8], default_value=default["bins"]),
        Integer("embedding_size", (1, 16), log=True, default=default["embedding_size"]),
        Float("learning_rate", (1e-4, 0.5), log=True, default=default["learning_rate"]),
        Float("weight_decay", (1e-6, 1.0), log=True, default=default["weight_decay"]),
        OrdinalHyperparameter("batch_size", [16, 32, 64, 128, 256, 512], default_value=default["batch_size"]),
        Categorical("schedule", SCHEDULES, default=default["schedule"]),
        Integer("epochs", (5, 100), log=True, default=default["epochs"]),
        GreaterThanCondition(residual, depth, 1),
        InCondition(momentum, optimiser, ["momentum", "nesterov"]),
        EqualsCondition(l1, l1_rule, BY_VALUE),
    )
    return space


def _fixed(task: Task) -> dict[str, Any]:
    # The ordinal preprocessing puts the categorical columns first. A trial trains one network. An ensemble would reduce
    # the differences between configurations, at several times the cost.
    return {
        "categorical_features": list(range(len(task.categorical))),
        "members": 1,
        "early_stopping": False,
        "device": "auto",
    }


def _get_ready() -> None:
    import torch

    from metahpo.networks.mlp.compiled.compiled_training import compile_ahead
    from metahpo.numerics.device import device_named

    if device_named("auto").type == "cpu":
        compile_ahead(torch.float32)


def _fit_together(
    estimators: Sequence[NetworkEstimator],
    X: Any,
    y: NDArray[Any],
    *,
    watched: tuple[Any, NDArray[Any]] | None,
    memory_bytes: int | None,
) -> list[Training]:
    from metahpo.networks.mlp.mlp_fitting import fit_together

    fit_together(estimators, X, y, watched=watched, memory_bytes=memory_bytes)
    metric = "accuracy" if isinstance(estimators[0], NetworkClassifier) else "r2"
    return [training_of(estimator, metric) for estimator in estimators]


def mlp_classifier() -> Learner:
    """Network with label smoothing and class weighting."""
    space = _network_space(NetworkClassifier)
    space.add(
        Float("label_smoothing", (0.0, 0.2), default=NetworkClassifier().label_smoothing),
        Categorical("class_weight", [None, "balanced"], default=None),
    )
    return Learner(
        "mlp",
        "classification",
        space,
        NetworkClassifier,
        "ordinal",
        rules=_RULES,
        fixed=_fixed,
        fit_together=_fit_together,
        get_ready=_get_ready,
        batched=True,
        fidelity="epochs",
        libraries=("torch", "numba"),
    )


def mlp_regressor() -> Learner:
    """Network on squared error; the estimator standardises the target itself."""
    return Learner(
        "mlp",
        "regression",
        _network_space(NetworkRegressor),
        NetworkRegressor,
        "ordinal",
        rules=_RULES,
        fixed=_fixed,
        fit_together=_fit_together,
        get_ready=_get_ready,
        batched=True,
        fidelity="epochs",
        libraries=("torch", "numba"),
    )
