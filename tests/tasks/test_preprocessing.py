"""Preprocessing of columns that hold values in some rows of a table, and none in those that a learner is fitted on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from metahpo.learners.registry import learner_named
from metahpo.tasks.preprocessing import ZeroWhereEmpty
from metahpo.tasks.target import TaskKind
from metahpo.tasks.task import Task


def test_zero_where_empty__changes_empty_columns_only() -> None:
    X = np.array([[1.0, np.nan, np.nan], [2.0, np.nan, 3.0]])
    before = X.copy()
    step = ZeroWhereEmpty().fit(X)
    assert_array_equal(step.transform(X), [[1.0, 0.0, np.nan], [2.0, 0.0, 3.0]])
    assert_array_equal(X, before)
    assert_array_equal(step.transform([[np.nan, 5.0, 6.0]]), [[np.nan, 0.0, 6.0]])
    names = ZeroWhereEmpty().fit(pd.DataFrame(X, columns=["a", "b", "c"])).get_feature_names_out()
    assert list(names) == ["a", "b", "c"]


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("name", ["linear", "svm", "knn", "random_forest", "extra_trees", "boosting"])
def test_learners__are_fitted_where_a_column_has_no_value(name: str, kind: TaskKind) -> None:
    rng = np.random.default_rng(0)
    few = np.full(60, np.nan)
    few[:2] = 1.0, 2.0
    X = pd.DataFrame({"number": rng.normal(size=60), "few": few})
    X["word"] = pd.Categorical(["u", "v", *[None] * 58])
    y = np.resize([0, 1], 60) if kind == "classification" else X["number"].to_numpy()
    task = Task.from_arrays(X, y, kind=kind)
    learner = learner_named(name, kind)
    model = learner.pipeline(learner.space.get_default_configuration(), task, 0).fit(X[2:], y[2:])
    assert len(model.predict(X)) == 60
