"""Learning of the task similarity: the relevance of meta-features and the shrinkage of the weights.

Symbols as in :mod:`metahpo.surrogates.mixture.source_functions`: T source tasks, p meta-features, R reference
configurations; v (T, p) the meta-features as normal quantiles of their ranks; G (T, T) the products <m_s, m_t> of the
source functions; r the relevance and rho the shrinkage.

The relevance of a meta-feature is its importance in a forest that predicts the functions. The shrinkage says how far
the weights depart from equal ones. It is the least-squares estimate of leave-family-out cross-validation, minus its
standard error. Meta-features that do not predict the functions get rho = 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from metahpo.metadata.families import family_groups
from metahpo.surrogates.fitting.small_forest import extra_trees, importances
from metahpo.surrogates.mixture.source_functions import (
    BANDWIDTHS,
    RIDGE,
    TaskSimilarity,
    bandwidths_of,
    number_or_nan,
    task_kernel,
    varies,
)

Array = NDArray[np.float64]

#: Most folds of families in the cross-validation of the relevance.
GROUPS = 10
#: Trees of the forest, and the fewest tasks in a leaf: deeper trees would overfit.
TREES, MIN_LEAF = 100, 5
#: Principal components of the source functions that the forest predicts.
COMPONENTS = 10


def learn_similarity(
    meta_features: Sequence[Mapping[str, float] | None],
    families: Sequence[str],
    functions: Array,
    rng: np.random.Generator,
) -> tuple[TaskSimilarity, Array]:
    """Learn the similarity of T tasks from meta-features, families, and functions at R configurations (R, T).

    The second result, shape (T, T), holds the weights for each task as a held-out task. These weights and their
    relevance are learnt without the functions of its family.
    """
    known = [m or {} for m in meta_features]
    names = [name for name in dict.fromkeys(n for m in known for n in m) if varies([m.get(name) for m in known])]
    values = np.array([[number_or_nan(m.get(name)) for name in names] for m in known]).reshape(len(known), len(names))
    similarity = TaskSimilarity(tuple(names), values, np.full(len(names), 1.0 / max(1, len(names))), 0.0)
    equal = _equal_weights(families)
    if not names:
        return similarity, equal
    rows = _relearnt(similarity, families, functions, rng)
    G = functions.T @ functions
    step, error = rows - equal, np.eye(len(families)) - equal
    gain, cost = np.einsum("it,tu,iu->i", step, G, error), np.einsum("it,tu,iu->i", step, G, step)
    if not cost.sum() > 0.0:  # all functions are equal, so weights make no difference
        return similarity, equal
    best = gain.sum() / cost.sum()
    standard_error = np.sqrt(np.square(gain - best * cost).sum()) / cost.sum()
    shrinkage = float(np.clip(best - standard_error, 0.0, 1.0))
    relevance = learn_relevance(similarity.quantiles, functions, rng)
    return replace(similarity, relevance=relevance, shrinkage=shrinkage), equal + shrinkage * step


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
    importance = importances(extra_trees(np.nan_to_num(quantiles), components, TREES, seed, min_samples_leaf=MIN_LEAF))
    n = len(importance)
    return importance / importance.sum() if importance.sum() > 0.0 else np.full(n, 1.0 / n)


def _leaving_out(similarity: TaskSimilarity, families: Sequence[str], relevance: Array) -> Array:
    """Weights for task i, from tasks of other families and without shrinkage, in row i; shape (T, T)."""
    names, between = np.asarray(families), similarity.distances(similarity.quantiles, relevance)
    own = [np.flatnonzero(names == family) for family in np.unique(names)]
    rows = np.zeros_like(between)
    for bandwidth in bandwidths_of(between):
        kernel = task_kernel(between, bandwidth)
        inverse = np.linalg.inv(kernel + RIDGE * np.eye(len(names)))
        for left_out in own:
            # A is the inverse for all tasks. The inverse without tasks F, times their kernel with F, is -A_F
            # A_FF^-1.
            w = -np.linalg.solve(inverse[np.ix_(left_out, left_out)], inverse[left_out])
            w[:, left_out] = 0.0
            n_others = len(names) - len(left_out)
            rows[left_out] += w + (1.0 - w.sum(axis=1, keepdims=True)) / n_others
    return np.where(names[:, None] != names[None], rows / len(BANDWIDTHS), 0.0)


def _relearnt(similarity: TaskSimilarity, families: Sequence[str], functions: Array, rng: np.random.Generator) -> Array:
    """The same weights, with the relevance for task i learnt from tasks of other families only."""
    group = family_groups(families, GROUPS, rng)
    rows = np.zeros((len(families), len(families)))
    for away in (group == g for g in np.unique(group)):
        relevance = learn_relevance(similarity.quantiles[~away], functions[:, ~away], rng)
        rows[away] = _leaving_out(similarity, families, relevance)[away]
    return rows


def _equal_weights(families: Sequence[str]) -> Array:
    """Equal weights over the tasks of other families than that of task i, in row i."""
    names = np.asarray(families)
    other = (names[:, None] != names[None]).astype(np.float64)
    return np.asarray(other / other.sum(axis=1, keepdims=True))
