"""The evaluation protocol: cross-validation over task families, every method replayed on every held-out task.

    for each search space, for each fold of task families:
        every method learns from the recorded trials of the other folds' tasks,
        then searches each held-out task: it picks, one after the other, among the task's recorded configurations.

No method sees anything of a held-out task but its meta-features and the losses of the configurations it has picked.

Honest regret: a held-out task is replayed twice. Each time the losses of one half of the fits are told, and choose the
incumbent, and those of the other half judge it. The best of many configurations then earns nothing by luck.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from tqdm import tqdm

from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.baselines.catalogue import DEFAULT_METHODS, method_named
from metahpo.evaluation.default_comparison import compare_with_default, default_rows
from metahpo.evaluation.predictive_calibration import ScorePredictor, interval_coverage
from metahpo.evaluation.regret import normalised_regret
from metahpo.evaluation.replay import Replay, mean_replay, replay
from metahpo.evaluation.report_text import Settings
from metahpo.evaluation.result import EvaluationReport
from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.tasks.scorers import check_scorer, nearest_metric
from metahpo.tasks.target import KINDS


@dataclass(frozen=True)
class Assignment:
    """One unit of work: a method learns in one fold of one space and is replayed on the fold's held-out tasks.

    `halves` are the losses of each held-out task by two halves of its fits; None where all fits tell and judge.
    """

    space: str
    method: Method
    training: list[TaskTable]
    held_out: list[TaskTable]
    halves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]] | None = None


@dataclass(frozen=True)
class Outcome:
    """What an assignment gave: one replay a held-out task, and what its intervals cover there, if it has any."""

    assignment: Assignment
    replays: list[Replay]
    coverage: list[pd.DataFrame]
    learn_seconds: float


@own_arithmetic()
def evaluate(
    md: MetaDataset,
    methods: Sequence[str | Method] | None = None,
    n_trials: int = 50,
    spaces: Sequence[str | None] | None = None,
    metric: str | None = None,
    n_folds: int = 5,
    random_state: int = 0,
    n_jobs: int | None = None,
    honest: bool = False,
) -> EvaluationReport:
    """Measure methods on tasks held out of training.

    Parameters
    ----------
    md : MetaDataset
    methods : sequence of str or Method, default=None
        Names that :func:`~metahpo.evaluation.baselines.catalogue.method_named` finds, or objects that fulfil
        :class:`~metahpo.evaluation.baselines.baseline.Method`. The first is the reference of comparisons. None: the
        quick ones, :data:`~metahpo.evaluation.baselines.catalogue.DEFAULT_METHODS` (`default` only where defaults were
        recorded).
    n_trials : int, default=50
        Trials of each search. A task with fewer recorded configurations is searched to its end.
    spaces : sequence of str or None, default=None
        Search spaces to evaluate in, each on its own; None among them is the CASH space over all learners. None: every
        learner's space.
    metric : str, default=None
        None: the default metric of the meta-dataset. Where the scorer was not recorded, the nearest metric stands for
        it, and a note says which.
    n_folds : int, default=5
        Folds of task families.
    random_state : int, default=0
        Decides the folds and every random pick; the same number gives the same regrets whatever `n_jobs` is.
    n_jobs : int, default=None
        Processes (joblib), one a (space, fold, method). None: 1, or what ``joblib.parallel_config`` says.
    honest : bool, default=False
        Choose configurations by one half of a task's fits and judge them by the other half.

    Returns
    -------
    EvaluationReport

    Raises
    ------
    DataError
        No methods, two of one name, `n_trials` below 1, fewer task families than folds, a space in which no fold has
        tasks both to learn from and to be held out, or `honest` without recorded losses of two fits.
    UnknownNameError
        A method, space or metric that does not exist.
    """
    if n_trials < 1:
        raise DataError(f"n_trials must be at least 1, but is {n_trials}.")
    wanted = list(md.spaces) if spaces is None else list(spaces)
    asked, metric = metric, _recorded_metric(md, metric)
    chosen = _methods(md, methods, wanted)
    held_out_tasks = [set(held_out.tasks.index) for _, held_out in md.folds(n_folds, random_state)]
    notes = (
        [f"{asked!r} was not recorded: the nearest, {metric!r}, stands for it"] if asked not in (None, metric) else []
    )
    assignments: list[Assignment] = []
    for space in wanted:
        halves = md.half_losses(space, metric) if honest else None
        tables = _replayable(md.tables(space, metric), halves, _label(space), notes)
        before = len(assignments)
        for names in held_out_tasks:
            training = [table for table in tables if table.task not in names]
            held_out = [table for table in tables if table.task in names]
            if training and held_out:
                assignments += [Assignment(_label(space), method, training, held_out, halves) for method in chosen]
        if len(assignments) == before:
            raise DataError(
                f"space {_label(space)!r} needs tasks of two families at least; append some, or leave it out."
            )
    work = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(carry_out)(assignment, n_trials, random_state) for assignment in assignments
    )
    outcomes = list(tqdm(work, total=len(assignments), desc="evaluate", disable=None))
    return EvaluationReport(
        regrets=_regrets(outcomes),
        costs=_costs(outcomes),
        settings=Settings(n_trials, n_folds, random_state, metric, {m.name: m.n_replays for m in chosen}, honest),
        notes=tuple(notes),
        against_default=_against_default(md, metric, wanted, outcomes),
        coverage=_coverage(outcomes),
    )


def carry_out(assignment: Assignment, n_trials: int, random_state: int) -> Outcome:
    """Learn, then replay on each held-out task, and see what intervals cover there."""
    started = time.perf_counter()
    policy = assignment.method.learn(assignment.training, assignment.space, random_state)
    learn_seconds = time.perf_counter() - started
    n_replays = assignment.method.n_replays
    replays = []
    for table in assignment.held_out:
        if assignment.halves is None:
            replays.append(replay(policy, table, n_trials, n_replays, random_state))
            continue
        first, second = assignment.halves[table.task]
        replays.append(
            mean_replay(
                replay(policy, replace(table, loss=told), n_trials, n_replays, random_state, judged)
                for told, judged in ((first, second), (second, first))
            )
        )
    coverage = []
    if isinstance(policy, ScorePredictor):
        coverage = [interval_coverage(policy, table, random_state) for table in assignment.held_out]
    return Outcome(assignment, replays, coverage, learn_seconds)


def _label(space: str | None) -> str:
    return "joint" if space is None else space


def _methods(md: MetaDataset, methods: Sequence[str | Method] | None, spaces: Sequence[str | None]) -> list[Method]:
    if methods is None:
        recorded = all(set(default_rows(md, space).values()) == {0} for space in spaces if space is not None)
        methods = [name for name in DEFAULT_METHODS if recorded or name != "default"]
    chosen = [method_named(method) if isinstance(method, str) else method for method in methods]
    names = [method.name for method in chosen]
    if not names or len(set(names)) < len(names):
        raise DataError(f"methods must be at least one and differ in name, but are {names}.")
    return chosen


def _recorded_metric(md: MetaDataset, metric: str | None) -> str:
    """The metric where it was recorded, else the recorded one that is nearest to it."""
    kinds = [kind for kind in KINDS if kind in set(md.tasks["kind"])]
    if metric is None or metric in md.metrics or not kinds:
        return md.metric(metric)
    check_scorer(metric, kinds[0])
    return nearest_metric(metric, kinds[0], md.metrics)[0]


def _replayable(
    tables: Sequence[TaskTable],
    halves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]] | None,
    space: str,
    notes: list[str],
) -> list[TaskTable]:
    """Tables on which regret is defined; the others are noted."""
    kept = []
    for table in tables:
        try:
            for losses in (table.loss, *(halves[table.task] if halves else ())):
                normalised_regret(losses)
        except DataError as error:
            notes.append(f"space {space}: task {table.task} is left out: {error}")
        else:
            kept.append(table)
    return kept


def _regrets(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    trials = range(1, len(outcomes[0].replays[0].regret) + 1)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "space": outcome.assignment.space,
                    "task": table.task,
                    "family": table.family,
                    "method": outcome.assignment.method.name,
                    "trial": trials,
                    "regret": replayed.regret,
                }
            )
            for outcome in outcomes
            for table, replayed in zip(outcome.assignment.held_out, outcome.replays, strict=True)
        ],
        ignore_index=True,
    )


def _coverage(outcomes: Sequence[Outcome]) -> pd.DataFrame | None:
    """What intervals cover on each task; None where no method has intervals of scores."""
    covered = [
        found.assign(
            space=outcome.assignment.space,
            task=table.task,
            family=table.family,
            method=outcome.assignment.method.name,
        )
        for outcome in outcomes
        if outcome.coverage
        for table, found in zip(outcome.assignment.held_out, outcome.coverage, strict=True)
    ]
    columns = ["space", "task", "family", "method", "observations", "log_density", "level", "coverage"]
    return pd.concat(covered, ignore_index=True)[columns] if covered else None


def _costs(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    per_fold = pd.DataFrame(
        {
            "space": outcome.assignment.space,
            "method": outcome.assignment.method.name,
            "learn_seconds": outcome.learn_seconds,
            "suggest_milliseconds": 1000 * sum(r.suggest_seconds for r in outcome.replays) / len(outcome.replays),
        }
        for outcome in outcomes
    )
    return per_fold.groupby(["space", "method"], sort=False).mean().reset_index()


def _against_default(
    md: MetaDataset, metric: str, spaces: Sequence[str | None], outcomes: Sequence[Outcome]
) -> pd.DataFrame | None:
    """First pick of each method against the library default; None where that cannot be told from what was recorded."""
    if not {f"folds.{metric}", f"se.{metric}"} & set(md.trials.columns):
        return None
    rows = []
    for space in spaces:
        if space is None:  # the CASH space has as many defaults as learners
            continue
        errors, defaults = md.standard_errors(space, metric), default_rows(md, space)
        for outcome in outcomes:
            if outcome.assignment.space == space:
                rows += [
                    {
                        "space": space,
                        "task": table.task,
                        "family": table.family,
                        "method": outcome.assignment.method.name,
                        **asdict(
                            compare_with_default(
                                table.loss, errors[table.task], picked.first_picks[0], defaults[table.task]
                            )
                        ),
                    }
                    for table, picked in zip(outcome.assignment.held_out, outcome.replays, strict=True)
                    if table.task in defaults
                ]
    return pd.DataFrame(rows) if rows else None
