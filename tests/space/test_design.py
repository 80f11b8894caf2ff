"""The Sobol design: the default first, distinct, allowed, extendable, the same every time, and spread evenly."""

from __future__ import annotations

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Constant, Float, ForbiddenEqualsClause
from hypothesis import given, settings
from hypothesis import strategies as st

from metahpo.exceptions import SpaceError
from metahpo.learners.registry import learner_named
from metahpo.space.activity import canonical, default_configuration
from metahpo.space.configuration import to_json
from metahpo.space.design import sobol_design
from metahpo.space.encoding import SpaceEncoder, unit_cube_space

SVM = learner_named("svm", "classification").space


@settings(max_examples=20, deadline=None)
@given(k=st.integers(1, 40), n=st.integers(1, 40), seed=st.integers(0, 5))
def test_a_shorter_design_is_the_beginning_of_a_longer_one(k: int, n: int, seed: int) -> None:
    short, long = sorted((k, n))
    assert sobol_design(SVM, short, seed) == sobol_design(SVM, long, seed)[:short]


def test_default_comes_first_and_all_are_distinct_and_allowed() -> None:
    design = sobol_design(SVM, 64)
    assert design[0] == default_configuration(SVM)
    assert len({to_json(c) for c in design}) == 64
    for configuration in design:
        assert canonical(SVM, configuration) == configuration
    assert default_configuration(SVM) not in sobol_design(SVM, 8, default_first=False)


def test_the_default_comes_to_its_last_digit() -> None:
    names = [f"x{i}" for i in range(30)]
    space = ConfigurationSpace()
    space.add(*(Float(name, (1e-5, 3e2), log=True, default=0.1 + 0.037 * i) for i, name in enumerate(names)))
    assert sobol_design(space, 2)[0] == default_configuration(space)


def test_seed_decides_the_design() -> None:
    assert sobol_design(SVM, 8, 1) == sobol_design(SVM, 8, 1) != sobol_design(SVM, 8, 2)


def test_every_column_is_filled_evenly() -> None:
    encoder = SpaceEncoder(unit_cube_space(4))
    rows = encoder.encode(sobol_design(encoder.space, 64, default_first=False))
    for column in rows.T:  # one point in each 64th of the range: what random draws do not give
        assert sorted(np.floor(column * 64)) == list(range(64))


def test_choices_are_drawn_in_equal_shares() -> None:
    space = ConfigurationSpace({"x": (0.0, 1.0), "c": ["a", "b", "c", "d"]})
    drawn = [c["c"] for c in sobol_design(space, 256, default_first=False)]
    assert all(40 <= drawn.count(choice) <= 88 for choice in "abcd")


def test_a_small_space_gives_all_that_it_has() -> None:
    space = ConfigurationSpace({"a": ["x", "y", "z"], "b": [True, False], "c": Constant("c", 1)})
    assert len(sobol_design(space, 100)) == 6
    alone = ConfigurationSpace({"c": Constant("c", 1)})
    assert sobol_design(alone, 5) == [{"c": 1}]


def test_forbidden_configurations_are_left_out() -> None:
    space = ConfigurationSpace()
    mode = Categorical("mode", ["good", "bad", "fair"], default="good")
    space.add(mode, Float("x", (0.0, 1.0)), ForbiddenEqualsClause(mode, "bad"))
    assert {c["mode"] for c in sobol_design(space, 40)} == {"good", "fair"}


@pytest.mark.parametrize("n", [0, -3])
def test_a_design_of_none_is_refused(n: int) -> None:
    with pytest.raises(SpaceError, match=f"n = {n}"):
        sobol_design(SVM, n)
