"""Suggestions in spaces of every kind: legal by ConfigSpace's own check, distinct, and ended when there are no more."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    AndConjunction,
    Categorical,
    Configuration,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    ForbiddenInClause,
    ForbiddenLessThanRelation,
    GreaterThanCondition,
    InCondition,
    Integer,
    NotEqualsCondition,
    OrConjunction,
    OrdinalHyperparameter,
)
from ConfigSpace.forbidden import ForbiddenGreaterThanClause, ForbiddenLessThanEqualsClause
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from metahpo.exceptions import SpaceError
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.space.configuration import to_json
from metahpo.space.design import sobol_design
from metahpo.space.values import choices_of


def space_of(hyperparameters: Sequence[Any]) -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add(*hyperparameters)
    return space


def forbidden_pair() -> ConfigurationSpace:
    space = ConfigurationSpace({"x": (0.0, 1.0), "a": ["p", "q", "r"], "b": ["u", "v", "w"]})
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(space["a"], "q"), ForbiddenEqualsClause(space["b"], "v")))
    return space


def forbidden_order() -> ConfigurationSpace:
    """Numbers that must be in order, of which one is conditional."""
    space = ConfigurationSpace()
    kernel, lo = Categorical("kernel", ["poly", "rbf"]), Integer("lo", (1, 9), default=2)
    hi, x = Integer("hi", (1, 9), default=5), Float("x", (0.0, 1.0))
    space.add(kernel, lo, hi, x, EqualsCondition(hi, kernel, "poly"))
    space.add(ForbiddenLessThanRelation(hi, lo))
    return space


def forbidden_ranges() -> ConfigurationSpace:
    space = ConfigurationSpace()
    a, b = Integer("a", (0, 10), default=0), OrdinalHyperparameter("b", ["S", "M", "L", "XL"], default_value="L")
    c = Float("c", (0.0, 1.0), default=0.2)
    space.add(a, b, c, ForbiddenInClause(a, [3, 4, 5, 6, 7, 8, 9]))
    space.add(ForbiddenLessThanEqualsClause(b, "M"), ForbiddenGreaterThanClause(c, 0.25))
    return space


def many_clauses() -> ConfigurationSpace:
    """Of random configurations, hardly any is legal."""
    space = ConfigurationSpace()
    choices = [Categorical(f"c{i:02d}", list("abcd")) for i in range(20)]
    space.add(*choices, Float("x", (0.0, 1.0)))
    for first, second in pairwise(choices):
        for bad in "bcd":
            clause = ForbiddenAndConjunction(ForbiddenEqualsClause(first, bad), ForbiddenInClause(second, ["b", "c"]))
            space.add(clause)
    return space


def deep_conditions() -> ConfigurationSpace:
    """A chain of ten conditions, and conjunctions that look at several levels."""
    space = ConfigurationSpace()
    switches = [Categorical(f"s{i}", ["on", "off"]) for i in range(10)]
    numbers = [Float(f"x{i}", (1e-6, 1e2), log=True) for i in range(10)]
    either, both, other, count = (Float(name, (0.0, 1.0)) for name in ("either", "both", "other", "count"))
    space.add(*switches, *numbers, either, both, other, count, Integer("n", (1, 9)))
    for parent, child in pairwise(switches):
        space.add(EqualsCondition(child, parent, "on"))
    for switch, number in zip(switches, numbers, strict=True):
        space.add(InCondition(number, switch, ["on"]))
    space.add(OrConjunction(EqualsCondition(either, switches[2], "off"), EqualsCondition(either, switches[5], "off")))
    space.add(AndConjunction(EqualsCondition(both, switches[1], "on"), GreaterThanCondition(both, numbers[1], 1e-2)))
    space.add(NotEqualsCondition(other, switches[3], "on"), GreaterThanCondition(count, space["n"], 3))
    return space


def pipeline() -> ConfigurationSpace:
    """Two choices of steps, most parameters conditional; clauses of constants, of three parts, and one told twice."""
    space = ConfigurationSpace()
    model, step = Categorical("model", list("mnopq")), Categorical("step", list("stuvw"))
    space.add(model, step)
    for choice, names in ((model, "mnopq"), (step, "stuvw")):
        for name in names:
            number, penalty = Float(f"{name}:x", (1e-5, 8.0), log=True), Categorical(f"{name}:penalty", ["l2", "l1"])
            dual, degree = Constant(f"{name}:dual", "no"), Integer(f"{name}:degree", (2, 5))
            own = [number, penalty, dual, degree]
            space.add(*own, *(EqualsCondition(parameter, choice, name) for parameter in own[:3]))
            space.add(AndConjunction(EqualsCondition(degree, choice, name), EqualsCondition(degree, penalty, "l2")))
            two = ForbiddenEqualsClause(dual, "no"), ForbiddenEqualsClause(penalty, "l1")
            space.add(ForbiddenAndConjunction(*two, ForbiddenInClause(model, ["m", "n"])))
    for _ in range(2):
        for name in "mnop":
            space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(model, name), ForbiddenInClause(step, ["u", "v"])))
    return space


def hundred() -> ConfigurationSpace:
    space = ConfigurationSpace()
    kinds: list[Callable[[int], Any]] = [
        lambda i: Float(f"f{i}", (1e-4, 1.0), log=True),
        lambda i: Integer(f"i{i}", (1, 100)),
        lambda i: Categorical(f"c{i}", ["a", "b", "c"]),
        lambda i: Constant(f"k{i}", i),
    ]
    space.add(*(kinds[i % 4](i) for i in range(100)))
    return space


def huge_integers() -> ConfigurationSpace:
    return space_of(
        [
            Integer("log", (1, 2**62), log=True),
            Integer("linear", (-(2**61), 2**61)),
            Integer("odd", (900_000_000, 18_000_000_001), log=True),
            Float("wide", (1e-10, 1e10), log=True),
        ]
    )


def objects() -> ConfigurationSpace:
    """Choices that JSON does not know, or that NumPy takes for arrays."""
    return space_of(
        [
            Categorical("layers", [(10, 10), (10, 20), (20, 10)]),
            Categorical("nested", [(1, (2, 3)), (4, (5, 6))]),
            Categorical("scale", [StandardScaler(), MinMaxScaler(), "passthrough"]),
            Categorical("function", [np.sin, math.cos, lambda u: u, lambda u: -u]),
            Categorical("kind", [dict, list, set]),
            Categorical("bytes", [b"a", b"b"]),
            Categorical("mixed", [1, 1.5, "1", None]),
            Float("x", (0.0, 1.0)),
        ]
    )


SPACES: list[Callable[[], ConfigurationSpace]] = [
    forbidden_pair,
    forbidden_order,
    forbidden_ranges,
    many_clauses,
    deep_conditions,
    pipeline,
    hundred,
    huge_integers,
    objects,
]


@pytest.mark.parametrize("make", SPACES, ids=lambda make: make.__name__)
def test_suggestions_are_legal_and_distinct(make: Callable[[], ConfigurationSpace]) -> None:
    space = make()
    optimizer, rng, texts = BayesianOptimizer(space, random_state=0), np.random.default_rng(0), set()
    for _ in range(25):
        configuration = optimizer.ask()
        Configuration(space, values=configuration)  # ConfigSpace's own check
        texts.add(to_json(configuration))
        optimizer.tell(configuration, float(rng.standard_normal()))
    assert len(texts) == 25
    for configuration in sobol_design(space, 64):
        Configuration(space, values=configuration)
    assert len(sobol_design(space, 64)) == 64


def finite_spaces() -> list[tuple[ConfigurationSpace, int]]:
    conditional = ConfigurationSpace({"a": ["x", "y"], "b": (1, 9), "c": [True, False]})
    conditional.add(EqualsCondition(conditional["b"], conditional["a"], "x"))
    conditional.add(ForbiddenInClause(conditional["b"], [2, 3]))
    rare = ConfigurationSpace({f"n{i}": list(range(8)) for i in range(4)})
    for i in range(4):
        rare.add(ForbiddenInClause(rare[f"n{i}"], [2, 3, 4, 5, 6, 7]))
    one = space_of([Constant("c", 1), Categorical("only", ["a"]), OrdinalHyperparameter("o", [7])])
    never = space_of([OrdinalHyperparameter("o", ["S", "M", "L"]), Integer("n", (0, 9)), Integer("parent", (0, 3))])
    never.add(GreaterThanCondition(never["n"], never["o"], "L"))  # nothing comes after the last
    never.add(Integer("child", (0, 3)), Integer("one_of_none", (0, 3)))
    never.add(InCondition(never["one_of_none"], never["parent"], []), ForbiddenInClause(never["parent"], []))
    never.add(GreaterThanCondition(never["child"], never["parent"], 1))
    return [(ConfigurationSpace(), 1), (one, 1), (conditional, 2 * 7 + 2), (rare, 2**4), (never, 3 * (2 + 2 * 4))]


@pytest.mark.parametrize(("space", "size"), finite_spaces(), ids=["empty", "one", "conditional", "rare", "never"])
def test_a_finite_space_gives_all_it_has_and_ends(space: ConfigurationSpace, size: int) -> None:
    assert len(sobol_design(space, 1000)) == size
    optimizer, texts = BayesianOptimizer(space, random_state=0), set()
    for i in range(size):
        configuration = optimizer.ask()
        Configuration(space, values=configuration)
        texts.add(to_json(configuration))
        optimizer.tell(configuration, float(i % 5))
    assert len(texts) == size
    with pytest.raises(SpaceError, match="nothing left"):
        optimizer.ask()


def test_the_last_configurations_of_a_larger_finite_space_are_found() -> None:
    space = ConfigurationSpace({"a": (0, 39), "b": (0, 39)})
    everything = [{"a": a, "b": b} for a in range(40) for b in range(40)]
    optimizer = BayesianOptimizer(space, random_state=0)
    missing = {to_json(configuration) for configuration in everything[770:773]}
    optimizer._pending = {to_json(c): c for c in everything if to_json(c) not in missing}
    assert {to_json(optimizer.ask()) for _ in range(3)} == missing
    with pytest.raises(SpaceError, match="nothing left"):
        optimizer.ask()


def test_choices_reach_the_user_as_they_were_given() -> None:
    space = objects()
    optimizer = BayesianOptimizer(space, random_state=0)
    for _ in range(8):
        configuration = optimizer.ask()
        for name, value in configuration.items():
            if name != "x":
                assert any(value is choice for choice in choices_of(space[name])[0])
        optimizer.tell(configuration, 0.0)
