"""Experience for a search of a user's own space, as far as the space overlaps with that of the estimator's learner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from metahpo.exceptions import DataError, MetaHPOError, SpaceError
from metahpo.learners.own_space import check_estimator_stays, learners_names, learners_values
from metahpo.learners.place import Place, learner_in, pipeline_of_learner
from metahpo.recommendation.warm_start import WarmStart
from metahpo.search.alternatives import CHOICE
from metahpo.search.search_start import kind_of
from metahpo.search.searched import Searched
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
    kind = kind_of(y)
    try:
        place = pipeline_of_learner(found.estimator, kind) or learner_in(found.estimator, None, kind)
    except MetaHPOError as error:
        name = type(found.estimator).__name__
        raise DataError(f"experience is with none, or with more than one, of the estimators in {name}") from error
    check_estimator_stays(place, found.parameter_names.values())
    if place.given_kernel:
        raise DataError("the kernel of the estimator is given")
    _mapped(lambda names: SpaceMapping(found.space, place.learner.space, names), place, found)
    return place


def in_own_space(warm: WarmStart, place: Place, found: Searched) -> tuple[WarmStart, list[str]]:
    """A warm start in the user's space, and what was taken, clipped and left out, a sentence each.

    Parameters
    ----------
    warm : WarmStart
        In the learner's space.
    place : Place
    found : Searched
        What is searched.

    Raises
    ------
    SpaceError
        The spaces have nothing in common.
    """
    variants: list[dict[str, Any]] = [{}]
    if found.alternatives is not None:
        variants = [{CHOICE: one} for one in found.alternatives.spaces]

    def in_space(names: Mapping[str, str]) -> WarmStart:
        varied = SpaceMapping(found.space, warm.space, names).always_set
        held = {name: value for name, value in learners_values(place).items() if name not in varied}
        return warm.in_space(found.space, names, held, variants)

    mapped = _mapped(in_space, place, found)
    mapping: SpaceMapping = mapped.surrogate.mapping  # type: ignore[attr-defined]
    return mapped, list(_sentences(mapping, place.learner.name, found.parameter_names))


def _mapped(function: Callable[[dict[str, str]], _T], place: Place, found: Searched) -> _T:
    """What a function makes of the names of a user's space; where it finds none of them, a short reason."""
    known = learners_names(place, found.parameter_names.values())
    names = {name: known.get(own, own) for name, own in found.parameter_names.items() if own in known or not own}
    try:
        return function(names)
    except SpaceError as error:
        name = place.learner.name
        raise SpaceError(f"the space has nothing in common with what is known of {name!r}") from error


def _sentences(mapping: SpaceMapping, learner: str, names: Mapping[str, str]) -> Iterator[str]:
    matched = list(dict.fromkeys(names[match.name] for match in mapping.matches))
    yield f"experience with {learner!r} is used for {_listed(matched)}"
    fates = dict.fromkeys((names[match.name], mapping.fate(match)) for match in mapping.matches)
    for name, fate in fates:
        if fate != "taken":
            yield f"{name} is {fate}"
    left_out = list(dict.fromkeys(names[name] for name in mapping.unknown))
    if left_out:
        are, them = ("is", "it") if len(left_out) == 1 else ("are", "them")
        yield f"{_listed(left_out)} {are} left out: experience knows nothing of {them}"


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
