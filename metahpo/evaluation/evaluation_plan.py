"""The plan of an evaluation: which methods are replayed on which tasks, and how.

    for each search space, for each fold of task families, for each seed:
        every method learns from the recorded trials of the other folds' tasks,
        then searches each held-out task: it picks, one after the other, among the task's recorded configurations.

No method sees anything of a held-out task but its meta-features and the losses of the configurations it has picked.
The library's default is the first trial of every search, because it is what a user has without any search. A method
that only owes its lead to a good first trial has none then.
"""

from __future__ import annotations

import hashlib
import platform
import shlex
import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs
from scipy.stats import rankdata
from tqdm import tqdm

from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.baselines.catalogue import DEFAULT_METHODS, method_named
from metahpo.evaluation.baselines.sharing import shared_training
from metahpo.evaluation.default_comparison import default_rows
from metahpo.evaluation.duration_estimate import Cost, cost_of
from metahpo.evaluation.histories import HistoryFolder
from metahpo.evaluation.regret import normalised_regret
from metahpo.evaluation.settings import EvaluationSettings
from metahpo.evaluation.unit import Halves, LearnsFromMetaDataset, Unit, UnitResult, carry_out
from metahpo.exceptions import DataError
from metahpo.metadata.families import family_folds
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable, digest_of_tables
from metahpo.processes import check_n_jobs
from metahpo.space.activity import default_configuration
from metahpo.space.cash import to_cash
from metahpo.tasks.scorers import check_scorer, nearest_metric
from metahpo.tasks.target import KINDS

#: What the CASH space over all learners is called.
JOINT = "joint"


@dataclass(frozen=True)
class PlannedSpace:
    """One search space of an evaluation.

    Attributes
    ----------
    name : str
    tables : tuple of TaskTable
    halves : mapping of str to two arrays, or None
    seconds : mapping of str to ndarray
        Recorded seconds of each trial, by task.
    digest : str
        Of the tables.
    """

    name: str
    tables: tuple[TaskTable, ...]
    halves: Mapping[str, Halves] | None
    seconds: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, eq=False)
class Plan:
    """An evaluation before it starts.

    Attributes
    ----------
    md : MetaDataset
    settings : EvaluationSettings
        Its metric is the recorded one.
    methods : tuple of Method
    spaces : tuple of PlannedSpace
    units : tuple of Unit
    n_jobs : int
        Processes.
    notes : tuple of str
    folder : HistoryFolder or None
    """

    md: MetaDataset
    settings: EvaluationSettings
    methods: tuple[Method, ...]
    spaces: tuple[PlannedSpace, ...]
    units: tuple[Unit, ...]
    n_jobs: int
    notes: tuple[str, ...] = ()
    folder: HistoryFolder | None = None

    @property
    def metric(self) -> str:
        """The metric whose losses are replayed."""
        return self.md.metric(self.settings.metric)

    def cost(self) -> Cost:
        """What is left to be done."""
        written = sum(len(space.tables) for space in self.spaces) if self.settings.understand else 0
        return cost_of(self.units, [self._kept(unit) is not None for unit in self.units], self.n_jobs, written)

    def run(self) -> list[UnitResult]:
        """Carry out what is not kept, in parallel; results in the order of the units."""
        kept = [self._kept(unit) for unit in self.units]
        todo = [i for i, found in enumerate(kept) if found is None]
        groups = self.jobs(todo)
        work = Parallel(n_jobs=self.n_jobs, return_as="generator")(
            delayed(_carry_out_together)([(self.units[i], self._digest(self.units[i])) for i in group], self.folder)
            for group in groups
        )
        with tqdm(total=len(todo), desc="evaluate", disable=None) as bar:
            for group, results in zip(groups, work, strict=True):
                for i, result in zip(group, results, strict=True):
                    kept[i] = result
                bar.update(len(group))
        return [result for result in kept if result is not None]

    def jobs(self, wanted: Sequence[int]) -> list[list[int]]:
        """Indices of units that one process carries out: those that share a training or fits, and the others alone."""
        groups: dict[Hashable, list[int]] = {}
        for i in wanted:
            unit = self.units[i]
            groups.setdefault(unit.shared_training or unit.shared_fits or i, []).append(i)
        return list(groups.values())

    def _kept(self, unit: Unit) -> UnitResult | None:
        return None if self.folder is None else self.folder.find(unit, self._digest(unit))

    def _digest(self, unit: Unit) -> str:
        return next(space.digest for space in self.spaces if space.name == unit.space)


def _carry_out_together(units: Sequence[tuple[Unit, str]], folder: HistoryFolder | None) -> list[UnitResult]:
    """Results of units with the digests of their tables; each is kept as soon as it is there."""
    results = []
    with shared_training():
        for unit, digest in units:
            results.append(carry_out(unit))
            if folder is not None:
                folder.keep(unit, digest, results[-1])
    return results


