"""The methods by name."""

from __future__ import annotations

from collections.abc import Callable

from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.baselines.botorch import BoTorch
from metahpo.evaluation.baselines.cold_gaussian_process import ColdGaussianProcess
from metahpo.evaluation.baselines.deep_ranking_ensemble import DeepRankingEnsemble
from metahpo.evaluation.baselines.fsbo import FewShotDeepKernel
from metahpo.evaluation.baselines.greedy_portfolio import GreedyPortfolio
from metahpo.evaluation.baselines.nearest_tasks import NearestTasks
from metahpo.evaluation.baselines.own_method import MetaLearned
from metahpo.evaluation.baselines.random_search import RandomSearch
from metahpo.evaluation.baselines.rgpe import RankingWeightedEnsemble
from metahpo.evaluation.baselines.smac_forest import RandomForest
from metahpo.evaluation.baselines.two_stage_transfer import TwoStageTransfer
from metahpo.exceptions import UnknownNameError

METHODS: dict[str, Callable[[], Method]] = {
    "metahpo": MetaLearned,
    "portfolio": GreedyPortfolio,
    "gaussian_process": ColdGaussianProcess,
    "default": lambda: RandomSearch(default_first=True),
    "random_search": RandomSearch,
    "nearest_tasks": NearestTasks,
    "rgpe": RankingWeightedEnsemble,
    "two_stage_transfer": TwoStageTransfer,
    "fsbo": FewShotDeepKernel,
    "deep_ranking_ensemble": DeepRankingEnsemble,
    "random_forest": RandomForest,
    "botorch": BoTorch,
}
#: Those that are evaluated where none are named: quick, and enough to see what experience is worth.
DEFAULT_METHODS = ("metahpo", "portfolio", "gaussian_process", "default", "random_search")


def method_named(name: str) -> Method:
    """Return the method of that name, with its default settings.

    Raises
    ------
    UnknownNameError
        There is no such method; the message lists those there are.
    MissingDependencyError
        The method needs an optional package that is not installed.
    """
    if name not in METHODS:
        raise UnknownNameError(
            "method", name, tuple(METHODS), "An object with `name`, `n_replays` and `learn` works as well."
        )
    return METHODS[name]()
