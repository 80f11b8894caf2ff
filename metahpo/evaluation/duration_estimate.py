"""An estimate of the duration of an evaluation.

The rates were measured once, on one core, with 68 training tasks of 64 configurations. They distinguish minutes from
hours only. The time of other methods is not known before they run. The statement names them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from metahpo.evaluation.baselines.sharing import SharesTraining
from metahpo.evaluation.unit import Unit

#: Seconds to train a surrogate on one task; methods share a training.
TRAINING = 0.2
#: Seconds to learn from one training task, beside a surrogate, and milliseconds of one suggestion.
RATES = {
    "metahpo": (0.0, 3.0),
    "metahpo_blind": (0.0, 3.0),
    "recommended": (0.0, 3.0),
    "recommended_without_meta_features": (0.0, 3.0),
    "recommended_random_meta_features": (0.0, 3.0),
    "recommended_without_risk": (0.0, 3.0),
    "recommended_without_sizes": (0.0, 3.0),
    "portfolio": (0.0, 4.0),
    "constant": (0.0, 4.0),
    "gaussian_process": (0.0, 4.0),
    "nearest_tasks": (0.0, 4.0),
    "default": (0.0, 0.01),
    "random_search": (0.0, 0.01),
}


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
        Suggestions to be made.
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
        return f"{self.n_units} units of work{kept}: {self.n_suggestions} suggestions, {time} on {processes}{more}"


def cost_of(units: Sequence[Unit], kept: Sequence[bool], n_jobs: int) -> Cost:
    """Cost of the units that are not kept."""
    seconds, n_suggestions, unknown = 0.0, 0, dict[str, None]()
    trained: set[Hashable] = set()
    for unit, done in zip(units, kept, strict=True):
        if done:
            continue
        per_task, milliseconds = RATES.get(unit.method.name, (0.0, 0.0))
        if unit.method.name not in RATES:
            unknown[unit.method.name] = None
        trials = sum(min(unit.n_trials, len(table.loss)) for table, _ in unit.searches) * unit.n_replays
        n_suggestions += trials
        seconds += per_task * len(unit.training) + trials * milliseconds / 1000
        if isinstance(unit.method, SharesTraining):
            training = (unit.space, unit.fold, unit.seed, unit.method.training)
            seconds += 0.0 if training in trained else TRAINING * len(unit.training)
            trained.add(training)
    return Cost(len(units), sum(kept), n_suggestions, seconds / max(1, n_jobs), n_jobs, tuple(unknown))