@dataclass(frozen=True)
class Provenance:
    """Provenance of the numbers of a report.

    Attributes
    ----------
    meta_dataset, checksum : str
        Name and version, and the digest of the trials that were replayed.
    command : str
        What started the evaluation.
    versions : dict of str to str
    date : str
        Universal time.
    machine : str
    seconds : float
        Wall-clock seconds.
    """

    meta_dataset: str
    checksum: str
    command: str
    versions: Mapping[str, str] = field(default_factory=dict)
    date: str = ""
    machine: str = ""
    seconds: float = 0.0

    @classmethod
    def of(cls, plan: Plan, seconds: float) -> Provenance:
        """Of an evaluation that ends now."""
        names = ("metahpo", "numpy", "scipy", "pandas", "scikit-learn", "torch")
        versions = {"python": platform.python_version(), **{name: version(name) for name in names}}
        command = shlex.join([sys.argv[0].rsplit("/", 1)[-1], *sys.argv[1:]]) if sys.argv and sys.argv[0] else ""
        checksum = hashlib.sha256("".join(space.digest for space in plan.spaces).encode()).hexdigest()[:16]
        machine = f"{platform.system()} {platform.machine()}, {plan.n_jobs} of {effective_n_jobs(-1)} processors"
        date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        return cls(f"{plan.md.name} {plan.md.version}", checksum, command, versions, date, machine, seconds)

    def to_frame(self) -> pd.DataFrame:
        """Two columns: what, and its value."""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        rows = [
            ("meta-dataset", self.meta_dataset),
            ("checksum of the replayed trials", self.checksum),
            ("command", self.command),
            ("versions", versions),
            ("date", self.date),
            ("machine", self.machine),
            ("time", f"{self.seconds:.0f} seconds"),
        ]
        return pd.DataFrame(rows, columns=["what", "value"])


def make_plan(
    md: MetaDataset,
    methods: Sequence[str | Method] | None = None,
    settings: EvaluationSettings | None = None,
    *,
    n_jobs: int | None = None,
    folder: Path | str | None = None,
) -> Plan:
    """Check what is asked for, and plan it: see :func:`metahpo.evaluate` for the parameters and what is raised."""
    check_n_jobs(n_jobs)
    settings = settings or EvaluationSettings()
    if not isinstance(settings, EvaluationSettings):
        raise DataError(f"settings must be EvaluationSettings, but are {settings!r}; give single ones by name.")
    wanted = list(md.spaces) if settings.spaces is None else list(settings.spaces)
    asked, metric = settings.metric, _recorded_metric(md, settings.metric)
    settings = settings.but(metric=metric)
    random_state, default_first = settings.random_state, settings.default_first
    defaults = {space: _default_rows(md, space) for space in wanted}
    chosen = _methods(methods, wanted, defaults, default_first)
    if settings.n_folds == "family":
        n_folds_made = int(md.tasks["family"].nunique())
        if n_folds_made < 2:
            raise DataError(f"leaving families out needs two families at least, but {md.name!r} has one.")
    else:
        n_folds_made = settings.n_folds
    sides = family_folds(md.tasks["family"], n_folds_made, random_state)
    held_out_tasks = [set(md.tasks.index[held_out]) for _, held_out in sides]
    notes = (
        [f"{asked!r} was not recorded: the nearest, {metric!r}, stands for it"] if asked not in (None, metric) else []
    )
    if default_first and not any(rows for learners in defaults.values() for rows in learners.values()):
        notes.append(f"{md.name} records no defaults, so that no search begins with one")
    units: list[Unit] = []
    planned = []
    for space in wanted:
        label = label_of_space(space)
        halves = md.half_losses(space, metric) if settings.honest else None
        tables = _replayable(md.tables(space, metric), halves, label, notes)
        lacking = [table.task for table in tables if not any(table.task in rows for rows in defaults[space].values())]
        if default_first and lacking and len(lacking) < len(tables):
            named = ", ".join(lacking[:5]) + (", ..." if len(lacking) > 5 else "")
            notes.append(f"space {label}: {len(lacking)} tasks lack the default and are searched without it: {named}")
        before = len(units)
        for fold, names in enumerate(held_out_tasks):
            training = tuple(table for table in tables if table.task not in names)
            held_out = tuple(table for table in tables if table.task in names)
            if not (training and held_out):
                continue
            rows = _best_default(defaults[space], training)
            own = {table.task: rows[table.task] for table in held_out if table.task in rows}
            own_halves = None if halves is None else {table.task: halves[table.task] for table in held_out}
            source = None
            if any(isinstance(method, LearnsFromMetaDataset) for method in chosen):
                source = (md.drop(tasks=[task for task in map(str, md.tasks.index) if task in names]), metric)
            units += [
                Unit(
                    label, fold, random_state + k, method, training, held_out, settings.n_trials, own, default_first,
                    replays_of(method, settings.n_seeds), own_halves,
                    source if isinstance(method, LearnsFromMetaDataset) else None,
                )
                for method in chosen
                for k in range(settings.n_seeds)
            ]  # fmt: skip
        if len(units) == before:
            raise DataError(
                f"space {label!r} needs tasks of two families at least whose losses differ; append some, or leave it "
                "out."
            )
        shown = f"folds.{metric}" in md.trials and any(isinstance(method, LearnsFromMetaDataset) for method in chosen)
        fits = md.fold_losses(space, metric).values() if shown else ()
        planned.append(PlannedSpace(label, tuple(tables), halves, md.seconds(space), digest_of_tables(tables, fits)))
    kept_in = None if folder is None else HistoryFolder(folder)
    return Plan(md, settings, tuple(chosen), tuple(planned), tuple(units), _processes(n_jobs), tuple(notes), kept_in)


