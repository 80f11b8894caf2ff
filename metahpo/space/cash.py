"""The joint space over several learners, of which a configuration chooses one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace

from metahpo.space.configuration import Configuration


def join_spaces(spaces: Mapping[str, ConfigurationSpace]) -> ConfigurationSpace:
    """One space over several learners: ``learner`` chooses, ``LEARNER:NAME`` are its hyperparameters.

    A configuration of it is split again by :func:`split_joint`.
    """
    joint = ConfigurationSpace()
    choice = CategoricalHyperparameter("learner", list(spaces))
    joint.add(choice)
    for name, space in spaces.items():
        joint.add_configuration_space(
            name, space, delimiter=":", parent_hyperparameter={"parent": choice, "value": name}
        )
    return joint


def to_joint(learner: str, configuration: Mapping[str, Any]) -> Configuration:
    """A learner's configuration as one of the joint space."""
    return {"learner": learner, **{f"{learner}:{k}": v for k, v in configuration.items()}}


def split_joint(configuration: Mapping[str, Any]) -> tuple[str, Configuration]:
    """Learner and its own configuration, from a configuration of a joint space."""
    learner = configuration["learner"]
    return learner, {k.split(":", 1)[1]: v for k, v in configuration.items() if k.startswith(f"{learner}:")}
