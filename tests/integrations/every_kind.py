"""A space with hyperparameters of every kind, and the check that another library gives it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, Constant, Float, Integer, OrdinalHyperparameter

from metahpo.space.conversion import Conversion
from metahpo.space.space_comparison import description, difference


def space_of_every_kind() -> ConfigurationSpace:
    """Ranges on both scales, integers and not; choices with and without an order, some of them objects; a constant."""
    space = ConfigurationSpace()
    space.add(
        Float("rate", (1e-4, 1.0), log=True),
        Float("share", (0.0, 1.0)),
        Integer("depth", (1, 9)),
        Integer("width", (1, 512), log=True),
        OrdinalHyperparameter("size", [16, 32, 48]),
        OrdinalHyperparameter("part", [0.25, 0.5, 0.75]),
        Categorical("layers", [(8, 8), (16,), None]),
        Constant("kind", "k"),
    )
    return space


def check_there_and_back_as_texts(
    there: Callable[[ConfigurationSpace], Conversion[Any]], back: Callable[[Any], Conversion[ConfigurationSpace]]
) -> Any:
    """The same of a library whose choices have one type; the space as the library has it."""
    space = space_of_every_kind()
    written = there(space)
    assert not written.left_out
    assert list(written.changed) == ["layers"]
    assert written.changed["layers"].startswith("its values are texts: ['(8, 8)', '(16,)', 'None']; ")
    read = back(written.space)
    assert read.exact
    layers = 'a choice of "(16,)", "(8, 8)", "None"'
    assert description(read.space) == {**description(space), "hyperparameter 'layers'": layers}
    return written.space


def check_there_and_back(
    there: Callable[[ConfigurationSpace], Conversion[Any]], back: Callable[[Any], Conversion[ConfigurationSpace]]
) -> None:
    """A library takes the space as it is, and gives the same back."""
    space = space_of_every_kind()
    written = there(space)
    assert written.exact
    read = back(written.space)
    assert read.exact
    assert difference(space, read.space) is None
