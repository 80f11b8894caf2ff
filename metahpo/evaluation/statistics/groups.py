"""Regret by kinds of tasks, and the tasks with the largest losses of a method."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from metahpo.evaluation.statistics.bootstrap import mean_intervals

#: Bounds between bins of numbers, and of novelty.
SIZES = (500, 1_000, 2_000, 5_000, 20_000)
NOVELTIES = (0.25, 0.5, 0.75, 0.95)


def regret_by(regrets: pd.DataFrame, labels: pd.Series, trial: int, at_least: int = 1) -> pd.DataFrame:
    """Mean regret of groups of tasks after `trial` trials.

    Parameters
    ----------
    regrets : DataFrame
        Columns space, task, family, method, trial, regret.
    labels : Series
        Group of each task, by its name; tasks without one are left out.
    trial : int
    at_least : int, default=1
        Groups of fewer tasks are left out.

    Returns
    -------
    DataFrame
        Columns group, method, regret, low, high (95 % bootstrap interval over families), n_tasks, n_families.
    """
    at = regrets[regrets["trial"] == trial]
    at = at.assign(group=at["task"].map(labels)).dropna(subset="group")
    order = list(labels.cat.categories) if isinstance(labels.dtype, pd.CategoricalDtype) else None
    rows = []
    for group, own in at.groupby("group", sort=order is not None, observed=True):
        if own["task"].nunique() < at_least:
            continue
        table = own.pivot_table("regret", ["space", "family", "task"], "method", sort=False)
        found = mean_intervals(table[list(regrets["method"].unique())])
        for method, row in found.iterrows():
            rows.append(
                {
                    "group": str(group),
                    "method": method,
                    "regret": row["mean"],
                    "low": row["low"],
                    "high": row["high"],
                    "n_tasks": own["task"].nunique(),
                    "n_families": own["family"].nunique(),
                }
            )
    return pd.DataFrame(rows, columns=["group", "method", "regret", "low", "high", "n_tasks", "n_families"])


def bins(values: pd.Series, bounds: Sequence[float], unit: str = "") -> pd.Series:
    """Bins of numbers, as text: "up to 500 rows", "500 to 1,000 rows", ..., "more than 20,000 rows"."""
    after = f" {unit}" if unit else ""
    names = [
        f"up to {bounds[0]:,g}{after}",
        *(f"{low:,g} to {high:,g}{after}" for low, high in pairwise(bounds)),
        f"more than {bounds[-1]:,g}{after}",
    ]
    edges = [-np.inf, *bounds, np.inf]
    return pd.Series(pd.cut(values, edges, labels=names), index=values.index)


def where_it_hurts(
    regrets: pd.DataFrame, reference: str, trial: int, n: int = 10, baseline: str | None = None
) -> pd.DataFrame:
    """Tasks on which a method does worst against another, or against the best of the others.

    Returns
    -------
    DataFrame
        Columns space, task, family, regret (of the reference), against (the method held against), regret_against,
        difference; the largest difference first, `n` rows at most, all of them above 0.
    """
    table = regrets[regrets["trial"] == trial].pivot_table("regret", ["space", "task", "family"], "method", sort=False)
    others = table.drop(columns=reference) if baseline is None else table[[baseline]]
    if others.shape[1] == 0:
        return pd.DataFrame(columns=["space", "task", "family", "regret", "against", "regret_against", "difference"])
    worst = pd.DataFrame(
        {
            "regret": table[reference],
            "against": others.idxmin(axis=1),
            "regret_against": others.min(axis=1),
        }
    )
    worst["difference"] = worst["regret"] - worst["regret_against"]
    worst = worst[worst["difference"] > 0].sort_values("difference", ascending=False, kind="stable").head(n)
    return worst.reset_index()
