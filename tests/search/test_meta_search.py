"""MetaSearchCV: a scikit-learn search estimator in all its manners, started from experience where there is some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, Float
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from metahpo.exceptions import DataError, UnknownNameError
from metahpo.learners.registry import learner_named
from metahpo.recommendation.recommender import Recommender
from metahpo.search import MetaSearchCV
from metahpo.space.activity import default_configuration
from metahpo.tasks.task import Task

#: The one metric that the small experience is of.
SCORED = "balanced_accuracy"


@pytest.fixture(scope="module")
def recommender(trained: Path) -> Recommender:
    return Recommender(trained)


def test_fit__on_a_pipeline_from_experience(recommender: Recommender) -> None:
    X, y = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), SVC())
    search = MetaSearchCV(
        pipeline, "svm", n_trials=5, cv=3, scoring=SCORED, recommender=recommender, random_state=0
    ).fit(X, y)
    assert search.best_score_ > 0.9
    assert set(search.best_params_) <= {
        f"svc__{p}" for p in ("C", "kernel", "gamma", "degree", "coef0", "class_weight")
    }
    assert len(search.cv_results_["params"]) == 5
    assert search.cv_results_["mean_test_score"].max() == pytest.approx(search.best_score_)
    assert search.predict(X).shape == y.shape
    assert search.optimizer_.incumbent is not None
    assert search.optimizer_.incumbent[1] == pytest.approx(-search.best_score_)


def test_fit__first_trial_is_the_recommendation(recommender: Recommender) -> None:
    X, y = load_iris(return_X_y=True)
    search = MetaSearchCV(SVC(), "svm", n_trials=1, cv=3, scoring=SCORED, recommender=recommender).fit(X, y)
    recommended = recommender.recommend(Task.from_arrays(X, y), "svm", n=1)
    assert search.cv_results_["params"][0] == recommended.best


def test_fit__cold_starts_with_the_default() -> None:
    X, y = load_iris(return_X_y=True)
    search = MetaSearchCV(SVC(), "svm", n_trials=2, cv=3, warm_start=False, random_state=0).fit(X, y)
    assert search.cv_results_["params"][0]["gamma"] == "scale"


def test_fit__with_a_space_of_ones_own() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 5))
    y = X[:, 0] + 0.1 * rng.standard_normal(60)
    space = ConfigurationSpace()
    space.add(Float("ridge__alpha", (1e-3, 1e3), log=True, default=1.0))
    search = MetaSearchCV(make_pipeline(StandardScaler(), Ridge()), space, n_trials=8, cv=3, random_state=0).fit(X, y)
    assert search.best_params_["ridge__alpha"] < 10


def test_fit__through_a_target_transformer_of_the_learners_own_pipeline() -> None:
    rng = np.random.default_rng(0)
    task = Task.from_arrays(rng.standard_normal((60, 3)), 1e4 * rng.standard_normal(60))
    learner = learner_named("svm", "regression")
    pipeline = learner.pipeline(default_configuration(learner.space), task, 0)
    search = MetaSearchCV(pipeline, "svm", n_trials=2, cv=2, warm_start=False, random_state=0).fit(task.X, task.y)
    assert "learner__regressor__C" in search.best_params_


def test_clone_and_nesting__as_any_estimator(recommender: Recommender) -> None:
    X, y = load_iris(return_X_y=True)
    search = MetaSearchCV(SVC(), "svm", n_trials=2, cv=2, scoring=SCORED, recommender=recommender, random_state=0)
    assert clone(search).get_params()["n_trials"] == 2
    assert cross_val_score(search, X, y, cv=2).min() > 0.5


def test_random_state__same_search_twice(recommender: Recommender) -> None:
    X, y = load_iris(return_X_y=True)
    searches = [
        MetaSearchCV(SVC(), "svm", n_trials=4, cv=2, scoring=SCORED, recommender=recommender, random_state=1).fit(X, y)
        for _ in range(2)
    ]
    assert searches[0].cv_results_["params"] == searches[1].cv_results_["params"]


def test_failing_trials__are_told_and_the_rest_goes_on() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 2)), rng.integers(0, 2, 40)
    space = ConfigurationSpace({"kernel": ["linear", "no_such_kernel"]})
    search = MetaSearchCV(SVC(), space, n_trials=2, cv=2, random_state=0)
    with (
        pytest.warns(FitFailedWarning, match="(?s)1 of 2 trials failed.*no_such_kernel"),
        pytest.warns(match="non-finite"),
    ):
        search.fit(X, y)
    assert search.best_params_ == {"kernel": "linear"}
    assert np.isnan(search.optimizer_.history.losses).sum() == 1


def test_error_score_raise__raises() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 2)), rng.integers(0, 2, 40)
    space = ConfigurationSpace({"kernel": ["no_such_kernel"]})
    with pytest.raises(ValueError, match="no_such_kernel"):
        MetaSearchCV(SVC(), space, n_trials=1, cv=2, error_score="raise").fit(X, y)


def test_bad_arguments() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(DataError, match="n_trials must be at least 1"):
        MetaSearchCV(SVC(), "svm", n_trials=0).fit(X, y)
    with pytest.raises(DataError, match="needs a target"):
        MetaSearchCV(SVC(), "svm").fit(X)
    with pytest.raises(UnknownNameError, match="known are: linear, svm"):
        MetaSearchCV(SVC(), "svc").fit(X, y)
