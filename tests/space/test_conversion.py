"""Values in the terms of other libraries: texts of choices, multiples of a step, and what they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Float, OrdinalHyperparameter

from metahpo.exceptions import SpaceError
from metahpo.space.conversion import (
    Choices,
    NotExpressibleError,
    Range,
    hyperparameter_of,
    multiples,
    of_one_type,
    placed,
    standing_for,
)


@pytest.mark.parametrize("values", [(True, False), (1, 2), (0.5, 1.0), ("a", "b")])
def test_choices_of_one_type_stay(values: tuple[Any, ...]) -> None:
    assert of_one_type(Choices(values)) == (Choices(values), "")


def test_choices_of_several_types_become_texts_and_texts_that_are_equal_are_refused() -> None:
    choices, note = of_one_type(Choices((None, (8, 8), 1.0), ordered=True, default=1.0))
    assert choices == Choices(("None", "(8, 8)", "1.0"), ordered=True, default="1.0")
    assert note.startswith("its values are texts: ['None', '(8, 8)', '1.0']")
    with pytest.raises(NotExpressibleError, match="the same texts"):
        of_one_type(Choices((1, "1")))


def test_texts_are_placed_as_the_choices_that_they_name() -> None:
    space = ConfigurationSpace()
    space.add(
        Categorical("weight", [None, "balanced", 0.0]),
        OrdinalHyperparameter("size", [16, 32]),
        Float("rate", (0.0, 1.0)),
    )
    for text, value in (("None", None), ("balanced", "balanced"), ("0.0", 0.0)):
        assert placed(space, {"weight": text, "size": "32", "rate": 0.5}) == {"weight": value, "size": 32, "rate": 0.5}
    for wrong in ({"weight": "none"}, {"rate": "0.5"}):
        with pytest.raises(SpaceError):
            placed(space, wrong)


def test_the_text_itself_comes_before_the_text_of_another_choice() -> None:
    space = ConfigurationSpace({"kind": ["1", 1, None]})
    assert placed(space, {"kind": "1"}) == {"kind": "1"}
    assert standing_for(["1", 1], 1) == [1]
    assert standing_for(["1", "None"], None) == ["None"]
    assert standing_for([0.5, "b"], "c") == []


def test_multiples_of_a_step() -> None:
    assert multiples(Range(0.3, 1.0, False), 0.25) == Range(0.5, 1.0, False, step=0.25)
    assert multiples(Range(3, 20, True), 5) == Range(5, 20, True, step=5)
    assert multiples(Range(3, 20, True), None) == Range(3, 20, True)


def test_a_range_with_a_step_is_ordered_and_its_default_is_in_the_middle() -> None:
    assert hyperparameter_of("x", Range(0.0, 1.0, False, step=0.25)) == (
        OrdinalHyperparameter("x", [0.0, 0.25, 0.5, 0.75, 1.0], default_value=0.5),
        "",
    )
    assert hyperparameter_of("x", Choices(("s", "m", "l"), True))[0].default_value == "m"
    assert hyperparameter_of("x", Choices(("s", "m", "l")))[0].default_value == "s"
    assert hyperparameter_of("x", Choices(("s", "m", "l"), True, "l"))[0].default_value == "l"


@pytest.mark.parametrize(("high", "n_values"), [(10, 10), (10_000, 64), (10_000_000, 64)])
def test_a_range_with_a_step_keeps_its_log_scale(high: int, n_values: int) -> None:
    hyperparameter: Any
    hyperparameter, note = hyperparameter_of("x", Range(0.5, high / 2, False, log=True, step=0.5))
    values = list(hyperparameter.sequence)
    assert values[0] == 0.5
    assert values[-1] == high / 2
    assert all(2 * value % 1 == 0 for value in values)
    assert n_values / 2 < len(values) <= n_values
    assert note == ("" if len(values) == high else f"{len(values)} of its values, spaced evenly on the log scale")
    middle = values[len(values) // 2]
    assert 0.4 < np.log(2 * middle) / np.log(high) < 0.8
