"""The decision between the library's default and other configurations, among a recommender's candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from metahpo.recommendation.recommendations import Recommendation
from metahpo.space.configuration import Configuration, to_json
from metahpo.surrogates.improvement import Improvement, ImprovementModel


@dataclass(frozen=True, eq=False)
class AgainstDefault:
    """Predictions for candidates against the default on one task.

    Attributes
    ----------
    improvement : Improvement
    places : tuple of int
        Index among the candidates of each configuration of `improvement`.
    """

    improvement: Improvement
    places: tuple[int, ...]

    @classmethod
    def of(
        cls, model: ImprovementModel, meta_features: Mapping[str, float] | None, candidates: Sequence[Configuration]
    ) -> AgainstDefault:
        """Place the configurations of a model among the candidates, which hold them all."""
        place = {to_json(candidate): i for i, candidate in enumerate(candidates)}
        return cls(model.on(meta_features), tuple(place[text] for text in model.configurations))

    def picks(self, n: int) -> list[int]:
        """Indices of candidates: see :meth:`metahpo.surrogates.improvement.Improvement.picks`."""
        return [self.places[i] for i in self.improvement.picks(n)]

    def added_to(self, items: Sequence[Recommendation], candidates: Sequence[int]) -> list[Recommendation]:
        """Recommendations with their predictions, from the index of each among the candidates.

        A candidate that the model does not know stays as it is.
        """
        column = {candidate: i for i, candidate in enumerate(self.places)}
        p, change, (low, high) = self.improvement.p_better(), self.improvement.expected(), self.improvement.interval()
        return [
            item
            if candidate not in column
            else replace(
                item,
                p_better_than_default=float(p[i := column[candidate]]),
                expected_change=float(change[i]),
                change_interval=(float(low[i]), float(high[i])),
            )
            for item, candidate in zip(items, candidates, strict=True)
        ]
