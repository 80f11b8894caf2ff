"""Linear models: logistic regression, and the elastic net for regression.

Ranges: the regularisation strength over eight decades around the default, as in auto-sklearn's and AutoGluon's linear
models.
"""

from __future__ import annotations

from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float
from sklearn.linear_model import ElasticNet, LogisticRegression

from metahpo.learners.learner import Learner

#: Enough iterations for nearly every configuration on standardised columns; the rest stop there, as data.
MAX_ITERATIONS = 300


def linear_classifier() -> Learner:
    """Logistic regression; ``l1_ratio`` mixes L1 and L2 where the solver can."""
    space = ConfigurationSpace()
    solver = Categorical("solver", ["lbfgs", "saga"], default="lbfgs")
    l1_ratio = Float("l1_ratio", (0.0, 1.0), default=0.5)
    space.add(
        solver,
        l1_ratio,
        Float("C", (1e-4, 1e4), log=True, default=1.0),
        Categorical("class_weight", [None, "balanced"], default=None),
        Categorical("fit_intercept", [True, False], default=True),
        EqualsCondition(l1_ratio, solver, "saga"),
    )
    return Learner(
        "linear",
        "classification",
        space,
        LogisticRegression,
        "scaled",
        fixed=lambda task: {"max_iter": MAX_ITERATIONS, "tol": 1e-3},
    )


def linear_regressor() -> Learner:
    """Elastic net on a standardised target."""
    space = ConfigurationSpace()
    space.add(
        Float("alpha", (1e-5, 1e1), log=True, default=1.0),
        Float("l1_ratio", (0.0, 1.0), default=0.5),
        Categorical("positive", [False, True], default=False),
    )
    return Learner(
        "linear",
        "regression",
        space,
        ElasticNet,
        "scaled",
        fixed=lambda task: {"max_iter": 2000, "tol": 1e-3},
        scale_target=True,
    )
