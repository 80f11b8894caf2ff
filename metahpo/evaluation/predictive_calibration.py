"""The quality of predictions on held-out tasks: coverage of intervals, and log density of observed z-scores.

Symbols: z the score of a configuration (the normal quantile of its loss's rank among all that were recorded of its
task), F the predicted distribution of z.

    coverage at level p = share of configurations with  (1 - p) / 2 <= F(z) <= (1 + p) / 2
    log density         = mean over configurations of  log dF(z) / dz

of those not observed, after 0, 5 and 20 others were, drawn at random. A method whose intervals hold what they promise
covers p of them in the mean over tasks; less, and it is too sure; more, and it is too cautious. The log density is a
proper scoring rule (Gneiting and Raftery, JASA 2007): what is known of a task, and that no more is claimed, raise it.
Where nothing is known it is that of a standard normal, -1.419.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.evaluation.regret import ALL_SPACES
from metahpo.evaluation.replay import task_seed
from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.copula import normal_scores
from metahpo.surrogates.posterior import Posterior

#: Probabilities that intervals are to hold with, and numbers of trials observed before.
LEVELS = (0.5, 0.8, 0.95)
OBSERVATIONS = (0, 5, 20)


@runtime_checkable
class ScorePredictor(Protocol):
    """A policy that predicts scores, not only picks: see :class:`~metahpo.evaluation.baselines.baseline.Policy`."""

    def score_posterior(
        self,
        configurations: NDArray[np.float64],
        observed: tuple[NDArray[np.float64], NDArray[np.float64]],
        meta_features: Mapping[str, float] | None,
    ) -> Posterior:
        """Posterior of the z-scores of configurations (m, d) on a task, given trials (n, d) and losses (n,)."""
        ...


def interval_coverage(policy: ScorePredictor, table: TaskTable, random_state: int) -> pd.DataFrame:
    """Coverage, and log density, on one held-out task.

    Returns
    -------
    DataFrame
        Columns observations, log_density, level, coverage; a row a level. Numbers of observations of which the task has
        not twice as many are left out.
    """
    z = normal_scores(table.loss)
    order = np.random.default_rng(task_seed(random_state, table.task, 0)).permutation(len(z))
    rows = []
    for n in OBSERVATIONS:
        if 2 * n > len(z):
            continue
        seen, unseen = order[:n], order[n:]
        observed = table.X[seen], table.loss[seen]
        posterior = policy.score_posterior(table.X[unseen], observed, table.meta_features)
        share, log_density = posterior.cdf(z[unseen]), float(posterior.log_density(z[unseen]).mean())
        for level in LEVELS:
            covered = float((np.abs(share - 0.5) <= 0.5 * level).mean())
            rows.append({"observations": n, "log_density": log_density, "level": level, "coverage": covered})
    return pd.DataFrame(rows)


def calibration_table(coverage: pd.DataFrame) -> pd.DataFrame:
    """Mean coverage and log density over tasks for each space, method and number of observations, and over all spaces.

    Parameters
    ----------
    coverage : DataFrame
        Columns space, method, task, observations, log_density, level, coverage.

    Returns
    -------
    DataFrame
        Columns space, method, observations, a column a level (``50 %``), log_density and n_tasks. Where there are
        several spaces, the rows of space `ALL_SPACES` hold the mean of the spaces' means.
    """
    key = ["space", "method", "observations"]
    table = coverage.groupby([*key, "level"], sort=False)["coverage"].mean().unstack("level")
    table.columns = pd.Index([f"{level:.0%}".replace("%", " %") for level in table.columns])
    table["log_density"] = coverage.groupby(key, sort=False)["log_density"].mean()
    table["n_tasks"] = coverage.groupby(key, sort=False)["task"].nunique()
    frame = table.reset_index()
    if frame["space"].nunique() == 1:
        return frame
    how = dict.fromkeys(table.columns[:-1], "mean") | {"n_tasks": "sum"}
    over_spaces = frame.groupby(key[1:], sort=False).agg(how).reset_index().assign(space=ALL_SPACES)
    return pd.concat([frame, over_spaces[frame.columns]], ignore_index=True)
