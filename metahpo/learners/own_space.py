"""What a space of the user's has to do with a learner: their parameters are those of one estimator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metahpo.exceptions import DataError
from metahpo.learners.place import Place
from metahpo.space.configuration import builtin
from metahpo.space.values import SCALARS


def check_estimator_stays(place: Place, names: Iterable[str]) -> None:
    """Refuse a space that replaces the learner's estimator, or what it lies in.

    Raises
    ------
    DataError
        It does.
    """
    kept = [place.prefix, *(place.names or ())]
    for name in names:
        if any(known.startswith(f"{name}__") for known in kept):
            raise DataError(f"the space chooses {name} itself, which holds the learner {place.learner.name!r}")


def learners_names(place: Place, names: Iterable[str]) -> dict[str, str]:
    """Hyperparameters of a user's space that are of the learner's estimator -> their names in the learner's space.

    A name that the estimator takes, but does not list among its parameters (``eta`` of XGBoost), stands for itself: it
    may be an alias.
    """
    if place.names is not None:
        return {name: place.names[name] for name in names if name in place.names}
    own, by_parameter = place.estimator.get_params(deep=False), _hyperparameter_of(place)
    found = {}
    for name in names:
        parameter = name.removeprefix(place.prefix)
        parameter = place.learner.other_names.get(parameter, parameter)
        if not name.startswith(place.prefix) or "__" in parameter:
            continue
        if parameter in by_parameter:
            found[name] = by_parameter[parameter]
        elif parameter not in own:
            found[name] = parameter
    return found


def learners_values(place: Place) -> dict[str, Any]:
    """The estimator's own values, in the names of the learner's space; a word stands where its number would."""
    if place.names is not None:
        given = place.estimator.get_params(deep=True)
        steps = {hyperparameter: builtin(given[name]) for name, hyperparameter in place.names.items()}
        return {**{name: value for name, value in steps.items() if isinstance(value, SCALARS)}, **place.held}
    own = place.learner.by_own_names(place.estimator.get_params(deep=False))
    values = {
        name: builtin(own[parameter]) for parameter, name in _hyperparameter_of(place).items() if parameter in own
    }
    return {**{name: value for name, value in values.items() if isinstance(value, SCALARS)}, **place.held}


def _hyperparameter_of(place: Place) -> dict[str, str]:
    """Parameter of the estimator -> hyperparameter of the learner that sets it, of which some may set the same one."""
    learner, known = place.learner, place.space
    active = known.get_active_hyperparameters(known.get_default_configuration()) if place.held else set(known)
    found: dict[str, str] = {}
    for name, hyperparameter in learner.space.items():
        if name in learner.rules or name in place.held:
            continue
        others = learner.parameters(place.held)
        with_it = learner.parameters({**place.held, name: hyperparameter.default_value})
        for parameter in with_it.keys() - others.keys():
            if parameter not in found or name in active:
                found[parameter] = name
    return found
