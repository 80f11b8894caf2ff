"""Support vector machines.

Ranges: C and gamma over the decades of the guide of Hsu, Chang and Lin (2003) that practitioners search, on
standardised columns; the polynomial kernel with or without lower terms. The sigmoid kernel is left out, because it is
no valid kernel for most of its parameters and is hardly used.
"""

from __future__ import annotations

from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, InCondition, OrdinalHyperparameter
from sklearn.svm import SVC, SVR

from metahpo.learners.learner import Learner
from metahpo.learners.mixed_hyperparameters import add_word_or_number, rules_of
from metahpo.tasks.task import Task

#: Most iterations of libsvm, which may not converge for large C. They take about 7 s on 5,000 rows and 140 columns.
MAX_ITERATIONS = 50_000
#: Megabytes of kernel values that are kept: more than the library's 200 make large tasks faster, and nothing else.
CACHE_SIZE = 500


def _kernel_space() -> ConfigurationSpace:
    space = ConfigurationSpace()
    kernel = Categorical("kernel", ["rbf", "poly", "linear"], default="rbf")
    degree = OrdinalHyperparameter("degree", [2, 3], default_value=3)
    coef0 = OrdinalHyperparameter("coef0", [0.0, 1.0], default_value=0.0)
    rule = add_word_or_number(space, ["scale"], Float("gamma", (1e-4, 1e1), log=True, default=0.1))
    space.add(
        kernel,
        degree,
        coef0,
        Float("C", (1e-2, 1e3), log=True, default=1.0),
        InCondition(rule, kernel, ["rbf", "poly"]),
        EqualsCondition(degree, kernel, "poly"),
        EqualsCondition(coef0, kernel, "poly"),
    )
    return space


def _fixed(task: Task) -> dict[str, int]:
    return {"max_iter": MAX_ITERATIONS, "cache_size": CACHE_SIZE}


def svm_classifier() -> Learner:
    """Kernel SVM with class weighting."""
    space = _kernel_space()
    space.add(Categorical("class_weight", [None, "balanced"], default=None))
    return Learner("svm", "classification", space, SVC, "scaled", rules=rules_of(space), fixed=_fixed)


def svm_regressor() -> Learner:
    """Kernel support vector regression on a standardised target."""
    space = _kernel_space()
    space.add(Float("epsilon", (1e-3, 1.0), log=True, default=0.1))
    return Learner("svm", "regression", space, SVR, "scaled", rules=rules_of(space), fixed=_fixed, scale_target=True)
