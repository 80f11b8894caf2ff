"""The skill of a task, which shows whether it can be learnt. If not, differences of configurations are noise.

Symbols: A, B (n,) losses of the n recorded configurations of a task, of all learners, by two halves of their fits; L0
the loss of a constant prediction.

    skill = 1 - (B[argmin A] + A[argmin B]) / (2 L0)

One half of the fits selects the configuration and the other half evaluates it. This removes the optimism of selecting
the best of many configurations. On a target of pure noise the expected skill is not above zero.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.metadata.fit_losses import as_rows, half_means
from metahpo.tasks.metric import DEFAULT_METRIC, METRICS
from metahpo.tasks.target import TaskKind

#: Least skill of a task that is used for learning. Below it, the order of configurations is mostly random.
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
    best = cross_validated_best(METRICS[metric].capped(as_rows(trials[f"folds.{metric}"])))
    constant = 1.0 - 1.0 / n_classes if kind == "classification" else 1.0
    return 1.0 - best / constant


def cross_validated_best(fit_losses: NDArray[np.float64]) -> float:
    """Cross-validated loss of the best configuration, from losses (n, F).

    One half of the fits selects the configuration and the other half evaluates it; the result is the mean of both ways.
    """
    first, second = half_means(fit_losses)
    succeeded = np.isfinite(first) & np.isfinite(second)
    if not succeeded.any():
        return float("nan")
    first, second = first[succeeded], second[succeeded]
    return float((second[first.argmin()] + first[second.argmin()]) / 2.0)
