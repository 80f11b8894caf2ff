"""Predictions of candidates on a task before any trial."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metahpo.recommendation.candidates import Candidates
from metahpo.recommendation.default_decision import AgainstDefault
from metahpo.recommendation.experience import Experience
from metahpo.recommendation.observations import Trials
from metahpo.recommendation.probes import Probed
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
        cls,
        experience: Experience,
        candidates: Candidates,
        metric: str,
        meta_features: Mapping[str, float] | None,
        observed: Trials | None = None,
        probed: Probed | None = None,
    ) -> Prediction:
        """Predict candidates on a task of these meta-features (None: nothing is known of it), given trials on it.

        Probes are not of the size of trials. Where there are both, percentiles rest on the trials.
        """
        surrogate = experience.surrogate(candidates.space, metric)
        model = experience.improvement(candidates.space, metric)
        if probed is not None and model is not None and len(probed.places) and observed is None:
            measured = [json.loads(model.configurations[i]) for i in probed.places]
            posterior = surrogate.posterior(
                candidates.configurations, (measured, probed.losses), meta_features, noise=probed.noise
            )
        else:
            posterior = surrogate.posterior(candidates.configurations, observed, meta_features=meta_features)
        low, high = (100.0 * bound for bound in posterior.percentile_interval(LEVEL))
        return cls(
            candidates,
            posterior,
            100.0 * posterior.expected_percentile(),
            low,
            high,
            None
            if model is None
            else AgainstDefault.of(
                model,
                surrogate,
                meta_features,
                candidates.configurations,
                everywhere=candidates.values is not None,
                observed=observed,
                probed=None if probed is None else probed.improvement,
            ),
            surrogate.task_weights(observed, meta_features),
        )
