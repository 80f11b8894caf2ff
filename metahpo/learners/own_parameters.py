"""Parameters of an estimator, as other libraries record them, as a configuration of a learner's space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import SpaceError
from metahpo.learners.learner import BY_VALUE
from metahpo.space.configuration import Configuration, builtin
from metahpo.space.domain import Domain
from metahpo.space.values import choices_of


def configuration_of(
    parameters: Mapping[str, Any], space: ConfigurationSpace, rules: Mapping[str, str]
) -> Configuration | None:
    """The configuration that some parameters are of; None where the space does not hold them.

    What is not given has its default. A step of a pipeline before the name is left out (``svc__C`` is ``C``).

    Parameters
    ----------
    parameters : mapping
        By the names of the estimator or of the space.
    space : ConfigurationSpace
    rules : mapping of str to str
        Rule hyperparameter -> number that it speaks for.
    """
    given = {name if name in space else name.rsplit("__", 1)[-1]: builtin(value) for name, value in parameters.items()}
    values: dict[str, Any] = {name: builtin(choice.default_value) for name, choice in space.items()}
    for name, value in given.items():
        rule = next((r for r, number in rules.items() if number == name and r in space), None)
        if rule is not None and rule not in given:
            words = [word for word in choices_of(space[rule])[0] if word != BY_VALUE]
            values[rule] = value if value in words else BY_VALUE
            if value in words:
                continue
        if name in space:
            values[name] = value
    try:
        return Domain(space).canonical(values)
    except SpaceError:
        return None
