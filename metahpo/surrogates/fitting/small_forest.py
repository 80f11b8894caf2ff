"""Extremely randomised trees on tens of rows, without the overhead of a forest.

The trees are those of :class:`sklearn.ensemble.ExtraTreesRegressor` with the same settings and seed. On so few rows,
the forest spends half of its time on copies of its estimator and on checks of its parameters, tree by tree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.tree import ExtraTreeRegressor

Array = NDArray[np.float64]

#: Seeds of trees are below it, as in a forest.
SEEDS = np.iinfo(np.int32).max


def extra_trees(
    X: Array, y: Array, n_trees: int, random_state: int, *, min_samples_leaf: int, max_features: float = 1.0
) -> list[Any]:
    """Grow trees on rows (n, p) without NaN and values (n, k).

    Returns
    -------
    list of sklearn.tree._tree.Tree
    """
    seeds = np.random.RandomState(random_state).randint(SEEDS, size=n_trees)
    rows, values = np.ascontiguousarray(X, dtype=np.float32), np.ascontiguousarray(y, dtype=np.float64)
    trees, generator = [], np.random.RandomState()  # made once: that takes longer than a seed
    with sklearn.config_context(skip_parameter_validation=True):
        for seed in seeds.tolist():
            generator.seed(seed)
            tree = ExtraTreeRegressor(
                min_samples_leaf=min_samples_leaf, max_features=max_features, random_state=generator
            ).fit(rows, values, check_input=False)
            trees.append(tree.tree_)
    return trees


def importances(trees: list[Any]) -> Array:
    """Mean importance of each of p columns over the trees that split, summing to one; zeros where none splits."""
    split = [tree.compute_feature_importances() for tree in trees if tree.node_count > 1]
    if not split:
        return np.zeros(trees[0].n_features)
    mean = np.mean(split, axis=0, dtype=np.float64)
    return np.asarray(mean / mean.sum())
