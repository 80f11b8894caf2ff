"""Publication of a build as a released meta-dataset, with the tasks that can be learnt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metahpo.building.assembly import Assembly
from metahpo.building.learnability import MIN_SKILL, task_skill
from metahpo.exceptions import DataError
from metahpo.metadata import release
from metahpo.metadata.configuration_numbers import ConfigurationNumbers
from metahpo.metafeatures.others import meta_features_named
from metahpo.processes import check_n_jobs
from metahpo.tasks.target import TaskKind


@dataclass(frozen=True)
class Publication:
    """Result of a release.

    Attributes
    ----------
    name : str
        Of the meta-dataset.
    n_tasks, n_trials : int
    left_out : dict of str to float
        Tasks that no learner can learn -> skill of the best.
    """

    name: str
    n_tasks: int
    n_trials: int
    left_out: dict[str, float]

    def __str__(self) -> str:
        lines = [
            f"left out, because no learner can learn it: {task} (skill {skill:.3f})"
            for task, skill in self.left_out.items()
        ]
        return "\n".join([*lines, f"released {self.name!r}: {self.n_tasks} tasks, {self.n_trials} trials"])


def publish(
    folder: Path | str,
    kind: TaskKind,
    out: Path | str,
    *,
    version: str = "1",
    min_skill: float = MIN_SKILL,
    n_jobs: int = -1,
    meta_features: Sequence[str] = (),
) -> Publication:
    """Write the meta-dataset of the complete tasks of one kind, without tasks that no learner can learn.

    Its name is that of its folder. The trials are read and written task by task: see
    :class:`metahpo.building.assembly.Assembly`.

    Parameters
    ----------
    folder : path
        Folder of a build.
    kind : {"classification", "regression"}
    out : path
        Folder of the meta-dataset. One that is there stays until the new one is whole.
    version : str, default="1"
        Of the meta-dataset.
    min_skill : float, default=0.1
        Least skill of the best learner on a task: see :mod:`metahpo.building.learnability`.
    n_jobs : int, default=-1
        joblib workers for the meta-features.
    meta_features : sequence of str, default=()
        Meta-features of other packages to record too: see
        :func:`metahpo.metafeatures.others.register_meta_features`.

    Raises
    ------
    StoreError
        No build in that folder, or `out` cannot be written.
    DataError
        No task of that kind is complete, or none can be learnt.
    """
    check_n_jobs(n_jobs)
    others = {group: meta_features_named(group) for group in meta_features}
    assembly, out = Assembly(folder, kind), Path(out)
    tasks, features = assembly.describe(n_jobs, others)
    n_classes = dict(zip(map(str, tasks.index), tasks["n_classes"].tolist(), strict=True))
    skills: dict[str, float] = {}
    n_trials = 0

    def learnable() -> Iterator[pd.DataFrame]:
        nonlocal n_trials
        for task, rows in assembly.trials():
            skills[task] = task_skill(rows, kind, n_classes[task])
            if not skills[task] < min_skill:
                n_trials += len(rows)
                yield rows

    def tables() -> Iterator[tuple[str, Iterable[pd.DataFrame]]]:
        numbers = ConfigurationNumbers()
        yield "trials", numbers.numbered(learnable())
        yield "configurations", [numbers.table()]
        kept = [task for task in tasks.index if not skills[task] < min_skill]
        if not kept:
            raise DataError(
                f"nothing is left to release: on none of the {len(tasks)} tasks has a learner a skill of {min_skill}; "
                f"the best is {max(skills.values()):.3f}. Build more trials or tasks, or give a lower --min-skill."
            )
        yield "tasks", [tasks.loc[kept]]
        yield "metafeatures", [features.loc[kept]]

    header = {
        "name": out.name,
        "version": version,
        "protocol": assembly.protocol,
        "metrics": assembly.metrics,
        "spaces": {name: space.to_serialized_dict() for name, space in assembly.spaces.items()},
    }
    release.write(out, header, tables())
    left_out = {task: skill for task, skill in skills.items() if skill < min_skill}
    return Publication(out.name, len(tasks) - len(left_out), n_trials, left_out)
