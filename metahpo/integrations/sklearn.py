"""scikit-learn: search spaces as ``param_distributions``, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import ConfigurationSpace
from scipy import stats

from metahpo.exceptions import SpaceError
from metahpo.search.distributions import TAIL, space_of
from metahpo.space.conversion import Choices, Conversion, Parameter, convert

#: Names of SciPy's distributions that a range says exactly.
EXACT = ("uniform", "loguniform", "reciprocal", "randint")


def to_distributions(space: ConfigurationSpace) -> Conversion[dict[str, Any]]:
    """Search space as ``param_distributions`` of scikit-learn, and what they cannot say."""
    return convert(space, _written)


def from_distributions(param_distributions: Mapping[str, Any]) -> Conversion[ConfigurationSpace]:
    """Search space of ``param_distributions`` of scikit-learn, and what is different in it.

    It is the space in which :class:`metahpo.MetaSearchCV` searches; what that refuses is left out here.
    """
    space = ConfigurationSpace()
    changed: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for name, given in param_distributions.items():
        try:
            space.add(*space_of({name: given}).values())
        except (SpaceError, ValueError) as error:
            left_out[name] = str(error)
            continue
        family = getattr(getattr(given, "dist", None), "name", "uniform")
        if family not in EXACT:
            changed[name] = f"a range, not {family}; what is beyond is left out: {TAIL:.1%} at an end without a bound"
    return Conversion(space, changed, left_out)


def _written(name: str, parameter: Parameter) -> tuple[Any, str]:
    if isinstance(parameter, Choices):
        return list(parameter.values), "the order of its values is lost" if parameter.ordered else ""
    if parameter.integer:
        note = "its log scale is lost" if parameter.log else ""
        return stats.randint(int(parameter.low), int(parameter.high) + 1), note
    if parameter.log:
        return stats.loguniform(parameter.low, parameter.high), ""
    return stats.uniform(parameter.low, parameter.high - parameter.low), ""
