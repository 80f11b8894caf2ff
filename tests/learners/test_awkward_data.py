"""Every configuration that may be recommended can be fitted on every legal dataset, however few or odd its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from metahpo import MetaSearchCV
from metahpo.learners.learner import Learner
from metahpo.learners.registry import learner_named
from metahpo.learners.row_counts import RowCounts
from metahpo.tasks.columns import LARGEST
from metahpo.tasks.task import KINDS, Task, TaskKind

#: The most demanding configurations of each learner.
DEMANDING: Mapping[str, list[dict[str, Any]]] = {
    "knn": [{"n_neighbors": 50}],
    "boosting": [
        {"early_stopping": True, "max_iter": 2, "max_features_rule": "value", "max_features": 0.2},
        {"early_stopping": "auto", "max_iter": 2},
    ],
    "random_forest": [{"n_estimators": 2, "max_samples_rule": "value", "max_samples": 0.3}],
    "extra_trees": [{"n_estimators": 2, "bootstrap": True, "max_samples_rule": "value", "max_samples": 0.3}],
    "svm": [{"kernel": "poly", "degree": 3, "coef0": 1.0, "C": 10.0}],
    "linear": [{"solver": "saga", "C": 1.0}],
}


def rows(n: int, p: int = 3) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).standard_normal((n, p)), columns=[f"c{i}" for i in range(p)])


def datasets() -> dict[str, tuple[pd.DataFrame, NDArray[np.int64]]]:
    half = np.arange(40) % 2
    return {
        "two rows": (rows(2), np.arange(2)),
        "every class once": (rows(12), np.arange(12)),
        "one row of a class": (rows(40), np.where(np.arange(40) == 0, 2, half)),
        "three rows of each class": (rows(30), np.arange(30) % 10),
        "all but one missing": (rows(40).assign(c0=np.where(np.arange(40) == 0, 1.0, np.nan)), half),
        "constant": (pd.DataFrame({"a": np.ones(40), "b": ["k"] * 40}), half),
        "wide": (rows(20, 200), half[:20]),
        "huge": (rows(40) * 1e200, half),
        "tiny": (rows(40) * 1e-310, half),
    }


def small(learner: Learner, configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in configuration.items() if k in learner.space or k in ("max_iter", "n_estimators")}


@pytest.mark.filterwarnings("ignore")  # libraries warn of so few rows, and of fits that do not converge
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DEMANDING)
def test_demanding_configurations_are_fitted_on_awkward_data(name: str, kind: TaskKind) -> None:
    learner = learner_named(name, kind)
    for X, y in datasets().values():
        task = Task.from_arrays(X, y + 0.5 if kind == "regression" else y, kind=kind)
        for configuration in DEMANDING[name]:
            model = learner.pipeline(small(learner, configuration), task, 0).fit(X, task.y)
            assert np.isfinite(model.predict(X).astype(float)).all()


@pytest.mark.parametrize("name", ["knn", "boosting"])
def test_they_are_fitted_in_a_cross_validation_as_well(name: str) -> None:
    learner = learner_named(name, "classification")
    X, y = rows(40), np.where(np.arange(40) < 4, 2, np.arange(40) % 2)
    model = learner.pipeline(DEMANDING[name][0], Task.from_arrays(X, y), 0)
    assert len(cross_val_predict(model, X, y, cv=KFold(2, shuffle=True, random_state=1))) == 40


def test_parameters_are_kept_where_there_are_rows_enough() -> None:
    task = Task.from_arrays(rows(200), np.arange(200) % 2)
    for name in ("knn", "boosting"):
        learner, configuration = learner_named(name, "classification"), DEMANDING[name][0]
        made = learner.on_prepared_columns(configuration, task).get_params()
        wanted = learner.parameters(configuration)
        assert {key: made[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    ("y", "kind", "expected"),
    [
        ([0, 0, 1], "classification", RowCounts(3, 2, 1)),
        (pd.Series(["a", None, "b", "a"]), "classification", RowCounts(4, 2, 1)),
        ([[0, 1], [1, 1]], "classification", RowCounts(2)),
        ([0.5, 1.5], "regression", RowCounts(2)),
        ([], "classification", RowCounts(0, 0, 0)),
    ],
)
def test_rows_are_counted(y: Any, kind: TaskKind, expected: RowCounts) -> None:
    assert RowCounts.of(y, kind) == expected


@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (KNeighborsClassifier, np.arange(20) % 2),
        (lambda: HistGradientBoostingClassifier(max_iter=2), np.where(np.arange(20) == 0, 2, np.arange(20) % 2)),
    ],
)
def test_a_search_on_few_rows_fits_every_trial(estimator: Callable[[], Any], y: NDArray[np.int64]) -> None:
    search = MetaSearchCV(
        estimator(),
        n_trials=6,
        cv=KFold(2, shuffle=True, random_state=0),
        warm_start=False,
        random_state=0,
        refit=False,
    )
    search.fit(rows(20), y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_numbers_beyond_single_precision_are_bounded_and_said() -> None:
    X = pd.DataFrame({"a": [1e300, -1e300, np.nan, 1.0], "b": [1.0, 2.0, 3.0, 4.0], "c": list("uvuv")})
    task = Task.from_arrays(X.assign(d=[10**50, 1, 2, 3]), [0, 1, 0, 1])
    assert task.X["a"].tolist()[:2] == [LARGEST, -LARGEST]
    assert task.X["d"].max() == LARGEST
    np.testing.assert_array_equal(task.X["b"], X["b"])
    assert task.treatments[-1] == "columns 'a', 'd' hold numbers beyond 1e+38, which are taken as that"
