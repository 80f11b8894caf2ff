"""Search spaces as Optuna's distributions, and back: the one file that imports these. It needs Optuna."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import ConfigurationSpace
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from metahpo.space.configuration import value_text
from metahpo.space.conversion import (
    Choices,
    Conversion,
    NotExpressibleError,
    Parameter,
    Range,
    convert,
    evenly_spaced,
    parameter_of,
    revert,
)

__all__ = ["NOTHING", "BaseDistribution", "distributions_by_place", "from_optuna", "to_optuna", "within"]

#: Types of choices that every storage of Optuna keeps.
CHOICES = (type(None), bool, int, float, str)
#: What no value stands for.
NOTHING = object()


def to_optuna(space: ConfigurationSpace) -> Conversion[dict[str, BaseDistribution]]:
    """Distributions of a search space, for ``study.ask(fixed_distributions)``, and what they cannot say."""
    return convert(space, _written)


def from_optuna(distributions: Mapping[str, BaseDistribution]) -> Conversion[ConfigurationSpace]:
    """Search space of distributions, such as those of a trial, and what is different in it."""
    return revert(distributions, _read)


def distributions_by_place(space: ConfigurationSpace) -> dict[str, BaseDistribution]:
    """Distributions of the hyperparameters that have more than one value; a choice is given by its place.

    Optuna keeps numbers and texts only, and the choices of a space may be any objects.
    """
    found: dict[str, BaseDistribution] = {}
    for name, hyperparameter in space.items():
        parameter = parameter_of(hyperparameter)
        if isinstance(parameter, Range):
            found[name] = _of_range(parameter)
        elif len(parameter.values) > 1:
            found[name] = CategoricalDistribution(tuple(range(len(parameter.values))))
    return found


def within(distribution: BaseDistribution, value: Any) -> Any:
    """The legal value of a distribution that is nearest to a given value; `NOTHING` if no legal value is like it."""
    if isinstance(distribution, CategoricalDistribution):
        text = value_text(value)
        return next((choice for choice in distribution.choices if value_text(choice) == text), NOTHING)
    if not isinstance(distribution, (IntDistribution, FloatDistribution)) or type(value) not in (int, float):
        return NOTHING
    number = min(max(value, distribution.low), distribution.high)
    if distribution.step is not None:
        steps = round((number - distribution.low) / distribution.step)
        number = min(distribution.low + steps * distribution.step, distribution.high)
    return round(number) if isinstance(distribution, IntDistribution) else float(number)


def _written(name: str, parameter: Parameter) -> tuple[BaseDistribution, str]:
    if isinstance(parameter, Choices):
        spaced = evenly_spaced(parameter)
        if spaced is None:
            for choice in parameter.values:
                if not isinstance(choice, CHOICES):
                    raise NotExpressibleError(f"Optuna's storages keep no choice such as {choice!r}")
            note = "the order of its values is lost" if parameter.ordered else ""
            return CategoricalDistribution(parameter.values), note
        parameter = spaced
    return _of_range(parameter), ""


def _of_range(given: Range) -> BaseDistribution:
    if given.integer:
        return IntDistribution(int(given.low), int(given.high), log=given.log, step=int(given.step or 1))
    return FloatDistribution(given.low, given.high, log=given.log, step=given.step)


def _read(name: str, given: Any) -> tuple[Parameter, str]:
    if isinstance(given, CategoricalDistribution):
        return Choices(given.choices), ""
    if isinstance(given, IntDistribution):
        return Range(given.low, given.high, True, given.log, None if given.step == 1 else given.step), ""
    if isinstance(given, FloatDistribution):
        return Range(given.low, given.high, False, given.log, given.step), ""
    raise NotExpressibleError(f"{given!r} is no distribution of Optuna")
