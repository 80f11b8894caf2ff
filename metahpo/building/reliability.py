"""The reliability of the ranks of configurations on a task, and the number of fits that it needs.

Symbols: n configurations of the shared design, F fits of each on one task; L (n, F) their losses; z(H) the copula
z-scores of the configurations by their mean loss over a half H of the fits; m (n,) the mean over tasks of z-scores by
all fits.

    r = mean over random halves (H, H') of  corr(z(H) - m, z(H') - m)
    reliability = 2 r / (1 + r)                                          (Spearman-Brown)

Deviations from the mean task are compared, because the mean task is known without a measurement of this one.
References: Spearman (1910); Brown (1910), "Some experimental results in the correlation of mental abilities".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from metahpo.numerics.copula import normal_scores

#: Halves that are compared at most.
MAX_HALVES = 20
#: Fewest tasks for a mean task. With fewer tasks, z-scores are compared without subtracting it.
MIN_TASKS = 8
#: Configurations that two halves must have in common.
MIN_CONFIGURATIONS = 4


def reliabilities(fit_losses: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Reliability of each task.

    Parameters
    ----------
    fit_losses : mapping of str to ndarray of shape (n, F)
        Task -> losses of the shared design of one learner, the same n configurations in the same order on every task; F
        may differ between tasks. NaN where a configuration failed.

    Returns
    -------
    dict of str to float
        At most 1; NaN where a task has fewer than two fits, or fewer than four configurations that succeeded.
    """
    scores = {task: normal_scores(losses.mean(axis=1)) for task, losses in fit_losses.items() if losses.shape[1]}
    n_configurations = max((len(z) for z in scores.values()), default=0)
    same = [z for z in scores.values() if len(z) == n_configurations]
    mean_task = np.nanmean(same, axis=0) if len(same) >= MIN_TASKS else np.zeros(n_configurations)
    return {task: _reliability(losses, mean_task) for task, losses in fit_losses.items()}


def fits_needed(reliability: float, n_fits: int, goal: float) -> int:
    """Fits at which the reliability is expected to reach `goal`, by the Spearman-Brown formula.

    Parameters
    ----------
    reliability : float
        Of `n_fits` fits. Where it is not above .05, or NaN, the answer is that of .05.
    n_fits : int
    goal : float
        In (0, 1).
    """
    now = max(reliability, 0.05) if reliability == reliability else 0.05
    if now >= goal:
        return n_fits
    return math.ceil(n_fits * goal * (1.0 - now) / (now * (1.0 - goal)) - 1e-9)


def _reliability(losses: NDArray[np.float64], mean_task: NDArray[np.float64]) -> float:
    succeeded = np.isfinite(losses).all(axis=1)
    n_fits = losses.shape[1]
    if n_fits < 2 or succeeded.sum() < MIN_CONFIGURATIONS:
        return float("nan")
    losses, mean = losses[succeeded], mean_task[: len(losses)][succeeded]
    correlations = []
    for half in _halves(n_fits):
        first = normal_scores(losses[:, half].mean(axis=1)) - mean
        second = normal_scores(losses[:, ~half].mean(axis=1)) - mean
        spread = first.std() * second.std()
        covariance = ((first - first.mean()) * (second - second.mean())).mean()
        # Halves without any difference between configurations agree on nothing.
        correlations.append(covariance / spread if spread > 0.0 else 0.0)
    r = float(np.mean(correlations))
    return 2.0 * r / (1.0 + r) if r > 0.0 else r


def _halves(n_fits: int) -> list[NDArray[np.bool_]]:
    """Masks of the first half of the fits: all that there are, or some drawn at random."""
    size = n_fits // 2
    if math.comb(n_fits, size) <= 2 * MAX_HALVES:
        chosen = list(itertools.combinations(range(n_fits), size))[: max(1, math.comb(n_fits, size) // 2)]
    else:
        rng = np.random.default_rng(0)
        chosen = [tuple(rng.permutation(n_fits)[:size]) for _ in range(MAX_HALVES)]
    masks = np.zeros((len(chosen), n_fits), dtype=bool)
    for mask, half in zip(masks, chosen, strict=True):
        mask[list(half)] = True
    return list(masks)
