"""Every engine of a search satisfies the contract of an optimiser, and is found by its name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    Normal,
)
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from metahpo.exceptions import MissingDependencyError, SpaceError, UnknownNameError
from metahpo.search import MetaSearchCV, register_search_engine, search_engine_names, unregister_search_engine
from metahpo.search.engines import search_engine
from metahpo.testing.optimizers import Make, OptimizerContract

X, y = load_iris(return_X_y=True)


class TestRandom(OptimizerContract):
    @pytest.fixture
    def make(self) -> Make:
        return lambda space, seed: search_engine("random", space, seed)


class TestGrid(OptimizerContract):
    @pytest.fixture
    def make(self) -> Make:
        return lambda space, seed: search_engine("grid", space, seed)


@pytest.mark.parametrize("name", ["tpe", "genetic"])
class TestOptuna(OptimizerContract):
    @pytest.fixture
    def make(self, name: str) -> Make:
        pytest.importorskip("optuna")
        return lambda space, seed: search_engine(name, space, seed)


def small() -> ConfigurationSpace:
    """Five configurations."""
    space = ConfigurationSpace({"kind": ["a", "b", None], "size": [1, 2]})
    unwanted = ForbiddenEqualsClause(space["kind"], "b"), ForbiddenEqualsClause(space["size"], 2)
    space.add(ForbiddenAndConjunction(*unwanted))
    return space


@pytest.mark.parametrize("name", ["random", "grid", "tpe", "genetic"])
def test_a_finite_space_is_tried_whole_and_ends(name: str) -> None:
    if name in ("tpe", "genetic"):
        pytest.importorskip("optuna")
    engine = search_engine(name, small(), 0)
    asked = [engine.ask() for _ in range(5)]
    assert len({str(sorted(configuration.items(), key=str)) for configuration in asked}) == 5
    with pytest.raises(SpaceError, match="every configuration"):
        engine.ask()


def test_an_engine_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependencyError, match=r"'tpe' needs Optuna: pip install 'metahpo\[optuna\]'"):
        search_engine("tpe", small(), 0)


def test_cma_es_names_the_extra_before_the_first_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(MissingDependencyError, match=r"'cma-es' needs a package.*metahpo\[optuna\]"):
        search_engine("cma-es", small(), 0)


class Ascending:
    """Asks for the values of x in order, each twice."""

    def __init__(self, space: ConfigurationSpace, random_state: int | None) -> None:
        self.told: list[float] = []
        self._n = 0

    def ask(self) -> dict[str, Any]:
        self._n += 1
        return {"max_depth": (self._n + 1) // 2}

    def tell(self, configuration: Mapping[str, Any], loss: float) -> None:
        self.told.append(loss)


def test_an_engine_of_ones_own_needs_no_more_than_ask_and_tell() -> None:
    register_search_engine("ascending", Ascending)
    try:
        assert "ascending" in search_engine_names()
        space = ConfigurationSpace({"max_depth": (1, 5)})
        search = MetaSearchCV(DecisionTreeClassifier(random_state=0), space, n_trials=3, cv=2, engine="ascending")
        search.fit(X, y)
    finally:
        unregister_search_engine("ascending")
    assert [parameters["max_depth"] for parameters in search.cv_results_["params"]] == [1, 2, 3]
    engine: Any = search.optimizer_
    np.testing.assert_array_equal(engine.engine.told, -search.cv_results_["mean_test_score"])


def test_an_unknown_engine_is_refused_with_those_there_are() -> None:
    search = MetaSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, engine="bayes")
    with pytest.raises(UnknownNameError, match="search engine 'bayes'; known are: metahpo, random, grid, tpe"):
        search.fit(X, y)


def test_a_grid_holds_ranges_of_any_kind_and_only_what_is_allowed() -> None:
    space = ConfigurationSpace({"few": (1, 3), "log": Float("log", (1e-2, 1e2), log=True)})
    space.add(Float("normal", (0.0, 1.0), distribution=Normal(0.2, 0.1)), Categorical("kind", ["a", "b"]))
    space.add(EqualsCondition(space["normal"], space["kind"], "b"), ForbiddenEqualsClause(space["few"], 3))
    engine = search_engine("grid", space, 0)
    grid = [engine.ask() for _ in range(2 * 5 * (1 + 5))]
    with pytest.raises(SpaceError):
        engine.ask()
    assert {c["few"] for c in grid} == {1, 2}
    assert sorted({c["log"] for c in grid}) == pytest.approx([1e-2, 1e-1, 1.0, 1e1, 1e2])
    large = search_engine("grid", ConfigurationSpace({f"x{i}": (0.0, 1.0) for i in range(40)}), 0)
    assert large.ask() != large.ask()
    assert search_engine("grid", ConfigurationSpace(), 0).ask() == {}
