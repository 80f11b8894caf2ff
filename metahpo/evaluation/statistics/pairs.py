"""One method against each other one: counts, intervals and tests at the same numbers of trials everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from metahpo.evaluation.ranking import compare_to
from metahpo.evaluation.regret import ALL_SPACES
from metahpo.evaluation.statistics.bayesian import REGION, signed_rank_probabilities
from metahpo.evaluation.statistics.bootstrap import mean_intervals, wide

COLUMNS = ["trial", "method", "wins", "ties", "losses", "difference", "low", "high", "p_value", "p_holm", "p_better",
           "p_equivalent", "p_worse"]  # fmt: skip


def paired_comparison(
    regrets: pd.DataFrame, reference: str, trials: Sequence[int], region: float = REGION, random_state: int = 0
) -> pd.DataFrame:
    """Hold a reference method against every other one, over all spaces together.

    Parameters
    ----------
    regrets : DataFrame
        Columns space, task, family, method, trial, regret.
    reference : str
    trials : sequence of int
    region : float, default=0.01
        Differences of regret that are smaller are equivalent in practice.
    random_state : int, default=0

    Returns
    -------
    DataFrame
        Columns trial, method, wins, ties, losses (tasks; of the reference), difference (mean over spaces of reference
        minus method; negative: the reference is better), low, high (95 % bootstrap interval over families), p_value,
        p_holm (Wilcoxon over families, and after Holm's correction for the number of other methods), p_better,
        p_equivalent, p_worse (of the reference, Bayesian signed-rank over families).
    """
    others = [method for method in dict.fromkeys(regrets["method"]) if method != reference]
    keys = [(method, trial) for trial in trials for method in others]
    if not keys:
        return pd.DataFrame(columns=COLUMNS)
    tested = compare_to(regrets, reference, trials)
    if regrets["space"].nunique() > 1:
        tested = tested[tested["space"] == ALL_SPACES]
    table = wide(regrets, trials)
    differences = pd.DataFrame({key: table[reference, key[1]] - table[key] for key in keys})
    intervals = mean_intervals(differences, random_state=random_state)
    rows = []
    for method, trial in keys:
        families = differences[method, trial].groupby(level="family").mean().to_numpy()
        better, equivalent, worse = signed_rank_probabilities(families, region, random_state=random_state)
        interval = intervals.loc[(method, trial)]
        rows.append(
            {
                "trial": trial,
                "method": method,
                "difference": interval["mean"],
                "low": interval["low"],
                "high": interval["high"],
                "p_better": better,
                "p_equivalent": equivalent,
                "p_worse": worse,
            }
        )
    counted = tested[["trial", "method", "wins", "ties", "losses", "p_value", "p_holm"]]
    joined = counted.merge(pd.DataFrame(rows), on=["trial", "method"], how="inner", validate="one_to_one")
    return joined[COLUMNS]
