"""Spaces that overlap: what is matched by name, alias and range, and what the report says."""

from __future__ import annotations

import numpy as np
import pytest
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    ForbiddenEqualsClause,
    Integer,
    OrdinalHyperparameter,
)

from metahpo.exceptions import SpaceError
from metahpo.space.aliases import likeness
from metahpo.space.mapping import SpaceMapping


def network() -> ConfigurationSpace:
    """The space that is known: a choice, an order, a number under a rule, numbers on both scales."""
    space = ConfigurationSpace()
    rule, number = Categorical("l1_rule", [0.0, "value"], default=0.0), Float("l1", (1e-6, 1e-2), log=True)
    space.add(
        Float("learning_rate", (1e-4, 0.5), log=True, default=1e-3),
        OrdinalHyperparameter("batch_size", [16, 32, 64, 128], default_value=64),
        Integer("width", (16, 256), log=True, default=64),
        Float("dropout", (0.0, 0.5), default=0.1),
        Categorical("optimiser", ["adam", "sgd"], default="adam"),
        rule,
        number,
        EqualsCondition(number, rule, "value"),
    )
    return space


def own() -> ConfigurationSpace:
    """A network as somebody else has it."""
    space = ConfigurationSpace()
    space.add(
        Float("lr", (1e-5, 1.0), log=True, default=1e-2),
        Integer("bs", (8, 200), default=50),
        Categorical("hidden_size", [32, 100, 1000], default=100),
        Float("model__dropout", (0.1, 0.3), default=0.2),
        Categorical("Optimizer", ["SGD", "Adam", "RMSprop"], default="Adam"),
        Float("l1", (0.0, 0.1), default=0.0),
        Float("warmup", (0.0, 1.0), default=0.1),
    )
    return space


@pytest.fixture(scope="module")
def mapping() -> SpaceMapping:
    return SpaceMapping(own(), network())


def known_as(mapping: SpaceMapping, **values: object) -> dict[str, object]:
    configuration = {**mapping.encoder.domain.default, **values}
    return mapping.known_encoder.decode(mapping.rows(mapping.encoder.encode([configuration])))[0]


@pytest.mark.parametrize(
    ("name", "value", "known", "expected"),
    [
        ("lr", 0.01, "learning_rate", 0.01),
        ("lr", 1e-5, "learning_rate", 1e-4),
        ("lr", 1.0, "learning_rate", 0.5),
        ("bs", 100, "batch_size", 128),
        ("bs", 8, "batch_size", 16),
        ("hidden_size", 100, "width", 100),
        ("hidden_size", 1000, "width", 256),
        ("model__dropout", 0.3, "dropout", 0.3),
        ("Optimizer", "SGD", "optimiser", "sgd"),
        ("Optimizer", "RMSprop", "optimiser", "adam"),
        ("l1", 0.0, "l1_rule", 0.0),
        ("l1", 0.001, "l1", 0.001),
        ("l1", 0.001, "l1_rule", "value"),
    ],
)
def test_values__have_their_place(
    mapping: SpaceMapping, name: str, value: object, known: str, expected: object
) -> None:
    assert known_as(mapping, **{name: value})[known] == pytest.approx(expected)


def test_values__of_a_hyperparameter_that_is_not_known_change_nothing(mapping: SpaceMapping) -> None:
    assert known_as(mapping, warmup=0.0) == known_as(mapping, warmup=1.0)
    assert mapping.unknown == ("warmup",)


def test_conditions__a_hyperparameter_that_is_not_active_counts_as_the_known_default() -> None:
    space = ConfigurationSpace()
    tuned, rate = Categorical("tuned", ["no", "yes"], default="no"), Float("lr", (1e-3, 1e-1), log=True)
    space.add(tuned, rate, EqualsCondition(rate, tuned, "yes"))
    mapping = SpaceMapping(space, network())
    rows = mapping.encoder.encode([{"tuned": "no"}, {"tuned": "yes", "lr": 0.1}])
    found = [configuration["learning_rate"] for configuration in mapping.known_encoder.decode(mapping.rows(rows))]
    np.testing.assert_allclose(found, [1e-3, 0.1])


def test_report__says_what_was_taken_clipped_and_left_out(mapping: SpaceMapping) -> None:
    report = mapping.to_frame().set_index("name")["what becomes of it"]
    assert report["lr"] == "clipped: [1e-05, 1] is known in [0.0001, 0.5]"
    assert report["model__dropout"] == "taken"
    assert report["Optimizer"] == "taken, but for the choices RMSprop, which count as the default"
    assert report["warmup"] == "left out: nothing is known of it"
    assert "hidden_size" in str(mapping)
    assert "width" in str(mapping)


