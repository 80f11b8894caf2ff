"""An estimate of the duration of an evaluation.

The rates were measured on one core, on tables of 48 configurations with 50 and with 84 training tasks. A search ends
where it has found the best of its N configurations. With E[M] = s N trials until then, and M taken as exponential, a
search of T trials makes ``s N (1 - exp(-T / (s N)))`` of them. The time of other methods is not known before they run.
The statement names them.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from metahpo.evaluation.unit import Unit

#: Seconds to train a surrogate, whatever the tasks, and on one task; methods share a training.
TRAINING = (4.5, 0.04)
#: Seconds of one table of the report for the analysis of its trials and for its pages, on one process.
WRITING = 0.12
#: Share of a suggestion that is left where the fits were made before, with another seed.
AGAIN = 0.1
#: Seconds to learn from one training task, beside a surrogate; milliseconds of one suggestion; and s, see above.
RATES = {
    "metahpo": (0.0, 8.0, 0.16),
    "metahpo_blind": (0.0, 8.0, 0.16),
    "recommended": (0.04, 8.0, 0.16),
    "recommended_without_meta_features": (0.04, 8.0, 0.16),
    "recommended_random_meta_features": (0.04, 8.0, 0.2),
    "recommended_without_risk": (0.0, 8.0, 0.16),
    "recommended_without_sizes": (0.04, 8.0, 0.16),
    "portfolio": (0.0, 4.0, 0.32),
    "constant": (0.0, 5.5, 0.3),
    "gaussian_process": (0.0, 4.0, 0.33),
    "nearest_tasks": (0.0, 2.5, 0.22),
    "default": (0.0, 0.02, 0.8),
    "random_search": (0.0, 0.02, 0.8),
}
#: Of a method that is not known.
UNKNOWN = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Cost:
    """Work of an evaluation.

    Attributes
    ----------
    n_units : int
        Units of work: (space, fold, method, seed).
    n_kept : int
        Of these, units whose histories are kept from before.
    n_suggestions : int
        Suggestions to be made, at most.
    seconds : float
        Expected seconds, on as many processes as asked for.
    n_jobs : int
    unknown : tuple of str
        Methods of which no rate is known; they come on top.
    """

    n_units: int
    n_kept: int
    n_suggestions: int
    seconds: float
    n_jobs: int
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        minutes = self.seconds / 60
        time = f"about {minutes:.0f} minutes" if minutes >= 2 else f"about {self.seconds:.0f} seconds"
        if self.seconds < 10:
            time = "some seconds"
        kept = f", {self.n_kept} of them kept from before" if self.n_kept else ""
        more = f"; not counting {', '.join(self.unknown)}" if self.unknown else ""
        processes = "1 process" if self.n_jobs == 1 else f"{self.n_jobs} processes"
        return (
            f"{self.n_units} units of work{kept}: up to {self.n_suggestions} suggestions, {time} on {processes}{more}"
        )


def cost_of(units: Sequence[Unit], kept: Sequence[bool], n_jobs: int, n_written: int = 0) -> Cost:
    """Cost of the units that are not kept, and of a report of `n_written` tables."""
    seconds, n_suggestions, unknown = 0.0, 0, dict[str, None]()
    made: set[Hashable] = set()
    for unit, done in zip(units, kept, strict=True):
        if done:
            continue
        per_task, milliseconds, share = RATES.get(unit.method.name, UNKNOWN)
        if unit.method.name not in RATES:
            unknown[unit.method.name] = None
        trials = 0.0
        for table, _ in unit.searches:
            most, expected = min(unit.n_trials, len(table.loss)), share * len(table.loss)
            n_suggestions += most * unit.n_replays
            trials += expected * (1.0 - math.exp(-most / expected)) * unit.n_replays
        again = AGAIN if unit.shared_fits in made else 1.0
        seconds += per_task * len(unit.training) + again * trials * milliseconds / 1000
        if unit.shared_training is not None and unit.shared_training not in made:
            seconds += TRAINING[0] + TRAINING[1] * len(unit.training)
        made |= {shared for shared in (unit.shared_training, unit.shared_fits) if shared is not None}
    seconds = seconds / max(1, n_jobs) + WRITING * n_written
    return Cost(len(units), sum(kept), n_suggestions, seconds, n_jobs, tuple(unknown))
