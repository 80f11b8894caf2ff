"""The contract of `extract`: fixed names, one clean vector for every task, bounded size, nothing touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris

from metahpo.metafeatures.extraction import META_FEATURES, extract
from metahpo.metafeatures.sample import COLUMNS, ROWS
from metahpo.tasks.task import Task

GROUPS = {"general", "statistical", "information", "landmarking"}
NAMES = [feature.name for feature in META_FEATURES]


def mixed_task(n_rows: int, n_columns: int, n_classes: int, random_state: int = 0) -> Task:
    """A third of the columns categorical, 5 % of the cells missing; `n_classes` 0 means regression."""
    rng = np.random.default_rng(random_state)
    X = pd.DataFrame(rng.normal(size=(n_rows, n_columns)), columns=[f"c{j}" for j in range(n_columns)])
    signal = X["c1"] * 2 + X[f"c{n_columns - 1}"] + rng.normal(size=n_rows)
    for j in range(0, n_columns, 3):
        X[f"c{j}"] = "category " + pd.Series(rng.integers(0, 2 + j, n_rows)).astype(str)
    X = X.mask(rng.random((n_rows, n_columns)) < 0.05)
    if n_classes:
        return Task.from_arrays(X, pd.qcut(signal, n_classes, labels=False), kind="classification")
    return Task.from_arrays(X, signal, kind="regression")


@pytest.mark.parametrize("n_classes", [0, 2, 5])
def test_values_follow_the_definitions_in_name_order_and_kind(n_classes: int) -> None:
    task = mixed_task(300, 8, n_classes)
    values = extract(task).values
    assert list(values) == NAMES
    for feature in META_FEATURES:
        defined = feature.kind in (None, task.kind)
        assert np.isfinite(values[feature.name]) == defined, feature.name


def test_numeric_task_has_no_categorical_features_and_the_reverse() -> None:
    rng = np.random.default_rng(0)
    numeric = extract(Task.from_arrays(rng.normal(size=(60, 3)), np.arange(60) % 2)).values
    letters = pd.DataFrame(rng.choice(list("abc"), size=(60, 3)))
    named = extract(Task.from_arrays(letters, letters[0] == "a")).values
    of_categories = {"log_cardinality_mean", "log_cardinality_max"}
    of_numbers = {
        "distinct_ratio_mean",
        "skewness_mean",
        "skewness_max",
        "kurtosis_mean",
        "outlier_share",
        "correlation_mean",
        "correlation_max",
        "correlation_strong_share",
        "explained_mean",
        "explained_max",
    }
    regression_only = {feature.name for feature in META_FEATURES if feature.kind == "regression"}
    assert {name for name, value in numeric.items() if np.isnan(value)} - regression_only == of_categories
    assert {name for name, value in named.items() if np.isnan(value)} - regression_only == of_numbers


def test_same_data_give_the_same_vector_and_the_task_is_not_changed() -> None:
    task = mixed_task(2500, 6, 3)
    before = task.X.copy(deep=True), task.y.copy()
    first, second = extract(task, random_state=1), extract(mixed_task(2500, 6, 3), random_state=1)
    assert first.values == pytest.approx(second.values, rel=0, abs=0, nan_ok=True)
    pd.testing.assert_frame_equal(task.X, before[0])
    np.testing.assert_array_equal(task.y, before[1])


def test_random_state_changes_the_draw_but_only_slightly() -> None:
    task = mixed_task(4000, 5, 3)
    first, second = (extract(task, random_state=seed).values for seed in (0, 1))
    assert first["correlation_mean"] != second["correlation_mean"]
    assert first["landmark_linear"] == pytest.approx(second["landmark_linear"], abs=0.1)


def test_seconds_are_told_for_every_group() -> None:
    found = extract(mixed_task(100, 4, 2))
    assert set(found.seconds) == {"sample", *GROUPS}
    assert all(seconds >= 0 for seconds in found.seconds.values())


@pytest.mark.parametrize(
    ("shape", "used"),
    [((200, 7), (200, 7)), ((9000, 4), (ROWS, 4)), ((150, 400), (150, COLUMNS)), ((3000, 600), (ROWS, COLUMNS))],
)
def test_size_used_depends_on_the_shape_alone(shape: tuple[int, int], used: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    found = extract(Task.from_arrays(rng.normal(size=shape), rng.normal(size=shape[0])))
    assert (found.n_rows_used, found.n_columns_used) == used
    assert found.values["log_rows"] == pytest.approx(np.log(shape[0]))
    assert found.values["log_columns"] == pytest.approx(np.log(shape[1]))


def test_many_classes_are_sampled_with_every_class() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(3000) % 60
    values = extract(Task.from_arrays(rng.normal(size=(3000, 4)) + y[:, None], y, kind="classification")).values
    assert values["log_classes"] == pytest.approx(np.log(60))
    assert values["class_entropy"] == pytest.approx(1.0)
    assert values["landmark_nearest"] > 0.2


def _take(task: Task, rows: Any) -> Task:
    return task.take(np.asarray(rows, np.intp))


IRIS = Task.from_arrays(*load_iris(return_X_y=True))
DIABETES = Task.from_arrays(*load_diabetes(return_X_y=True))
ZEROS_THEN_ONE = Task.from_arrays(np.arange(30.0)[:, None], np.r_[np.zeros(29), 1.5], kind="regression")
TINY = Task.from_arrays([[1e-308], [5e-324], [0.0]] * 9, [1e300, -1e308, 2.5] * 9, kind="regression")
WIDE = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 400))).assign(named=list("abc") * 10)
HOLES = pd.DataFrame({"a": [1.0, None] * 20, "b": [None, "x"] * 20, "c": np.r_[np.full(39, np.nan), 1.0]})


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(_take(IRIS, range(50)), id="one class left"),
        pytest.param(_take(IRIS, [0, 1, 2, 140, 141, 142]), id="middle class gone"),
        pytest.param(_take(IRIS, [0, 60]), id="one row a class"),
        pytest.param(_take(IRIS, [3]), id="one row"),
        pytest.param(_take(DIABETES, [5]), id="one row of regression"),
        pytest.param(_take(DIABETES, [5] * 20), id="one row repeated"),
        pytest.param(_take(DIABETES, [1, 2, 3]), id="three rows"),
        pytest.param(ZEROS_THEN_ONE, id="target constant in a fold"),
        pytest.param(Task.from_arrays(np.zeros((40, 2)), np.arange(40) % 2), id="constant columns"),
        pytest.param(Task.from_arrays(np.zeros((40, 2)), np.arange(40) / 7), id="constant columns, regression"),
        pytest.param(Task.from_arrays(HOLES, np.arange(40) % 3), id="mostly missing"),
        pytest.param(Task.from_arrays(HOLES, np.arange(40) / 7), id="mostly missing, regression"),
        pytest.param(_take(Task.from_arrays(HOLES, np.arange(40) % 2), range(20)), id="column all missing"),
        pytest.param(_take(Task.from_arrays(HOLES, np.arange(40) % 2), range(0, 40, 2)), id="category all missing"),
        pytest.param(Task.from_arrays(WIDE, np.arange(30) % 2), id="one category among very many numbers"),
        pytest.param(Task.from_arrays([[1e308], [-1e308], [0.0], [5e-324]] * 9, [0, 1, 0, 1] * 9), id="huge"),
        pytest.param(TINY, id="tiny columns, huge target"),
        pytest.param(Task.from_arrays(np.eye(30), np.arange(30).astype(str)), id="every row its class"),
        pytest.param(Task.from_arrays(pd.DataFrame({"a": list("ab") * 9}), np.arange(18) % 2), id="one category"),
    ],
)
def test_degenerate_task_gives_nan_and_no_warning(task: Task) -> None:
    values = extract(task).values
    assert list(values) == NAMES
    assert not np.isinf(list(values.values())).any()
    assert np.isfinite(values["log_rows"])


def test_definitions_are_complete_and_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)
    table = pd.DataFrame(META_FEATURES)
    assert list(table.columns) == ["name", "group", "formula", "source", "kind"]
    assert set(table["group"]) == GROUPS
    assert (table["formula"].str.len() > 3).all()
    assert table["source"].str.contains(r"\b(?:19|20)\d\d\b").all()
    assert not table["formula"].duplicated().any()
