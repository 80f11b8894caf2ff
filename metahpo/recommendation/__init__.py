"""Recommendations for a dataset, from its meta-features and the surrogate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.recommendation.novelty import Familiarity
    from metahpo.recommendation.recommendations import Recommendation, Recommendations, in_words
    from metahpo.recommendation.recommender import Recommender, recommend
    from metahpo.recommendation.shipped import shipped_name
    from metahpo.recommendation.warm_start import WarmStart

__all__ = [
    "Familiarity",
    "Recommendation",
    "Recommendations",
    "Recommender",
    "WarmStart",
    "in_words",
    "recommend",
    "shipped_name",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
