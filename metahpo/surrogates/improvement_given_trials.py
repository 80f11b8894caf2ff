"""The improvement on the default after trials on the task itself.

Symbols: T source tasks, n configurations, G (T, n) the changes and S (T, n) their standard errors as in
:mod:`metahpo.surrogates.improvement`; e_i the error of configuration i on the new task, E_r that of the default there.

    log e_i = log E_r + log(1 - G_ti) + noise,      noise ~ N(0, s^2 + (S_ti / (1 - G_ti))^2)   if task t is like it

E_r has a flat prior and is integrated out; a trial of the default, whose change is 0, is one trial among others. The
evidence of each source task multiplies its weight. s is what the nearest other source task leaves unexplained, the
median over source tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.surrogates.improvement import MIN_STANDARD_ERROR, Improvement

Array = NDArray[np.float64]

#: Least share of the default's error: an error of zero has no logarithm.
LEAST_SHARE = 0.02
#: Least standard deviation of what a source task leaves unexplained.
LEAST_UNEXPLAINED = 0.02


@own_arithmetic()
def given_trials(improvement: Improvement, columns: Sequence[int], losses: Array) -> Improvement:
    """The distribution of the change after trials.

    Parameters
    ----------
    improvement : Improvement
        Before them.
    columns : sequence of int
        Configuration of each trial, by its column; one more than once has the mean of its losses.
    losses : ndarray of shape (len(columns),)
        Non-negative; NaN for a failed trial.
    """
    tried = np.unique(np.asarray(columns, dtype=np.int64))
    errors = np.array([_mean(losses[np.asarray(columns) == column]) for column in tried])
    change, spread = improvement.change.copy(), improvement.standard_error.copy()
    change[:, tried[np.isnan(errors)]] = -1.0
    tried, errors = tried[~np.isnan(errors)], errors[~np.isnan(errors)]
    if not len(tried):
        return replace(improvement, change=change)
    share = np.maximum(1.0 - improvement.change[:, tried], LEAST_SHARE)
    told = np.log(np.maximum(errors, np.finfo(float).tiny)) - np.log(share)  # log E_r, as each task and trial has it
    variance = _unexplained(improvement) ** 2 + np.square(improvement.standard_error[:, tried] / share)
    precision = 1.0 / variance
    total = precision.sum(axis=1)
    default = (precision * told).sum(axis=1) / total
    misfit = (precision * np.square(told - default[:, None])).sum(axis=1)
    evidence = -0.5 * (misfit + np.log(variance).sum(axis=1) + np.log(total))
    prior = np.log(np.maximum(improvement.weights, np.finfo(float).tiny))
    weights = np.exp(prior + evidence - (prior + evidence).max())
    weights = np.where(improvement.weights > 0.0, weights, 0.0)
    weights /= weights.sum()
    of_reference = errors[tried == improvement.reference]
    base = of_reference[0] if len(of_reference) else float(np.exp(weights @ default))
    change[:, tried] = np.clip((base - errors) / max(base, np.finfo(float).tiny), -1.0, 1.0)
    # What is measured here has the noise of a typical source task, and no difference between tasks.
    spread[:, tried] = np.maximum(np.median(spread[:, tried], axis=0), MIN_STANDARD_ERROR)
    return replace(improvement, weights=weights, change=change, standard_error=spread)


def _unexplained(improvement: Improvement) -> float:
    """Standard deviation of log errors that the nearest other source task leaves; the median over source tasks."""
    logs = np.log(np.maximum(1.0 - improvement.change, LEAST_SHARE))
    if len(logs) < 2:
        return 1.0
    squared = np.square(logs).mean(axis=1)
    gaps = np.maximum(squared[:, None] + squared - 2.0 * logs @ logs.T / logs.shape[1], 0.0)
    np.fill_diagonal(gaps, np.inf)
    return max(LEAST_UNEXPLAINED, float(np.sqrt(np.median(gaps.min(axis=1)))))


def _mean(losses: Array) -> float:
    known = losses[~np.isnan(losses)]
    return float(known.mean()) if len(known) else float("nan")
