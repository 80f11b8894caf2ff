"""Normalised regret of recorded configurations, best-so-far curves, and their mean with a standard error.

Symbols: n configurations of a task, T trials. A regret lies in [0, 1]: 0 is the task's best recorded configuration,
1 its worst.

The standard error is that of a mean over *families* (tasks of one origin are not independent, and neither is one task
in two search spaces): with residuals e_i of the weighted mean and G families,

    SE^2 = G / (G - 1)  sum_families ( sum_{i in family} e_i )^2        (Cameron and Miller 2015, equation 11)

which is the textbook standard error where each family is one task.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.exceptions import DataError

#: Label of the mean over search spaces, each counted once.
ALL_SPACES = "all spaces"
#: Mean regrets that differ by no more are the same.
SAME_REGRET = 1e-9


def normalised_regret(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """Regret of each recorded configuration of a task: (loss - best) / (worst - best), 1 for a failed trial.

    Parameters
    ----------
    loss : ndarray of shape (n,)
        NaN = failed.

    Raises
    ------
    DataError
        All configurations are equally good (or all failed), so that there is nothing to regret.
    """
    finite = np.isfinite(loss)
    if not finite.any():
        raise DataError("a task needs at least one trial that did not fail.")
    best, worst = loss[finite].min(), loss[finite].max()
    if worst == best:
        if finite.all():
            raise DataError(f"a task needs configurations that differ in loss, but all have the loss {best}.")
        return np.where(finite, 0.0, 1.0)
    return np.where(finite, (loss - best) / (worst - best), 1.0)


def regret_so_far(regret: NDArray[np.float64], loss: NDArray[np.float64], n_trials: int) -> NDArray[np.float64]:
    """Regret of the incumbent after 1 .. `n_trials` trials.

    Where fewer trials were possible the last incumbent stands.

    Parameters
    ----------
    regret : ndarray of shape (n,)
        Regrets in the order tried.
    loss : ndarray of shape (n,)
        Losses in the same order, NaN = failed; the incumbent has the least so far, the first of equal ones.
    n_trials : int
    """
    told = np.where(np.isnan(loss[:n_trials]), np.inf, loss[:n_trials])
    improves = np.concatenate([[True], told[1:] < np.minimum.accumulate(told)[:-1]])
    curve = regret[:n_trials][np.maximum.accumulate(np.where(improves, np.arange(len(told)), 0))]
    return np.pad(curve, (0, n_trials - len(curve)), mode="edge")


def scale_of(losses: Sequence[Sequence[float | None] | NDArray[np.float64]]) -> tuple[float, float] | None:
    """Best and worst loss of all searches of a task; None where these do not differ.

    Parameters
    ----------
    losses : sequence of sequences of float
        A search each. NaN, infinity or None = failed.
    """
    known = np.concatenate([np.array(each, dtype=np.float64) for each in losses])
    known = known[np.isfinite(known)]
    return (float(known.min()), float(known.max())) if len(known) and known.min() < known.max() else None


def regret_of_losses(losses: Sequence[float | None], scale: tuple[float, float], n_trials: int) -> NDArray[np.float64]:
    """Regret of the incumbent of a search after 1 .. `n_trials` trials, by what is known of the task.

    It is 1 before the first trial that did not fail. Where fewer trials were made the last incumbent stands.

    Parameters
    ----------
    losses : sequence of float
        In the order of the trials. NaN or None = failed.
    scale : pair of float
        Best and worst loss of the task: see :func:`scale_of`.
    n_trials : int
    """
    best, worst = scale
    told = np.array(losses[:n_trials], dtype=np.float64)
    told = np.where(np.isnan(told), np.inf, told)
    regret = np.minimum((np.minimum.accumulate(told) - best) / (worst - best), 1.0)
    return np.pad(regret, (0, n_trials - len(regret)), mode="edge")


def regret_over_seconds(
    regret: NDArray[np.float64], seconds: NDArray[np.float64], budgets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Regret of the incumbent when a budget of recorded seconds is used up; 1 where no trial was finished by then.

    A trial that is not finished when the budget ends does not count. Where the search had ended before, its last
    incumbent stands.

    Parameters
    ----------
    regret : ndarray of shape (n_trials,)
        What :func:`regret_so_far` returns.
    seconds : ndarray of shape (n,)
        Of each trial made, in their order; n is at most n_trials.
    budgets : ndarray of shape (b,)
        Seconds.
    """
    finished = np.searchsorted(np.cumsum(seconds), budgets * (1 + 1e-12), side="right")
    return np.where(finished > 0, regret[np.maximum(finished - 1, 0)], 1.0)


