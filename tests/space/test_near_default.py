"""Configurations near the default: few values changed, distinct, allowed, extendable, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Float, ForbiddenEqualsClause, InCondition

from metahpo.exceptions import SpaceError
from metahpo.learners.registry import learner_named
from metahpo.space.activity import canonical, default_configuration
from metahpo.space.configuration import to_json
from metahpo.space.near_default import near_default_design

CONVNET = learner_named("convnet", "classification").space


def test_each_changes_a_few_values_of_the_default() -> None:
    default = default_configuration(CONVNET)
    design = near_default_design(CONVNET, 200)
    changed = [sum(configuration.get(name) != value for name, value in default.items()) for configuration in design]
    assert min(changed) >= 1
    assert 2.0 < np.mean(changed) < 4.0


def test_numbers_move_a_quarter_to_three_quarters_of_the_way_to_an_end() -> None:
    space = ConfigurationSpace({"a": (0.0, 1.0), "b": (1e-4, 1e2)})
    space["a"].default_value, space["b"].default_value = 0.8, 0.007
    values = np.array([c["a"] for c in near_default_design(space, 200)])
    moved = values[values != 0.8]
    assert len(moved) < 200  # where only b was changed, a is the default to its last digit
    down, up = moved[moved < 0.8], moved[moved > 0.8]
    assert down.min() >= 0.2
    assert down.max() <= 0.6
    assert up.min() >= 0.85
    assert up.max() <= 0.95
    assert len(down) > len(up) > 0


def test_all_are_distinct_and_allowed_and_the_default_is_not_among_them() -> None:
    design = near_default_design(CONVNET, 64)
    assert len({to_json(c) for c in [*design, default_configuration(CONVNET)]}) == 65
    assert all(canonical(CONVNET, configuration) == configuration for configuration in design)


def test_a_shorter_design_is_the_beginning_of_a_longer_one() -> None:
    assert near_default_design(CONVNET, 5) == near_default_design(CONVNET, 20)[:5]
    assert near_default_design(CONVNET, 5, random_state=1) != near_default_design(CONVNET, 5)
    assert near_default_design(CONVNET, 0) == []


def test_what_a_changed_choice_needs_starts_from_its_own_default() -> None:
    space = ConfigurationSpace(seed=0)
    kind, momentum = Categorical("kind", ["adam", "sgd"], default="adam"), Float("momentum", (0.0, 1.0), default=0.9)
    space.add(kind, momentum, InCondition(momentum, kind, ["sgd"]))
    values = [c["momentum"] for c in near_default_design(space, 50) if c["kind"] == "sgd"]
    assert min(values) >= 0.2


def test_forbidden_ones_are_left_out_and_a_finite_space_ends() -> None:
    space = ConfigurationSpace({"a": ["x", "y", "z"]})
    space.add(ForbiddenEqualsClause(space["a"], "z"))
    assert near_default_design(space, 5) == [{"a": "y"}]


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(SpaceError, match="n = -1"):
        near_default_design(CONVNET, -1)
