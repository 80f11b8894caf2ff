"""Spaces in which some hyperparameters have a fixed value. Their encoding is that of the whole space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, ForbiddenInClause

from metahpo.exceptions import SpaceError
from metahpo.space.stored import read_space


def holding(space: ConfigurationSpace, held: Mapping[str, Any]) -> ConfigurationSpace:
    """The space with all values but one of some hyperparameters forbidden.

    Hyperparameters and conditions are unchanged, so a surrogate of the space can be used for it.

    Parameters
    ----------
    held : mapping of str to value
        The value that each hyperparameter keeps; it becomes the default.

    Raises
    ------
    SpaceError
        The space has no such hyperparameter, or it is not a choice of that value and others.
    """
    if not held:
        return space
    record = space.to_serialized_dict()
    others = {}
    for name, value in held.items():
        choice = space.get(name)
        if not isinstance(choice, CategoricalHyperparameter) or value not in choice.choices:
            raise SpaceError(f"{name!r} cannot be held at {value!r}; the space has {dict(space)}.")
        others[name] = [other for other in choice.choices if other != value]
    for hyperparameter in record["hyperparameters"]:
        if hyperparameter["name"] in held:
            hyperparameter["default_value"] = held[hyperparameter["name"]]
    narrow = read_space(record)
    narrow.add(*(ForbiddenInClause(narrow[name], values) for name, values in others.items() if values))
    return narrow


def in_order_of(space: ConfigurationSpace, wider: ConfigurationSpace) -> ConfigurationSpace:
    """A space that forbids more than another one, with the hyperparameters and choices in the order of that one.

    Parameters
    ----------
    wider : ConfigurationSpace
        ``difference(wider, space, second_may_forbid=True)`` is None.
    """
    record, narrow = wider.to_serialized_dict(), space.to_serialized_dict()
    defaults = {
        hyperparameter["name"]: hyperparameter.get("default_value") for hyperparameter in narrow["hyperparameters"]
    }
    for hyperparameter in record["hyperparameters"]:
        if "default_value" in hyperparameter:
            hyperparameter["default_value"] = defaults[hyperparameter["name"]]
    return read_space({**record, "forbiddens": narrow["forbiddens"]})
