"""The decision between the library's default and other configurations, among a recommender's candidates."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metahpo.recommendation.recommendation import Recommendation
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates.improvement import Improvement, ImprovementModel
from metahpo.surrogates.improvement_on_task import given_losses, residual_covariance
from metahpo.surrogates.surrogate import TrainedSurrogate

#: A told loss is taken for the mean of so many fits. A cross-validation of scikit-learn makes as many by default.
FITS_OF_A_TRIAL = 5


@dataclass(frozen=True, eq=False)
class AgainstDefault:
    """Predictions for candidates against the default on one task.

    Attributes
    ----------
    improvement : Improvement
    places : tuple of int
        Index among the candidates of each configuration of `improvement`; -1 for one that is no candidate.
    """

    improvement: Improvement
    places: tuple[int, ...]

    @classmethod
    def of(
        cls,
        model: ImprovementModel,
        surrogate: TrainedSurrogate,
        meta_features: Mapping[str, float] | None,
        candidates: Sequence[Configuration],
        *,
        everywhere: bool = False,
        observed: tuple[Sequence[Configuration], NDArray[np.float64]] | None = None,
        probed: Improvement | None = None,
    ) -> AgainstDefault:
        """Place the configurations of a model among the candidates.

        Parameters
        ----------
        model : ImprovementModel
        surrogate : TrainedSurrogate
            Interpolates changes between configurations.
        meta_features : mapping of str to float, or None
        candidates : sequence of dict
        everywhere : bool, default=False
            Whether candidates that the model does not know are interpolated; otherwise nothing is predicted for them.
        observed : pair (configurations, losses), default=None
            Trials on the task.
        probed : Improvement, default=None
            What probes have made of the distribution before trials; None: there were none.
        """
        column = {text: i for i, text in enumerate(model.configurations)}
        place: dict[str, int] = {}
        for i, candidate in enumerate(candidates):
            place.setdefault(to_json(candidate), i)
        tried = {} if observed is None else {to_json(c): c for c in observed[0]}
        new = {text: candidates[i] for text, i in place.items() if text not in column} if everywhere else {}
        new |= {text: c for text, c in tried.items() if text not in column}
        texts = [t for t in model.configurations if t in place or t in tried or column[t] == model.reference]
        before, encoded = model.on(meta_features), model.encoded
        improvement = before if probed is None else probed
        weights = None
        if new:
            weights = surrogate.interpolation([_read(text) for text in model.configurations], list(new.values()))
            improvement = improvement.extended(*weights)
            column |= {text: len(column) + i for i, text in enumerate(new)}
            texts += list(new)
        columns = [column[text] for text in texts]
        improvement = improvement.of_columns(columns)
        if observed is not None:
            if weights is not None:
                before = before.extended(*weights)
                encoded = np.concatenate([encoded, SpaceEncoder(surrogate.space).encode(list(new.values()))])
            before = before.of_columns(columns)
            at = {text: i for i, text in enumerate(texts)}
            improvement = given_losses(
                replace(improvement, rule=model.trial_rule),
                residual_covariance(before.change, encoded[columns], before.reference, model.residual_share),
                [at[to_json(c)] for c in observed[0]],
                observed[1],
                model.metric,
                model.variance_of_fit(_rows(meta_features)) / FITS_OF_A_TRIAL,
            )
        return cls(improvement, tuple(place.get(text, -1) for text in texts))

    def picks(self, n: int, allowed: NDArray[np.bool_] | None = None) -> list[int]:
        """Indices of candidates: see :meth:`metahpo.surrogates.improvement.Improvement.picks`.

        Parameters
        ----------
        n : int
        allowed : ndarray of bool, default=None
            Which candidates may be picked; None: all. Empty where nothing is known of those.
        """
        places = np.array(self.places)
        among = (places >= 0) if allowed is None else (places >= 0) & allowed[places]
        if not among.any():
            return []
        return [self.places[i] for i in self.improvement.picks(n, None if among.all() else among)]

    def added_to(self, items: Sequence[Recommendation], candidates: Sequence[int]) -> list[Recommendation]:
        """Recommendations with their predictions, from the index of each among the candidates.

        A candidate that the model does not know stays as it is.
        """
        column = {candidate: i for i, candidate in enumerate(self.places)}
        p, (low, high) = self.improvement.p_better(), self.improvement.interval()
        median, mean = self.improvement.median(), self.improvement.expected()
        return [
            item
            if candidate not in column
            else replace(
                item,
                p_better_than_default=float(p[i := column[candidate]]),
                median_change=float(median[i]),
                change_interval=(float(low[i]), float(high[i])),
                expected_change=float(mean[i]),
            )
            for item, candidate in zip(items, candidates, strict=True)
        ]


def _rows(meta_features: Mapping[str, float] | None) -> float | None:
    """Rows of the task; None where they are not known."""
    log_rows = (meta_features or {}).get("log_rows", math.nan)
    return None if math.isnan(log_rows) else math.exp(log_rows)


def _read(text: str) -> Configuration:
    configuration: Configuration = json.loads(text)
    return configuration
