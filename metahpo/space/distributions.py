"""Search spaces as the ``param_distributions`` of scikit-learn: distributions of SciPy, and lists; and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from scipy import stats

from metahpo.space.configuration import builtin
from metahpo.space.conversion import Choices, Conversion, NotExpressibleError, Parameter, Range, convert, revert

#: Shares of an unbounded distribution that its range leaves out at either end.
TAIL = 1e-3
#: Names of SciPy's distributions whose logarithm is uniform.
LOG_UNIFORM = ("loguniform", "reciprocal")


def to_distributions(space: ConfigurationSpace) -> Conversion[dict[str, Any]]:
    """Search space as ``param_distributions`` of scikit-learn, and what they cannot say."""
    return convert(space, _written)


def from_distributions(param_distributions: Mapping[str, Any]) -> Conversion[ConfigurationSpace]:
    """Search space of ``param_distributions`` of scikit-learn, and what is different in it.

    A list is a choice, and an order where it consists of three or more different numbers in ascending order.
    """
    return revert(param_distributions, _read)


def _written(name: str, parameter: Parameter) -> tuple[Any, str]:
    if isinstance(parameter, Choices):
        return list(parameter.values), ""
    if parameter.integer:
        note = "its log scale is lost" if parameter.log else ""
        return stats.randint(int(parameter.low), int(parameter.high) + 1), note
    if parameter.log:
        return stats.loguniform(parameter.low, parameter.high), ""
    return stats.uniform(parameter.low, parameter.high - parameter.low), ""


def _read(name: str, given: Any) -> tuple[Parameter, str]:
    if hasattr(given, "rvs") and hasattr(given, "support"):
        return _distribution(given)
    if isinstance(given, (str, bytes, Mapping)) or not hasattr(given, "__iter__"):
        raise NotExpressibleError(f"{given!r} is no list, and no distribution that tells its support")
    values = tuple(builtin(value) for value in given)
    numbers = len(values) > 2 and all(type(value) in (int, float) for value in values)
    return Choices(values, numbers and all(np.diff(np.array(values, dtype=np.float64)) > 0)), ""


def _distribution(given: Any) -> tuple[Parameter, str]:
    kind = getattr(getattr(given, "dist", None), "name", type(given).__name__)
    integer = isinstance(getattr(given, "dist", None), stats.rv_discrete)
    low, high = (float(bound) for bound in given.support())
    notes = [] if kind in (*LOG_UNIFORM, "uniform", "randint") else [f"uniform, not {kind}"]
    if not (np.isfinite(low) and np.isfinite(high)):
        bounds = given.ppf(TAIL), given.ppf(1.0 - TAIL)
        low, high = (float(bounds[i]) if not np.isfinite(bound) else bound for i, bound in enumerate((low, high)))
        notes.append(f"bounded: the outermost {TAIL:.1%} at either end are left out")
    if integer:
        low, high = round(low), round(high)
    return Range(low, high, integer, kind in LOG_UNIFORM), "; ".join(notes)
