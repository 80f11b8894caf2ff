"""One unit of an evaluation: a method learns in one fold of one space, and searches the tasks that were held out.

A unit leaves histories: for each held-out task the rows picked, in their order. It depends on nothing but its fields,
so that units run side by side, in any order, and can be kept on disk.

Honest regret needs a task searched twice more, each time with the losses of one half of its fits; the losses of the
other half judge what was chosen.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.evaluation.baselines.baseline import Method, Policy
from metahpo.evaluation.baselines.sharing import SharesFits, SharesTraining, seconds_saved
from metahpo.evaluation.predictive_calibration import ScorePredictor, interval_coverage
from metahpo.evaluation.replay import search, suggestion, task_seed
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.arithmetic import own_arithmetic

#: Whose losses a search is told: those of all fits, or of one half.
Told = Literal["all", "even", "odd"]
Halves = tuple[NDArray[np.float64], NDArray[np.float64]]


@runtime_checkable
class LearnsFromMetaDataset(Protocol):
    """A method that needs more than tables to learn from, such as the losses of fits."""

    def learn_from(self, md: MetaDataset, space: str | None, metric: str, random_state: int) -> Policy:
        """Learn from the training tasks."""
        ...


@dataclass(frozen=True)
class Unit:
    """Training tasks of a method, and the held-out tasks for its replay.

    Attributes
    ----------
    space, fold, seed : str, int, int
    method : Method
    training, held_out : tuple of TaskTable
    n_trials : int
    defaults : mapping of str to int
        Row of the default in the table of each held-out task that has it.
    default_first : bool
        Whether the default is the first trial of the search, where it was recorded.
    n_replays : int
        Replays of each task.
    halves : mapping of str to two arrays, or None
        Losses of each held-out task by two halves of its fits; None: no search is told halves.
    source : pair of MetaDataset and str, or None
        Trials of the training tasks and the metric, for methods that learn from more than tables.
    """

    space: str
    fold: int
    seed: int
    method: Method
    training: tuple[TaskTable, ...]
    held_out: tuple[TaskTable, ...]
    n_trials: int
    defaults: Mapping[str, int]
    default_first: bool
    n_replays: int
    halves: Mapping[str, Halves] | None = None
    source: tuple[MetaDataset, str] | None = None

    @property
    def searches(self) -> list[tuple[TaskTable, Told]]:
        """Table and losses told of each search but its repetitions."""
        told: tuple[Told, ...] = ("all",) if self.halves is None else ("all", "even", "odd")
        return [(table, which) for table in self.held_out for which in told]

    @property
    def shared_training(self) -> Hashable | None:
        """Units where this is equal share one training; None: it shares none."""
        if not isinstance(self.method, SharesTraining):
            return None
        return self.space, self.fold, self.seed, self.method.training

    @property
    def shared_fits(self) -> Hashable | None:
        """Units where this is equal share most of their fits; None: it shares none."""
        if not isinstance(self.method, SharesFits) or not self.method.shares_fits:
            return None
        return self.space, self.fold, self.method.name


@dataclass(frozen=True)
class History:
    """History of one search on one task.

    Attributes
    ----------
    task : str
    told : {"all", "even", "odd"}
    repeat : int
    picks : tuple of int
        Rows tried, in their order; none after the one with the lowest loss told.
    seconds : float
        Spent on suggestions.
    failure : str or None
        Error that ended the search early. Its incumbent stands.
    """

    task: str
    told: Told
    repeat: int
    picks: tuple[int, ...]
    seconds: float
    failure: str | None = None


@dataclass(frozen=True)
class UnitResult:
    """Histories of a unit.

    Attributes
    ----------
    histories : tuple of History
    first_picks : mapping of str to tuple of int
        Rows that the method takes first where nothing was tried, not even the default, by task; a row a repetition.
    coverage : tuple of dict
        Rows of :func:`~metahpo.evaluation.predictive_calibration.interval_coverage`, with the task.
    learn_seconds : float
    failure : str or None
        Error of learning; there are no histories then.
    """

    histories: tuple[History, ...] = ()
    first_picks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    coverage: tuple[Mapping[str, float | str], ...] = ()
    learn_seconds: float = 0.0
    failure: str | None = None


@own_arithmetic()
def carry_out(unit: Unit) -> UnitResult:
    """Learn and search; an error of the method becomes part of the result."""
    started, saved_before = time.perf_counter(), seconds_saved()
    try:
        policy = _learnt(unit)
    except Exception as error:  # noqa: BLE001 - a method of others may raise anything, and the other methods go on
        return UnitResult(learn_seconds=time.perf_counter() - started, failure=_in_words(error))
    learn_seconds = time.perf_counter() - started + seconds_saved() - saved_before
    histories = tuple(_histories(unit, policy))
    broken = {history.task for history in histories if history.failure}
    sound = [table for table in unit.held_out if table.task not in broken]
    coverage: list[Mapping[str, float | str]] = []
    if isinstance(policy, ScorePredictor):
        for table in sound:
            covered = interval_coverage(policy, table, unit.seed)
            coverage += [{"task": table.task, **row} for row in covered.to_dict("records")]  # type: ignore[dict-item]
    with_default = [table for table in sound if table.task in unit.defaults]
    picked = {table.task: _first_picks(unit, policy, table, histories) for table in with_default}
    return UnitResult(histories, picked, tuple(coverage), learn_seconds)


def _learnt(unit: Unit) -> Policy:
    if isinstance(unit.method, LearnsFromMetaDataset) and unit.source is not None:
        md, metric = unit.source
        space = unit.space if unit.space in md.spaces else None
        return unit.method.learn_from(md, space, metric, unit.seed)
    return unit.method.learn(list(unit.training), unit.space, unit.seed)


def _histories(unit: Unit, policy: Policy) -> Iterator[History]:
    for table, told in unit.searches:
        shown = table
        if told != "all":
            assert unit.halves is not None
            shown = replace(table, loss=unit.halves[table.task][told == "odd"])
        default = unit.defaults.get(table.task) if unit.default_first else None
        for k in range(unit.n_replays):
            tried: list[int] = []
            started, saved_before, failure = time.perf_counter(), seconds_saved(), None
            try:
                search(policy, shown, unit.n_trials, task_seed(unit.seed, table.task, k), tried, default)
            except Exception as error:  # noqa: BLE001 - see carry_out
                failure = _in_words(error)
            seconds = time.perf_counter() - started + seconds_saved() - saved_before
            yield History(table.task, told, k, tuple(tried), seconds, failure)


def _first_picks(unit: Unit, policy: Policy, table: TaskTable, histories: Sequence[History]) -> tuple[int, ...]:
    """First pick of the method from the whole pool."""
    if not unit.default_first:
        return tuple(h.picks[0] for h in histories if h.task == table.task and h.told == "all")
    rows = list(range(len(table.loss)))
    starts = (task_seed(unit.seed, table.task, k) for k in range(unit.n_replays))
    return tuple(suggestion(policy.start(table.meta_features, seed), table, [], rows) for seed in starts)


def _in_words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}"


def coverage_frame(result: UnitResult) -> pd.DataFrame:
    """Columns task, observations, log_density, level, coverage."""
    return pd.DataFrame(list(result.coverage))
