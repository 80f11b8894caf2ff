"""The canonical form of a configuration: only the active hyperparameters, each value in one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import ConfigurationSpace

from metahpo.space.configuration import Configuration
from metahpo.space.domain import Domain


def canonical(space: ConfigurationSpace, values: Mapping[str, Any]) -> Configuration:
    """The active part of `values`, checked, in the order of the space.

    Each value takes the form of the space. An integral float becomes an integer for an integer hyperparameter. A value
    that equals a choice, or was read from its text, becomes that choice.

    Parameters
    ----------
    values : mapping
        A value for each active hyperparameter; values of inactive ones are dropped. One that has a single value, such
        as a constant, needs none.

    Raises
    ------
    SpaceError
        No mapping, an unknown hyperparameter, a missing active one, a value outside its range, or a forbidden
        combination.
    """
    return Domain(space).canonical(values)


def default_configuration(space: ConfigurationSpace) -> Configuration:
    """Default configuration of a space. For the learners of this package, it is the default of their library."""
    return Domain(space).default
