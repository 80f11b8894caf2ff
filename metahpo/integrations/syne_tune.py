"""Syne Tune: a searcher with experience, points to evaluate first, and search spaces both ways."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import SpaceError
from metahpo.integrations.libraries import SYNE_TUNE
from metahpo.integrations.start import Initial, Start, first_configurations, optimizer_from
from metahpo.space.configuration import Configuration
from metahpo.space.conversion import (
    Choices,
    Conversion,
    NotExpressibleError,
    Parameter,
    Range,
    common_names,
    completed,
    convert,
    multiples,
    of_one_type,
    placed,
    revert,
    standing_for,
)

SYNE_TUNE.load()

from syne_tune import config_space as domains  # noqa: E402
from syne_tune.optimizer.schedulers.searchers.single_objective_searcher import (  # noqa: E402
    SingleObjectiveBaseSearcher,
)

#: Types of constants that belong to a configuration.
CONSTANTS = (bool, int, float, str)


def to_syne_tune(space: ConfigurationSpace) -> Conversion[dict[str, Any]]:
    """Search space as a ``config_space`` of Syne Tune, and what it cannot say."""
    return convert(space, _written)


def from_syne_tune(config_space: Mapping[str, Any]) -> Conversion[ConfigurationSpace]:
    """Search space of a ``config_space`` of Syne Tune, and what is different in it.

    Constants are constants of the space; those that are no number or text are not part of it, for Syne Tune passes them
    on itself.
    """
    return revert(config_space, _read)


def points_to_evaluate(initial: Initial, space: ConfigurationSpace | None = None) -> list[Configuration]:
    """Configurations for the ``points_to_evaluate`` of any searcher: inactive hyperparameters at their defaults.

    See :func:`metahpo.integrations.start.first_configurations`.
    """
    return first_configurations(initial, space)


class MetaSearcher(SingleObjectiveBaseSearcher):  # type: ignore[misc]  # not followed
    """Searcher of Syne Tune around :class:`metahpo.BayesianOptimizer`, for schedulers of whole trials.

    The scheduler says whether the metric is minimised. Results before the end of a trial do not count.

    Parameters
    ----------
    config_space : mapping of str to anything
        That of the scheduler. A number outside its range is moved to the bound; a value that it does not have, or of a
        hyperparameter that `start` does not know, is drawn at random.
    start : BayesianOptimizer, WarmStart, Surrogate or ConfigurationSpace, default=None
        Experience, or a space, for hyperparameters of the same names. None: a cold start in `config_space`.
    meta_features : mapping of str to float, default=None
        Of the task, where `start` is a surrogate.
    initial : sequence of configurations, or recommendations, default=None
        Suggested first, in this order, each once.
    seed : int, default=None

    Raises
    ------
    SpaceError
        There is nothing to search in `config_space`, it has nothing in common with `start`, or `initial` is not of the
        space.

    Examples
    --------
    >>> from syne_tune.config_space import uniform
    >>> from syne_tune.optimizer.schedulers.single_objective_scheduler import SingleObjectiveScheduler
    >>> from metahpo.integrations.syne_tune import MetaSearcher
    >>> config_space = {"x": uniform(-1.0, 1.0)}
    >>> searcher = MetaSearcher(config_space, initial=[{"x": 0.25}], seed=0)
    >>> scheduler = SingleObjectiveScheduler(config_space, metric="loss", searcher=searcher)
    >>> scheduler.suggest().config
    {'x': 0.25}
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        start: Start | None = None,
        *,
        meta_features: Mapping[str, float] | None = None,
        initial: Initial | None = None,
        seed: int | None = None,
    ) -> None:
        # Without a seed, Syne Tune would draw one from the generator of all of NumPy.
        super().__init__(dict(config_space), random_seed=0 if seed is None else seed)
        self._searched = {name: given for name, given in config_space.items() if isinstance(given, domains.Domain)}
        if start is None:
            start = from_syne_tune(config_space).space
            if not start.keys() & self._searched.keys():
                raise SpaceError("config_space holds nothing to search; give it domains such as uniform(0.0, 1.0).")
        self._optimizer = optimizer_from(start, meta_features=meta_features, initial=initial, random_state=seed)
        common_names(self._optimizer.space, self._searched, "config_space")
        self._rng = np.random.RandomState(seed)
        self._suggested: list[Configuration | None] = []

    def suggest(self, **kwargs: Any) -> dict[str, Any] | None:
        """Values of a new trial; None where a finite space has no more."""
        space = self._optimizer.space
        try:
            whole = completed(space, self._optimizer.ask())
        except SpaceError:
            return None
        values = {
            name: _within(domain, whole[name], self._rng) if name in whole else domain.sample(random_state=self._rng)
            for name, domain in self._searched.items()
        }
        made = None
        with contextlib.suppress(SpaceError):  # config_space has other values than the space
            made = placed(space, values)
            self._optimizer.tell_running(made)
        self._suggested.append(made)
        return values

    def on_trial_complete(self, trial_id: int, config: dict[str, Any], metric: float) -> None:
        """Tell the optimiser the last result of a trial; one outside its space does not count."""
        with contextlib.suppress(SpaceError):
            self._optimizer.tell(placed(self._optimizer.space, config), metric)

    def on_trial_error(self, trial_id: int) -> None:
        """Tell the optimiser that a trial failed.

        Syne Tune gives its number only, which counts the suggestions from 0.
        """
        made = self._suggested[trial_id] if 0 <= trial_id < len(self._suggested) else None
        if made is not None:
            self._optimizer.tell(made, status="failed")


