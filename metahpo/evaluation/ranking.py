"""Comparison of methods by ranks, wins and paired tests.

Tasks of one family are not independent, and neither is one task in two search spaces. So ranks and differences are
averaged within a family first, and the number of families N is what the tests count.

Sources: Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 2006; Holm 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import friedmanchisquare, studentized_range, wilcoxon

from metahpo.evaluation.regret import ALL_SPACES

#: Regrets closer than this are ties.
TIE = 1e-9


@dataclass(frozen=True)
class Ranking:
    """Average ranks of k methods over N families after some number of trials; 1 is best.

    Attributes
    ----------
    trial : int
        Number of trials after which incumbents are compared.
    ranks : Series
        Average rank by method, best first.
    n_families : int
    p_value : float
        Friedman's test of "all methods are equal" (NaN for fewer than three methods or two families).
    critical_difference : float
        Nemenyi's: average ranks that differ by less are not told apart at the 5 % level.
    """

    trial: int
    ranks: pd.Series
    n_families: int
    p_value: float
    critical_difference: float

    def groups(self) -> list[tuple[str, ...]]:
        """Largest sets of neighbouring methods that are not told apart (two members or more), best first."""
        ranks = self.ranks.to_numpy()
        found: list[tuple[int, int]] = []
        for start, rank in enumerate(ranks):
            stop = int(np.searchsorted(ranks, rank + self.critical_difference, side="right"))
            if stop - start > 1 and (not found or stop > found[-1][1]):
                found.append((start, stop))
        return [tuple(self.ranks.index[start:stop]) for start, stop in found]


def rank_methods(regrets: pd.DataFrame, trial: int) -> Ranking:
    """Rank the methods on each task after `trial` trials, and average.

    Parameters
    ----------
    regrets : DataFrame
        Columns space, task, family, method, trial, regret; at least two methods, each on every task.
    trial : int
    """
    ranks = _table_at(regrets, trial).round(9).rank(axis=1, method="average")
    by_family = ranks.groupby("family").mean()
    average = by_family.mean().sort_values(kind="stable")
    n_families, k = by_family.shape
    p_value = float("nan")
    if k > 2 and n_families > 1 and not np.allclose(by_family, by_family.iloc[:, [0]]):
        p_value = float(friedmanchisquare(*by_family.to_numpy().T).pvalue)
    return Ranking(trial, average, n_families, p_value, critical_difference(k, n_families))


def critical_difference(n_methods: int, n_families: int, level: float = 0.05) -> float:
    """Nemenyi's critical difference of average ranks: q sqrt(k (k + 1) / 6 N) (Demšar 2006, section 3.2.2)."""
    q = float(studentized_range.ppf(1 - level, n_methods, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_families)))


def nemenyi_p_values(ranks: pd.Series, n_families: int) -> pd.DataFrame:
    """P-values of Nemenyi's test of each pair of average ranks over N families; 1 on the diagonal.

    A pair differs at the level 5 % where its ranks are further apart than :func:`critical_difference`.
    """
    k = len(ranks)
    values = ranks.to_numpy(np.float64)
    apart = np.abs(values[:, None] - values[None, :]) / np.sqrt(k * (k + 1) / (6 * n_families))
    p = np.asarray(studentized_range.sf(apart * np.sqrt(2), k, np.inf))
    np.fill_diagonal(p, 1.0)
    return pd.DataFrame(np.clip(p, 0.0, 1.0), index=ranks.index, columns=ranks.index)


def compare_to(regrets: pd.DataFrame, reference: str, trials: Sequence[int]) -> pd.DataFrame:
    """Hold a reference method against every other one.

    Parameters
    ----------
    regrets : DataFrame
        As for :func:`rank_methods`.
    reference : str
        Name of the reference method.
    trials : sequence of int
        Numbers of trials after which to compare.

    Returns
    -------
    DataFrame
        Columns space, trial, method, wins, ties, losses (tasks on which the *reference* has the lower, equal, higher
        regret), difference (mean over tasks of reference minus method; negative = the reference is better), p_value
        (two-sided Wilcoxon signed-rank test over family means) and p_holm (corrected for the number of other methods).
    """
    spaces = list(regrets["space"].unique())
    parts = [(space, regrets[regrets["space"] == space]) for space in spaces]
    if len(spaces) > 1:
        parts.append((ALL_SPACES, regrets))
    return pd.DataFrame(
        [
            {"space": space, "trial": trial, **row}
            for space, part in parts
            for trial in trials
            for row in _compare_at(_table_at(part, trial), reference)
        ]
    )


def _compare_at(table: pd.DataFrame, reference: str) -> list[dict[str, object]]:
    others = [method for method in table.columns if method != reference]
    rows: list[dict[str, object]] = []
    p_values = np.ones(len(others))
    for i, method in enumerate(others):
        difference = table[reference] - table[method]
        p_values[i] = signed_rank_p(difference.groupby("family").mean().to_numpy())
        wins, losses = int((difference < -TIE).sum()), int((difference > TIE).sum())
        rows.append(
            {
                "method": method,
                "wins": wins,
                "ties": len(difference) - wins - losses,
                "losses": losses,
                "difference": float(difference.mean()),
                "p_value": p_values[i],
            }
        )
    for row, corrected in zip(rows, holm(p_values), strict=True):
        row["p_holm"] = float(corrected)
    return rows


def signed_rank_p(difference: NDArray[np.float64]) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test of paired differences (n,).

    Differences of zero keep their ranks, which are split between the signs: this is the standard where methods are
    compared over data sets (Demšar 2006, section 3.1.3). To drop them, as :func:`scipy.stats.wilcoxon` does by default,
    would forget every data set on which the methods agree. The normal approximation serves, because zeros and ties rule
    out the exact distribution. Differences below 1e-9 count as zero. The value is 1 where nothing differs.
    """
    if len(difference) == 0 or np.abs(difference).max() <= TIE:
        return 1.0
    return float(wilcoxon(np.round(difference, 9), zero_method="zsplit", method="approx").pvalue)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's step-down correction: the i-th smallest of m p-values times m - i + 1, made monotone, at most 1."""
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def _table_at(regrets: pd.DataFrame, trial: int) -> pd.DataFrame:
    """Regret after `trial` trials: index (space, family, task), one column a method in order of appearance."""
    at = regrets[regrets["trial"] == trial]
    table = at.pivot_table(index=["space", "family", "task"], columns="method", values="regret", sort=False)
    return table[list(at["method"].unique())]
