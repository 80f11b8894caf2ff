"""The learners by name; one of your own is named by the function that makes it, ``module:function``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cache

from metahpo.exceptions import UnknownNameError
from metahpo.learners.boosting import boosting_classifier, boosting_regressor
from metahpo.learners.convnet.learner import convnet_classifier
from metahpo.learners.forest import forest_classifier, forest_regressor
from metahpo.learners.learner import Learner
from metahpo.learners.linear import linear_classifier, linear_regressor
from metahpo.learners.mlp.learner import mlp_classifier, mlp_regressor
from metahpo.learners.svm import svm_classifier, svm_regressor
from metahpo.learners.text.learner import text_classifier
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
    ("convnet", "classification"): convnet_classifier,
    ("text", "classification"): text_classifier,
}


#: Learners of a build that names none: those that need seconds where networks need minutes.
CLASSICAL = ("linear", "svm", "random_forest", "boosting")


def learner_names(kind: TaskKind) -> list[str]:
    """Names of the learners for a kind of task."""
    return [name for name, of_kind in _LEARNERS if of_kind == kind]


@cache
def learner_named(name: str, kind: TaskKind) -> Learner:
    """Look up a learner.

    Parameters
    ----------
    name : str
        One of :func:`learner_names`, or ``module:function`` for a learner of your own: the function takes the kind and
        returns the :class:`Learner`, whose ``name`` is that same text. Every process of a build must be able to import
        the module.
    kind : {"classification", "regression"}

    Raises
    ------
    UnknownNameError
        No such learner for this kind of task; the message lists those that exist.
    """
    if ":" in name:
        return _imported(name, kind)
    if (name, kind) not in _LEARNERS:
        hint = "One of your own is written module:function."
        raise UnknownNameError(f"{kind} learner", name, learner_names(kind), hint)
    return _LEARNERS[name, kind]()


def _imported(name: str, kind: TaskKind) -> Learner:
    module, _, function = name.partition(":")
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        hint = f"{error}; the module must lie on PYTHONPATH or be installed."
        raise UnknownNameError(f"{kind} learner", name, learner_names(kind), hint) from error
    learner = make(kind)
    if not isinstance(learner, Learner) or (learner.name, learner.kind) != (name, kind):
        hint = f"The function returned {learner!r}, not a Learner of that name and kind."
        raise UnknownNameError(f"{kind} learner", name, learner_names(kind), hint)
    return learner
