"""What an answer was made of, for what is asked about it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ConfigSpace import ConfigurationSpace

from metahpo.recommendation.observations import Trials
from metahpo.recommendation.prediction import Prediction
from metahpo.surrogates.surrogate import TrainedSurrogate


@dataclass(frozen=True, eq=False)
class Basis:
    """Predictions of all candidates, and the surrogate that they come from.

    Attributes
    ----------
    prediction : Prediction
    spaces : mapping of str to ConfigurationSpace
        The recorded space of each learner.
    surrogate : TrainedSurrogate
    meta_features : mapping of str to float, or None
        Those that were used.
    observed : pair (configurations, losses), or None
        Trials on the task that were known.
    probe_notes : tuple of str
        What the user should know of the probes.
    """

    prediction: Prediction
    spaces: Mapping[str, ConfigurationSpace]
    surrogate: TrainedSurrogate
    meta_features: Mapping[str, float] | None
    observed: Trials | None = None
    probe_notes: tuple[str, ...] = ()
