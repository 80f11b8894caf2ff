"""One recommended configuration, and what to expect of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metahpo.space.configuration import Configuration

#: Reason of a recommendation that is the library's default.
DEFAULT_REASON = "library default"


@dataclass(frozen=True)
class Recommendation:
    """One recommended configuration.

    Attributes
    ----------
    learner : str
    configuration : dict
        Active hyperparameters, in the names of the search space.
    expected_percentile : float
        Expected share of the learner's recorded configurations (of all learners', where no learner was named) that
        this one is better than, in percent.
    interval : tuple of float
        Central 80 % interval of that percentile.
    expected_train_seconds : float
        Seconds of one fit on one core; NaN where no seconds were recorded. For a task larger than all recorded ones
        they are extrapolated, may be far too low, and a note says so.
    reason : str
    p_better_than_default : float
        Probability that its error is smaller than that of the library's default, calibrated on tasks left out; .5 for
        the default itself. NaN where the experience holds no default to compare with.
    median_change : float
        Median of the relative change of the error against the default: .1 is an error that is a tenth smaller, and
        negative is worse. Changes beyond -1, an error that is more than doubled, count as -1. NaN like the probability.
    change_interval : tuple of float
        Central 80 % interval of that change. It contains the median.
    expected_change : float
        Mean of that change, which decisions rest on. It can lie outside of the interval, where a few changes are large.
    held : dict of str to value
        Parameters of the estimator that were asked to be fixed, and that experience knows nothing of.
    """

    learner: str
    configuration: Configuration
    expected_percentile: float
    interval: tuple[float, float]
    expected_train_seconds: float
    reason: str
    p_better_than_default: float = math.nan
    median_change: float = math.nan
    change_interval: tuple[float, float] = (math.nan, math.nan)
    expected_change: float = math.nan
    held: Mapping[str, Any] = field(default_factory=dict)

    def against_default(self) -> str:
        """What to expect against the default, in words; empty where that is not known."""
        if math.isnan(self.median_change):
            return ""
        return (
            f"better than the default with probability {self.p_better_than_default:.2f}, error {self.change_of_error()}"
        )

    def change_of_error(self) -> str:
        """Median change of the error against the default, in per cent, with its interval.

        The mean is added where it lies outside of the interval.
        """
        low, high = self.change_interval
        told = f"{-100 * self.median_change:+z.1f} % ({-100 * high:+z.1f} to {-100 * low:+z.1f})"
        outside = self.expected_change < low or self.expected_change > high
        return f"{told}, {-100 * self.expected_change:+z.1f} % on average" if outside else told