def test_known_configurations__are_placed_in_the_space(mapping: SpaceMapping) -> None:
    known = {"learning_rate": 1e-4, "batch_size": 128, "width": 90, "dropout": 0.5, "optimiser": "sgd", "l1_rule": 0.0}
    (placed,) = mapping.place([known])
    assert placed == {
        "lr": pytest.approx(1e-4),
        "bs": 128,
        "hidden_size": 100,
        "model__dropout": 0.3,
        "Optimizer": "SGD",
        "l1": 0.0,
        "warmup": 0.1,
    }
    assert known_as(mapping, **placed)["learning_rate"] == pytest.approx(1e-4)


def tree() -> ConfigurationSpace:
    """A known space with words that stand for numbers, one of them None, and a number that a choice activates."""
    space = ConfigurationSpace()
    share_rule = Categorical("max_features_rule", ["sqrt", "log2", "value"], default="sqrt")
    share = Float("max_features", (0.1, 0.9), default=0.5)
    depth_rule, depth = Categorical("max_depth_rule", [None, "value"], default=None), Integer("max_depth", (2, 20))
    kernel, degree = Categorical("kernel", ["rbf", "poly"], default="rbf"), Integer("degree", (2, 4), default=3)
    weight = Categorical("class_weight", [None, "balanced"], default="balanced")
    space.add(share_rule, share, depth_rule, depth, kernel, degree, weight)
    space.add(EqualsCondition(share, share_rule, "value"), EqualsCondition(depth, depth_rule, "value"))
    space.add(EqualsCondition(degree, kernel, "poly"))
    return space


def test_words_without_a_number_are_those_of_the_rule() -> None:
    mapping = SpaceMapping(ConfigurationSpace({"max_features": ["log2", "sqrt"], "max_depth": [None, 5]}), tree())
    assert mapping.unknown == ()
    found = known_as(mapping, max_features="log2", max_depth=5)
    assert (found["max_features_rule"], found["max_depth_rule"], found["max_depth"]) == ("log2", "value", 5)
    assert mapping.place([{"max_features_rule": "sqrt", "max_depth_rule": None}]) == [
        {"max_features": "sqrt", "max_depth": None}
    ]


def test_none__is_a_value_like_others() -> None:
    mapping = SpaceMapping(ConfigurationSpace({"class_weight": ["balanced", None]}), tree())
    assert mapping.place([{"class_weight": None}]) == [{"class_weight": None}]
    assert known_as(mapping, class_weight=None)["class_weight"] is None
    assert mapping.to_frame()["what becomes of it"][0] == "taken"


def test_values_that_are_held_take_the_place_of_the_known_defaults() -> None:
    own = ConfigurationSpace({"max_depth": (2, 30), "degree": (2, 4)})
    held = {"max_features": 0.3, "class_weight": None, "kernel": "rbf", "foreign": 3}
    mapping = SpaceMapping(own, tree(), held=held)
    found = known_as(mapping, max_depth=9)
    assert found == {
        "max_depth_rule": "value",
        "max_depth": 9,
        "max_features_rule": "value",
        "max_features": pytest.approx(0.3),
        "class_weight": None,
        "kernel": "rbf",  # so that the degree counts for nothing
    }
    assert "taken to be None" in mapping.to_frame().set_index("known as")["what becomes of it"]["class_weight"]
    assert known_as(SpaceMapping(own, tree()))["kernel"] == "poly"


def test_the_report_tells_what_is_held_in_vain() -> None:
    own = ConfigurationSpace({"max_depth": (2, 30)})
    report = SpaceMapping(own, tree(), held={"kernell": "rbf", "kernel": "no such"}).to_frame()
    fates = dict(zip(report["name"].fillna(report["known as"]), report["what becomes of it"], strict=True))
    assert fates["kernell"] == "held, but left out: nothing is known of it"
    assert fates["kernel"] == "taken to be 'rbf', because nothing is known of 'no such'"


@pytest.mark.parametrize("held", [{"learning_rate": 0.1}, {"lr": 0.1}], ids=["as it is known", "as it is searched"])
def test_what_is_searched_cannot_be_held(held: dict[str, float]) -> None:
    (name,) = held
    message = rf"{name!r} is held at 0.1, but the space searches it, as 'lr': leave {name!r} out of `held`"
    with pytest.raises(SpaceError, match=message):
        SpaceMapping(own(), network(), held=held)


