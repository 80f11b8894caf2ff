"""An estimate of the hours that a build takes, from the seconds in the shipped meta-datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from metahpo.building.plan import Plan, PlannedTask
from metahpo.datasets.cache import read_sidecar, task_modality
from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.recommendation.shipped import shipped_name
from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates.cost import CostModel
from metahpo.tasks.target import TaskKind
from metahpo.tasks.task import Modality


@dataclass(frozen=True)
class BuildEstimate:
    """Expected work of a plan.

    Attributes
    ----------
    hours : float
        Hours of one worker for the trials that are planned so far. Repeats for reliability may be added later.
    unknown : tuple of str
        Learners without recorded seconds. Their work is not counted.
    """

    hours: float
    unknown: tuple[str, ...]

    def __str__(self) -> str:
        text = f"about {self.hours:.1f} hours of work for one worker, by the seconds of the shipped experience"
        return text + (f"; not counted: {', '.join(self.unknown)}" if self.unknown else "")


def estimate(plan: Plan) -> BuildEstimate:
    """Expected hours of all fits of a plan's first round, on the machine that recorded the shipped experience."""
    seconds, unknown = 0.0, set()
    for task in plan.tasks:
        sidecar = read_sidecar(plan.cache, task.dataset)
        for learner in plan.learners:
            model, encoder = _experience(task.kind, task_modality(sidecar), learner)
            if model is None or encoder is None:
                unknown.add(learner)
                continue
            try:
                rows = encoder.encode(list(plan.design(learner, task)))
            except (KeyError, ValueError):  # the shipped space of the learner is another one
                unknown.add(learner)
                continue
            one_fit = np.exp(model.of_size(*_size(task, sidecar)).expected(rows))
            seconds += task.fits * plan.n_repeats(learner, task) * float(one_fit.sum())
    return BuildEstimate(seconds / 3600.0, tuple(sorted(unknown)))


def _size(task: PlannedTask, sidecar: Mapping[str, object]) -> tuple[int, int, int]:
    rows, columns, classes = (int(str(sidecar.get(name) or 0)) for name in ("n_rows", "n_features", "n_classes"))
    return task.size or rows, columns, classes


@cache
def _experience(kind: TaskKind, modality: Modality, learner: str) -> tuple[CostModel | None, SpaceEncoder | None]:
    try:
        md = MetaDataset.load(release.shipped_folder(shipped_name(kind, modality, learner)))
    except LookupError:
        return None, None
    if learner not in md.spaces:
        return None, None
    return CostModel.of(md, learner), md.encoder(learner)
