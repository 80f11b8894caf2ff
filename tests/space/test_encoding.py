"""Configurations survive the way into the unit cube and back, and values that nobody uses never move a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    AndConjunction,
    Categorical,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    GreaterThanCondition,
    InCondition,
    Integer,
    OrdinalHyperparameter,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from metahpo.exceptions import SpaceError
from metahpo.space.activity import canonical, default_configuration
from metahpo.space.cash import cash_space, from_cash, to_cash
from metahpo.space.configuration import to_json
from metahpo.space.encoding import SpaceEncoder, unit_cube_space


def nested_space() -> ConfigurationSpace:
    """Every kind of hyperparameter, and conditions two deep."""
    space = ConfigurationSpace()
    kernel = Categorical("kernel", ["rbf", "poly", "linear"], default="rbf")
    rule = Categorical("rule", ["scale", "value"], default="scale")
    gamma = Float("gamma", (1e-5, 1e1), log=True, default=0.1)
    degree = Integer("degree", (2, 5), default=3)
    bonus = Float("bonus", (-1.0, 1.0), default=0.0)
    space.add(
        kernel,
        rule,
        gamma,
        degree,
        bonus,
        Integer("trees", (1, 4096), log=True, default=100),
        OrdinalHyperparameter("size", ["S", "M", "L", "XL"], default_value="M"),
        Categorical("weight", [None, "balanced"], default=None),
        Categorical("flag", [True, False], default=True),
        Constant("version", 3),
        InCondition(rule, kernel, ["rbf", "poly"]),
        EqualsCondition(gamma, rule, "value"),
        EqualsCondition(degree, kernel, "poly"),
        AndConjunction(EqualsCondition(bonus, kernel, "poly"), GreaterThanCondition(bonus, degree, 3)),
    )
    return space


NESTED = nested_space()
ENCODER = SpaceEncoder(NESTED)


@st.composite
def any_space(draw: st.DrawFn) -> ConfigurationSpace:
    """Spaces of one to five hyperparameters of any kind; later ones may hang on the first, if that is a choice."""
    space = ConfigurationSpace()
    hyperparameters: list[Any] = []
    for i in range(draw(st.integers(1, 5))):
        name = f"h{i}"
        kind = draw(st.sampled_from(["float", "log", "integer", "log_integer", "choice", "ordinal", "constant"]))
        low = draw(st.integers(1, 50))
        span = draw(st.integers(1, 10**4))
        match kind:
            case "float":
                hyperparameters.append(Float(name, (-float(low), float(span))))
            case "log":
                hyperparameters.append(Float(name, (low * 1e-6, low * 1e-6 * (1 + span)), log=True))
            case "integer":
                hyperparameters.append(Integer(name, (-low, span)))
            case "log_integer":
                hyperparameters.append(Integer(name, (low, low + span), log=True))
            case "choice":
                hyperparameters.append(Categorical(name, [f"c{j}" for j in range(draw(st.integers(1, 5)))]))
            case "ordinal":
                hyperparameters.append(OrdinalHyperparameter(name, list(range(draw(st.integers(1, 5))))))
            case _:
                hyperparameters.append(Constant(name, low))
    space.add(*hyperparameters)
    first = hyperparameters[0]
    if hasattr(first, "choices"):
        for child in hyperparameters[1:]:
            if draw(st.booleans()):
                space.add(EqualsCondition(child, first, draw(st.sampled_from(list(first.choices)))))
    return space


@settings(max_examples=60, deadline=None)
@given(space=any_space(), seed=st.integers(0, 2**31 - 1))
def test_encoding_then_decoding_gives_the_configuration_back(space: ConfigurationSpace, seed: int) -> None:
    space.seed(seed)
    configurations = [
        canonical(space, dict(c)) for c in [*space.sample_configuration(3), space.get_default_configuration()]
    ]
    encoder = SpaceEncoder(space)
    rows = encoder.encode(configurations)
    assert rows.shape == (4, encoder.n_columns)
    assert ((rows >= 0) & (rows <= 1)).all()
    for before, after in zip(configurations, encoder.decode(rows), strict=True):
        assert list(before) == list(after)
        for name, value in before.items():
            assert after[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)


@settings(max_examples=60, deadline=None)
@given(space=any_space(), seed=st.integers(0, 2**31 - 1))
def test_any_point_of_the_cube_decodes_to_a_configuration_that_is_allowed(space: ConfigurationSpace, seed: int) -> None:
    encoder = SpaceEncoder(space)
    rng = np.random.default_rng(seed)
    points = np.vstack([rng.random((4, encoder.n_columns)), np.zeros(encoder.n_columns), np.ones(encoder.n_columns)])
    for configuration in encoder.decode(points):
        assert canonical(space, configuration) == configuration
        again = encoder.decode(encoder.encode([configuration]))[0]
        assert to_json(again) == pytest.approx(to_json(again))
        assert encoder.encode([again]) == pytest.approx(encoder.encode([configuration]), abs=1e-9)


@given(u=st.lists(st.floats(0, 1), min_size=ENCODER.n_columns, max_size=ENCODER.n_columns))
def test_inactive_coordinates_never_move_a_row(u: list[float]) -> None:
    row = np.array([u])
    configuration = ENCODER.decode(row)[0]
    inactive = [i for i, column in enumerate(ENCODER.columns) if column.split("=")[0].rstrip("?") not in configuration]
    row[:, inactive] = np.random.default_rng(0).random(len(inactive))
    moved = ENCODER.decode(row)[0]
    assert moved == configuration
    encoded = ENCODER.encode([moved])
    assert (encoded[:, inactive] == 0).all()


def test_columns_follow_the_kinds_of_hyperparameters() -> None:
    assert {"kernel=rbf", "kernel=poly", "kernel=linear", "gamma", "gamma?", "degree?", "flag=False", "size"} <= set(
        ENCODER.columns
    )
    assert not any(c.startswith("version") for c in ENCODER.columns)  # a constant tells nothing
    assert "flag?" not in ENCODER.columns
    assert len(set(ENCODER.columns)) == ENCODER.n_columns


def test_log_scales_ordinals_and_indicators_by_hand() -> None:
    space = ConfigurationSpace()
    mode = Categorical("mode", ["off", "on"], default="off")
    rate = Float("rate", (1e-4, 1e0), log=True, default=1e-2)
    space.add(mode, rate, OrdinalHyperparameter("size", [1, 2, 4]), EqualsCondition(rate, mode, "on"))
    encoder = SpaceEncoder(space)
    row = dict(zip(encoder.columns, encoder.encode([{"mode": "on", "rate": 1e-3, "size": 4}])[0], strict=True))
    assert row == pytest.approx({"mode=on": 1.0, "rate": 0.25, "rate?": 1.0, "size": 1.0})
    row = dict(zip(encoder.columns, encoder.encode([{"mode": "off", "size": 2}])[0], strict=True))
    assert row == pytest.approx({"mode=on": 0.0, "rate": 0.0, "rate?": 0.0, "size": 0.5})


def test_numpy_values_and_builtins_are_the_same_configuration() -> None:
    plain = {"x0": 0.5, "x1": 0.25}
    numpy = {"x0": np.float64(0.5), "x1": np.float64(0.25)}
    encoder = SpaceEncoder(unit_cube_space(2))
    assert encoder.encode([plain]).tolist() == encoder.encode([numpy]).tolist() == [[0.5, 0.25]]
    assert to_json(plain) == to_json(numpy) == to_json(dict(reversed(plain.items())))


def test_nothing_to_encode_gives_no_rows() -> None:
    assert ENCODER.encode([]).shape == (0, ENCODER.n_columns)
    assert ENCODER.decode(np.empty((0, ENCODER.n_columns))) == []


COMPLETE: dict[str, Any] = {"kernel": "linear", "trees": 10, "size": "M", "weight": None, "flag": True, "version": 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nonsense": 1}, r"\['nonsense'\] are not in the space"),
        ({"trees": 0}, "'trees' = 0 is not allowed"),
        ({"trees": 2.5}, "'trees' = 2.5 is not allowed"),
        ({"size": "XXL"}, "'size' = 'XXL' is not allowed"),
        ({"weight": "heavy"}, "'weight' = 'heavy' is not allowed"),
        ({"kernel": "rbf", "rule": "value", "gamma": 100.0}, "'gamma' = 100.0 is not allowed"),
        ({"kernel": "rbf", "rule": "value", "gamma": float("nan")}, "'gamma' = nan is not allowed"),
    ],
)
def test_values_outside_the_space_are_refused_by_both_doors(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        canonical(NESTED, COMPLETE | change)
    with pytest.raises(SpaceError, match=message):
        ENCODER.encode([COMPLETE, COMPLETE | change])


def test_a_missing_active_value_is_refused_and_an_inactive_one_dropped() -> None:
    with pytest.raises(SpaceError, match="'rule' is active but has no value"):
        canonical(NESTED, COMPLETE | {"kernel": "rbf"})
    assert canonical(NESTED, COMPLETE | {"gamma": 0.5, "degree": 4}) == COMPLETE


def test_what_has_one_value_needs_none() -> None:
    space, mode = ConfigurationSpace(), Categorical("mode", ["a", "b"])
    step, kind = Constant("step", 3), Categorical("kind", ["only"])
    space.add(mode, step, kind, EqualsCondition(step, mode, "a"))
    assert canonical(space, {"mode": "a"}) == {"mode": "a", "step": 3, "kind": "only"}
    assert canonical(space, {"mode": "b"}) == {"mode": "b", "kind": "only"}


def test_forbidden_combination_is_refused() -> None:
    space = ConfigurationSpace()
    a, b = Categorical("a", ["x", "y"]), Categorical("b", ["x", "y"])
    space.add(a, b, ForbiddenAndConjunction(ForbiddenEqualsClause(a, "y"), ForbiddenEqualsClause(b, "y")))
    assert canonical(space, {"a": "x", "b": "y"}) == {"a": "x", "b": "y"}
    with pytest.raises(SpaceError, match="forbidden"):
        canonical(space, {"a": "y", "b": "y"})


@pytest.mark.parametrize("rows", [np.zeros(3), np.zeros((2, 1)), np.zeros((1, 1, 1))])
def test_rows_of_another_shape_are_refused(rows: np.ndarray[Any, Any]) -> None:
    with pytest.raises(SpaceError, match=f"of shape \\(n, {ENCODER.n_columns}\\)"):
        ENCODER.decode(rows)


def test_joint_space_keeps_learners_apart_and_splits_again() -> None:
    other = ConfigurationSpace({"gamma": (0.0, 1.0)})
    cash = cash_space({"svm": NESTED, "other": other})
    encoder = SpaceEncoder(cash)
    of_svm = default_configuration(NESTED) | {"rule": "value", "gamma": 0.5}
    of_svm = canonical(NESTED, of_svm)
    both = [to_cash("svm", of_svm), to_cash("other", {"gamma": 0.75})]
    rows = encoder.encode(both)
    assert [from_cash(c) for c in encoder.decode(rows)] == [
        ("svm", pytest.approx(of_svm)),
        ("other", {"gamma": 0.75}),
    ]
    of_other = [i for i, column in enumerate(encoder.columns) if column.startswith("other:")]
    assert (rows[0, of_other] == 0).all()
    assert (rows[1, of_other] > 0).all()


@pytest.mark.parametrize("log", [False, True])
def test_defaults_come_back_from_the_unit_cube_to_their_last_digit(log: bool) -> None:
    space = ConfigurationSpace()
    space.add(*(Float(f"x{i}", (1e-5, 3e2), log=log, default=0.1 + 0.037 * i) for i in range(200)))
    encoder = SpaceEncoder(space)
    assert encoder.decode(encoder.encode([encoder.domain.default])) == [encoder.domain.default]
