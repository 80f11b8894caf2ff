"""One configuration as a space has it: the active hyperparameters and no others, each value in its one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import ConfigurationSpace

from metahpo.space.configuration import Configuration
from metahpo.space.domain import Domain


def canonical(space: ConfigurationSpace, values: Mapping[str, Any]) -> Configuration:
    """The active part of `values`, checked, in the order of the space.

    Each value takes the form that the space gives it: an integer for an integral float where the space says integer,
    the choice itself for what is equal to it or was read from its text.

    Parameters
    ----------
    values : mapping
        A value for each active hyperparameter; values of inactive ones are dropped.

    Raises
    ------
    SpaceError
        Unknown hyperparameter, missing active one, value outside its range, or a forbidden combination.
    """
    return Domain(space).canonical(values)


def default_configuration(space: ConfigurationSpace) -> Configuration:
    """Default configuration of a space: the library's own, for the learners of this package."""
    return Domain(space).default
