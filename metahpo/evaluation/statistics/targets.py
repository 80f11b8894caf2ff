"""Time to a target: trials, seconds, speed-up, and the area under the curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from metahpo.evaluation.statistics.bootstrap import (
    N_RESAMPLES,
    by_family,
    interval,
    mean_intervals,
    resampled_means,
    wide,
)

#: Regrets to be reached.
TARGETS = (0.2, 0.1, 0.05, 0.02)


def time_to_targets(regrets: pd.DataFrame, unit: str = "trial", targets: Sequence[float] = TARGETS) -> pd.DataFrame:
    """When the regret of a task is at or below each target for the first time.

    Parameters
    ----------
    regrets : DataFrame
        Columns space, task, method, regret, and `unit`.
    unit : str, default="trial"
        Column of what is spent: trial, or seconds.
    targets : sequence of float

    Returns
    -------
    DataFrame
        Columns method, target, reached (share of tasks), median (over all tasks, those that never reach it last;
        missing where half of them or more do not), a row a method and target.
    """
    rows = []
    for method, own in regrets.groupby("method", sort=False):
        n_tasks = len(own[["space", "task"]].drop_duplicates())
        for target in targets:
            met = own[own["regret"] <= target].groupby(["space", "task"])[unit].min().to_numpy(np.float64)
            when = np.sort(np.concatenate([met, np.full(n_tasks - len(met), np.inf)]))
            median = float(np.percentile(when, 50, method="higher"))
            rows.append(
                {
                    "method": method,
                    "target": target,
                    "reached": len(met) / n_tasks,
                    "median": median if np.isfinite(median) else np.nan,
                }
            )
    return pd.DataFrame(rows)


def area_under_curve(regrets: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Mean regret over all trials, by method, with a bootstrap interval over families.

    Returns
    -------
    DataFrame
        Columns method, area, low, high.
    """
    mean = regrets.groupby(["space", "family", "task", "method"], sort=False)["regret"].mean().unstack("method")
    table = mean_intervals(mean[list(regrets["method"].unique())], level)
    return table.rename_axis("method").reset_index().rename(columns={"mean": "area"})


def speed_up(regrets: pd.DataFrame, reference: str, random_state: int = 0) -> pd.DataFrame:
    """How many times sooner a reference is as good as another method is at the end.

    The trials that the other method made in all, divided by those after which the mean regret of the reference is at or
    below the other's at the end; infinite resamples, in which it never is, count as 0.

    Returns
    -------
    DataFrame
        Columns method, trials (missing: never), speed_up (missing: never), low, high (95 % bootstrap interval over
        families).
    """
    trials = np.sort(regrets["trial"].unique())
    table = wide(regrets, trials.tolist())
    totals, counts = by_family(table)
    whole = (totals.sum(axis=1) / counts.sum(axis=0)).mean(axis=1)[None]
    drawn = np.concatenate([whole, resampled_means(totals, counts, N_RESAMPLES, random_state)])
    methods = list(regrets["method"].unique())
    curves = drawn.reshape(len(drawn), len(methods), len(trials))
    own = curves[:, methods.index(reference)]
    rows = []
    for m, method in enumerate(methods):
        if method == reference:
            continue
        reached = np.asarray(own <= curves[:, m, -1:] + 1e-12, dtype=bool)
        ever, first = np.asarray(reached.any(axis=1), dtype=bool), trials[reached.argmax(axis=1)]
        factor = np.where(ever, trials[-1] / first, 0.0)
        (low,), (high,) = interval(factor[1:, None], len(counts))
        rows.append(
            {
                "method": method,
                "trials": int(first[0]) if ever[0] else None,
                "speed_up": float(factor[0]) if ever[0] else np.nan,
                "low": float(low),
                "high": float(high),
            }
        )
    frame = pd.DataFrame(rows, columns=["method", "trials", "speed_up", "low", "high"])
    return frame.astype({"trials": "Int64"})
