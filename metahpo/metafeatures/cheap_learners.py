"""Learners of landmarks, as functions from training rows and test rows to predictions.

All but trees have a closed form. On samples of some hundred rows, estimators of scikit-learn spend most of their time
on checks. The caller of these functions makes these checks once.

Legend: X (n, p) training rows and X_test (m, p) test rows without missing cells, y (n,) classes 0..k-1 that all occur,
or numbers; predictions have shape (m,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.naive_bayes import MultinomialNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from metahpo.tasks.task import TaskKind

Array = NDArray[np.float64]

#: Share of the identity in the covariance of discriminant analysis; penalty of ridge regression.
SHRINKAGE, ALPHA = 0.1, 1.0
#: Variance that naive Bayes adds to every column of every class, in units of the largest variance of a column.
SMOOTHING = 1e-3
DEPTH = 5


def squared_distances(X: Array, X_test: Array) -> Array:
    """Squared distance of each test row to each training row, less that of the test row to zero; (m, n)."""
    distances: Array = X_test @ (-2.0 * X.T)
    distances += np.square(X).sum(axis=1)
    return distances


def gaussian_naive_bayes(X: Array, y: NDArray[np.int64], X_test: Array) -> NDArray[np.int64]:
    """Most likely classes, if columns are independent and normal within a class."""
    counts, means, members = _class_means(X, y)
    variances = np.maximum(members.T @ np.square(X) / counts[:, None] - np.square(means), 0.0)
    variances += SMOOTHING * X.var(axis=0).max()
    squares = np.square(X_test) @ (1.0 / variances).T - 2.0 * X_test @ (means / variances).T
    constants = (np.square(means) / variances + np.log(variances)).sum(axis=1)
    likeliest: NDArray[np.int64] = (np.log(counts) - 0.5 * (squares + constants)).argmax(axis=1)
    return likeliest


def discriminant_analysis(X: Array, y: NDArray[np.int64], X_test: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Most likely classes, if all have the same normal shape: with the class shares of `y`, and with equal shares."""
    counts, means, members = _class_means(X, y)
    centred = X - members @ means
    covariance = centred.T @ centred / len(y)
    scale = np.trace(covariance) / len(covariance)
    if scale > 0.0:
        covariance *= 1.0 - SHRINKAGE
        covariance.flat[:: len(covariance) + 1] += SHRINKAGE * scale
        directions = np.linalg.solve(covariance, means.T)
        likelihoods = X_test @ directions - 0.5 * (means.T * directions).sum(axis=0)
    else:
        likelihoods = np.zeros((len(X_test), len(counts)))
    return (likelihoods + np.log(counts)).argmax(axis=1), likelihoods.argmax(axis=1)


def nearest_centroid(X: Array, y: NDArray[np.int64], X_test: Array) -> NDArray[np.int64]:
    """Classes with the nearest means."""
    _, means, _ = _class_means(X, y)
    nearest: NDArray[np.int64] = squared_distances(means, X_test).argmin(axis=1)
    return nearest


def multinomial_naive_bayes(X: csr_matrix, y: NDArray[np.int64], X_test: csr_matrix) -> NDArray[np.int64]:
    """Most likely classes, if a row counts independent draws."""
    likeliest: NDArray[np.int64] = MultinomialNB().fit(X, y).predict(X_test)
    return likeliest


def ridge(X: Array, y: Array, X_test: Array) -> Array:
    """Predictions of linear regression with a squared penalty and an intercept."""
    centre = X.mean(axis=0)
    centred = X - centre
    gram = centred.T @ centred
    gram.flat[:: len(gram) + 1] += ALPHA
    predicted: Array = y.mean() + (X_test - centre) @ np.linalg.solve(gram, centred.T @ (y - y.mean()))
    return predicted


def partial_least_squares(X: Array, y: Array, X_test: Array) -> Array:
    """Predictions of partial least squares with one component."""
    centre = X.mean(axis=0)
    centred = X - centre
    direction = centred.T @ (y - y.mean())
    component = centred @ direction
    length = component @ component
    slope = component @ (y - y.mean()) / length if length > 0.0 else 0.0
    predicted: Array = y.mean() + (X_test - centre) @ direction * slope
    return predicted


def tree_and_stump(
    kind: TaskKind, X: NDArray[np.float32], y: NDArray[np.float64], X_test: NDArray[np.float32]
) -> tuple[Array, Array]:
    """Predictions of a decision tree of depth `DEPTH`, and of the tree of depth 1 that is its top; each (m,)."""
    tree, of_node = _grown(kind, X, y)
    if tree.node_count == 1:
        return (np.full(len(X_test), of_node[0]),) * 2
    goes_left = X_test[:, tree.feature[0]] <= tree.threshold[0]
    below_root = np.where(goes_left, tree.children_left[0], tree.children_right[0])
    return of_node[tree.apply(X_test)], of_node[below_root]


def _grown(kind: TaskKind, X: NDArray[np.float32], y: NDArray[np.float64]) -> tuple[Any, Array]:
    """A tree, and the prediction of each of its nodes."""
    if kind == "regression":
        tree = DecisionTreeRegressor(max_depth=DEPTH, random_state=0).fit(X, y, check_input=False).tree_
        return tree, tree.value[:, 0, 0]
    classes, codes = np.unique(y, return_inverse=True)
    if 2 * len(classes) > len(y):
        # With so many classes, the classifier warns that the target may be a quantity. The squared error of indicators
        # is the same criterion as Gini impurity.
        indicators = np.eye(len(classes))[codes]
        tree = DecisionTreeRegressor(max_depth=DEPTH, random_state=0).fit(X, indicators, check_input=False).tree_
        return tree, classes[tree.value[:, :, 0].argmax(axis=1)]
    tree = DecisionTreeClassifier(max_depth=DEPTH, random_state=0).fit(X, y, check_input=False).tree_
    return tree, classes[tree.value[:, 0].argmax(axis=1)]


def _class_means(X: Array, y: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """Rows of each class (k,), means (k, p), and which row is of which class (n, k)."""
    members = (y[:, None] == np.arange(y.max() + 1)).astype(np.float64)
    counts = members.sum(axis=0)
    return counts, members.T @ X / counts[:, None], members
