"""Trials on fewer resources first: which configurations get more, and what the rows of the results say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace
from scipy.stats import randint
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from metahpo.exceptions import DataError
from metahpo.search import MetaSearchCV
from metahpo.search.engines import search_engine
from metahpo.search.schedules import Schedule, levels_between, schedule_of
from metahpo.search.trial_order import Candidates

X, y = load_iris(return_X_y=True)
SPACE = {"max_depth": randint(1, 9), "min_samples_leaf": randint(1, 40)}


def searched(estimator: Any = None, space: Any = None, **parameters: Any) -> MetaSearchCV:
    given: dict[str, Any] = {"n_trials": 9, "cv": 2, "random_state": 0, "engine": "random", "fidelity": "rows"}
    model = DecisionTreeClassifier(random_state=0) if estimator is None else estimator
    return MetaSearchCV(model, SPACE if space is None else space, **(given | parameters)).fit(X, y)


def made(schedule: Schedule, loss_of: Any) -> list[tuple[float, int, int]]:
    """What a schedule proposes, one at a time: x, resources, bracket."""
    found = []
    while (proposal := schedule.next()) is not None:
        x, resources = proposal.configuration["x"], proposal.resources
        assert resources is not None
        found.append((x, resources, proposal.bracket))
        schedule.ended(proposal, loss_of(x, resources), 1.0)
    return found


def candidates(n: int) -> Candidates:
    return Candidates(search_engine("random", ConfigurationSpace({"x": (0.0, 1.0)}), 0), [], n)


def test_levels_grow_by_the_factor_up_to_the_most() -> None:
    assert levels_between(10, 270, 3.0) == [10, 30, 90, 270]
    assert levels_between(10, 300, 3.0, 2) == [100, 300]
    assert levels_between(7, 7, 3.0) == [7]


def test_halving_gives_more_to_the_best_third() -> None:
    some = candidates(9)
    found = made(schedule_of("halving", some, 1, 9, 3.0, 9), lambda x, resources: x + 1 / resources)
    assert [resources for _, resources, _ in found] == [1] * 9 + [3] * 3 + [9]
    xs = sorted(x for x, resources, _ in found if resources == 1)
    assert sorted(x for x, resources, _ in found if resources == 3) == xs[:3]
    assert found[-1][0] == xs[0]
    history = some.engine.history
    assert len(history) == 9
    assert history.incumbent is not None
    assert history.incumbent[1] == pytest.approx(xs[0] + 1 / 9)


def test_hyperband_begins_low_and_high() -> None:
    found = made(schedule_of("hyperband", candidates(17), 1, 9, 3.0, 17), lambda x, resources: x)
    begun = [(bracket, resources) for _, resources, bracket in found]
    assert begun.count((0, 1)) == 9
    assert begun.count((1, 3)) == 5
    assert begun.count((2, 9)) == 3
    assert len({x for x, _, _ in found}) == 17


def test_failures_get_no_more() -> None:
    found = made(schedule_of("halving", candidates(9), 1, 9, 3.0, 9), lambda x, r: np.nan if x < 0.5 else x)
    assert all(x >= 0.5 for x, resources, _ in found if resources > 1)
    assert made(schedule_of("halving", candidates(4), 1, 9, 3.0, 4), lambda x, r: np.nan)[-1][1] == 3


def test_the_surrogate_stops_those_that_it_believes_beaten() -> None:
    rng = np.random.default_rng(0)
    schedule = schedule_of("surrogate", candidates(40), 1, 9, 3.0, 40)
    found = made(schedule, lambda x, resources: x + 1 / resources + 0.01 * rng.standard_normal())
    finished = {x for x, resources, _ in found if resources == 9}
    begun = {x for x, resources, _ in found}
    assert min(begun) in finished
    assert len(begun) == 40
    assert len(finished) < 20


@pytest.mark.parametrize("strategy", ["halving", "hyperband", "surrogate"])
def test_the_best_has_had_all_rows(strategy: Any) -> None:
    search = searched(strategy=strategy, min_resources=15)
    rows = search.cv_results_
    assert rows["n_resources"][search.best_index_] == 150
    assert search.best_score_ == rows["mean_test_score"][rows["n_resources"] == 150].max()
    assert (rows["n_resources"] < 150).any()
    assert len({str(parameters) for parameters in rows["params"]}) == len(search.optimizer_.history) == 9
    assert search.min_resources_ == 15


def test_an_engine_that_learns_from_rows_is_told_them() -> None:
    history = searched(engine="metahpo", n_trials=4, min_resources=50).optimizer_.history
    assert set(history.rows) == {50.0, np.inf}
    assert history.incumbent is not None
    assert history.incumbent[1] == history.losses[history.whole].min()


def test_a_parameter_is_the_fidelity_in_a_pipeline() -> None:
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(9, random_state=0))
    name = "randomforestclassifier__n_estimators"
    search = searched(pipeline, {"randomforestclassifier__max_depth": [1, 2, 3]}, n_trials=3, fidelity=name)
    assert search.cv_results_["n_resources"].tolist() == [3, 3, 3, 9]
    assert search.best_params_[name] == 9
    assert len(search.best_estimator_[-1].estimators_) == 9


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"fidelity": "epochs"}, "neither 'rows' nor a parameter of the estimator"),
        ({"fidelity": "max_depth", "max_resources": 5}, "cannot be the fidelity and be searched"),
        ({"fidelity": "max_depth"}, "cannot be the fidelity and be searched"),
        ({"fidelity": "max_leaf_nodes"}, "give max_resources"),
        ({"fidelity": "min_impurity_decrease", "max_resources": 5}, r"that is a whole number, .* is 0\.0"),
        ({"fidelity": "criterion"}, "that is a whole number, .* is 'gini'"),
        ({"fidelity": "Rows"}, "did you mean 'rows'"),
        ({"fidelity": None, "strategy": "hyperband"}, "strategy='hyperband' has no effect without a fidelity"),
        ({"fidelity": None, "min_resources": 5}, "min_resources=5 has no effect without a fidelity"),
        ({"fidelity": None, "factor": 2}, "factor=2 has no effect without a fidelity"),
        ({"fidelity": None, "engine": "population", "factor": 2}, "factor is of no use to engine='population'"),
        ({"max_resources": 151}, "the data have 150"),
        ({"min_resources": 100, "max_resources": 50}, "above max_resources"),
        ({"strategy": "asha"}, "strategy must be one of 'halving', 'hyperband', 'surrogate'"),
        ({"factor": 1}, "factor must be a number above 1"),
        ({"stages": [["max_depth"]]}, "stages and fidelity cannot be given together"),
    ],
)
def test_what_cannot_be_a_fidelity_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        searched(**parameters)


def test_trials_of_fewer_rows_have_every_class() -> None:
    rare = np.array([0] * 140 + [1] * 10)
    given: dict[str, Any] = {"fidelity": "rows", "min_resources": 6, "strategy": "surrogate", "random_state": 0}
    tree, space = DecisionTreeClassifier(), {"max_depth": [1, 2]}
    search = MetaSearchCV(tree, space, n_trials=2, cv=2, scoring=lambda m, X, y: float(len(m.classes_)), **given)
    search.fit(X, rare)
    assert search.cv_results_["n_resources"].min() < 20
    assert (search.cv_results_["mean_test_score"] == 2.0).all()


def test_a_space_with_fewer_configurations_is_halved_all_the_same() -> None:
    with pytest.warns(UserWarning, match="ends after 3 of 9 configurations"):
        search = searched(space={"max_depth": [1, 2, 3]}, min_resources=15)
    assert search.cv_results_["n_resources"].tolist() == [16, 16, 16, 50, 150]


class NeedsRows(DecisionTreeClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """A tree that needs many rows, or cannot take as many."""

    def __init__(self, least: int = 0, most: int = 10**6, max_depth: int | None = None) -> None:
        super().__init__(max_depth=max_depth, random_state=0)
        self.least, self.most = least, most

    def fit(self, X: Any, y: Any) -> NeedsRows:
        if not self.least <= len(X) <= self.most:
            raise ValueError(f"not on {len(X)} rows")
        super().fit(X, y)
        return self


def test_a_step_is_named_for_a_fidelity_that_lies_in_it() -> None:
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(9))
    with pytest.raises(DataError, match="did you mean 'randomforestclassifier__n_estimators'"):
        searched(pipeline, {"randomforestclassifier__max_depth": [1, 2]}, fidelity="n_estimators")


@pytest.mark.filterwarnings("ignore:One or more of the", "ignore:.* trials failed")
def test_it_is_said_where_no_trial_succeeds_with_the_most() -> None:
    with pytest.warns(UserWarning, match="no trial with 150 rows has succeeded: the best one is of those with 50 rows"):
        search = searched(NeedsRows(most=70), {"max_depth": [1, 2, 3, 4]}, min_resources=50, n_trials=3, refit=False)
    assert np.isfinite(search.best_score_)
    with pytest.raises(DataError, match="None had more than 50 of 150 rows: give a larger min_resources"):
        searched(NeedsRows(least=60), {"max_depth": [1, 2, 3, 4]}, min_resources=50, n_trials=3)


def test_patience_counts_trials_with_the_most_resources() -> None:
    search = searched(patience=2, min_resources=15)
    assert search.cv_results_["n_resources"].max() == 150
    many = searched(strategy="surrogate", n_trials=30, patience=1, min_resources=50)
    assert (many.cv_results_["n_resources"] == 150).sum() < 30
