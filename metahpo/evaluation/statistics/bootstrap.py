"""Intervals of means by bootstrap over families.

Symbols: S search spaces, F families, K things compared (methods at numbers of trials), B resamples; t_kfs the sum of a
value over the tasks of family f in space s, n_fs their number, c_bf how often resample b holds family f.

    mean_bk = mean_s ( sum_f c_bf t_kfs / sum_f c_bf n_fs )        over the spaces s that resample b has tasks of

Whole families are drawn, because tasks of one family, and one task in several spaces, are not independent. The interval
lies between quantiles of the resampled means. A plain percentile interval is too narrow where families are few, because
the resampled means vary by (F - 1) / F of what they should and have no heavy tails. So the quantiles are taken further
out, as far as Student's t lies beyond the normal distribution (the expanded percentile interval of Hesterberg, "What
teachers should know about the bootstrap", The American Statistician 2015, section 5.3). Where there is one family there
is no interval.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, t

Array = NDArray[np.float64]

#: Resamples.
N_RESAMPLES = 2000


def resampled_means(totals: Array, counts: Array, n_resamples: int, random_state: int) -> Array:
    """Resampled means, shape (B, K), of totals (K, F, S) and counts (F, S)."""
    n_families = counts.shape[0]
    rng = np.random.default_rng(random_state)
    drawn = rng.multinomial(n_families, np.full(n_families, 1.0 / n_families), size=n_resamples).astype(np.float64)
    n = drawn @ counts  # (B, S)
    means = np.full((n_resamples, totals.shape[0]), np.nan)
    there = n > 0
    for k, total in enumerate(totals):
        ratio = np.where(there, drawn @ total, 0.0) / np.maximum(n, 1.0)
        means[:, k] = ratio.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return means


def percentile_level(level: float, n_families: int) -> float:
    """Level of the percentile interval that holds the truth with probability `level` for so many families."""
    out = np.sqrt(n_families / (n_families - 1)) * t.ppf(0.5 + level / 2, n_families - 1)
    return float(2 * norm.cdf(out) - 1)


def interval(resampled: Array, n_families: int, level: float = 0.95) -> tuple[Array, Array]:
    """Bounds, shape (K,) each, from resampled values (B, K); NaN where there are fewer than two families."""
    if n_families < 2:
        nothing = np.full(resampled.shape[1], np.nan)
        return nothing, nothing
    tail = 50 * (1 - percentile_level(level, n_families))
    low, high = np.percentile(resampled, [tail, 100 - tail], axis=0)
    return low, high


def mean_intervals(
    values: pd.DataFrame, level: float = 0.95, n_resamples: int = N_RESAMPLES, random_state: int = 0
) -> pd.DataFrame:
    """Mean of each column over spaces, and its interval.

    Parameters
    ----------
    values : DataFrame
        Index with the levels space, family, task; a column each thing compared, without missing values.
    level : float, default=0.95
    n_resamples, random_state : int
        The same resamples are used for all columns.

    Returns
    -------
    DataFrame
        Index: the columns of `values`; columns mean, low, high. NaN bounds where there is one family.
    """
    totals, counts = by_family(values)
    n = counts.sum(axis=0)
    mean = (totals.sum(axis=1) / n).mean(axis=1)
    low, high = interval(resampled_means(totals, counts, n_resamples, random_state), len(counts), level)
    return pd.DataFrame({"mean": mean, "low": low, "high": high}, index=values.columns)


def by_family(values: pd.DataFrame) -> tuple[Array, Array]:
    """Totals (K, F, S) and numbers of tasks (F, S)."""
    families, family = np.unique(values.index.get_level_values("family").astype(str), return_inverse=True)
    spaces, space = np.unique(values.index.get_level_values("space").astype(str), return_inverse=True)
    counts = np.zeros((len(families), len(spaces)))
    np.add.at(counts, (family, space), 1.0)
    totals = np.zeros((values.shape[1], len(families), len(spaces)))
    for k, column in enumerate(values.to_numpy(np.float64).T):
        np.add.at(totals[k], (family, space), column)
    return totals, counts


def wide(regrets: pd.DataFrame, trials: Sequence[int]) -> pd.DataFrame:
    """Regret of each task: index space, family, task; columns (method, trial), methods in order of appearance."""
    at = regrets[regrets["trial"].isin(trials)]
    table = at.pivot_table("regret", ["space", "family", "task"], ["method", "trial"], sort=False)
    return table[[(method, trial) for method in regrets["method"].unique() for trial in trials]]
