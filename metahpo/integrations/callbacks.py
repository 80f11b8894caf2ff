"""What callbacks of a search that write to trackers share: each trial once, also where a search goes on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from metahpo.space.configuration import builtin
from metahpo.trials.history import TrialHistory


class TrialRecord(NamedTuple):
    """One trial of a history.

    Attributes
    ----------
    number : int
        From 0.
    parameters : dict
        Configuration.
    metrics : dict of str to float
        "score" (the loss times -1), "best_score" and "seconds", as far as they are known.
    """

    number: int
    parameters: dict[str, Any]
    metrics: dict[str, float]


def records(history: TrialHistory, after: int) -> Iterator[TrialRecord]:
    """Trials of a history from number `after` on."""
    best = history.best_so_far()
    for number in range(after, len(history)):
        values = {
            "score": -float(history.losses[number]),
            "best_score": -float(best[number]),
            "seconds": float(history.seconds[number]),
        }
        parameters = {name: builtin(value) for name, value in history.configurations[number].items()}
        yield TrialRecord(number, parameters, {k: v for k, v in values.items() if math.isfinite(v)})
