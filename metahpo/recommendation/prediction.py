"""Predictions of candidates on a task before any trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metahpo.recommendation.candidates import Candidates
from metahpo.recommendation.default_decision import AgainstDefault
from metahpo.recommendation.experience import Experience
from metahpo.surrogates.posterior import Posterior

#: Level of the intervals that recommendations come with.
LEVEL = 0.8


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predictions for m candidates.

    Attributes
    ----------
    candidates : Candidates
    posterior : Posterior
        Of their z-scores.
    percentile, low, high : ndarray of shape (m,)
        Expected percentile, and the bounds of its central 80 % interval, in percent.
    against : AgainstDefault or None
        What is expected against the default; None where no such model was trained.
    weights : dict of str to float
        Share of each source task, largest first.
    """

    candidates: Candidates
    posterior: Posterior
    percentile: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    against: AgainstDefault | None
    weights: Mapping[str, float]

    @classmethod
    def of(
        cls, experience: Experience, candidates: Candidates, metric: str, meta_features: Mapping[str, float] | None
    ) -> Prediction:
        """Predict candidates on a task of these meta-features; None: nothing is known of it."""
        surrogate = experience.surrogate(candidates.space, metric)
        posterior = surrogate.posterior(candidates.configurations, meta_features=meta_features)
        low, high = (100.0 * bound for bound in posterior.percentile_interval(LEVEL))
        model = experience.improvement(candidates.space, metric)
        return cls(
            candidates,
            posterior,
            100.0 * posterior.expected_percentile(),
            low,
            high,
            None if model is None else AgainstDefault.of(model, meta_features, candidates.configurations),
            surrogate.task_weights(meta_features=meta_features),
        )
