"""The value of each part of the recommender: a paired evaluation without the part, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.baselines.cold_gaussian_process import ColdGaussianProcess
from metahpo.evaluation.baselines.greedy_portfolio import GreedyPortfolio
from metahpo.evaluation.baselines.random_search import RandomSearch
from metahpo.evaluation.baselines.recommended import Recommended, smaller_sizes
from metahpo.evaluation.statistics.pairs import paired_comparison
from metahpo.metadata.meta_dataset import MetaDataset

#: Name of the method with every part, and what is left out or done instead in the others.
WHOLE = "recommended"
WITHOUT = {
    "recommended_without_meta_features": "meta-features",
    "recommended_random_meta_features": "meta-features, those of another task in their place",
    "recommended_without_risk": "the decision against the default (the best expected percentile is taken)",
    "recommended_without_sizes": "sizes (the largest of each dataset)",
    "gaussian_process": "all experience (cold)",
    "constant": "the surrogate (the best constant configuration, then cold)",
    "portfolio": "the surrogate (a greedy portfolio, then cold)",
    "default": "any model (the default, then random search)",
}


def part_methods(md: MetaDataset | None = None) -> list[Method]:
    """The whole, and the whole without each of its parts.

    Parameters
    ----------
    md : MetaDataset, default=None
        Sizes are left out only where it has datasets of several sizes; None: always.
    """
    several = md is None or bool(smaller_sizes(md))
    return [
        Recommended(),
        Recommended(meta_features="none"),
        Recommended(meta_features="random"),
        Recommended(risk=False),
        *([Recommended(sizes=False)] if several else []),
        ColdGaussianProcess(),
        GreedyPortfolio(n_picks=1),
        GreedyPortfolio(),
        RandomSearch(default_first=True),
    ]


def worth_of_parts(regrets: pd.DataFrame, trials: Sequence[int]) -> pd.DataFrame | None:
    """What each part is worth in regret.

    Returns
    -------
    DataFrame or None
        Columns without, trial, worth (mean regret without the part minus that with all: positive, the part helps), low,
        high (95 % bootstrap interval over families), p_holm, p_worth, p_nothing, p_harm (Bayesian signed-rank). None
        where the parts were not evaluated.
    """
    evaluated = set(regrets["method"].unique())
    there = [method for method in WITHOUT if method in evaluated]
    if WHOLE not in evaluated or not there:
        return None
    compared = paired_comparison(regrets[regrets["method"].isin([WHOLE, *there])], WHOLE, trials)
    table = pd.DataFrame(
        {
            "without": compared["method"].map(WITHOUT),
            "trial": compared["trial"],
            "worth": -compared["difference"],
            "low": -compared["high"],
            "high": -compared["low"],
            "p_holm": compared["p_holm"],
            "p_worth": compared["p_better"],
            "p_nothing": compared["p_equivalent"],
            "p_harm": compared["p_worse"],
        }
    )
    order = {WITHOUT[name]: i for i, name in enumerate(there)}
    return table.iloc[table["without"].map(order).argsort(kind="stable")].reset_index(drop=True)
