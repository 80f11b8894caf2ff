"""What a search of another tool starts from: an optimiser, experience, a surrogate, or a space alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import DataError
from metahpo.optimization.optimizer import BayesianOptimizer, HasConfigurations
from metahpo.recommendation.recommendations import Recommendations
from metahpo.recommendation.recommender import Recommender
from metahpo.recommendation.warm_start import WarmStart
from metahpo.space.cash import to_cash
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.conversion import completed
from metahpo.surrogates.surrogate import Surrogate
from metahpo.tasks.modality import as_task

#: What every integration starts from.
Start = BayesianOptimizer | WarmStart | Surrogate | ConfigurationSpace
#: Configurations, or what holds them.
Initial = Sequence[Mapping[str, Any]] | HasConfigurations


def first_configurations(initial: Initial, space: ConfigurationSpace | None = None) -> list[Configuration]:
    """Configurations to be tried first, in their order, each once, with values for what is inactive as well.

    Parameters
    ----------
    initial : sequence of configurations, or recommendations
    space : ConfigurationSpace, default=None
        Where the inactive hyperparameters and their defaults come from. None: the learner that is recommended. A plain
        sequence is then taken as it is, and recommendations of several learners are those of
        :func:`metahpo.space.cash.cash_space`.

    Raises
    ------
    SpaceError
        A configuration is not of the space.
    DataError
        `initial` is anything else.
    """
    space = space_of(initial) if space is None else space
    found: Any = getattr(initial, "configurations", initial)
    if not isinstance(found, Sequence) or not all(isinstance(configuration, Mapping) for configuration in found):
        raise DataError(f"initial must be a list of configurations, or recommendations, but is {initial!r}.")
    given = [dict(configuration) for configuration in found]
    if isinstance(initial, Recommendations) and len({item.learner for item in initial.items}) > 1:
        given = [to_cash(item.learner, item.configuration) for item in initial.items]
    whole = given if space is None else [completed(space, configuration) for configuration in given]
    return list({to_json(configuration): configuration for configuration in whole}.values())


def space_of(initial: Initial) -> ConfigurationSpace | None:
    """Recorded space of the learner that is recommended; None where there is none, or where there are several."""
    if not isinstance(initial, Recommendations) or initial.basis is None:
        return None
    learners = {item.learner for item in initial.items}
    return initial.basis.spaces[learners.pop()] if len(learners) == 1 else None


def warm_start(
    X: Any, y: Any, learner: str, *, metric: str | None = None, recommender: Recommender | None = None
) -> WarmStart:
    """Experience with a learner, for a search by another tool on a dataset.

    Parameters
    ----------
    X, y
        As for :func:`metahpo.recommend`.
    learner : str
        One that experience was recorded of; hyperparameters have the names of its search space.
    metric : str, default=None
        None takes the default of the kind of task.
    recommender : Recommender, default=None
        None takes what ships.

    Raises
    ------
    DataError
        Data that make no task.
    UnknownNameError
        An unknown learner or metric.
    """
    task = as_task(X, y, name="your dataset")
    known = recommender or Recommender.shipped(task.kind, task.modality, learner)
    return known.warm_start(task, learner, metric)


def optimizer_from(
    start: Start,
    *,
    meta_features: Mapping[str, float] | None = None,
    initial: Initial | None = None,
    random_state: int | None = None,
) -> BayesianOptimizer:
    """An optimiser of one search; what `start` holds is not changed.

    Parameters
    ----------
    start : BayesianOptimizer, WarmStart, Surrogate or ConfigurationSpace
        An optimiser is copied, with everything that it was told.
    meta_features : mapping of str to float, default=None
        Of the task, for a surrogate.
    initial : sequence of configurations, or recommendations, default=None
        Asked for first, in this order, each once. None: those that a warm start comes with.
    random_state : int, default=None
        Seed, where `start` is not an optimiser.

    Raises
    ------
    DataError
        `start` is none of these, or `meta_features` or `initial` are given beside an optimiser.
    SpaceError
        `initial` holds a configuration that is not of the space.
    """
    if isinstance(start, BayesianOptimizer):
        if meta_features is not None or initial is not None:
            raise DataError("give meta_features and initial to the BayesianOptimizer, not beside it.")
        return copy.deepcopy(start)
    if isinstance(start, WarmStart):
        known = start.meta_features if meta_features is None else meta_features
        first = start.initial if initial is None else initial
        return BayesianOptimizer(
            start.space, start.surrogate, known, first, start.candidates, random_state=random_state
        )
    if isinstance(start, ConfigurationSpace):
        if meta_features is not None:
            raise DataError("meta_features are of use to a surrogate only, but start is a search space.")
        return BayesianOptimizer(start, initial=initial, random_state=random_state)
    surrogate: Any = start
    if hasattr(surrogate, "posterior") and hasattr(surrogate, "space"):
        return BayesianOptimizer(surrogate.space, surrogate, meta_features, initial, random_state=random_state)
    raise DataError(
        "start must be a BayesianOptimizer, a WarmStart (metahpo.integrations.start.warm_start(X, y, learner) makes "
        f"one), a surrogate or a ConfigurationSpace, but is {type(surrogate).__name__}."
    )


def check_meta_features(start: Start | None, meta_features: Mapping[str, float] | None) -> None:
    """Raise DataError if there are meta-features, but no `start` that could use them."""
    if start is None and meta_features is not None:
        raise DataError("meta_features are of use to a surrogate only, but there is no start; give start as well.")


class Beginning:
    """Where the searches of one object of a tool begin: at its `start`, or without one cold, in the tool's space.

    Every search gets an optimiser of its own.

    Parameters
    ----------
    start : BayesianOptimizer, WarmStart, Surrogate or ConfigurationSpace, or None
    meta_features, initial
        As for :func:`optimizer_from`.
    seed : int or None

    Raises
    ------
    DataError
        As :func:`optimizer_from` raises it, or `meta_features` without a `start`.
    """

    def __init__(
        self, start: Start | None, meta_features: Mapping[str, float] | None, initial: Initial | None, seed: int | None
    ) -> None:
        check_meta_features(start, meta_features)
        self._initial, self._seed = initial, seed
        self._given: BayesianOptimizer | None = None
        if start is not None:
            self._given = optimizer_from(start, meta_features=meta_features, initial=initial, random_state=seed)

    @property
    def warm(self) -> bool:
        """Whether there is a `start`."""
        return self._given is not None

    def optimizer(self, space: Callable[[], ConfigurationSpace], seed: int | None = None) -> BayesianOptimizer:
        """The optimiser of a new search.

        Parameters
        ----------
        space : callable
            Gives the space of the tool. It is called where there is no `start`.
        seed : int, default=None
            Of the tool, where the object has none.
        """
        if self._given is not None:
            return optimizer_from(self._given)
        return optimizer_from(space(), initial=self._initial, random_state=seed if self._seed is None else self._seed)

    def reseed(self) -> None:
        """Draw other numbers in searches that begin from now on."""
        self._seed = None
        if self._given is not None:
            self._given.reseed()
