"""Shares of variance against functions of which they are known."""

from __future__ import annotations

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Constant, EqualsCondition, Float, Integer
from numpy.typing import NDArray

from metahpo.space.design import sobol_design
from metahpo.space.encoding import SpaceEncoder, unit_cube_space
from metahpo.surrogates.explanation import Effect, Explanation, explain

Array = NDArray[np.float64]


def shares(explained: Explanation) -> dict[tuple[str, ...], float]:
    return {effect.hyperparameters: effect.share for effect in explained.effects}


def test_an_additive_function_has_no_pairs() -> None:
    # Variances: 9 / 12 of 3 x0, 1 / 12 of x1, and 16 * (1 / 5 - 1 / 9) of 4 x2^2.
    explained = explain(lambda X: 3 * X[:, 0] + X[:, 1] + 4 * X[:, 2] ** 2, unit_cube_space(4), {}, {})
    parts = np.array([9 / 12, 1 / 12, 16 * (1 / 5 - 1 / 9), 0.0])
    found = shares(explained)
    for i, share in enumerate(parts / parts.sum()):
        assert found[f"x{i}",] == pytest.approx(share, abs=0.005)
    assert sum(share for names, share in found.items() if len(names) == 2) < 0.005
    assert explained.rest == pytest.approx(0, abs=0.005)
    assert explained.spread == pytest.approx(np.sqrt(parts.sum()), rel=0.01)
    assert explained.effects[0].hyperparameters == ("x2",)


def test_a_pure_product_has_a_pair_only() -> None:
    explained = explain(lambda X: (X[:, 0] - 0.5) * (X[:, 1] - 0.5), unit_cube_space(3), {}, {})
    found = shares(explained)
    assert found["x0", "x1"] == pytest.approx(1, abs=0.01)
    assert explained.effects[0] == Effect(("x0", "x1"), found["x0", "x1"])
    assert sum(found.values()) - found["x0", "x1"] < 0.01
    assert explained.importance()["x0"] == pytest.approx(1, abs=0.02)


def test_a_product_of_three_is_left_to_the_rest() -> None:
    explained = explain(lambda X: np.prod(X[:, :3] - 0.5, axis=1), unit_cube_space(6), {}, {})
    assert explained.rest == pytest.approx(1, abs=0.1)
    assert max(effect.share for effect in explained.effects) < 0.02


def test_the_ishigami_function_has_its_known_indices() -> None:
    def ishigami(X: Array) -> Array:  # Ishigami and Homma 1990, a = 7, b = 0.1, with x in [-pi, pi] / 2 for smoothness
        x = np.pi * (X - 0.5)
        return np.asarray(np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0]))

    half = np.pi / 2
    moment_4, moment_8 = half**4 / 5, half**8 / 9
    of_0 = 0.5 * (1 + 0.1 * moment_4) ** 2
    of_1 = 49 / 8
    of_02 = 0.5 * 0.01 * (moment_8 - moment_4**2)
    total, found = of_0 + of_1 + of_02, shares(explain(ishigami, unit_cube_space(3), {}, {}))
    assert found["x0",] == pytest.approx(of_0 / total, abs=0.01)
    assert found["x1",] == pytest.approx(of_1 / total, abs=0.01)
    assert found["x2",] == pytest.approx(0, abs=0.01)
    assert found["x0", "x2"] == pytest.approx(of_02 / total, abs=0.01)


def conditional_space() -> ConfigurationSpace:
    space = ConfigurationSpace()
    mode, knob = Categorical("mode", ["a", "b", "c"]), Float("knob", (0.0, 1.0))
    never = Float("never", (0.0, 1.0))
    space.add(mode, knob, never, Integer("count", (1, 3)), Constant("fixed", 1), Categorical("switch", [False, True]))
    space.add(EqualsCondition(knob, mode, "a"), EqualsCondition(never, space["fixed"], 1))
    return space


def test_choices_integers_and_constants() -> None:
    space = conditional_space()
    encoder = SpaceEncoder(space)
    mode, count, switch = (encoder.columns_of(name) for name in ("mode", "count", "switch"))

    def score(X: Array) -> Array:
        of_mode = X[:, mode] @ np.array([0.0, 0.0, 3.0])
        return np.asarray(of_mode + X[:, count].sum(axis=1) + X[:, switch].sum(axis=1))

    found = shares(explain(score, space, {}, {}))
    designed = encoder.encode(sobol_design(space, 4096, default_first=False))
    parts = {"mode": 2.0, "count": designed[:, count].var(), "switch": 0.25}
    for name, part in parts.items():
        assert found[name,] == pytest.approx(part / sum(parts.values()), abs=0.01)
    assert ("fixed",) not in found


def test_a_conditional_counts_only_where_it_is_active() -> None:
    space = conditional_space()
    knob = SpaceEncoder(space).columns_of("knob")

    # A third of the space has x = knob in [0, 1], the rest 0: Var = E x^2 / 3 - (E x / 3)^2.
    explained = explain(lambda X: X[:, knob].sum(axis=1), space, {}, {})
    variance = 1 / 9 - 1 / 36
    of_knob = (1 / 12) / 9  # E[f | knob] = knob / 3
    of_mode = (1 / 4) * (1 / 3) * (2 / 3)  # E[f | mode] is 1 / 2 in a third of the space
    found = shares(explained)
    assert explained.spread**2 == pytest.approx(variance, rel=0.02)
    assert found["knob",] == pytest.approx(of_knob / variance, abs=0.01)
    assert found["mode",] == pytest.approx(of_mode / variance, abs=0.01)
    assert found["mode", "knob"] == pytest.approx(1 - (of_knob + of_mode) / variance, abs=0.01)


def test_many_hyperparameters_keep_the_pairs_that_tell() -> None:
    space = unit_cube_space(30)
    x3, x7, x21 = (SpaceEncoder(space).columns_of(name).start for name in ("x03", "x07", "x21"))
    explained = explain(lambda X: X[:, x3] + 4 * (X[:, x7] - 0.5) * (X[:, x21] - 0.5), space, {}, {})
    found, (of_3, of_pair) = shares(explained), (1 / 12, 16 / 144)
    assert found["x03",] == pytest.approx(of_3 / (of_3 + of_pair), abs=0.03)
    assert found[tuple(sorted(("x07", "x21"), key=list(space).index))] == pytest.approx(
        of_pair / (of_3 + of_pair), abs=0.03
    )


def test_a_constant_depends_on_nothing_and_says_so() -> None:
    explained = explain(lambda X: np.full(len(X), 3.0), unit_cube_space(2), {"task": 1.0}, {})
    assert explained.spread == explained.rest == 0
    assert set(shares(explained).values()) == {0.0}
    assert "100.0%  task" in str(explained)


def test_frame_and_text_name_effects_from_large_to_small() -> None:
    explained = explain(
        lambda X: X[:, 0] + X[:, 0] * X[:, 1], unit_cube_space(2), {"near": 0.75, "far": 0.001}, {"size": 0.9}
    )
    frame = explained.to_frame()
    assert list(frame.columns) == ["hyperparameter", "with", "share"]
    assert frame["share"].is_monotonic_decreasing
    assert frame.loc[frame["with"].notna(), ["hyperparameter", "with"]].to_numpy().tolist() == [["x0", "x1"]]
    text = str(explained)
    assert text.index("x0\n") < text.index("x0 x x1")
    assert "75.0%  near" in text
    assert text.index("75.0%  near") < text.index("meta-features") < text.index("90.0%  size")
    assert "far" not in text
