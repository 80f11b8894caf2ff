"""Which hyperparameters of a configuration are active, and the one form that holds those and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import ConfigurationSpace, OrConjunction
from ConfigSpace.conditions import ConditionLike, Conjunction

from metahpo.exceptions import SpaceError
from metahpo.space.configuration import Configuration, builtin


def canonical(space: ConfigurationSpace, values: Mapping[str, Any]) -> Configuration:
    """The active part of `values`, checked, in the order of the space.

    Parameters
    ----------
    values : mapping
        A value for each active hyperparameter; values of inactive ones are dropped.

    Raises
    ------
    SpaceError
        Unknown hyperparameter, missing active one, value outside its range, or a forbidden combination.
    """
    unknown = sorted(set(values) - set(space))
    if unknown:
        raise SpaceError(f"hyperparameters {unknown} are not in the space, which has {sorted(space)}.")
    active: Configuration = {}
    for name, hyperparameter in space.items():
        if not is_active(space, name, active):
            continue
        if name not in values:
            raise SpaceError(f"hyperparameter {name!r} is active but has no value; it is {hyperparameter}.")
        value = builtin(values[name])
        if not hyperparameter.legal_value(value):
            raise SpaceError(f"{name!r} = {value!r} is not allowed: {hyperparameter}.")
        active[name] = value
    for clause in space.forbidden_clauses:
        if clause.is_forbidden_value(active):
            raise SpaceError(f"the combination is forbidden by the space: {clause}.")
    return active


def default_configuration(space: ConfigurationSpace) -> Configuration:
    """Default configuration of a space: the library's own, for the learners of this package."""
    return canonical(space, dict(space.get_default_configuration()))


def is_active(space: ConfigurationSpace, name: str, active: Mapping[str, Any]) -> bool:
    """Whether hyperparameter `name` is active, given the active values of those before it in the space's order."""
    return all(_holds(condition, active) for condition in space.parent_conditions_of[name])


def _holds(condition: ConditionLike, active: Mapping[str, Any]) -> bool:
    if isinstance(condition, Conjunction):
        parts = [_holds(part, active) for part in condition.components]
        return any(parts) if isinstance(condition, OrConjunction) else all(parts)
    # An inactive parent makes its child inactive, whatever the condition says of its value.
    return condition.parent.name in active and bool(condition.satisfied_by_value(dict(active)))
