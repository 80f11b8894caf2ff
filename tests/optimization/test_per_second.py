"""Expected improvement per second, in a world whose good region has a cheap half and a dear one."""

from __future__ import annotations

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace
from sklearn.datasets import load_wine
from sklearn.svm import SVC

from metahpo.exceptions import DataError
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.search import MetaSearchCV
from metahpo.space.configuration import Configuration
from metahpo.surrogates.task_cost import TaskCost


def two_halves() -> ConfigurationSpace:
    """Losses depend on `x` alone, seconds on `effort` alone."""
    return ConfigurationSpace({"x": (0.0, 1.0), "effort": (0.0, 1.0)})


def loss(configuration: Configuration) -> float:
    return float((configuration["x"] - 0.3) ** 2)


def seconds(configuration: Configuration) -> float:
    return 100.0 if configuration["effort"] > 0.5 else 1.0


def search(optimizer: BayesianOptimizer, n: int = 15) -> BayesianOptimizer:
    for _ in range(n):
        configuration = optimizer.ask()
        optimizer.tell(configuration, loss(configuration), seconds=seconds(configuration))
    return optimizer


def test_per_second__finds_the_optimum_on_the_cheap_side() -> None:
    spent = {}
    for per_second in (True, False):
        optimizer = search(BayesianOptimizer(two_halves(), random_state=0, per_second=per_second))
        assert optimizer.incumbent is not None
        assert optimizer.incumbent[1] < 1e-3
        spent[per_second] = optimizer.history.seconds[5:].sum()
    assert spent[True] < 0.5 * spent[False]


def test_per_second__what_is_known_of_cost_guides_it_before_anything_is_timed() -> None:
    # Rows hold the hyperparameters in the order of their names: effort, x.
    cost = TaskCost(lambda rows: np.where(rows[:, 0] > 0.5, np.log(100.0), 0.0))
    optimizer = BayesianOptimizer(two_halves(), n_initial=0, random_state=0, per_second=True, cost=cost)
    assert optimizer.ask()["effort"] <= 0.5


def test_per_second__without_seconds_is_the_search_per_trial() -> None:
    asked = []
    for per_second in (True, False):
        optimizer = BayesianOptimizer(two_halves(), random_state=0, per_second=per_second)
        for _ in range(8):
            configuration = optimizer.ask()
            optimizer.tell(configuration, loss(configuration))
        asked.append(optimizer.history.configurations)
    assert asked[0] == asked[1]


def test_seconds__of_a_failed_trial_count_and_are_shown() -> None:
    optimizer = BayesianOptimizer(two_halves(), random_state=0, per_second=True)
    for i in range(8):
        configuration = optimizer.ask()
        optimizer.tell(configuration, np.nan if i % 2 else loss(configuration), seconds=seconds(configuration))
    optimizer.tell(optimizer.ask(), 0.1)
    frame = optimizer.history.to_frame()
    assert frame["seconds"].notna().tolist() == [True] * 8 + [False]


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.inf, np.nan])
def test_seconds__must_be_positive(wrong: float) -> None:
    optimizer = BayesianOptimizer(two_halves())
    with pytest.raises(DataError, match="seconds must be positive"):
        optimizer.tell(optimizer.ask(), 1.0, seconds=wrong)
    assert len(optimizer.history) == 0


def test_meta_search__times_its_trials() -> None:
    X, y = load_wine(return_X_y=True)
    search = MetaSearchCV(SVC(), "svm", n_trials=7, cv=2, warm_start=False, per_second=True, random_state=0).fit(X, y)
    assert (search.optimizer_.history.seconds > 0).all()
