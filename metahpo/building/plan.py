"""What a build owes: the design of trials minus those that are in the store."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from metahpo.building.protocol import Protocol
from metahpo.building.shard import WHOLE, Shard
from metahpo.exceptions import StoreError
from metahpo.space.configuration import Configuration, to_json
from metahpo.tasks.files import write_json_file
from metahpo.tasks.target import TaskKind
from metahpo.trials.trial import TrialKey

#: File of a plan in the folder of its build.
PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class PlannedTask:
    """One dataset of a plan; `cost` orders the plan, cheap tasks first (rows x columns x classes)."""

    key: str
    kind: TaskKind
    cost: float


@dataclass(frozen=True)
class Plan:
    """The design of a build: the same configurations of a learner on every task.

    It holds them itself, so that what is owed stays what it was when a later version draws or ranges them otherwise. A
    task may have more of its own: see :mod:`metahpo.recommendation.adaptive_design`.

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
    """

    cache: str
    tasks: tuple[PlannedTask, ...]
    learners: tuple[str, ...]
    designs: Mapping[TaskKind, Mapping[str, Sequence[Configuration]]]
    protocol: Protocol
    adaptive: Mapping[str, Mapping[str, Sequence[Configuration]]] = field(default_factory=dict)

    @property
    def n_trials(self) -> int:
        """Number of trials of the design."""
        return sum(len(self.design(learner, task)) for task in self.tasks for learner in self.learners)

    def trials(self, tasks: Sequence[PlannedTask] | None = None) -> Iterator[TrialKey]:
        """All trials of the design, task by task, learner by learner; of some tasks where they are given."""
        for task in self.tasks if tasks is None else tasks:
            for learner in self.learners:
                for configuration in self.design(learner, task):
                    yield TrialKey(task.key, learner, configuration, self.protocol.name, self.protocol.seed)

    def owed(
        self, recorded: Container[str], shard: Shard = WHOLE, tasks: Sequence[PlannedTask] | None = None
    ) -> Iterator[TrialKey]:
        """Trials of a share of the design that are not recorded yet, one after the other: a plan may have millions."""
        for key in self.trials(tasks):
            identity = key.identity
            if identity not in recorded and shard.owns(identity):
                yield key

    def design(self, learner: str, task: PlannedTask) -> Sequence[Configuration]:
        """Configurations of a learner on a task; one object for all tasks that share them."""
        shared = self.designs[task.kind][learner]
        more = self.adaptive.get(task.key, {}).get(learner, ())
        if not more:
            return shared
        # A larger shared design may have come upon the same configuration.
        return tuple({to_json(configuration): configuration for configuration in (*shared, *more)}.values())

    def with_adaptive(self, adaptive: Mapping[str, Mapping[str, Sequence[Configuration]]]) -> Plan:
        """The plan with these configurations too; a task that has some keeps them."""
        return replace(self, adaptive={**adaptive, **self.adaptive})

    def save(self, path: Path) -> None:
        """Write the plan as JSON, under a temporary name first.

        Raises
        ------
        StoreError
            The folder cannot be written.
        """
        write_json_file(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read a plan.

        Raises
        ------
        StoreError
            No plan there, or a damaged one.
        """
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            tasks = tuple(PlannedTask(**t) for t in record["tasks"])
            protocol = Protocol(**record["protocol"])
            learners, adaptive = tuple(record["learners"]), record.get("adaptive", {})
            return cls(record["cache"], tasks, learners, record["designs"], protocol, adaptive)
        except OSError as error:
            raise StoreError(
                f"{str(path.parent)!r} is not the folder of a build ({error}); start one with `metahpo build`."
            ) from None
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the plan {str(path)!r} is damaged ({error!r}); start the same `metahpo build` again to write it anew."
            ) from error
