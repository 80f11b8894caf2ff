"""Search spaces from the distributions and lists that RandomizedSearchCV takes."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, Constant, Float, Integer, Normal
from ConfigSpace.hyperparameters import Hyperparameter

from metahpo.exceptions import SpaceError
from metahpo.space.configuration import builtin, same_value, value_text
from metahpo.space.values import SCALARS

#: Share of a distribution without bounds that is left out at each end.
TAIL = 1e-3
#: A positive range whose ends differ by more than this factor is searched on a log scale.
LOG_FROM = 100.0
#: Stands for "there is no such value".
_NOTHING: Any = object()


def space_of(distributions: Mapping[str, Any], own: Mapping[str, Any] | None = None) -> ConfigurationSpace:
    """The space of some distributions.

    Parameters
    ----------
    distributions : mapping of str to list, array, frozen distribution of scipy.stats, or hyperparameter of ConfigSpace
        A list holds choices, of any type. ``scipy.stats.uniform``, ``loguniform`` and ``randint`` become ranges,
        ``norm`` a range with a normal prior, and any other distribution the range of its middle 99.8 %.
    own : mapping of str to value, default=None
        Values that are defaults where they are among the choices, or in the range. Otherwise the default is the first
        choice, or the median.

    Raises
    ------
    SpaceError
        Anything else; the message says what can be given instead.
    """
    space, values = ConfigurationSpace(), own or {}
    for name, given in distributions.items():
        if not isinstance(name, str):
            raise SpaceError(f"hyperparameters are named by a str, as the estimator names them, but one is {name!r}.")
        space.add(_hyperparameter(name, given, builtin(values.get(name, _NOTHING))))
    return space


def _hyperparameter(name: str, given: Any, own: Any) -> Hyperparameter[Any, Any]:
    if isinstance(given, Hyperparameter):
        if given.name != name:
            raise SpaceError(f"the hyperparameter given for {name!r} is named {given.name!r}; give both one name.")
        return given
    if hasattr(given, "ppf") or hasattr(getattr(given, "dist", None), "ppf"):
        return _of_distribution(name, given, own)
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
        same = [choice for choice in choices if isinstance(own, SCALARS) and same_value(choice, own)]
        return CategoricalHyperparameter(name, choices, default_value=(same or choices)[0])
    raise SpaceError(
        f"{name!r} must be a list of choices, a distribution of scipy.stats with its parameters, such as "
        f"loguniform(1e-3, 1e3), or a hyperparameter of ConfigSpace, but is {given!r}."
    )


def _of_distribution(name: str, given: Any, own: Any) -> Hyperparameter[Any, Any]:
    family = getattr(getattr(given, "dist", None), "name", "")
    low, high = (float(bound) for bound in given.support())
    if not np.isfinite(low):
        low = float(given.ppf(TAIL))
    if not np.isfinite(high):
        high = float(given.ppf(1.0 - TAIL))
    if not np.isfinite([low, high]).all():
        raise SpaceError(f"the distribution given for {name!r} has no finite range; check its parameters.")
    inside = own if _is_number(own) and low <= own <= high else None
    if hasattr(given, "pmf") and hasattr(given.dist, "pmf"):
        bounds = (int(low), int(high))
        whole = None if inside is None or inside != int(inside) else int(inside)
        return Constant(name, bounds[0]) if bounds[0] == bounds[1] else Integer(name, bounds, default=whole)
    if not low < high:
        return Constant(name, low)
    if family == "norm":
        around = Normal(float(given.mean()), float(given.std()))
        return Float(name, (low, high), distribution=around, default=None if inside is None else float(inside))
    # uniform is asked for by name: its range may be wide, and still be meant as it is
    log = family in ("loguniform", "reciprocal") or (family != "uniform" and low > 0.0 and high > LOG_FROM * low)
    middle = min(max(float(given.ppf(0.5)), low), high) if inside is None else float(inside)
    return Float(name, (low, high), log=log, default=middle)


def _is_number(value: Any) -> bool:
    return isinstance(value, Integral | Real) and not isinstance(value, bool)
