from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from metahpo.surrogates.fitting.small_forest import extra_trees, importances


@pytest.mark.parametrize(("leaf", "share"), [(5, 1.0), (3, 0.5)])
def test_trees_and_importances_are_those_of_a_forest(leaf: int, share: float) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 7)), rng.normal(size=(40, 3))
    forest = ExtraTreesRegressor(12, min_samples_leaf=leaf, max_features=share, random_state=4).fit(X, y)
    trees = extra_trees(X, y, 12, 4, min_samples_leaf=leaf, max_features=share)
    np.testing.assert_array_equal(importances(trees), forest.feature_importances_)
    for tree, own in zip(trees, forest.estimators_, strict=True):
        np.testing.assert_array_equal(tree.threshold, own.tree_.threshold)
        np.testing.assert_array_equal(tree.apply(X.astype(np.float32)), own.apply(X))


def test_trees_that_do_not_split_have_no_importances() -> None:
    trees = extra_trees(np.ones((4, 2)), np.ones((4, 1)), 3, 0, min_samples_leaf=2)
    assert importances(trees).tolist() == [0.0, 0.0]
