"""Probes before a search: fits on few rows that the start rests on, and that are no trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from metahpo.exceptions import DataError
from metahpo.search import MetaSearchCV

X, y = load_iris(return_X_y=True)
OWN = {"svc__C": loguniform(1e-2, 1e2)}


def test_the_search_starts_from_what_probes_have_shown_and_counts_its_trials_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("metahpo.recommendation.probes.WORTHLESS", 0.02)  # a few probes are enough here
    rng = np.random.default_rng(0)
    rows, target = rng.normal(size=(300, 4)), rng.integers(0, 2, 300)
    rows += 0.8 * target[:, None]
    pipeline = make_pipeline(StandardScaler(), SVC())
    search = MetaSearchCV(pipeline, OWN, n_trials=2, cv=2, probe_seconds=30.0, random_state=0).fit(rows, target)
    assert len(search.cv_results_["params"]) == 2
    assert len(search.optimizer_.history.losses) == 2
    assert {probe.learner for probe in search.probes_} == {"svm"}
    assert any(probe.status == "success" for probe in search.probes_)
    assert search.notes_[0] == "experience with 'svm' is used for svc__C"
    assert f"rests on {len(search.probes_)} probes on few rows" in search.notes_[-1]
    assert "are no trials" in search.notes_[-1]


def test_without_probes_there_are_none() -> None:
    assert MetaSearchCV(SVC(), "svm", n_trials=1, cv=2).fit(X, y).probes_ == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"probe_seconds": 0}, "probe_seconds must be a positive number of seconds, or None, but is 0"),
        ({"probe_seconds": "10"}, "probe_seconds must be a positive number"),
        ({"probe_seconds": 5.0, "warm_start": False}, "adds to experience, which warm_start=False ignores"),
        ({"probe_seconds": 5.0, "timeout": 4.0}, "must be less than timeout=4.0"),
    ],
)
def test_a_budget_of_probes_that_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        MetaSearchCV(SVC(), "svm", **arguments).fit(X, y)


@pytest.mark.parametrize(
    ("estimator", "space", "rows", "reason"),
    [
        (DecisionTreeClassifier(), {"max_depth": [2, 3]}, X, "experience is with none, or with more than one"),
        (SVC(), {"tol": loguniform(1e-4, 1e-2)}, X, "the space has nothing in common with what is known of 'svm'"),
        (
            make_pipeline(TfidfVectorizer(), SVC()),
            "svm",
            [f"text {i}" for i in y],
            "'svm' ships for classification of texts",
        ),
        (SVC(), "svm", np.where(X > 7.5, np.inf, X), "infinite"),
    ],
)
def test_probes_without_experience_are_refused_before_any_trial(
    estimator: Any, space: Any, rows: Any, reason: str
) -> None:
    search = MetaSearchCV(estimator, space, n_trials=1, cv=2, probe_seconds=5.0)
    with pytest.raises(DataError, match=f"probe_seconds adds to experience, but there is none to use: .*{reason}"):
        search.fit(rows, y)
    assert not hasattr(search, "optimizer_")


@pytest.mark.filterwarnings("ignore:the kernel of the estimator")
def test_probes_of_a_given_kernel_are_refused() -> None:
    with pytest.raises(DataError, match="none to use: the kernel of the estimator is given"):
        MetaSearchCV(SVC(kernel="precomputed"), "svm", probe_seconds=5.0, cv=2).fit(X @ X.T, y)
