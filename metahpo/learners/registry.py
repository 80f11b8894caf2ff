"""The learners by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from metahpo.exceptions import UnknownNameError
from metahpo.learners.boosting import boosting_classifier, boosting_regressor
from metahpo.learners.forest import forest_classifier, forest_regressor
from metahpo.learners.learner import Learner
from metahpo.learners.linear import linear_classifier, linear_regressor
from metahpo.learners.mlp.learner import mlp_classifier, mlp_regressor
from metahpo.learners.svm import svm_classifier, svm_regressor
from metahpo.tasks.task import TaskKind

_LEARNERS: Mapping[tuple[str, TaskKind], Callable[[], Learner]] = {
    ("linear", "classification"): linear_classifier,
    ("linear", "regression"): linear_regressor,
    ("svm", "classification"): svm_classifier,
    ("svm", "regression"): svm_regressor,
    ("random_forest", "classification"): forest_classifier,
    ("random_forest", "regression"): forest_regressor,
    ("boosting", "classification"): boosting_classifier,
    ("boosting", "regression"): boosting_regressor,
    ("mlp", "classification"): mlp_classifier,
    ("mlp", "regression"): mlp_regressor,
}


def learner_names(kind: TaskKind) -> list[str]:
    """Names of the learners for a kind of task."""
    return [name for name, of_kind in _LEARNERS if of_kind == kind]


@cache
def learner_named(name: str, kind: TaskKind) -> Learner:
    """Look up a learner.

    Raises
    ------
    UnknownNameError
        No such learner for this kind of task; the message lists those that exist.
    """
    if (name, kind) not in _LEARNERS:
        raise UnknownNameError(f"{kind} learner", name, learner_names(kind))
    return _LEARNERS[name, kind]()
