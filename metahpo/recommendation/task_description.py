"""A task as a recommendation sees it: its meta-features, and how far it lies from the experience."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from metahpo.metafeatures.extraction import extract
from metahpo.recommendation.experience import Experience
from metahpo.recommendation.leaks import leaking_columns, numbering_columns
from metahpo.recommendation.novelty import UNFAMILIAR
from metahpo.surrogates.cost import SIZE_COLUMNS
from metahpo.tasks.row_sketch import rows_in_common
from metahpo.tasks.task import Task


@dataclass(frozen=True)
class Description:
    """A task and its meta-features.

    Attributes
    ----------
    task : Task
    meta_features : dict of str to float
    novelty : float
        In [0, 1]; NaN where it is not known.
    distance : float
        To the nearest recorded task by meta-features; NaN where it is not known.
    lacking : tuple of str
        Groups of meta-features that the experience has and that cannot be computed here.
    notes : tuple of str
        What the user should know about the data.
    """

    task: Task
    meta_features: Mapping[str, float] = field(repr=False)
    novelty: float
    distance: float
    lacking: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, task: Task, experience: Experience, random_state: int) -> Description:
        """Describe a task, with the meta-features that the experience has."""
        others, lacking = experience.other_meta_features
        features = extract(task, random_state, others).values
        familiarity = experience.familiarity
        novelty = distance = float("nan")
        if familiarity is not None:
            novelty, distance = familiarity.novelty(features), familiarity.distance(features)
        notes = (*notes_on_data(task, random_state), *_beyond(task, experience))
        return cls(task, features, novelty, distance, tuple(lacking), notes)

    @property
    def usable(self) -> Mapping[str, float] | None:
        """The meta-features; None where the task is so unfamiliar that they would mislead."""
        return usable(self.meta_features, self.novelty)


def usable(meta_features: Mapping[str, float], novelty: float) -> Mapping[str, float] | None:
    """Meta-features of a task of that novelty, or None where it is so unfamiliar that they would mislead."""
    return None if novelty > UNFAMILIAR else meta_features


def recorded_as(task: Task, experience: Experience, random_state: int = 0) -> dict[str, float]:
    """Recorded tasks that hold rows of this very dataset -> share of their rows that is found again, 1 for all."""
    tasks = experience.meta_dataset.tasks
    found: dict[str, float] = {}
    if "row_sketch" in tasks.columns:
        sketches = {
            str(name): np.asarray(s) for name, s in tasks["row_sketch"].items() if isinstance(s, np.ndarray | list)
        }
        found |= rows_in_common(task, sketches, random_state)
    sizes = [tasks[column] for column in ("n_rows", "n_rows_of_dataset") if column in tasks]
    may_be_equal = not sizes or any((rows == task.n_rows).any() for rows in sizes)
    if "fingerprint" in tasks.columns and may_be_equal:  # a fingerprint reads all rows
        found |= {str(name): 1.0 for name in tasks.index[tasks["fingerprint"] == task.fingerprint]}
    return found


def notes_on_data(task: Task, random_state: int = 0) -> list[str]:
    """How the data were treated, and which columns look like a mistake."""
    leaking = leaking_columns(task, random_state)
    numbering = [name for name in numbering_columns(task) if name not in leaking]
    return [
        *task.treatments,
        *(f"column {name!r} tells y exactly: drop it if it is not known before y is" for name in leaking),
        *(f"column {name!r} numbers the rows: drop it if that says nothing of y" for name in numbering),
    ]


def _beyond(task: Task, experience: Experience) -> list[str]:
    """A note where the task is larger than all recorded ones, so that seconds are extrapolated."""
    recorded = experience.meta_dataset.tasks
    own = {"n_rows": task.n_rows, "n_features": task.X.shape[1], "n_classes": len(task.classes)}
    largest = {column: recorded[column].max() for column in SIZE_COLUMNS if column in recorded}
    beyond = [
        f"{column} is {own[column]}, at most {most:.0f} was recorded"
        for column, most in largest.items()
        if own[column] > most
    ]
    return [f"expected_train_seconds is extrapolated, and may be far too low: {'; '.join(beyond)}"] if beyond else []
