"""The place of the learner in an estimator: the last step of a pipeline, or inside a wrapper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from ConfigSpace import ConfigurationSpace
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline

from metahpo.exceptions import DataError, UnknownNameError
from metahpo.learners.extras import missing_libraries
from metahpo.learners.learner import Learner
from metahpo.learners.registry import learner_named, learner_names
from metahpo.learners.row_counts import RowCounts
from metahpo.space.holding import holding
from metahpo.tasks.task import KINDS, TaskKind


@dataclass(frozen=True)
class Place:
    """A learner, and where its estimator lies in the estimator that is searched.

    Attributes
    ----------
    learner : Learner
    prefix : str
        What precedes the names of the learner's parameters: "svc__" in a pipeline, "" where there is nothing around.
    estimator : estimator
        The estimator of the learner, as it lies there.
    held : dict of str to value
        Hyperparameters that this estimator, or the data, hold at one value.
    ignored : dict of str to value
        Hyperparameters that this estimator ignores, and the values that it counts as having.
    empty : bool
        Nothing lies there yet; `estimator` is to be put there.
    names : dict of str to str or None
        Parameter of `estimator` -> hyperparameter, where `estimator` is a pipeline that does in several steps what the
        learner's does in one. None: it is the learner's.
    """

    learner: Learner
    prefix: str
    estimator: BaseEstimator
    held: Mapping[str, Any] = field(default_factory=dict)
    ignored: Mapping[str, Any] = field(default_factory=dict)
    empty: bool = False
    names: Mapping[str, str] | None = None

    def parameters(self, configuration: Mapping[str, Any], counts: RowCounts | None = None) -> dict[str, Any]:
        """A configuration of the learner as parameters of the whole estimator, for ``set_params``.

        An estimator of another class than the learner's takes those that it has. An estimator that was given a
        parameter by another name (``num_iterations`` of LightGBM) is given the value by that name, which the library
        prefers. With the `counts` of the rows, what so few rows cannot be fitted with is changed as the learner says.
        """
        own = self.estimator.get_params(deep=False)
        counting = {name: value for name, value in configuration.items() if name not in self.ignored}
        parameters = self.learner.parameters(counting)
        if counts is not None:
            parameters |= self.learner.adapted({**own, **parameters}, counts)
        return self._by_whole_names({name: value for name, value in parameters.items() if name in own}, own)

    def _by_whole_names(self, parameters: Mapping[str, Any], own: Iterable[str]) -> dict[str, Any]:
        """Parameters of the learner's estimator by their names in the whole estimator.

        `own` are the names by which the learner's estimator has values. Another name of a parameter among them is used.
        """
        used: dict[str, list[str]] = {}
        for name in own:
            if name in self.learner.other_names:
                used.setdefault(self.learner.other_names[name], []).append(name)
        return {
            f"{self.prefix}{written}": value for name, value in parameters.items() for written in used.get(name, [name])
        }

    @property
    def space(self) -> ConfigurationSpace:
        """The part of the learner's space that serves this estimator."""
        space = self.learner.space
        lacking = _parameters_of(self.learner) - self.estimator.get_params(deep=False).keys()
        for name in self.learner.space:
            if name in space and (name in self.ignored or (name in lacking and name not in self.held)):
                space = without(space, name)
        return holding(space, self.held)

    def whole(self, estimator: BaseEstimator, random_state: int | None) -> BaseEstimator:
        """What is searched: a clone of the user's estimator, with the learner's own in an empty place.

        Parameters that the search varies have the library's defaults, which is what experience of a configuration
        without them is of. An estimator that has no seed gets one, because some configurations draw numbers.
        """
        whole = clone(estimator)
        if self.empty:
            whole.set_params(**{self.prefix.removesuffix("__"): self.estimator})
        own = self.estimator.get_params(deep=False)
        values: dict[str, Any] = {}
        if not self.given_kernel:
            defaults = self.learner.estimator_class().get_params(deep=False)
            values = {name: defaults[name] for name in _parameters_of(self.learner) & own.keys()}
        if random_state is not None and own.get("random_state", random_state) is None:
            values["random_state"] = random_state
        return whole.set_params(**self._by_whole_names(values, own))

    @property
    def given_kernel(self) -> bool:
        """Whether the rows of X are those of a kernel matrix, or are compared by a function of the user's."""
        kernel = self.estimator.get_params(deep=False).get("kernel")
        return "kernel" in self.learner.space and (kernel == "precomputed" or callable(kernel))


def learner_in(estimator: BaseEstimator, name: str | None, kind: TaskKind | None = None) -> Place:
    """Find the learner in an estimator.

    A pipeline whose last step is None or "passthrough" has an empty place for a learner that is named, and so has a
    ``TransformedTargetRegressor`` without a regressor, which means a linear one where none is named.

    Parameters
    ----------
    estimator : estimator
        The learner's own, a pipeline that ends with it, or a wrapper around either (``OneVsRestClassifier``,
        ``CalibratedClassifierCV``, ``TransformedTargetRegressor``, ...), to any depth.
    name : str or None
        Name of the learner; None looks for any of those that the package knows.
    kind : {"classification", "regression"}, default=None
        Kind of the task, where `estimator` does not say which it is for; None looks for learners of both.

    Raises
    ------
    UnknownNameError
        No such learner; the message lists those that exist.
    DataError
        The estimator is not the learner's and holds none of it, or holds it more than once.
    """
    learners = _learners(estimator, name, kind)
    found = [place for learner in learners for place in _places(estimator, learner, named=name is not None)]
    if len(found) == 1:
        return found[0]
    own_space = (
        "or search it in a ConfigurationSpace of your own, whose hyperparameters are named as the estimator names its "
        "parameters: MetaSearchCV(estimator, space=...)"
    )
    if found:
        where = ", ".join(repr(place.prefix.removesuffix("__")) for place in found)
        raise DataError(
            f"the estimator {_in_words(estimator)} holds {len(found)} estimators that could be searched, as {where}: "
            f"give one with a single estimator of the learner, {own_space}."
        )
    wanted = " or ".join(dict.fromkeys(_class_of(learner).__name__ for learner in learners))
    what = f"the search space {name!r} is for {wanted}" if name else f"the known learners are {wanted}"
    raise DataError(
        f"{what}, but the estimator is {_in_words(estimator)}: give such an estimator, alone, as the last step of a "
        f"pipeline, or in a wrapper, {own_space}."
    )


