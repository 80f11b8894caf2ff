"""Evaluation on held-out tasks: replay of recorded trials, regret, statistics and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.evaluation.ablation import part_methods
    from metahpo.evaluation.baselines.baseline import Method, Policy, Run
    from metahpo.evaluation.baselines.catalogue import register_baseline, unregister_baseline
    from metahpo.evaluation.baselines.cold_gaussian_process import ColdGaussianProcess
    from metahpo.evaluation.baselines.greedy_portfolio import GreedyPortfolio
    from metahpo.evaluation.baselines.own_method import MetaLearned, MetaLearnedPolicy
    from metahpo.evaluation.baselines.task_process import TaskProcess
    from metahpo.evaluation.canvas import ReportFigure
    from metahpo.evaluation.cross_validation import evaluate
    from metahpo.evaluation.evaluation_plan import make_plan
    from metahpo.evaluation.figures import search_figure
    from metahpo.evaluation.hpob_results import report_of_results, search_in_protocol
    from metahpo.evaluation.pool import PoolOptimizer
    from metahpo.evaluation.quick import QUICK_PROTOCOL, QuickLook, quick_look
    from metahpo.evaluation.ranking import signed_rank_p
    from metahpo.evaluation.regret import ALL_SPACES, mean_regret, normalised_regret, regret_so_far
    from metahpo.evaluation.report_comparison import compare_reports
    from metahpo.evaluation.result import EvaluationReport, check_report
    from metahpo.evaluation.result_assembly import assemble
    from metahpo.evaluation.settings import EvaluationSettings
    from metahpo.evaluation.statistics.bayesian import signed_rank_probabilities
    from metahpo.evaluation.statistics.bootstrap import interval, resampled_means

__all__ = [
    "ALL_SPACES",
    "QUICK_PROTOCOL",
    "ColdGaussianProcess",
    "EvaluationReport",
    "EvaluationSettings",
    "GreedyPortfolio",
    "MetaLearned",
    "MetaLearnedPolicy",
    "Method",
    "Policy",
    "PoolOptimizer",
    "QuickLook",
    "ReportFigure",
    "Run",
    "TaskProcess",
    "assemble",
    "check_report",
    "compare_reports",
    "evaluate",
    "interval",
    "make_plan",
    "mean_regret",
    "normalised_regret",
    "part_methods",
    "quick_look",
    "register_baseline",
    "regret_so_far",
    "report_of_results",
    "resampled_means",
    "search_figure",
    "search_in_protocol",
    "signed_rank_p",
    "signed_rank_probabilities",
    "unregister_baseline",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
