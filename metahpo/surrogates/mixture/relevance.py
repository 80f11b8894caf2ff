"""The relevance of meta-features: how well each predicts the functions of source tasks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

Array = NDArray[np.float64]

#: Trees of the forest, and the fewest tasks in a leaf: deeper trees would overfit.
TREES, MIN_LEAF = 100, 5
#: Principal components of the source functions that the forest predicts.
COMPONENTS = 10


def learn_relevance(quantiles: Array, functions: Array, rng: np.random.Generator) -> Array:
    """Relevance of p meta-features, shape (p,), summing to one: their importances to a forest.

    The forest (extremely randomised trees: Geurts et al., Machine Learning 2006) predicts the functions of tasks from
    their meta-features. All are equal if the forest makes no split.

    Parameters
    ----------
    quantiles : ndarray of shape (T, p)
        Meta-features as normal quantiles; NaN where unknown.
    functions : ndarray of shape (R, T)
        Source functions at R configurations.
    rng : Generator
    """
    deviations = functions - functions.mean(axis=1, keepdims=True)
    _, size, of_task = np.linalg.svd(deviations, full_matrices=False)
    components = (size[:, None] * of_task)[:COMPONENTS].T
    seed = int(rng.integers(2**31))
    forest = ExtraTreesRegressor(TREES, min_samples_leaf=MIN_LEAF, random_state=seed, n_jobs=1)
    forest.fit(np.nan_to_num(quantiles), components)
    importance: Array = forest.feature_importances_
    n = len(importance)
    return importance / importance.sum() if importance.sum() > 0.0 else np.full(n, 1.0 / n)
