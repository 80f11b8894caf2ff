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
from metahpo.evaluation.baselines.recommended import Recommended
from metahpo.evaluation.baselines.rgpe import RankingWeightedEnsemble
from metahpo.evaluation.baselines.smac_forest import RandomForest
from metahpo.evaluation.baselines.two_stage_transfer import TwoStageTransfer
from metahpo.exceptions import PluginError
from metahpo.registry import Registry

METHODS: dict[str, Callable[[], Method]] = {
    "metahpo": MetaLearned,
    "recommended": Recommended,
    "portfolio": GreedyPortfolio,
    "constant": lambda: GreedyPortfolio(n_picks=1),
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


#: What :func:`method_named` finds: those of the package, and those of others.
_BASELINES: Registry[Callable[[], Method]] = Registry(
    "method",
    "metahpo.baselines",
    METHODS,
    expected="a function without arguments, or a class, that makes a method",
    accepts=callable,
    hint="An object with `name`, `n_replays` and `learn` works as well.",
)


def register_baseline(name: str, make: Callable[[], Method]) -> None:
    """Add a baseline, for this process; a package offers one by an entry point of the group ``metahpo.baselines``.

    Parameters
    ----------
    name : str
    make : callable
        Without arguments; returns a :class:`~metahpo.evaluation.baselines.baseline.Method` of that name.

    Raises
    ------
    DataError
        The name is taken or is not plain, or `make` is not callable.
    """
    _BASELINES.register(name, make)


def unregister_baseline(name: str) -> None:
    """Remove a baseline that :func:`register_baseline` added.

    Raises
    ------
    UnknownNameError
        Nothing was registered under the name.
    """
    _BASELINES.unregister(name)


def method_named(name: str) -> Method:
    """Return the method of that name, with its default settings.

    Parameters
    ----------
    name : str
        One of :data:`METHODS`, one that :func:`register_baseline` or an installed package added, or
        ``module:attribute``.

    Raises
    ------
    UnknownNameError
        There is no such method; the message lists those there are.
    PluginError
        The method of another package cannot be loaded, or what it makes is no method.
    MissingDependencyError
        The method needs an optional package that is not installed.
    """
    method = _BASELINES.get(name)()
    lacking = [attribute for attribute in ("name", "n_replays", "learn") if not hasattr(method, attribute)]
    if lacking:
        raise PluginError(f"the method {name!r} is {method!r}, which lacks {', '.join(lacking)}; see Method.")
    return method
