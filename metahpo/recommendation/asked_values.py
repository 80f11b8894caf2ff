"""Values that a request asks for and that experience knows nothing of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ConfigSpace import ConfigurationSpace
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

from metahpo.exceptions import SpaceError
from metahpo.learners.learner import Learner
from metahpo.recommendation.candidates import Candidates
from metahpo.recommendation.region import Choices
from metahpo.recommendation.request import Request
from metahpo.space.aliases import likeness
from metahpo.space.configuration import same_value


def held_by(
    request: Request, learners: Sequence[Learner], spaces: Mapping[str, ConfigurationSpace]
) -> dict[str, dict[str, Any]]:
    """Fixed parameters of each learner's estimator that are no hyperparameters of its space, by the learner's name.

    Parameters
    ----------
    request : Request
    learners : sequence of Learner
    spaces : mapping of str to ConfigurationSpace
        The recorded space of each learner.

    Raises
    ------
    SpaceError
        A fixed name that is of none of the learners.
    """
    held: dict[str, dict[str, Any]] = {learner.name: {} for learner in learners}
    for name, value in request.region.fixed.items():
        known = False
        for learner in learners:
            if name in spaces[learner.name]:
                known = True
            elif name in _parameters(request, learner):
                held[learner.name][name] = value
                known = True
        if not known:
            hyperparameters = sorted({own for learner in learners for own in spaces[learner.name]})
            raise SpaceError(
                f"{name!r} cannot be fixed: it is no parameter of {' or '.join(held)}, whose hyperparameters are "
                f"{hyperparameters}."
            )
    return held


def check_names(request: Request, learners: Sequence[Learner], spaces: Mapping[str, ConfigurationSpace]) -> None:
    """Refuse names of a `space` that stand for nothing: no hyperparameter, no parameter of the estimator.

    Parameters
    ----------
    request : Request
    learners : sequence of Learner
    spaces : mapping of str to ConfigurationSpace
        The recorded space of each learner.

    Raises
    ------
    SpaceError
        There is one; the message has the names that are near.
    """
    known = {name for learner in learners for name in (*spaces[learner.name], *_parameters(request, learner))}
    # Other steps of a pipeline of the user's.
    others = set() if request.estimator is None else set(request.estimator.get_params(deep=True))
    region = request.region
    unknown = [name for name in region.allowed if name not in known | others and name not in region.fixed]
    if not unknown:
        return
    near = {name: [f"{region.prefix}{other}" for other in _near(name, sorted(known))] for name in unknown}
    meant = "; ".join(f"for {name!r}: {' or '.join(map(repr, names))}" for name, names in near.items() if names)
    hyperparameters = sorted({own for learner in learners for own in spaces[learner.name]})
    raise SpaceError(
        f"`space` has {unknown}, which are no parameters of {' or '.join(learner.name for learner in learners)}. "
        + (f"Is one of these meant, {meant}?" if meant else f"Its hyperparameters are {hyperparameters}.")
    )


def _near(name: str, known: Sequence[str]) -> list[str]:
    """Names that may be meant: aliases, and those that are spelt alike."""
    aliases = [other for other in known if likeness(name, other)]
    return aliases or get_close_matches(name, known, n=2)


def check_values(request: Request, learners: Sequence[Learner]) -> None:
    """Refuse values that a learner's estimator does not take, as far as scikit-learn says which it takes.

    Raises
    ------
    SpaceError
        A fixed value, or one of the choices, that the estimator of a learner refuses.
    """
    for learner in learners:
        estimator = _estimator(request, learner)
        rules = getattr(estimator, "_parameter_constraints", {})
        for name, allowed in request.region.allowed.items():
            if name not in rules or not isinstance(allowed, Choices):
                continue
            for value in allowed.values:
                try:
                    validate_parameter_constraints({name: rules[name]}, {name: value}, type(estimator).__name__)
                except InvalidParameterError as error:
                    raise SpaceError(f"{name!r} of {learner.name} cannot be {value!r}: {error}") from error


def notes_on_values(request: Request, spaces: Mapping[str, ConfigurationSpace], candidates: Candidates) -> list[str]:
    """What was asked of hyperparameters and could not be answered, in words.

    Parameters
    ----------
    request : Request
    spaces : mapping of str to ConfigurationSpace
        The recorded space of each learner.
    candidates : Candidates
        Those that are allowed.
    """
    known = [name for learner in candidates.learners for name in spaces[learner]]
    unknown = [name for name in request.region.allowed if name not in known]
    notes = []
    if left := [name for name in unknown if name not in request.region.fixed]:
        notes.append(f"experience knows nothing of {', '.join(left)}: left at the default")
    fixed = [name for name in unknown if name in request.region.fixed]
    if fixed:
        notes.append(f"experience knows nothing of {', '.join(fixed)}: set as asked, and predictions are without it")
    if request.place is not None and request.place.ignored:
        notes.append(f"the estimator ignores {' and '.join(request.place.ignored)}, so that they are not chosen")
    if candidates.values is not None:
        beyond = {
            name
            for i, values in enumerate(candidates.values)
            for name, value in values.items()
            if not same_value(candidates.known(i).get(name), value)
        }
        if beyond:
            notes.append(
                f"values of {', '.join(sorted(beyond))} lie outside of what experience knows: predictions are for the "
                "nearest values that it knows"
            )
    return notes


def _parameters(request: Request, learner: Learner) -> set[str]:
    return set(_estimator(request, learner).get_params(deep=False))


def _estimator(request: Request, learner: Learner) -> BaseEstimator:
    return learner.estimator_class() if request.place is None else request.place.estimator