def _within(domain: Any, value: Any, rng: np.random.RandomState) -> Any:
    """The value of a domain that is nearest to one; drawn at random where there is none like it."""
    number = type(value) in (int, float)
    if isinstance(domain, (domains.Float, domains.Integer)) and number:
        return domain.cast(min(max(value, domain.lower), domain.upper))
    if isinstance(domain, (domains.FiniteRange, domains.OrdinalNearestNeighbor)) and number:
        return domain.cast(value)
    found = standing_for(getattr(domain, "categories", []), value)
    return found[0] if found else domain.sample(random_state=rng)


def _written(name: str, parameter: Parameter) -> tuple[Any, str]:
    if isinstance(parameter, Choices):
        choices, note = of_one_type(parameter)
        values = list(choices.values)
        if len(values) == 1:
            return values[0], note
        if choices.ordered:
            return domains.ordinal(values, kind="equal" if type(values[0]) is bool else None), note
        return domains.choice(values), note
    low, high = parameter.low, parameter.high
    if parameter.integer:
        return (domains.lograndint if parameter.log else domains.randint)(int(low), int(high)), ""
    return (domains.loguniform if parameter.log else domains.uniform)(low, high), ""


def _read(name: str, given: Any) -> tuple[Parameter, str]:
    if isinstance(given, CONSTANTS):
        return Choices((given,)), ""
    if isinstance(given, domains.FiniteRange):
        return Choices(tuple(dict.fromkeys(given.values)), True), ""
    if isinstance(given, domains.Categorical):
        note = "searched, not gone through as a grid" if given.is_grid() else ""
        return Choices(tuple(given.categories), isinstance(given, domains.Ordinal)), note
    if not isinstance(given, (domains.Float, domains.Integer)):
        raise NotExpressibleError(f"{type(given).__name__} is no range and no choice")
    sampler, step = given.get_sampler(), None
    if isinstance(sampler, domains.Quantized):
        sampler, step = sampler.get_sampler(), sampler.q
    integer = isinstance(given, domains.Integer)
    step = None if integer and step == 1 else step
    if isinstance(sampler, domains.Normal):
        raise NotExpressibleError("a normal distribution has no bounds")
    if isinstance(sampler, domains.Float._ReverseLogUniform):
        return multiples(Range(given.lower, given.upper, False), step), "its scale is linear, not reverse_log"
    log = isinstance(sampler, domains.LogUniform)
    return multiples(Range(given.lower, given.upper, integer, log), step), ""