def test_a_value_can_be_held_where_the_space_has_none() -> None:
    space = ConfigurationSpace({"lr": (1e-4, 0.5), "schedule": ["given", "found"]})
    space.add(EqualsCondition(space["lr"], space["schedule"], "given"))
    mapping = SpaceMapping(space, network(), held={"learning_rate": 0.25})
    assert mapping.always_set == set()
    known = mapping.known_encoder
    for schedule, rate in {"given": 0.1, "found": 0.25}.items():
        given = mapping.encoder.domain.canonical({"schedule": schedule, "lr": 0.1})
        (found,) = known.decode(mapping.rows(mapping.encoder.encode([given])))
        assert found["learning_rate"] == pytest.approx(rate)


def test_the_report_tells_what_has_no_effect_under_a_value_that_is_held() -> None:
    space = ConfigurationSpace({"degree": (2, 4), "max_depth": (2, 20)})
    mapping = SpaceMapping(space, tree(), held={"kernel": "rbf"})
    fates = mapping.to_frame().set_index("name")["what becomes of it"]
    assert fates["degree"] == "left out: it is known to have no effect where kernel is 'rbf'"
    assert fates["max_depth"] == "taken"


def test_names_that_the_space_does_not_have_are_refused() -> None:
    space = ConfigurationSpace({"rate": (0.01, 0.1), "warmup": (0.0, 1.0)})
    with pytest.raises(SpaceError, match=r"`names` has \['ratte'\], but the hyperparameters of the space are \['rate'"):
        SpaceMapping(space, network(), {"ratte": "learning_rate"})
    mapping = SpaceMapping(space, network(), {"rate": "learning_rate"})
    with pytest.raises(SpaceError, match=r"\['warm'\] are given, but the hyperparameters of the space are"):
        mapping.nearest({"learning_rate": 0.05}, {"warm": 0.5})


def test_only_names_that_are_looked_for_are_matched() -> None:
    own = ConfigurationSpace({"select__k": (1, 9), "model__rate": (0.01, 0.1), "dropout": (0.1, 0.2)})
    mapping = SpaceMapping(own, network(), {"model__rate": "learning_rate"})
    assert [(match.name, match.known) for match in mapping.matches] == [("model__rate", "learning_rate")]
    assert mapping.unknown == ("dropout", "select__k")


def test_lists_of_numbers_beyond_what_is_known_are_said_to_be_clipped() -> None:
    mapping = SpaceMapping(ConfigurationSpace({"width": [8, 64, 512]}), network())
    assert mapping.to_frame()["what becomes of it"][0] == "clipped: [8, 512] is known in [16, 256]"


def test_configurations_that_are_forbidden_are_left_out_with_one_warning() -> None:
    space = ConfigurationSpace({"width": [16, 64, 256]})
    space.add(ForbiddenEqualsClause(space["width"], 256))
    with pytest.warns(UserWarning, match="2 of 3 configurations have no place"):
        assert SpaceMapping(space, network()).place([{"width": 200}, {"width": 60}, {"width": 256}]) == [{"width": 64}]


def test_nothing_in_common__is_refused_with_both_spaces_named() -> None:
    with pytest.raises(SpaceError, match=r"nothing in common.*'height'.*'batch_size'"):
        SpaceMapping(ConfigurationSpace({"height": (0.0, 1.0)}), network())
    with pytest.raises(SpaceError, match="nothing in common"):  # the same name, of values of another kind
        SpaceMapping(ConfigurationSpace({"dropout": ["yes", "no"]}), network())


@pytest.mark.parametrize(
    ("name", "other", "expected"),
    [
        ("lr", "learning_rate", 1),
        ("eta", "learning_rate", 1),
        ("clf__alpha", "weight_decay", 1),
        ("max_leaf_nodes", "num_leaves", 1),
        ("min_samples_leaf", "min_child_samples", 1),
        ("K", "n_neighbors", 1),
        ("Dropout", "dropout", 2),
        ("svc__C", "C", 2),
        ("C", "C", 3),
        ("lr", "dropout", 0),
    ],
)
def test_names__are_compared(name: str, other: str, expected: int) -> None:
    assert likeness(name, other) == likeness(other, name) == expected
