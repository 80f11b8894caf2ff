"""The registry of learners. An unregistered learner is named by the function that makes it, ``module:function``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache

from metahpo.exceptions import DataError, PluginError, UnknownNameError
from metahpo.learners.boosting import boosting_classifier, boosting_regressor
from metahpo.learners.convnet import convnet_classifier
from metahpo.learners.extras import installation, missing_libraries
from metahpo.learners.forest import extra_trees_classifier, extra_trees_regressor, forest_classifier, forest_regressor
from metahpo.learners.knn import knn_classifier, knn_regressor
from metahpo.learners.learner import Learner
from metahpo.learners.lightgbm import lightgbm_classifier, lightgbm_regressor
from metahpo.learners.linear import linear_classifier, linear_regressor
from metahpo.learners.mlp import mlp_classifier, mlp_regressor
from metahpo.learners.svm import svm_classifier, svm_regressor
from metahpo.learners.text import text_classifier
from metahpo.learners.text_linear import text_linear_classifier
from metahpo.learners.xgboost import xgboost_classifier, xgboost_regressor
from metahpo.registry import Registry
from metahpo.tasks.task import KINDS, Modality, TaskKind

_LOG = logging.getLogger(__name__)

_LEARNERS: Mapping[tuple[str, TaskKind], Callable[[], Learner]] = {
    ("linear", "classification"): linear_classifier,
    ("linear", "regression"): linear_regressor,
    ("svm", "classification"): svm_classifier,
    ("svm", "regression"): svm_regressor,
    ("knn", "classification"): knn_classifier,
    ("knn", "regression"): knn_regressor,
    ("random_forest", "classification"): forest_classifier,
    ("random_forest", "regression"): forest_regressor,
    ("extra_trees", "classification"): extra_trees_classifier,
    ("extra_trees", "regression"): extra_trees_regressor,
    ("boosting", "classification"): boosting_classifier,
    ("boosting", "regression"): boosting_regressor,
    ("lightgbm", "classification"): lightgbm_classifier,
    ("lightgbm", "regression"): lightgbm_regressor,
    ("xgboost", "classification"): xgboost_classifier,
    ("xgboost", "regression"): xgboost_regressor,
    ("mlp", "classification"): mlp_classifier,
    ("mlp", "regression"): mlp_regressor,
    ("convnet", "classification"): convnet_classifier,
    ("text_linear", "classification"): text_linear_classifier,
    ("text", "classification"): text_classifier,
}


#: Learners of other packages: a function of the kind of task that returns the learner, by name.
_OTHERS: Registry[Callable[[TaskKind], Learner]] = Registry(
    "learner",
    "metahpo.learners",
    {},
    expected="a function of the kind of task that returns a Learner",
    accepts=callable,
    hint="One of your own is written module:function, or is registered by register_learner.",
)


#: Learners of images, and of texts.
UNSTRUCTURED: Mapping[Modality, tuple[str, ...]] = {"image": ("convnet",), "text": ("text_linear", "text")}
#: Learners of tables that need seconds where networks need minutes.
CLASSICAL = ("linear", "svm", "knn", "random_forest", "extra_trees", "boosting", "lightgbm", "xgboost")


def learner_names(kind: TaskKind) -> list[str]:
    """Names of the learners for a kind of task."""
    return [name for name, of_kind in _LEARNERS if of_kind == kind]


def register_learner(name: str, make: Callable[[TaskKind], Learner]) -> None:
    """Add a learner, for this process. :func:`unregister_learner` removes it.

    A package offers a learner to every process by an entry point of the group ``metahpo.learners``. A build needs that,
    or ``module:function``, because its workers are processes of their own.

    Parameters
    ----------
    name : str
    make : callable
        Of the kind of task ("classification" or "regression"); returns a :class:`Learner` of that name and kind.

    Raises
    ------
    DataError
        The name is taken or is not plain, or `make` is not callable.
    """
    if any(name == own for own, _ in _LEARNERS):
        raise DataError(f"there is a learner {name!r} already; choose another name.")
    _OTHERS.register(name, make)


def unregister_learner(name: str) -> None:
    """Remove a learner that :func:`register_learner` added.

    Raises
    ------
    UnknownNameError
        Nothing was registered under the name.
    """
    _OTHERS.unregister(name)


def learner_named(name: str, kind: TaskKind) -> Learner:
    """Look up a learner.

    Parameters
    ----------
    name : str
        One of :func:`learner_names`; one that :func:`register_learner` or an installed package added; or
        ``module:function`` for a learner of your own: the function takes the kind and returns the :class:`Learner`,
        whose ``name`` is that same text. Every process of a build must be able to import the module.
    kind : {"classification", "regression"}

    Raises
    ------
    UnknownNameError
        No such learner for this kind of task; the message lists those that exist.
    PluginError
        The learner of another package cannot be loaded.
    """
    if (name, kind) in _LEARNERS:
        return _own(name, kind)
    return _made(_OTHERS.get(name, what=f"{kind} learner", known=learner_names(kind)), name, kind)


@cache
def _own(name: str, kind: TaskKind) -> Learner:
    return _LEARNERS[name, kind]()


@cache
def _made(make: Callable[[TaskKind], Learner], name: str, kind: TaskKind) -> Learner:
    try:
        learner = make(kind)
    except Exception as error:
        raise PluginError(
            f"the {kind} learner {name!r} cannot be made: {type(error).__name__}: {error}. Mend the function {make!r}."
        ) from error
    if not isinstance(learner, Learner) or (learner.name, learner.kind) != (name, kind):
        hint = f"The function returned {learner!r}, not a Learner of that name and kind."
        raise UnknownNameError(f"{kind} learner", name, learner_names(kind), hint)
    return learner


def default_learners(modality: Modality) -> tuple[str, ...]:
    """Default learners of builds for a modality.

    Learners of :data:`CLASSICAL` whose libraries are not installed are left out, with a log message.
    """
    if modality != "table":
        return UNSTRUCTURED[modality]
    missing = {name: missing_libraries(learner_named(name, KINDS[0])) for name in CLASSICAL}
    for name, libraries in missing.items():
        for library in libraries:
            _LOG.warning("left out %s: %s is not installed; install it with: %s", name, library, installation(library))
    return tuple(name for name in CLASSICAL if not missing[name])
