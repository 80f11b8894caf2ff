"""Workers of joblib's backends: trials side by side, and what becomes of those whose worker dies."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace
from joblib import parallel_config
from joblib.parallel import ThreadingBackend
from sklearn import config_context
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.tree import DecisionTreeClassifier

from metahpo.exceptions import DataError
from metahpo.search import MetaSearchCV
from tests.search.unruly import Mortal, Particular

X, y = load_iris(return_X_y=True)
barrier = threading.Barrier(2)


class InPairs(DummyClassifier):  # type: ignore[misc]
    """Is fitted when another one is fitted at the same time."""

    def __init__(self, constant: int = 0) -> None:
        super().__init__(strategy="constant", constant=constant)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> InPairs:
        barrier.wait(60)
        super().fit(X, y)
        return self


@pytest.mark.parametrize(("parallel", "n_trials"), [("trials", 4), ("folds", 2)])
def test_workers_share_out_trials_or_folds(parallel: Any, n_trials: int) -> None:
    space = ConfigurationSpace({"constant": [0, 1, 2, 3]} if parallel == "trials" else {"constant": [0, 1]})
    search = MetaSearchCV(
        InPairs(), space, n_trials=n_trials, cv=2, n_jobs=2, parallel=parallel, engine="random", refit=False
    )
    with parallel_config("threading"):
        search.fit(X, np.arange(150) % 4)
    assert (search.cv_results_["status"] == "complete").all()
    assert len(search.cv_results_["params"]) == n_trials


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_workers_have_the_settings_of_the_caller(backend: str) -> None:
    search = MetaSearchCV(Particular(), {"constant": [0, 1]}, n_trials=2, cv=2, n_jobs=2, error_score="raise")
    with parallel_config(backend), config_context(transform_output="pandas"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert len(search.fit(X, y).cv_results_["params"]) == 2
        with pytest.raises(UserWarning, match="the setting of the caller"):
            search.fit(X, y)


def test_any_number_of_workers_gives_the_same_search_over_folds() -> None:
    found = []
    for n_jobs in (1, 3):
        model = DecisionTreeClassifier(random_state=0)
        search = MetaSearchCV(model, {"max_depth": [1, 2, 3, 4]}, n_trials=4, cv=3, n_jobs=n_jobs, random_state=0)
        with parallel_config("threading"):
            found.append(search.fit(X, y).cv_results_)
    assert found[0]["params"] == found[1]["params"]
    np.testing.assert_array_equal(found[0]["mean_test_score"], found[1]["mean_test_score"])


def test_trials_of_killed_workers_are_made_again(tmp_path: Path) -> None:
    space = ConfigurationSpace({"mood": ["unlucky", "lucky"]})
    search = MetaSearchCV(
        Mortal(folder=str(tmp_path)), space, n_trials=2, cv=2, n_jobs=2, parallel="trials", random_state=0
    )
    search.fit(X, y)
    assert (tmp_path / "died").exists()
    assert (search.cv_results_["status"] == "complete").all()


def test_trials_elsewhere_cannot_be_stopped() -> None:
    class Elsewhere(ThreadingBackend):
        """A backend of another package."""

    search = MetaSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, trial_timeout=60.0)
    with parallel_config(Elsewhere()), pytest.raises(DataError, match="trial_timeout stops processes of this machine"):
        search.fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"parallel": "both"}, "parallel must be one of 'folds', 'trials'"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"callbacks": [3]}, "callbacks must be functions"),
    ],
)
def test_bad_arguments(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        MetaSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, **parameters).fit(X, y)
