"""The manners of GridSearchCV: rows, folds, several metrics, failures, and what is left when a search is ended."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.model_selection import ShuffleSplit
from sklearn.svm import SVC

from metahpo.exceptions import DataError
from metahpo.search import MetaSearchCV
from metahpo.search.workers import Workers
from metahpo.trials.history import TrialHistory

X, y = load_iris(return_X_y=True)
KERNELS = ConfigurationSpace({"kernel": ["linear", "rbf", "poly", "no_such_kernel"]})


class Interrupted(SVC):  # type: ignore[misc]
    """Ctrl-C comes in the fourth fit."""

    fits = 0

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Interrupted:
        type(self).fits += 1
        if type(self).fits == 4:
            raise KeyboardInterrupt
        super().fit(X, y, sample_weight)
        return self


def cold(estimator: Any = None, **parameters: Any) -> MetaSearchCV:
    given: dict[str, Any] = {
        "space": "svm",
        "n_trials": 3,
        "cv": 2,
        "warm_start": False,
        "random_state": 0,
    } | parameters
    return MetaSearchCV(estimator or SVC(), **given)


@pytest.mark.parametrize("error_score", [np.nan, -1.0])
@pytest.mark.parametrize("scoring", ["accuracy", ["accuracy", "f1_macro"]])
@pytest.mark.filterwarnings("ignore:One or more of the")
def test_a_failed_trial_has_a_row(error_score: float, scoring: Any) -> None:
    search = cold(space=KERNELS, n_trials=4, error_score=error_score, scoring=scoring, refit=False)
    with pytest.warns(FitFailedWarning, match=r"(?s)1 of 4 trials failed; .*'kernel' parameter of SVC"):
        search.fit(X, y)
    column = "mean_test_score" if scoring == "accuracy" else "mean_test_f1_macro"
    tried = [parameters["kernel"] for parameters in search.cv_results_["params"]]
    assert sorted(tried) == ["linear", "no_such_kernel", "poly", "rbf"]
    failed = tried.index("no_such_kernel")
    np.testing.assert_equal(search.cv_results_[column][failed], error_score)
    assert (np.delete(search.cv_results_[column], failed) > 0.5).all()
    assert np.flatnonzero(np.isnan(search.optimizer_.history.losses)).tolist() == [failed]
    assert {len(column) for column in search.cv_results_.values()} == {4}


@pytest.mark.filterwarnings("ignore:One or more of the")
def test_all_trials_fail__the_estimators_own_message_and_a_row_each() -> None:
    search = cold()
    with pytest.raises(DataError, match=r"(?s)All the 6 fits failed.*Input X contains NaN"):
        search.fit(np.where(X > 5.0, np.nan, X), y)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [True] * 3
    assert not hasattr(search, "best_params_")


def test_ctrl_c__what_was_finished_is_kept() -> None:
    search = cold().fit(X, y)
    search.estimator, search.n_trials = Interrupted(), 5
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert len(search.cv_results_["params"]) == len(search.optimizer_.history) == 1
    assert search.best_params_ == search.cv_results_["params"][0]
    assert search.best_score_ == search.cv_results_["mean_test_score"][0]
    with pytest.raises(NotFittedError):  # nothing is left of the earlier fit
        search.predict(X)


def test_a_space_with_fewer_configurations_ends_the_search() -> None:
    space = ConfigurationSpace({"kernel": ["linear", "rbf"]})
    with pytest.warns(UserWarning, match="ends after 2 of 10 trials"):
        search = cold(space=space, n_trials=10).fit(X, y)
    assert len(search.cv_results_["params"]) == 2
    assert search.predict(X).shape == (150,)


def test_folds_are_the_same_for_every_trial() -> None:
    space = ConfigurationSpace({"strategy": ["most_frequent", "prior", "constant"]})  # of one score on the same folds
    target = (y > 0).astype(int)
    model = DummyClassifier(constant=1)
    search = cold(model, space=space, n_trials=3, cv=ShuffleSplit(4, test_size=20)).fit(X, target)
    splits = np.array([search.cv_results_[f"split{i}_test_score"] for i in range(4)])
    assert len(np.unique(splits)) > 1
    assert (splits == splits[:, :1]).all()


@pytest.mark.parametrize(
    ("scoring", "refit", "optimised"),
    [
        ({"a": "accuracy", "b": "balanced_accuracy"}, "b", "b"),
        (["accuracy", "recall_macro"], "accuracy", "accuracy"),
        (("f1_macro", "accuracy"), False, "f1_macro"),
        (["accuracy", "f1_macro"], lambda rows: int(np.argmin(rows["mean_test_f1_macro"])), "accuracy"),
        (lambda model, X, y: {"hits": (model.predict(X) == y).mean(), "size": len(y)}, "hits", "hits"),
    ],
)
def test_several_metrics(scoring: Any, refit: Any, optimised: str) -> None:
    search = cold(scoring=scoring, refit=refit)
    search.fit(X, y)
    rows = search.cv_results_
    np.testing.assert_allclose(search.optimizer_.history.losses, -rows[f"mean_test_{optimised}"])
    if callable(refit):
        assert search.best_index_ == np.argmin(rows["mean_test_f1_macro"])
    elif refit:
        assert search.best_score_ == rows[f"mean_test_{optimised}"].max()
    else:
        assert not hasattr(search, "best_estimator_")


def test_several_metrics_without_a_name_are_refused_before_the_first_trial() -> None:
    search = cold(Interrupted(), scoring=["accuracy", "f1_macro"])
    with pytest.raises(ValueError, match="refit must be set to a scorer key"):
        search.fit(X, y)
    assert not hasattr(search, "cv_results_")


def test_callback__ends_the_search() -> None:
    seen = []

    def enough(history: TrialHistory) -> bool:
        seen.append(len(history))
        return len(history) == 2

    search = cold(n_trials=9, callback=enough).fit(X, y)
    assert seen == [1, 2]
    assert len(search.cv_results_["params"]) == 2


def test_timeout__no_other_trial_begins() -> None:
    search = cold(n_trials=100, timeout=1e-9).fit(X, y)
    assert len(search.cv_results_["params"]) == 1


def test_without_a_target() -> None:
    space = ConfigurationSpace({"n_clusters": (2, 5)})
    search = cold(KMeans(n_init=1, random_state=0), space=space).fit(X)
    assert search.best_params_["n_clusters"] >= 4


def test_fit_parameters_reach_the_estimator() -> None:
    weights = np.where(y == 0, 1e-9, 1.0)
    search = cold(space=ConfigurationSpace({"C": (0.5, 1.0)}), n_trials=1).fit(
        X[:100], y[:100], sample_weight=weights[:100]
    )
    assert (search.predict(X[:100]) == 1).all()


def test_bad_arguments__before_any_trial() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"n_trials": 1.5}, "n_trials must be at least 1"),
        ({"timeout": 0}, "timeout must be a positive number"),
        ({"trial_timeout": "1 h"}, "trial_timeout must be a positive number"),
        ({"random_state": np.random.default_rng(0)}, "random_state must be a whole number"),
        ({"space": {"C": (1, 2)}}, "ConfigurationSpace"),
        ({"n_jobs": 0}, "n_jobs must be a number of processes"),
        ({"warm_start": "yes"}, "warm_start must be True or False"),
        ({"per_second": 3}, "per_second must be True or False"),
        ({"per_second": True, "engine": "random"}, "per_second=True has no effect on engine='random'"),
        ({"per_second": True, "stages": [["C"]]}, "per_second and stages cannot be given together"),
        ({"early_stopping": "no"}, "early_stopping must be True or False"),
        ({"recommender": "mine"}, "recommender must be a Recommender"),
        ({"scoring": "no_such_scorer"}, "scoring"),
    ]
    for parameters, message in wrong:
        with pytest.raises(ValueError, match=message):
            cold(**parameters).fit(X, y)


@pytest.mark.filterwarnings("ignore::metahpo.exceptions.WarmStartWarning")
def test_what_workers_are_sent_is_light(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    submit = Workers.submit

    def measured(workers: Workers, key: Any, function: Any, *arguments: Any) -> None:
        sizes.append(len(pickle.dumps((function, arguments))) - X.nbytes - y.nbytes)
        submit(workers, key, function, *arguments)

    monkeypatch.setattr(Workers, "submit", measured)
    MetaSearchCV(SVC(), n_trials=2, cv=2, random_state=0).fit(X, y)
    assert len(sizes) == 4
    assert max(sizes) < 10_000


@pytest.mark.parametrize("warm_start", [True, False])
def test_a_fitted_search_is_pickled(warm_start: bool) -> None:
    search = MetaSearchCV(SVC(), n_trials=2, cv=2, warm_start=warm_start, random_state=0).fit(X, y)
    loaded = pickle.loads(pickle.dumps(search))
    assert (loaded.predict(X) == search.predict(X)).all()
    assert loaded.cv_results_["params"] == search.cv_results_["params"]
    assert loaded.optimizer_.incumbent == search.optimizer_.incumbent
