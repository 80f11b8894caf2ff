"""The decision between the library's default and other configurations, among a recommender's candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from metahpo.recommendation.recommendations import DEFAULT_REASON, Recommendation
from metahpo.space.configuration import Configuration, to_json
from metahpo.surrogates.improvement import Improvement, ImprovementModel


@dataclass(frozen=True, eq=False)
class AgainstDefault:
    """What is expected of candidates against the default on one task.

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

    def add_to(self, item: Recommendation, candidate: int) -> Recommendation:
        """The recommendation of a candidate, with what is expected of it; as it is where that is not known."""
        if candidate not in self.places:
            return item
        i = self.places.index(candidate)
        low, high = (float(bound[i]) for bound in self.improvement.interval())
        # The reason of a default tells that nothing changes.
        same = item.reason == DEFAULT_REASON and i == self.improvement.reference
        return replace(
            item,
            p_better_than_default=float(self.improvement.p_better()[i]),
            expected_change=float(self.improvement.expected()[i]),
            change_interval=(0.0, 0.0) if same else (low, high),
        )