def mean_regret(regrets: pd.DataFrame) -> pd.DataFrame:
    """Mean over tasks for each space, method and trial, and over all spaces.

    Parameters
    ----------
    regrets : DataFrame
        Columns space, task, family, method, trial, regret; one row each.

    Returns
    -------
    DataFrame
        Columns space, method, trial, regret, standard_error, n_tasks. Where there are several spaces, the rows of space
        `ALL_SPACES` hold the mean of the spaces' means.
    """
    key = ["space", "method", "trial"]
    grouped = regrets.groupby(key, sort=False)["regret"]
    n_tasks = grouped.transform("size")
    centred = regrets.assign(residual=(regrets["regret"] - grouped.transform("mean")) / n_tasks)
    summary = grouped.agg(regret="mean", n_tasks="size")
    summary["standard_error"] = _clustered_error(centred, key)
    spaces = regrets["space"].unique()
    columns = [*key, "regret", "standard_error", "n_tasks"]
    frame = summary.reset_index()[columns]
    if len(spaces) == 1:
        return frame
    over_spaces = frame.groupby(["method", "trial"], sort=False).agg(
        regret=("regret", "mean"), n_tasks=("n_tasks", "sum")
    )
    centred["residual"] /= len(spaces)
    over_spaces["standard_error"] = _clustered_error(centred, ["method", "trial"])
    return pd.concat([frame, over_spaces.reset_index().assign(space=ALL_SPACES)[columns]], ignore_index=True)


def _clustered_error(centred: pd.DataFrame, key: list[str]) -> pd.Series:
    """Standard error of a mean from its residuals, summed within families; NaN for a single family."""
    by_family = centred.groupby([*key, "family"], sort=False)["residual"].sum()
    grouped = by_family.pow(2).groupby(key, sort=False)
    n_families = grouped.size()
    factor = (n_families / (n_families - 1)).where(n_families > 1)
    return (grouped.sum() * factor).pow(0.5)


def last_telling_trial(summary: pd.DataFrame, n_recorded: int | None = None) -> int | None:
    """Largest number of trials after which a comparison of methods says something; None: there is none.

    After it the methods differ, and at most half of the recorded configurations have been tried. Every method becomes
    as good as the others where nearly all recorded configurations have been tried.

    Parameters
    ----------
    summary : DataFrame
        What :func:`mean_regret` returns.
    n_recorded : int, default=None
        Recorded configurations of a task; None: not known, and so no limit.
    """
    possible = summary if n_recorded is None else summary[summary["trial"] <= n_recorded // 2]
    regrets = possible.groupby(["space", "trial"])["regret"]
    differ = (regrets.max() - regrets.min() > SAME_REGRET).groupby(level="trial").any()
    return int(differ.index[differ].max()) if differ.any() else None


def trials_to_match(summary: pd.DataFrame, baseline: str, after: int | None = None) -> pd.DataFrame:
    """Trials each method needs to be as good as the baseline is after a number of trials.

    Parameters
    ----------
    summary : DataFrame
        What :func:`mean_regret` returns.
    baseline : str
        A method.
    after : int, default=None
        Trials of the baseline; None: all.

    Returns
    -------
    DataFrame
        Columns space, method, target (the baseline's regret after these trials), trials (missing = never).
    """
    last = summary["trial"].max() if after is None else after
    at_end = summary[(summary["method"] == baseline) & (summary["trial"] == last)].set_index("space")["regret"]
    targets = summary.assign(target=summary["space"].map(at_end))
    reached = targets[targets["regret"] <= targets["target"]].groupby(["space", "method"], sort=False)["trial"].min()
    rows = targets[["space", "method", "target"]].drop_duplicates().set_index(["space", "method"])
    return rows.assign(trials=reached.astype("Int64")).reset_index()
