"""The CASH space over several learners, in which a configuration selects one of them.

CASH is combined algorithm selection and hyperparameter optimisation (Thornton et al., KDD 2013).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace

from metahpo.space.configuration import Configuration


def cash_space(spaces: Mapping[str, ConfigurationSpace], chosen_by: str = "learner") -> ConfigurationSpace:
    """Combine the spaces of learners: ``learner`` selects one, ``LEARNER:NAME`` are its hyperparameters.

    `chosen_by` is the name of the hyperparameter that selects.

    :func:`from_cash` splits a configuration of this space again.
    """
    cash = ConfigurationSpace()
    choice = CategoricalHyperparameter(chosen_by, list(spaces))
    cash.add(choice)
    for name, space in spaces.items():
        cash.add_configuration_space(
            name, space, delimiter=":", parent_hyperparameter={"parent": choice, "value": name}
        )
    return cash


def to_cash(learner: str, configuration: Mapping[str, Any], chosen_by: str = "learner") -> Configuration:
    """Convert a configuration of a learner to one of the CASH space."""
    return {chosen_by: learner, **{f"{learner}:{k}": v for k, v in configuration.items()}}


def from_cash(configuration: Mapping[str, Any], chosen_by: str = "learner") -> tuple[str, Configuration]:
    """Split a configuration of a CASH space into the learner and its own configuration."""
    learner = configuration[chosen_by]
    return learner, {k.split(":", 1)[1]: v for k, v in configuration.items() if k.startswith(f"{learner}:")}
