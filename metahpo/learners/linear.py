"""Linear models: logistic regression, and ridge, lasso and elastic net for regression.

The range of C of the logistic regression is that of TabArena (0.1 to 1000) and lower values, because wide tables need
more regularisation. The range of alpha of the ridge covers the usual decades. That of the lasso is from almost no
penalty to the value that removes every column of a standardised table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, InCondition
from sklearn.base import BaseEstimator
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge

from metahpo.learners.learner import Learner
from metahpo.learners.linear_regressor import LinearRegressor

#: The library's own limit: enough for nearly every configuration on standardised columns; the rest stop there, as data.
MAX_ITERATIONS = 100

#: Solver that a penalty given by name is searched with.
_SOLVER_OF_PENALTY = {"l1": "saga", "elasticnet": "saga", "l2": "lbfgs"}
#: What a penalty given by name is in ``l1_ratio``.
_RATIO_OF_PENALTY = {"l1": 1.0, "l2": 0.0}
#: Model of each class of scikit-learn; None: it has no penalty. A subclass comes before its parent.
_MODEL_OF_CLASS = {Ridge: "ridge", Lasso: "lasso", ElasticNet: "elastic_net", LinearRegression: None}


def linear_classifier() -> Learner:
    """Logistic regression; ``l1_ratio`` mixes L1 and L2 where the solver can."""
    space = ConfigurationSpace()
    solver = Categorical("solver", ["lbfgs", "saga"], default="lbfgs")
    l1_ratio = Float("l1_ratio", (0.0, 1.0), default=0.5)
    space.add(
        solver,
        l1_ratio,
        Float("C", (1e-3, 1e3), log=True, default=1.0),
        Categorical("class_weight", [None, "balanced"], default=None),
        EqualsCondition(l1_ratio, solver, "saga"),
    )
    return Learner(
        "linear",
        "classification",
        space,
        LogisticRegression,
        "scaled",
        fixed=lambda task: {"max_iter": MAX_ITERATIONS, "tol": 1e-3},
        held_by=_solver_of_penalty,
        ignored_by=_ignored_with_penalty,
        by_own_names=_without_penalty,
        # An L1 penalty makes saga visit every column in every step, however sparse the rows are.
        held_on_sparse={"solver": "lbfgs"},
    )


def linear_regressor() -> Learner:
    """Ridge, lasso or elastic net on a standardised target.

    The two alphas are one parameter of the estimator. They are two hyperparameters, because scikit-learn counts them
    against different errors.
    """
    space = ConfigurationSpace()
    model = Categorical("model", ["ridge", "lasso", "elastic_net"], default="ridge")
    ridge_alpha = Float("alpha", (1e-3, 1e4), log=True, default=1.0)
    l1_alpha = Float("l1_alpha", (1e-5, 1.0), log=True, default=1e-3)
    l1_ratio = Float("l1_ratio", (0.05, 0.95), default=0.5)
    space.add(
        model,
        ridge_alpha,
        l1_alpha,
        l1_ratio,
        EqualsCondition(ridge_alpha, model, "ridge"),
        InCondition(l1_alpha, model, ["lasso", "elastic_net"]),
        EqualsCondition(l1_ratio, model, "elastic_net"),
    )
    return Learner(
        "linear",
        "regression",
        space,
        LinearRegressor,
        "scaled",
        translate=_one_alpha,
        scale_target=True,
        held_by=_model_of_class,
    )


def _solver_of_penalty(estimator: BaseEstimator) -> dict[str, Any] | None:
    """Solver for a penalty given by name, as in older code.

    Only saga supports every L1 penalty. With lbfgs no ``l1_ratio`` is searched, which an L2 penalty would ignore.
    """
    parameters = estimator.get_params(deep=False)
    solver = _SOLVER_OF_PENALTY.get(str(parameters.get("penalty")))
    return {"solver": solver} if isinstance(estimator, LogisticRegression) and solver and "C" in parameters else None


def _ignored_with_penalty(estimator: BaseEstimator) -> dict[str, Any]:
    """Hyperparameters that an estimator ignores because of its `penalty` -> the values that they count as."""
    penalty = estimator.get_params(deep=False).get("penalty", "deprecated")
    if penalty is None:
        return {"C": math.inf, "l1_ratio": 0.0}
    return {"l1_ratio": 1.0} if penalty == "l1" else {}


def _without_penalty(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without a penalty given by name: ``l1_ratio`` says which it is, and C is infinite where there is none.

    Where neither is given, the library's penalty is L2.
    """
    found = dict(parameters)
    penalty = found.pop("penalty", "deprecated")
    if penalty is None:
        found["C"] = math.inf
    if str(penalty) in _RATIO_OF_PENALTY:
        found["l1_ratio"] = _RATIO_OF_PENALTY[str(penalty)]
    elif found.get("l1_ratio") is None:
        found["l1_ratio"] = 0.0
    return found


def _model_of_class(estimator: BaseEstimator) -> dict[str, Any] | None:
    for of_class, model in _MODEL_OF_CLASS.items():
        if isinstance(estimator, of_class):
            return {} if model is None else {"model": model}
    return None


def _one_alpha(configuration: Mapping[str, Any]) -> dict[str, Any]:
    parameters = dict(configuration)
    if "l1_alpha" in parameters:
        parameters["alpha"] = parameters.pop("l1_alpha")
    if "model" not in parameters and "positive" in parameters:
        # A configuration of an earlier space, whose only model was the elastic net.
        parameters["model"] = "elastic_net"
    return parameters
