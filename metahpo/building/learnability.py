"""Whether a task can be learnt at all: where it cannot, differences between configurations are noise.

Symbols: F folds; L (n, F) losses of the n recorded configurations of a task, of all learners; L0 the loss of a constant
prediction.

    skill = 1 - mean_f L[c_f, f] / L0,      c_f = argmin_c  mean over the folds but f of L[c]

The configuration is chosen on some folds and judged on another, so that the best of many lucky ones earns nothing: on
a target of pure noise the expected skill is not above zero.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.tasks.metric import DEFAULT_METRIC, METRICS
from metahpo.tasks.target import TaskKind

#: Least skill of a task worth learning from: on these, the order of configurations is mostly chance.
MIN_SKILL = 0.1


def task_skill(trials: pd.DataFrame, kind: TaskKind, n_classes: int) -> float:
    """Skill of the best of all learners on a task, in balanced accuracy or R2.

    Parameters
    ----------
    trials : DataFrame
        Trials of the task, one a row; a column ``folds.METRIC`` with lists of losses, empty where the trial failed.
    kind : {"classification", "regression"}
    n_classes : int
        Of the task; a regression task has none.

    Returns
    -------
    float
        1 is a perfect prediction, 0 no better than a constant one; NaN where that cannot be told: losses of at least
        two folds and of a successful trial are needed.
    """
    metric = DEFAULT_METRIC[kind]
    lists = [list(folds) for folds in trials[f"folds.{metric}"]]
    n_folds = max(map(len, lists), default=0)
    losses = np.array([folds + [np.nan] * (n_folds - len(folds)) for folds in lists], dtype=np.float64)
    best = honest_best(METRICS[metric].capped(losses.reshape(len(lists), n_folds)))
    constant = 1.0 - 1.0 / n_classes if kind == "classification" else 1.0
    return 1.0 - best / constant


def honest_best(fold_losses: NDArray[np.float64]) -> float:
    """Loss of the configuration that is best on the other folds, in the mean over folds, from losses (n, F)."""
    succeeded = fold_losses[np.isfinite(fold_losses).all(axis=1)]
    n_folds = fold_losses.shape[1]
    if len(succeeded) == 0 or n_folds < 2:
        return float("nan")
    of_others = succeeded.sum(axis=1, keepdims=True) - succeeded
    return float(succeeded[of_others.argmin(axis=0), np.arange(n_folds)].mean())
