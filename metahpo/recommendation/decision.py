"""The choice of configurations among predicted candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metahpo.recommendation.cost_limits import Limits
from metahpo.recommendation.portfolio import complementary_picks
from metahpo.recommendation.prediction import Prediction


@dataclass(frozen=True)
class Decision:
    """Chosen candidates.

    Attributes
    ----------
    picks : list of int
        Indices of candidates, best first.
    excess : float
        Factor by which the first exceeds the limits; at most 1 where it keeps them.
    """

    picks: list[int]
    excess: float = 0.0


def decide(
    prediction: Prediction,
    n: int,
    *,
    limits: Limits | None = None,
    costs: Mapping[str, NDArray[np.float64]] | None = None,
    default_first: bool = False,
) -> Decision:
    """Choose `n` candidates (fewer where there are fewer), best first.

    They complement each other. The library's default is among them where `n` is at least 2 and it keeps the limits.
    Where no candidate keeps the limits, those that exceed them least are chosen.

    Parameters
    ----------
    prediction : Prediction
    n : int
    limits : Limits, default=None
    costs : mapping of str to ndarray of shape (m,), default=None
        Expected cost of each candidate, by the name of the limit.
    default_first : bool, default=False
        Whether the default comes before all others.
    """
    m = len(prediction.candidates)
    excess = (limits or Limits()).excess(costs or {}, m)
    allowed: NDArray[np.bool_] | None = None
    if (excess > 0.0).any():
        allowed = excess <= 0.0
        if not allowed.any():
            picks = [int(i) for i in np.argsort(excess, kind="stable")[:n]]
            return Decision(picks, float(np.exp(excess[picks[0]])))
    against = prediction.against
    picks = [] if against is None else against.picks(n, allowed)
    if not picks:
        picks = complementary_picks(prediction.posterior, n, allowed)
    defaults = [i for i in prediction.candidates.defaults if allowed is None or allowed[i]]
    if defaults and (default_first or not set(defaults) & set(picks)):
        best = max(defaults, key=lambda i: prediction.percentile[i])
        others = [i for i in picks if i != best]
        picks = [best, *others][:n] if default_first else [*picks[: max(1, n - 1)], best][:n]
    return Decision(picks)
