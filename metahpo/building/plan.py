"""What a build owes: the design of trials minus those that are in the store."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from metahpo.building.measurement import Protocol
from metahpo.building.shard import WHOLE, Shard
from metahpo.exceptions import DataError, StoreError
from metahpo.learners.registry import CLASSICAL, learner_named
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.design import sobol_design
from metahpo.tasks.cache import read_sidecar, read_sidecars, task_kind
from metahpo.tasks.files import write_json_file
from metahpo.tasks.task import KINDS, TaskKind
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
    """The design of a build: the same Sobol configurations of a learner on every task, the default first.

    A task may have more of its own: see :mod:`metahpo.recommendation.adaptive_design`.

    Attributes
    ----------
    cache : str
        Folder of the dataset cache.
    tasks : tuple of PlannedTask
    learners : tuple of str
    n_configurations : int
        Of each learner on each task.
    protocol : Protocol
    adaptive : dict
        Task -> learner -> configurations beyond the shared ones, which the task's own trials have suggested.
    """

    cache: str
    tasks: tuple[PlannedTask, ...]
    learners: tuple[str, ...]
    n_configurations: int
    protocol: Protocol
    adaptive: Mapping[str, Mapping[str, Sequence[Configuration]]] = field(default_factory=dict)

    @property
    def n_trials(self) -> int:
        """Number of trials of the design."""
        return sum(len(self.design(learner, task)) for task in self.tasks for learner in self.learners)

    def trials(self) -> Iterator[TrialKey]:
        """All trials of the design, task by task, learner by learner."""
        for task in self.tasks:
            for learner in self.learners:
                for configuration in self.design(learner, task):
                    yield TrialKey(task.key, learner, configuration, self.protocol.name, self.protocol.seed)

    def owed(self, recorded: Container[str], shard: Shard = WHOLE) -> Iterator[TrialKey]:
        """Trials of a share of the design that are not recorded yet, one after the other: a plan may have millions."""
        for key in self.trials():
            identity = key.identity
            if identity not in recorded and shard.owns(identity):
                yield key

    def design(self, learner: str, task: PlannedTask) -> Sequence[Configuration]:
        """Configurations of a learner on a task; one object for all tasks that share them."""
        shared = _shared_design(learner, task.kind, self.n_configurations, self.protocol.seed)
        more = self.adaptive.get(task.key, {}).get(learner, ())
        if not more:
            return shared
        # A larger shared design may have come upon the same configuration.
        return tuple({to_json(configuration): configuration for configuration in (*shared, *more)}.values())

    @property
    def trained_together(self) -> frozenset[str]:
        """Learners that train the trials of a batch at once."""
        kinds = {task.kind for task in self.tasks}
        return frozenset(n for n in self.learners if all(learner_named(n, kind).lanes for kind in kinds))

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
            return cls(record["cache"], tasks, learners, record["n_configurations"], protocol, adaptive)
        except OSError as error:
            raise StoreError(
                f"{str(path.parent)!r} is not the folder of a build ({error}); start one with `metahpo build`."
            ) from None
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the plan {str(path)!r} is damaged ({error!r}); start the same `metahpo build` again to write it anew."
            ) from error


def make_plan(
    cache: Path | str,
    *,
    keys: Sequence[str] | None = None,
    learners: Sequence[str] | None = None,
    n_configurations: int = 32,
    protocol: Protocol | None = None,
    min_rows: int = 120,
    max_features: int = 100,
    max_classes: int = 10,
    max_per_family: int = 3,
    exclude_families: Sequence[str] = (),
) -> Plan:
    """Plan a build over a dataset cache.

    Parameters
    ----------
    cache : path
        Folder of the dataset cache.
    keys : sequence of str, default=None
        Datasets by key, whatever their size, images and texts among them; None takes every tabular dataset within the
        limits below, but for those whose sidecar is damaged.
    learners : sequence of str, default=None
        Names of learners; None takes linear, svm, random_forest and boosting.
    n_configurations : int, default=32
        Configurations of each learner on each task.
    protocol : Protocol, default=None
        How trials are measured.
    min_rows, max_features, max_classes, max_per_family : int
        Limits on the datasets taken; of a family the smallest are kept, so that no origin outweighs the rest.
    exclude_families : sequence of str, default=()
        Families to leave out, to judge by later.

    Raises
    ------
    UnknownNameError
        An unknown learner.
    StoreError
        An unknown key or folder.
    DataError
        No dataset of the cache is within the limits.
    """
    names = tuple(learners or CLASSICAL)
    chosen: list[PlannedTask] = []
    of_family: dict[str, int] = {}
    sidecars = read_sidecars(cache)[0] if keys is None else {key: read_sidecar(cache, key) for key in keys}
    order = sorted(sidecars, key=lambda k: (_cost(sidecars[k]), k))
    for key in order:
        sidecar = sidecars[key]
        kind = task_kind(sidecar)
        passed_over = keys is None and sidecar["kind"] not in KINDS
        if kind is None or passed_over or sidecar.get("family") in exclude_families:
            continue
        family = str(sidecar.get("family") or key)
        unfit = (
            (sidecar.get("n_rows") or min_rows) < min_rows
            or (sidecar.get("n_features") or 0) > max_features
            or (sidecar.get("n_classes") or 0) > max_classes
            or of_family.get(family, 0) >= max_per_family
        )
        if keys is None and unfit:
            continue
        of_family[family] = of_family.get(family, 0) + 1
        chosen.append(PlannedTask(key, kind, _cost(sidecar)))
    if not chosen:
        raise DataError(
            f"none of the {len(sidecars)} datasets in {str(cache)!r} is tabular and within the limits "
            f"({min_rows} rows and more, at most {max_features} features and {max_classes} classes)."
        )
    for task in chosen:
        for name in names:
            learner_named(name, task.kind)
    return Plan(str(Path(cache).absolute()), tuple(chosen), names, n_configurations, protocol or Protocol())


@lru_cache(maxsize=64)
def _shared_design(learner: str, kind: TaskKind, n_configurations: int, seed: int) -> tuple[Configuration, ...]:
    return tuple(sobol_design(learner_named(learner, kind).space, n_configurations, seed))


def _cost(sidecar: dict[str, object]) -> float:
    """Rough size of the work: rows x columns, times classes where there are any."""
    rows, columns, classes = (float(str(sidecar.get(k) or 1)) for k in ("n_rows", "n_features", "n_classes"))
    return rows * (columns + 10.0) * max(1.0, classes - 1.0)
