"""Recommendations for a dataset, from its meta-features and the surrogate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.recommendation.narrow_space import best_shares, box, holds, volume
    from metahpo.recommendation.novelty import Familiarity
    from metahpo.recommendation.observations import Observation
    from metahpo.recommendation.printed import task_in_words
    from metahpo.recommendation.probe_worker import FixedSplit, ProbeWorkers
    from metahpo.recommendation.probes import Probe, Prober
    from metahpo.recommendation.recommendation import Recommendation
    from metahpo.recommendation.recommendations import Recommendations
    from metahpo.recommendation.recommender import Recommender, check_recommender, recommend
    from metahpo.recommendation.shipped import shipped_name
    from metahpo.recommendation.task_description import notes_on_data
    from metahpo.recommendation.warm_start import WarmStart
    from metahpo.recommendation.worth import Worth

__all__ = [
    "Familiarity",
    "FixedSplit",
    "Observation",
    "Probe",
    "ProbeWorkers",
    "Prober",
    "Recommendation",
    "Recommendations",
    "Recommender",
    "WarmStart",
    "Worth",
    "best_shares",
    "box",
    "check_recommender",
    "holds",
    "notes_on_data",
    "recommend",
    "shipped_name",
    "task_in_words",
    "volume",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
