"""Methods that an evaluation compares, one file each. The catalogue finds them by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.evaluation.baselines.baseline import Method, Policy, Run, label_of
    from metahpo.evaluation.baselines.catalogue import (
        DEFAULT_METHODS,
        method_named,
        register_baseline,
        unregister_baseline,
    )
    from metahpo.evaluation.baselines.cold_gaussian_process import ColdGaussianProcess
    from metahpo.evaluation.baselines.greedy_portfolio import GreedyPortfolio
    from metahpo.evaluation.baselines.own_method import MetaLearned, MetaLearnedPolicy
    from metahpo.evaluation.baselines.random_search import RandomSearch
    from metahpo.evaluation.baselines.recommended import Recommended, smaller_sizes
    from metahpo.evaluation.baselines.sharing import SharesFits, SharesTraining, seconds_saved, shared_training
    from metahpo.evaluation.baselines.task_process import TaskProcess

__all__ = [
    "DEFAULT_METHODS",
    "ColdGaussianProcess",
    "GreedyPortfolio",
    "MetaLearned",
    "MetaLearnedPolicy",
    "Method",
    "Policy",
    "RandomSearch",
    "Recommended",
    "Run",
    "SharesFits",
    "SharesTraining",
    "TaskProcess",
    "label_of",
    "method_named",
    "register_baseline",
    "seconds_saved",
    "shared_training",
    "smaller_sizes",
    "unregister_baseline",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