def pipeline_of_learner(estimator: BaseEstimator, kind: TaskKind | None = None) -> Place | None:
    """The learner whose estimator does in one what a pipeline does in several steps; None where there is none.

    Parameters
    ----------
    estimator : estimator
    kind : {"classification", "regression"}, default=None
        As for :func:`learner_in`.
    """
    for learner in _learners(estimator, None, kind):
        steps = learner.steps_of(estimator)
        if steps is not None:
            return Place(learner, "", estimator, steps.held, names=steps.names)
    return None


def without(space: ConfigurationSpace, name: str) -> ConfigurationSpace:
    """A space less one hyperparameter and all that depend on it."""
    dropped = {name}
    for other in space:  # in the order of the space, a child comes after its parents
        if any(parent.name in dropped for parent in space.parents_of[other]):
            dropped.add(other)
    copied = deepcopy(space)  # a condition numbers the columns of the space that it was added to last
    kept = ConfigurationSpace()
    kept.add(*(hyperparameter for own, hyperparameter in copied.items() if own not in dropped))
    kept.add(*(condition for own in kept for condition in copied.parent_conditions_of[own]))
    return kept


def _learners(estimator: BaseEstimator, name: str | None, kind: TaskKind | None) -> list[Learner]:
    """Learners that are meant: of the kind of task that the estimator is for, or of `kind` where it does not say."""
    kinds: list[TaskKind] = [k for k, told in zip(KINDS, (is_classifier, is_regressor), strict=True) if told(estimator)]
    names = [
        (n, kind)
        for kind in kinds or ([kind] if kind else KINDS)
        for n in ([name] if name is not None else learner_names(kind))
    ]
    learners, refusal = [], None
    for learner, kind in names:
        try:
            learners.append(learner_named(learner, kind))
        except UnknownNameError as error:
            refusal = refusal or error
    if name is None:  # what is not installed is not what the estimator is
        learners = [learner for learner in learners if not missing_libraries(learner)]
    if not learners and refusal is not None:
        raise refusal
    return learners


def _class_of(learner: Learner) -> type:
    make = learner.estimator_class
    return make if isinstance(make, type) else type(make())


def _parameters_of(learner: Learner) -> set[str]:
    """What is searched, in the estimator's names; a subclass, such as Lasso of ElasticNet, may lack some of it."""
    return set(learner.parameters({name: choice.default_value for name, choice in learner.space.items()}))


def _places(estimator: Any, learner: Learner, prefix: str = "", *, named: bool) -> Iterator[Place]:
    wanted: Any = _class_of(learner)
    held = learner.held_by(estimator)
    own = isinstance(estimator, wanted) and _parameters_of(learner) <= estimator.get_params(deep=False).keys()
    if own or held is not None:
        yield Place(learner, prefix, estimator, held or {}, learner.ignored_by(estimator))
        return
    empty = _empty_place(estimator)
    if empty and (named or (isinstance(estimator, TransformedTargetRegressor) and learner.name == "linear")):
        yield Place(learner, f"{prefix}{empty}__", learner.estimator_class(), empty=True)
    for name, inner in _inside(estimator).items():
        yield from _places(inner, learner, f"{prefix}{name}__", named=named)


def _empty_place(estimator: Any) -> str:
    """Parameter that is to hold an estimator that predicts and holds none; "" where there is no such."""
    if isinstance(estimator, Pipeline) and (estimator.steps[-1][1] is None or estimator.steps[-1][1] == "passthrough"):
        return str(estimator.steps[-1][0])
    return "regressor" if isinstance(estimator, TransformedTargetRegressor) and estimator.regressor is None else ""


def _inside(estimator: Any) -> dict[str, Any]:
    """Estimators one level down that predict: what comes before the last step of a pipeline only prepares."""
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return {name: last} if _is_estimator(last) else {}
    if not _is_estimator(estimator):
        return {}
    # Of lists of estimators, such as a voting classifier's, scikit-learn names each here.
    return {k: v for k, v in estimator.get_params(deep=True).items() if "__" not in k and _is_estimator(v)}


def _is_estimator(value: Any) -> bool:
    return hasattr(value, "fit") and hasattr(value, "get_params") and not isinstance(value, type)


def _in_words(estimator: Any) -> str:
    inside = [_in_words(inner) for inner in _inside(estimator).values()]
    if isinstance(estimator, Pipeline) and not inside:
        inside = [repr(estimator.steps[-1][1])]
    name = type(estimator).__name__
    return f"{name} of {' and '.join(inside)}" if inside else name
