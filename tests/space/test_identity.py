"""One configuration has one identity, and two spaces are compared by what they offer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    Integer,
    OrdinalHyperparameter,
)

from metahpo.exceptions import SpaceError
from metahpo.learners.linear import linear_regressor
from metahpo.space.activity import canonical
from metahpo.space.configuration import to_json
from metahpo.space.design import sobol_design
from metahpo.space.encoding import SpaceEncoder, unit_cube_space
from metahpo.space.holding import holding
from metahpo.space.space_comparison import difference
from tests.optimization.test_spaces import space_of


def function(u: float) -> float:
    return u


SPACE = space_of(
    [
        Integer("n", (1, 100)),
        Float("x", (-1.0, 1.0)),
        Categorical("layers", [(10, 10), (5,), None]),
        Categorical("on", [True, False]),
        Categorical("how", [function, "plain", dict]),
    ]
)
ONE = {"n": 3, "x": 0.0, "layers": (10, 10), "on": True, "how": function}


@pytest.mark.parametrize(
    "changed",
    [
        {"n": 3.0},
        {"n": np.int64(3)},
        {"x": 0},
        {"x": -0.0},
        {"layers": [10, 10]},
        {"layers": (10.0, 10)},
        {"layers": np.array([10, 10])},
        {"on": 1},
        {"on": np.True_},
        {"how": f"{__name__}.function"},
    ],
)
def test_another_way_to_write_a_value_is_the_same_configuration(changed: dict[str, Any]) -> None:
    found = canonical(SPACE, dict(reversed((ONE | changed).items())))
    assert to_json(found) == to_json(canonical(SPACE, ONE))
    assert found == ONE
    assert [type(value) for value in found.values()] == [type(ONE[name]) for name in found]


def test_a_text_gives_the_configuration_back() -> None:
    for how in (function, "plain", dict):
        again = canonical(SPACE, json.loads(to_json(canonical(SPACE, ONE | {"how": how}))))
        assert again["how"] is how
        assert again["layers"] == (10, 10)


@pytest.mark.parametrize("value", ["other", (10, 11), 3, len])
def test_a_value_that_is_no_choice_is_refused(value: object) -> None:
    with pytest.raises(SpaceError, match="is not allowed"):
        canonical(SPACE, ONE | {"layers": value})


def two_choices(order: int = 1, **changed: Any) -> ConfigurationSpace:
    """A space whose choices and clauses stand in one order, or the other."""
    space = ConfigurationSpace(name=changed.get("name"))
    a, b = Categorical("a", ["p", "q", "r"][::order], default="q"), Categorical("b", [False, True][::order])
    x = Float("x", changed.get("bounds", (0.0, 1.0)), log=changed.get("log", False), default=changed.get("default"))
    o = OrdinalHyperparameter("o", changed.get("sequence", [1, 2, 3]))
    clauses = [ForbiddenEqualsClause(a, "p"), ForbiddenEqualsClause(b, changed.get("bad", True))][::order]
    space.add(*[a, b, x, o][::order], EqualsCondition(x, a, changed.get("when", "r")))
    space.add(ForbiddenAndConjunction(*clauses))
    return space


def test_order_defaults_and_names_make_no_difference() -> None:
    assert difference(two_choices(), two_choices(-1, default=0.25, name="other")) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bounds": (0.0, 2.0)}, "hyperparameter 'x' is a float from 0.0 to 1.0 on a linear scale.*0.0 to 2.0"),
        ({"bounds": (0.1, 1.0), "log": True}, "'x' is a float .* on a log scale"),
        ({"sequence": [3, 2, 1]}, "'o' is an order of 1, 2, 3 .* an order of 3, 2, 1"),
        ({"when": "q"}, "'x' .* if EqualsCondition.a, \"r\""),
        ({"bad": False}, "what is forbidden is"),
    ],
)
def test_what_differs_is_told(changed: dict[str, Any], message: str) -> None:
    assert (found := difference(two_choices(), two_choices(**changed))) is not None
    assert pd.Series([found]).str.contains(message).all(), found


def test_a_missing_hyperparameter_differs() -> None:
    found = difference(unit_cube_space(2), unit_cube_space(1))
    assert (
        found
        == "hyperparameter 'x1' is a float from 0.0 to 1.0 on a linear scale in the first, but missing in the second"
    )


def test_columns_are_unique_and_say_what_one_means() -> None:
    encoder = SpaceEncoder(
        ConfigurationSpace({"c": [1, "1", 1.5], "b": [False, True], "f": [lambda: 0, lambda: 1, len]})
    )
    assert {"b=True", "c=1", 'c="1"', "c=1.5", 'f="builtins.len"'} <= set(encoder.columns)
    assert len(set(encoder.columns)) == 7


def test_sixteen_columns_keep_their_order() -> None:
    rows = np.random.default_rng(0).random((5, 16))
    encoder = SpaceEncoder(unit_cube_space(16))
    assert encoder.columns == tuple(f"x{i:02d}" for i in range(16))
    np.testing.assert_array_equal(encoder.encode([dict(zip(encoder.columns, r, strict=True)) for r in rows]), rows)


def test_rows_with_names_are_put_into_order_and_others_refused() -> None:
    encoder, rows = SpaceEncoder(unit_cube_space(3)), np.random.default_rng(0).random((2, 3))
    frame = pd.DataFrame(rows, columns=encoder.columns)
    np.testing.assert_array_equal(encoder.arrange(frame[["x2", "x0", "x1"]]), rows)
    np.testing.assert_array_equal(encoder.arrange(rows.tolist()), rows)
    assert encoder.arrange([]).shape == (0, 3)
    with pytest.raises(SpaceError, match=r"must have the columns \['x0', 'x1', 'x2'\], but have \['x0', 'x1', 'y'\]"):
        encoder.arrange(frame.rename(columns={"x2": "y"}))
    with pytest.raises(SpaceError, match=r"must be of shape \(n, 3\)"):
        encoder.arrange(rows[:, :2])


def test_a_space_that_holds_a_choice_is_the_same_but_for_what_it_forbids() -> None:
    space = linear_regressor().space
    held = holding(space, {"model": "lasso"})
    assert difference(space, held) is not None
    assert difference(space, held, second_may_forbid=True) is None
    assert difference(held, space, second_may_forbid=True) is not None
    assert {c["model"] for c in sobol_design(held, 8)} == {"lasso"}
    assert holding(space, {}) is space
    for wrong in ({"model": "svm"}, {"alpha": 1.0}, {"other": 1}):
        with pytest.raises(SpaceError, match="cannot be held"):
            holding(space, wrong)
