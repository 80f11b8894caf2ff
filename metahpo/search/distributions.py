"""Search spaces from the distributions and lists that RandomizedSearchCV takes."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, Constant, Float, Integer, Normal
from ConfigSpace.hyperparameters import Hyperparameter

from metahpo.exceptions import SpaceError
from metahpo.space.configuration import builtin, value_text

#: Share of a distribution without bounds that is left out at each end.
TAIL = 1e-3
#: A positive range whose ends differ by more than this factor is searched on a log scale.
LOG_FROM = 100.0


def space_of(distributions: Mapping[str, Any]) -> ConfigurationSpace:
    """The space of some distributions.

    Parameters
    ----------
    distributions : mapping of str to list, array, frozen distribution of scipy.stats, or hyperparameter of ConfigSpace
        A list holds choices, of any type. ``scipy.stats.uniform``, ``loguniform`` and ``randint`` become ranges,
        ``norm`` a range with a normal prior, and any other distribution the range of its middle 99.8 %.

    Raises
    ------
    SpaceError
        Anything else; the message says what can be given instead.
    """
    space = ConfigurationSpace()
    for name, given in distributions.items():
        if not isinstance(name, str):
            raise SpaceError(f"hyperparameters are named by a str, as the estimator names them, but one is {name!r}.")
        space.add(_hyperparameter(name, given))
    return space


def _hyperparameter(name: str, given: Any) -> Hyperparameter[Any, Any]:
    if isinstance(given, Hyperparameter):
        if given.name != name:
            raise SpaceError(f"the hyperparameter given for {name!r} is named {given.name!r}; give both one name.")
        return given
    if hasattr(given, "ppf") or hasattr(getattr(given, "dist", None), "ppf"):
        return _of_distribution(name, given)
    if isinstance(given, tuple) and len(given) == 2 and all(_is_number(value) for value in given):
        raise SpaceError(
            f"{name!r} is the tuple {given!r}, which may mean a range or two choices: give a list for choices, "
            f"scipy.stats.uniform, loguniform or randint for a range, or ConfigurationSpace({{{name!r}: {given!r}}})."
        )
    if isinstance(given, list | tuple | range | np.ndarray):
        choices = list({value_text(value): builtin(value) for value in given}.values())
        if not choices:
            raise SpaceError(f"{name!r} has no choices: the list is empty.")
        if len(choices) == 1 and isinstance(choices[0], str | int | float):
            return Constant(name, choices[0])
        return CategoricalHyperparameter(name, choices)
    raise SpaceError(
        f"{name!r} must be a list of choices, a distribution of scipy.stats with its parameters, such as "
        f"loguniform(1e-3, 1e3), or a hyperparameter of ConfigSpace, but is {given!r}."
    )


def _of_distribution(name: str, given: Any) -> Hyperparameter[Any, Any]:
    family = getattr(getattr(given, "dist", None), "name", "")
    low, high = (float(bound) for bound in given.support())
    if not np.isfinite(low):
        low = float(given.ppf(TAIL))
    if not np.isfinite(high):
        high = float(given.ppf(1.0 - TAIL))
    if not np.isfinite([low, high]).all():
        raise SpaceError(f"the distribution given for {name!r} has no finite range; check its parameters.")
    if hasattr(given, "pmf") and hasattr(given.dist, "pmf"):
        bounds = (int(low), int(high))
        return Constant(name, bounds[0]) if bounds[0] == bounds[1] else Integer(name, bounds)
    if not low < high:
        return Constant(name, low)
    if family == "norm":
        return Float(name, (low, high), distribution=Normal(float(given.mean()), float(given.std())))
    # uniform is asked for by name: its range may be wide, and still be meant as it is
    log = family in ("loguniform", "reciprocal") or (family != "uniform" and low > 0.0 and high > LOG_FROM * low)
    middle = min(max(float(given.ppf(0.5)), low), high)
    return Float(name, (low, high), log=log, default=middle)


def _is_number(value: Any) -> bool:
    return isinstance(value, Integral | Real) and not isinstance(value, bool)