def replays_of(method: Method, n_seeds: int) -> int:
    """Replays of each task with one of `n_seeds` seeds: over all of them no fewer than the method asks for."""
    return -(-method.n_replays // n_seeds)


def label_of_space(space: str | None) -> str:
    """Name of a space in tables."""
    return JOINT if space is None else space


def _methods(
    methods: Sequence[str | Method] | None,
    spaces: Sequence[str | None],
    defaults: Mapping[str | None, Mapping[str, Mapping[str, int]]],
    default_first: bool,
) -> list[Method]:
    if methods is None:
        # Where every search begins with the default, the default and then chance is what random search does.
        first = all(set(defaults[space][space].values()) == {0} for space in spaces if space is not None)
        methods = [name for name in DEFAULT_METHODS if name != "default" or (first and not default_first)]
    chosen = [method_named(method) if isinstance(method, str) else method for method in methods]
    for method in chosen:
        name, n_replays = getattr(method, "name", None), getattr(method, "n_replays", None)
        if not isinstance(name, str) or not name or not isinstance(n_replays, int) or n_replays < 1:
            raise DataError(
                f"a method needs a name, a text, and n_replays, a number of at least 1, but {method!r} has "
                f"{name!r} and {n_replays!r}."
            )
        if not callable(getattr(method, "learn", None)):
            raise DataError(f"the method {name!r} has no function `learn`; see Method.")
    names = [method.name for method in chosen]
    if not names or len(set(names)) < len(names):
        raise DataError(f"methods must be at least one and differ in name, but are {names}.")
    return chosen


def _processes(n_jobs: int | None) -> int:
    """Processes that joblib would take; None: what ``joblib.parallel_config`` says, or 1."""
    asked: Any = n_jobs
    return int(effective_n_jobs(asked))


def _recorded_metric(md: MetaDataset, metric: str | None) -> str:
    """The metric where it was recorded, else the recorded one that is nearest to it."""
    kinds = [kind for kind in KINDS if kind in set(md.tasks["kind"])]
    if metric is None or metric in md.metrics or not kinds:
        return md.metric(metric)
    check_scorer(metric, kinds[0])
    return nearest_metric(metric, kinds[0], md.metrics)[0]


def _replayable(
    tables: Sequence[TaskTable], halves: Mapping[str, Halves] | None, space: str, notes: list[str]
) -> list[TaskTable]:
    """Tables on which regret is defined, read-only; the others are noted."""
    kept = []
    for table in tables:
        try:
            for losses in (table.loss, *(halves[table.task] if halves else ())):
                normalised_regret(losses)
        except DataError as error:
            notes.append(f"space {space}: task {table.task} is left out: {error}")
        else:
            table.X.flags.writeable = table.loss.flags.writeable = False
            kept.append(table)
    return kept


def _default_rows(md: MetaDataset, space: str | None) -> dict[str, dict[str, int]]:
    """Row of each learner's default in each task's table, by learner; a single learner where a space is named."""
    if space is not None:
        return {space: default_rows(md, space)}
    encoder, tables = md.encoder(None), md.tables(None)
    rows: dict[str, dict[str, int]] = {}
    for learner, own in md.spaces.items():
        default = encoder.encode([to_cash(learner, default_configuration(own))])
        found = {table.task: np.flatnonzero((default == table.X).all(axis=1)) for table in tables}
        rows[learner] = {task: int(where[0]) for task, where in found.items() if len(where)}
    return rows


def _best_default(by_learner: Mapping[str, Mapping[str, int]], training: Sequence[TaskTable]) -> Mapping[str, int]:
    """Default of the learner whose default ranks best on the training tasks that have all of them."""
    if len(by_learner) == 1:
        return next(iter(by_learner.values()))
    whole = [table for table in training if all(table.task in rows for rows in by_learner.values())]
    if not whole:
        return max(by_learner.values(), key=len)
    losses = [[table.loss[rows[table.task]] for rows in by_learner.values()] for table in whole]
    ranks = rankdata(np.nan_to_num(np.array(losses), nan=np.inf), axis=1).mean(axis=0)
    return list(by_learner.values())[int(ranks.argmin())]
