"""The choice of configurations among predicted candidates."""

from __future__ import annotations

from metahpo.recommendation.portfolio import complementary_picks
from metahpo.recommendation.prediction import Prediction


def chosen(prediction: Prediction, n: int) -> list[int]:
    """Indices of `n` candidates (fewer where there are fewer), best first.

    They complement each other. The library's default is among them where `n` is at least 2.
    """
    against, defaults = prediction.against, prediction.candidates.defaults
    picks = complementary_picks(prediction.posterior, n) if against is None else against.picks(n)
    if defaults and defaults.isdisjoint(picks):
        best_default = max(defaults, key=lambda i: prediction.percentile[i])
        picks = [*picks[: max(1, n - 1)], best_default][:n]
    return picks
