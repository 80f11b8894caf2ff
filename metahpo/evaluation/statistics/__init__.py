"""Statistics of an evaluation: pure functions from tables to tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.evaluation.statistics.bayesian import REGION, signed_rank_probabilities
    from metahpo.evaluation.statistics.bootstrap import interval, mean_intervals, resampled_means
    from metahpo.evaluation.statistics.groups import NOVELTIES, SIZES, bins, regret_by, where_it_hurts
    from metahpo.evaluation.statistics.pairs import paired_comparison
    from metahpo.evaluation.statistics.targets import area_under_curve, speed_up, time_to_targets

__all__ = [
    "NOVELTIES",
    "REGION",
    "SIZES",
    "area_under_curve",
    "bins",
    "interval",
    "mean_intervals",
    "paired_comparison",
    "regret_by",
    "resampled_means",
    "signed_rank_probabilities",
    "speed_up",
    "time_to_targets",
    "where_it_hurts",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
