"""What recommendations were worth on recorded tasks, by how far each lies from the tasks of other families.

Each recorded task is predicted from tasks of other families only, its first recommendation is looked up among its
records, and the change of the error that came true is kept beside the distance of the task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metahpo.recommendation.novelty import Familiarity
from metahpo.surrogates.improvement import ImprovementModel

#: Recorded tasks that a distance is judged by: those whose own distances are nearest to it.
NEIGHBOURS = 30
#: Fewest recorded tasks to judge by.
MIN_TASKS = 12


@dataclass(frozen=True)
class Worth:
    """What first recommendations were worth on recorded tasks that were as far from the others as a task is.

    Attributes
    ----------
    wins, losses : float
        Shares of these tasks on which they were better, and worse, than the default by more than a standard error.
    change : float
        Mean relative reduction of the error.
    standard_error : float
        Of that mean.
    n_tasks : int
    beyond : bool
        Whether no recorded task is as far as this one. The `n_tasks` tasks are then the farthest ones.
    """

    wins: float
    losses: float
    change: float
    standard_error: float
    n_tasks: int
    beyond: bool = False

    @property
    def positive(self) -> bool:
        """Whether recommendations were worth more than the default, by more than a standard error."""
        return self.change > self.standard_error

    def __str__(self) -> str:
        where = (
            f"no recorded task is as unfamiliar as this dataset; on the {self.n_tasks} most unfamiliar ones"
            if self.beyond
            else f"on {self.n_tasks} recorded tasks that are about as unfamiliar as this dataset"
        )
        return (
            f"measured on other datasets: {where}, the best guess of the experience had a smaller error than the "
            f"default in {self.wins:.0%} of cases and a larger one in {self.losses:.0%}; on average its error was "
            f"{abs(100 * self.change):.1f} % {'larger' if self.change < 0.0 else 'smaller'}"
        )


@dataclass(frozen=True, eq=False)
class WorthByNovelty:
    """Recorded tasks with their distances and what came true.

    Attributes
    ----------
    distance, change, standard_error : ndarray of shape (T,)
        In ascending order of the distance.
    """

    distance: NDArray[np.float64]
    change: NDArray[np.float64]
    standard_error: NDArray[np.float64]

    @classmethod
    def of(
        cls, model: ImprovementModel, familiarity: Familiarity, families: Mapping[str, str]
    ) -> WorthByNovelty | None:
        """Predict each task of a model from those of other families; None where there are too few."""
        distances = familiarity.distances_between(families)
        own = np.array([families.get(task, task) for task in model.tasks])
        found = []
        for t, task in enumerate(model.tasks):
            others = own != own[t]
            if task not in distances or not np.isfinite(distances[task]) or not others.any():
                continue
            weights = model.weights_like(t) * others
            weights = weights / weights.sum() if weights.sum() > 0.0 else others / others.sum()
            pick = replace(model.on(), weights=weights).picks(1)[0]
            found.append((distances[task], model.change[t, pick], model.standard_error[t, pick]))
        if len(found) < MIN_TASKS:
            return None
        table = np.array(sorted(found))
        return cls(*table.T)

    def at(self, distance: float) -> Worth:
        """What recommendations were worth at a distance."""
        n = min(NEIGHBOURS, len(self.distance))
        middle = int(np.searchsorted(self.distance, distance))
        first = min(max(0, middle - n // 2), len(self.distance) - n)
        change, noise = self.change[first : first + n], self.standard_error[first : first + n]
        return Worth(
            float((change > noise).mean()),
            float((change < -noise).mean()),
            float(change.mean()),
            float(change.std(ddof=1) / np.sqrt(n)),
            n,
            beyond=bool(distance > self.distance[-1]),
        )
