"""Parameters of an estimator, as other libraries record them, as a configuration of a learner's space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import SpaceError
from metahpo.learners.extras import missing_libraries
from metahpo.learners.learner import BY_VALUE, Learner
from metahpo.space.configuration import Configuration, builtin, same_value
from metahpo.space.domain import Domain
from metahpo.space.values import choices_of


def configuration_of(
    parameters: Mapping[str, Any],
    space: ConfigurationSpace,
    rules: Mapping[str, str],
    learner: Learner | None = None,
) -> Configuration | None:
    """The configuration that has these parameters; None where it is not in the space.

    What is not given has its default. A step of a pipeline before the name is left out (``svc__C`` is ``C``).

    Parameters
    ----------
    parameters : mapping
        By the names of the estimator or of the space.
    space : ConfigurationSpace
    rules : mapping of str to str
        Rule hyperparameter -> number that it speaks for.
    learner : Learner, default=None
        Whose space it is: then the configuration gives its estimator the very values of `parameters`.
    """
    given = {name if name in space else name.rsplit("__", 1)[-1]: builtin(value) for name, value in parameters.items()}
    if learner is not None:
        given = dict(learner.by_own_names(given))
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
        found = Domain(space).canonical(values)
        return found if learner is None else _giving(given, found, learner, Domain(space))
    except SpaceError:
        return None


def _giving(
    given: Mapping[str, Any], configuration: Configuration, learner: Learner, domain: Domain
) -> Configuration | None:
    """The configuration by which the learner's estimator gets some parameters, from one of their names.

    A parameter may be set by a hyperparameter of another name. None: the space has no such configuration.
    """
    for name, value in given.items():
        if _gives(learner, configuration, name, value):
            continue
        others = [{**configuration, other: value} for other in configuration if other not in given]
        fitting = [other for other in others if _gives(learner, other, name, value)]
        if not fitting:
            return None
        configuration = domain.canonical(fitting[0])
    return configuration


def _gives(learner: Learner, configuration: Configuration, name: str, value: Any) -> bool:
    """Whether the estimator of a configuration has a value for a parameter, or has nothing to do with it."""
    return same_value(learner.parameters(configuration).get(name, value), value)


def changed_parameters(parameters: Mapping[str, Any], learner: Learner) -> dict[str, Any]:
    """The parameters that differ from the library's defaults; all parameters where the library is not installed.

    Parameters
    ----------
    parameters : mapping of str to value
        Of the learner's estimator, with or without the step of a pipeline before the name.
    learner : Learner
    """
    defaults = {} if missing_libraries(learner) else learner.estimator_class().get_params(deep=False)
    return {
        name: value
        for name, value in parameters.items()
        if (own := name.rsplit("__", 1)[-1]) not in defaults or not same_value(defaults[own], value)
    }
