"""The learners of landmarks predict what those of scikit-learn do."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_diabetes, load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import scale
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from metahpo.metafeatures.cheap_learners import (
    DEPTH,
    discriminant_analysis,
    gaussian_naive_bayes,
    partial_least_squares,
    ridge,
    squared_distances,
    tree_and_stump,
)
from metahpo.tasks.task import TaskKind


def halves(bundled: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    X = scale(bundled[0])
    return X[:300], bundled[1][:300], X[300:]


DIGITS, DIABETES = halves(load_digits(return_X_y=True)), halves(load_diabetes(return_X_y=True))


def test_classifiers() -> None:
    X, y, X_test = DIGITS
    nearest = squared_distances(X, X_test).argmin(axis=1)
    np.testing.assert_array_equal(y[nearest], KNeighborsClassifier(1).fit(X, y).predict(X_test))
    naive = GaussianNB(var_smoothing=1e-3).fit(X, y)
    np.testing.assert_array_equal(gaussian_naive_bayes(X, y, X_test), naive.predict(X_test))
    linear = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(X, y)
    found, reweighted = discriminant_analysis(X, y, X_test)
    np.testing.assert_array_equal(found, linear.predict(X_test))
    posterior = linear.predict_log_proba(X_test) - np.log(linear.priors_)
    np.testing.assert_array_equal(reweighted, posterior.argmax(axis=1))


def test_regressors() -> None:
    X, y, X_test = DIABETES
    np.testing.assert_allclose(ridge(X, y, X_test), Ridge(alpha=1.0).fit(X, y).predict(X_test))
    pls = PLSRegression(1, scale=False).fit(X, y)
    np.testing.assert_allclose(partial_least_squares(X, y, X_test), pls.predict(X_test))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_trees_and_their_tops(kind: TaskKind) -> None:
    X, y, X_test = DIGITS if kind == "classification" else DIABETES
    maker = DecisionTreeClassifier if kind == "classification" else DecisionTreeRegressor
    single, single_test = X.astype(np.float32), X_test.astype(np.float32)
    for depth, found in zip((5, 1), tree_and_stump(kind, single, y, single_test), strict=True):
        np.testing.assert_array_equal(found, maker(max_depth=depth, random_state=0).fit(X, y).predict(X_test))


def test_columns_that_say_nothing_give_the_best_constant() -> None:
    X, y, numbers = np.zeros((6, 2)), np.array([0, 1, 1, 1, 1, 0]), np.arange(6.0)
    single = X.astype(np.float32)
    for found in (discriminant_analysis(X, y, X)[0], *tree_and_stump("classification", single, y, single)):
        np.testing.assert_array_equal(found, np.ones(6))
    for found in (ridge(X, numbers, X), partial_least_squares(X, numbers, X)):
        np.testing.assert_array_equal(found, np.full(6, 2.5))


def test_trees_of_nearly_as_many_classes_as_rows_are_grown_without_a_warning() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3)).astype(np.float32)
    y = np.repeat(np.arange(20.0), 2)[:30]
    y[:20] = np.arange(20)
    tree, stump = tree_and_stump("classification", X, y, X)
    assert set(tree) <= set(y)
    assert len(set(stump)) == 2
    assert (tree == y).mean() > (stump == y).mean() > 0.0


def test_a_tree_on_indicators_is_the_tree_of_a_classifier() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 4)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(np.int64) + (X[:, 2] > 0.7)
    expected = DecisionTreeClassifier(max_depth=DEPTH, random_state=0).fit(X, y)
    regressor = DecisionTreeRegressor(max_depth=DEPTH, random_state=0).fit(X, np.eye(3)[y])
    assert (regressor.predict(X).argmax(axis=1) == expected.predict(X)).all()
