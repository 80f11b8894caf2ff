"""The plan of a build. Its pending trials are those of the design that are not in the store."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from metahpo.building.protocol import Protocol, task_key
from metahpo.building.shard import WHOLE, Shard
from metahpo.datasets.files import write_json_file
from metahpo.exceptions import StoreError
from metahpo.space.configuration import Configuration, to_json
from metahpo.tasks.target import TaskKind
from metahpo.trials.trial import TrialKey

T = TypeVar("T")

#: File of a plan in the folder of its build.
PLAN_FILE = "plan.json"


#: Version of the plan file. Version 1 had one task a dataset and one repeat.
PLAN_VERSION = 2


@dataclass(frozen=True)
class PlannedTask:
    """One dataset at one size.

    Attributes
    ----------
    dataset : str
        Key of the dataset in the cache.
    kind : {"classification", "regression"}
    cost : float
        Rows x columns x classes. It orders the plan, cheap tasks first.
    size : int or None
        Rows to train on; None takes the dataset as it is.
    fits : int
        Fits that one repeat makes.
    """

    dataset: str
    kind: TaskKind
    cost: float
    size: int | None = None
    fits: int = 1

    @property
    def key(self) -> str:
        """Identity of the task: see :func:`metahpo.building.protocol.task_key`."""
        return task_key(self.dataset, self.size)


class OtherProtocolError(StoreError):
    """The build has another measurement protocol, so its trials cannot be compared with new ones."""


@dataclass(frozen=True)
class Plan:
    """The design of a build: the same configurations of a learner on every task.

    The plan stores its configurations, so that pending trials stay the same if a later version draws others. A
    task may have more of its own: see :mod:`metahpo.workflows.adaptive_design`.

    Attributes
    ----------
    cache : str
        Folder of the dataset cache.
    tasks : tuple of PlannedTask
    learners : tuple of str
    designs : dict
        Kind of task -> learner -> configurations that all tasks of the kind share.
    protocol : Protocol
    adaptive : dict
        Task -> learner -> configurations beyond the shared ones, which the task's own trials have suggested.
    repeats : dict
        Task -> learner -> repeats of every configuration, where they are more than one.
    not_repeated : dict
        Task -> learner -> places in the shared design of configurations that failed in the first repeat.
    opened : int or None
        Number of tasks, from the first on, that may be run so far. None: all.
    """

    cache: str
    tasks: tuple[PlannedTask, ...]
    learners: tuple[str, ...]
    designs: Mapping[TaskKind, Mapping[str, Sequence[Configuration]]]
    protocol: Protocol
    adaptive: Mapping[str, Mapping[str, Sequence[Configuration]]] = field(default_factory=dict)
    repeats: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    not_repeated: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    opened: int | None = None

    @property
    def n_trials(self) -> int:
        """Number of trials of the design."""
        return sum(self.n_trials_of(learner, task) for task in self.tasks for learner in self.learners)

    def trials(
        self, tasks: Sequence[PlannedTask] | None = None, learners: Sequence[str] | None = None
    ) -> Iterator[TrialKey]:
        """Trials of the design, for all tasks and learners or some.

        They are ordered by task, then learner, then repeat.
        """
        for task in self.tasks if tasks is None else tasks:
            for learner in self.learners if learners is None else learners:
                design = self.design(learner, task)
                left_out = set(self.not_repeated.get(task.key, {}).get(learner, ()))
                for repeat in range(self.n_repeats(learner, task)):
                    for place, configuration in enumerate(design):
                        if not repeat or place not in left_out:
                            yield TrialKey(task.key, learner, configuration, self.protocol.name, repeat)

    def pending(
        self, recorded: Container[str], shard: Shard = WHOLE, tasks: Sequence[PlannedTask] | None = None
    ) -> Iterator[TrialKey]:
        """Iterate over the trials of a share of the design that are not recorded yet.

        The trials are those of `tasks`, or of the opened tasks if `tasks` is None. A plan can have millions of trials.
        """
        for key in self.trials(self.tasks[: self.opened] if tasks is None else tasks):
            identity = key.identity
            if identity not in recorded and shard.owns(identity):
                yield key

    def complete_learners(self, recorded: Container[str], task: PlannedTask) -> tuple[str, ...]:
        """The learners whose trials on a task are all recorded."""

        def is_complete(learner: str) -> bool:
            return all(key.identity in recorded for key in self.trials([task], [learner]))

        return tuple(filter(is_complete, self.learners))

    def design(self, learner: str, task: PlannedTask) -> Sequence[Configuration]:
        """Configurations of a learner on a task. Tasks with the same configurations share one object."""
        shared = self.designs[task.kind][learner]
        more = self.adaptive.get(task.key, {}).get(learner, ())
        if not more:
            return shared
        # A larger shared design may contain the same configuration.
        return tuple({to_json(configuration): configuration for configuration in (*shared, *more)}.values())

    def n_trials_of(self, learner: str, task: PlannedTask) -> int:
        """Number of trials of a learner on a task."""
        n_repeats, left_out = self.n_repeats(learner, task), self.not_repeated.get(task.key, {}).get(learner, ())
        return n_repeats * len(self.design(learner, task)) - (n_repeats - 1) * len(left_out)

    def n_repeats(self, learner: str, task: PlannedTask) -> int:
        """Repeats of every configuration of a learner on a task."""
        return self.repeats.get(task.key, {}).get(learner, 1)

    def with_progress_of(self, earlier: Plan) -> Plan:
        """The plan with what an earlier plan of the same build has added: adaptive configurations and repeats.

        Raises
        ------
        OtherProtocolError
            The earlier plan follows another protocol, or has sizes of a dataset that this one lacks.
        """
        if earlier.protocol.name != self.protocol.name:
            raise OtherProtocolError(
                f"the build was started under protocol {earlier.protocol.name} and {self.protocol.name} is asked for. "
                "Trials of the two are not comparable: use the same options, or another folder."
            )
        datasets, tasks = {task.dataset for task in self.tasks}, {task.key for task in self.tasks}
        lost = [t.key for t in earlier.tasks if t.dataset in datasets and t.key not in tasks]
        if lost:
            raise OtherProtocolError(
                f"the build was started with other sizes: {len(lost)} of its tasks, such as {lost[0]!r}, are not among "
                "those asked for. Name the earlier sizes too, or use another folder."
            )
        return replace(
            self.with_adaptive(earlier.adaptive),
            repeats=_merged(earlier.repeats, self.repeats),
            not_repeated=_merged(earlier.not_repeated, self.not_repeated),
        )

    def with_repeats(
        self, repeats: Mapping[str, Mapping[str, int]], not_repeated: Mapping[str, Mapping[str, Sequence[int]]]
    ) -> Plan:
        """The plan with other numbers of repeats for some tasks and learners: see the attributes."""
        return replace(
            self,
            repeats=_merged(self.repeats, repeats),
            not_repeated=_merged(self.not_repeated, not_repeated),
        )

    def with_adaptive(self, adaptive: Mapping[str, Mapping[str, Sequence[Configuration]]]) -> Plan:
        """The plan with these configurations added. A task that already has adaptive configurations keeps its own."""
        return replace(self, adaptive={**adaptive, **self.adaptive})

    def save(self, path: Path) -> None:
        """Write the plan as JSON, under a temporary name first.

        Raises
        ------
        StoreError
            The folder cannot be written.
        """
        write_json_file(path, {"version": PLAN_VERSION, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read a plan.

        Raises
        ------
        OtherProtocolError
            A plan of another version.
        StoreError
            No plan there, or a damaged one.
        """
        try:
            record = dict(json.loads(path.read_text(encoding="utf-8")))
            if "version" not in record and {"cache", "tasks", "protocol"} <= record.keys():
                raise _EarlierVersionError
            tasks = tuple(PlannedTask(**t) for t in record["tasks"])
            protocol = Protocol(**record["protocol"])
            added = {name: record[name] for name in ("adaptive", "repeats", "not_repeated", "opened")}
            return cls(record["cache"], tasks, tuple(record["learners"]), record["designs"], protocol, **added)
        except _EarlierVersionError:
            raise OtherProtocolError(
                f"the build in {str(path.parent)!r} has a plan of version 1, and this metahpo runs version "
                f"{PLAN_VERSION}: trials of the two are measured differently and cannot stand side by side. "
                "Start a build in another folder."
            ) from None
        except OSError as error:
            raise StoreError(
                f"{str(path.parent)!r} is not the folder of a build ({error}); start one with "
                "`metahpo build run FOLDER --cache DATASETS`."
            ) from None
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the plan {str(path)!r} is damaged ({error!r}); start the same `metahpo build` again to write it anew."
            ) from error


class _EarlierVersionError(Exception):
    """A plan of a version of metahpo whose plans had no version number."""


def _merged(old: Mapping[str, Mapping[str, T]], new: Mapping[str, Mapping[str, T]]) -> dict[str, dict[str, T]]:
    """Union of both, task by task. If both have a learner, the new value is kept."""
    return {task: {**old.get(task, {}), **new.get(task, {})} for task in {**old, **new}}
