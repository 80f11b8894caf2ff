"""Support vector machines.

Ranges: C and gamma over the decades of the guide of Hsu, Chang and Lin (2003), a little wider; kernels as
scikit-learn's.
"""

from __future__ import annotations

from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, InCondition, Integer
from sklearn.svm import SVC, SVR

from metahpo.learners.learner import BY_VALUE, Learner

#: The solver of libsvm may take forever on large C; beyond this many iterations it stops, as data.
MAX_ITERATIONS = 200_000


def _kernel_space() -> ConfigurationSpace:
    space = ConfigurationSpace()
    kernel = Categorical("kernel", ["rbf", "poly", "sigmoid", "linear"], default="rbf")
    rule = Categorical("gamma_rule", ["scale", BY_VALUE], default="scale")
    gamma = Float("gamma", (1e-5, 1e1), log=True, default=0.1)
    degree = Integer("degree", (2, 4), default=3)
    coef0 = Float("coef0", (-1.0, 1.0), default=0.0)
    space.add(
        kernel,
        rule,
        gamma,
        degree,
        coef0,
        Float("C", (1e-3, 1e4), log=True, default=1.0),
        InCondition(rule, kernel, ["rbf", "poly", "sigmoid"]),
        EqualsCondition(gamma, rule, BY_VALUE),
        EqualsCondition(degree, kernel, "poly"),
        InCondition(coef0, kernel, ["poly", "sigmoid"]),
    )
    return space


def svm_classifier() -> Learner:
    """Kernel SVM with class weighting."""
    space = _kernel_space()
    space.add(Categorical("class_weight", [None, "balanced"], default=None))
    return Learner(
        "svm",
        "classification",
        space,
        SVC,
        "scaled",
        rules={"gamma_rule": "gamma"},
        fixed=lambda task: {"max_iter": MAX_ITERATIONS},
    )


def svm_regressor() -> Learner:
    """Kernel support vector regression on a standardised target."""
    space = _kernel_space()
    space.add(Float("epsilon", (1e-3, 1.0), log=True, default=0.1))
    return Learner(
        "svm",
        "regression",
        space,
        SVR,
        "scaled",
        rules={"gamma_rule": "gamma"},
        fixed=lambda task: {"max_iter": MAX_ITERATIONS},
        scale_target=True,
    )
