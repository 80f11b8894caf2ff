"""Experience for a search of a user's own space, as far as the space overlaps with that of the estimator's learner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import DataError, MetaHPOError, SpaceError
from metahpo.learners.own_space import check_estimator_stays, learners_names, learners_values
from metahpo.learners.place import Place, learner_in
from metahpo.recommendation.warm_start import WarmStart
from metahpo.search.searched import Searched
from metahpo.search.start import kind_of
from metahpo.space.mapping import SpaceMapping

_T = TypeVar("_T")


def learner_of(found: Searched, y: Any) -> Place:
    """The learner whose experience may say something of the user's space.

    Raises
    ------
    DataError
        There is none.
    SpaceError
        The space has nothing in common with the learner's.
    """
    if y is None:
        raise DataError("there is no target y, and experience is with supervised learners")
    try:
        place = learner_in(found.estimator, None, kind_of(y))
    except MetaHPOError as error:
        name = type(found.estimator).__name__
        raise DataError(f"experience is with none, or with more than one, of the estimators in {name}") from error
    check_estimator_stays(place, found.space)
    if place.given_kernel:
        raise DataError("the kernel of the estimator is given")
    _mapped(lambda names: SpaceMapping(found.space, place.learner.space, names), place, found.space)
    return place


def in_own_space(warm: WarmStart, place: Place, space: ConfigurationSpace) -> tuple[WarmStart, list[str]]:
    """A warm start in the user's space, and what was taken, clipped and left out, a sentence each.

    Parameters
    ----------
    warm : WarmStart
        In the learner's space.
    place : Place
    space : ConfigurationSpace
        The user's.

    Raises
    ------
    SpaceError
        The spaces have nothing in common.
    """
    mapped = _mapped(lambda names: warm.in_space(space, names, learners_values(place)), place, space)
    return mapped, list(_sentences(mapped.surrogate.mapping, place.learner.name))  # type: ignore[attr-defined]


def _mapped(function: Callable[[dict[str, str]], _T], place: Place, space: ConfigurationSpace) -> _T:
    """What a function makes of the names of a user's space; where it finds none of them, a short reason."""
    try:
        return function(learners_names(place, space))
    except SpaceError as error:
        name = place.learner.name
        raise SpaceError(f"the space has nothing in common with what is known of {name!r}") from error


def _sentences(mapping: SpaceMapping, learner: str) -> Iterator[str]:
    yield f"experience with {learner!r} is used for {_listed([match.name for match in mapping.matches])}"
    for match in mapping.matches:
        fate = mapping.fate(match)
        if fate != "taken":
            yield f"{match.name} is {fate}"
    if mapping.unknown:
        one = len(mapping.unknown) == 1
        yield f"{_listed(mapping.unknown)} {'is' if one else 'are'} left out: experience knows nothing of " + (
            "it" if one else "them"
        )


def _listed(names: Any) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else str(last)
