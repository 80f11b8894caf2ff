"""Probes: fits on few rows of the user's table that make a recommendation more certain.

A probe trains one configuration on a subsample and tests it on other rows. It is an observation of the same task at
another size: see :mod:`metahpo.surrogates.improvement_trials`. The probe that raises the expected improvement most for
each second comes next. The default is trained on the same rows first, because what counts is the change against it.

Probes run in worker processes, so that one that takes too long can be stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor
from numpy.typing import NDArray

from metahpo.building.protocol import Protocol
from metahpo.recommendation.probe_worker import FixedSplit, import_learners, measure_fits
from metahpo.space.configuration import Configuration
from metahpo.surrogates.improvement import Improvement, change_of
from metahpo.surrogates.improvement_trials import ImprovementOnTask, MeasuredChanges
from metahpo.tasks.task import Task

Array = NDArray[np.float64]

#: Probes end where the best of them would raise the expected improvement by less than this.
WORTHLESS = 1e-3
#: A probe may take so many times its expected seconds before it is stopped, and at least this share of the budget.
PATIENCE, LIMIT_SHARE = 5.0, 0.25
#: Rows that are tested on at most.
MAX_TEST_ROWS = 2000
#: Whole tables of more rows are not cross-validated.
MAX_ROWS_OF_WHOLE = 5000


@dataclass(frozen=True)
class Probe:
    """One fit on a subsample, or the fits of one cross-validation of a small table.

    Attributes
    ----------
    learner : str
    configuration : dict
    rows : int
        Rows that it was trained on.
    status : {"success", "failed", "stopped"}
    loss : float
        Mean loss, by the metric of the recommendation; NaN unless it succeeded.
    default_loss : float
        Loss of the default on the same rows.
    seconds : float
        Seconds that it took.
    message : str
        Why it failed.
    """

    learner: str
    configuration: Configuration
    rows: int
    status: Literal["success", "failed", "stopped"]
    loss: float
    default_loss: float
    seconds: float
    message: str = ""


@dataclass(frozen=True)
class Probed:
    """What probes have shown.

    Attributes
    ----------
    improvement : Improvement
        Distribution of the change after them.
    probes : tuple of Probe
        In the order in which they ended.
    notes : tuple of str
    """

    improvement: Improvement
    probes: tuple[Probe, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Place:
    """Rows of one subsample: a size and the number of a repeat."""

    size: int | None
    repeat: int


class Prober:
    """Measures configurations on subsamples of a table, as long as it is worth it.

    Parameters
    ----------
    task : Task
        The user's table.
    on_task : ImprovementOnTask
        What is expected of the n configurations of its model.
    candidates : sequence of (str, dict)
        Learner and configuration of each of the n configurations.
    metric : str
        Recorded metric that losses are of.
    expected_seconds : callable
        Rows to train on -> expected seconds of a fit of each configuration, shape (n,).
    n_jobs : int, default=1
        Worker processes.
    """

    def __init__(
        self,
        task: Task,
        on_task: ImprovementOnTask,
        candidates: Sequence[tuple[str, Configuration]],
        metric: str,
        expected_seconds: Callable[[float], Array],
        n_jobs: int = 1,
    ) -> None:
        self._on_task, self._candidates = on_task, candidates
        self._metric, self._expected_seconds, self._n_jobs = metric, expected_seconds, n_jobs
        self._protocol = Protocol(n_holdouts=1, max_test_rows=MAX_TEST_ROWS)
        self._task = self._protocol.prepare(task)
        self._reference = on_task.model.reference
        self._results: dict[tuple[_Place, int], Probe] = {}
        self._order: list[Probe] = []
        self._least_limit = 0.0
        self._excluded: set[tuple[int, int]] = set()  # rows and configuration of what was stopped or failed
        self._places: dict[_Place, list[tuple[Task, FixedSplit]]] = {}

    def run(self, seconds: float) -> Probed:
        """Measure until the seconds are over, or another probe would not change the answer.

        Parameters
        ----------
        seconds : float
            Budget, the start of the workers included.
        """
        deadline = time.monotonic() + seconds
        self._least_limit = LIMIT_SHARE * seconds
        running: dict[Future[Any], tuple[_Place, int, float]] = {}
        notes: list[str] = []
        workers = self._ready_workers(deadline)
        try:
            while True:
                while len(running) < self._n_jobs:
                    todo = self._next({(place, x) for place, x, _ in running.values()}, deadline - time.monotonic())
                    if todo is None:
                        break
                    running[self._start(workers, *todo)] = (*todo, time.monotonic())
                if not running:
                    break
                limit = min(self._limit(place, x, began) for place, x, began in running.values())
                done, _ = wait(running, max(0.0, min(limit, deadline) - time.monotonic()), return_when=FIRST_COMPLETED)
                for future in done:
                    self._record(*running.pop(future), future)
                if not done:
                    late = [future for future, at in running.items() if self._limit(*at) <= time.monotonic()]
                    over = time.monotonic() >= deadline
                    for future in list(running) if over else late:
                        self._record(*running.pop(future), None)
                    if over:
                        break
                    workers.shutdown(wait=False, kill_workers=True)
                    running.clear()  # what ran beside it is asked for again
                    workers = self._ready_workers(deadline)
        except BrokenExecutor as error:
            notes.append(f"probes ended early, because a worker process died: {error}")
        finally:
            workers.shutdown(wait=False, kill_workers=True)
        if not self._trials().places.size:
            notes.append(
                f"{seconds:g} seconds were too short for a probe of the default and of another configuration: the "
                "answer rests on the experience alone"
            )
        return Probed(self._on_task.given(self._trials()), tuple(self._order), tuple(notes))

    def _ready_workers(self, deadline: float) -> ProcessPoolExecutor:
        """Start workers, and wait until they have imported what a probe needs, so that no probe is charged for it."""
        workers = ProcessPoolExecutor(self._n_jobs, timeout=60, env={"OMP_NUM_THREADS": "1"})
        learners = sorted({learner for learner, _ in self._candidates})
        calls = [workers.submit(import_learners, learners, self._task.kind) for _ in range(self._n_jobs)]
        wait(calls, max(0.0, deadline - time.monotonic()))
        return workers

    def _next(self, running: set[tuple[_Place, int]], left: float) -> tuple[_Place, int] | None:
        """The most valuable probe that fits into the seconds that are left; None where none does."""
        trials = self._trials()
        best: tuple[float, _Place, int] | None = None
        for size in self._sizes():
            rows = self._rows(size)
            value = self._on_task.value_of_trials(trials, rows, self._variance(size))
            cost = self._seconds(size)
            for x in np.argsort(-value)[:10]:
                if value[x] < WORTHLESS or (rows, int(x)) in self._excluded:
                    continue
                place = self._free_place(size, int(x), running)
                with_default = (place, self._reference) not in self._results
                total = cost[x] + (cost[self._reference] if with_default else 0.0)
                if total > left or (with_default and (rows, self._reference) in self._excluded):
                    continue
                if best is None or value[x] / total > best[0]:
                    best = (value[x] / total, place, int(x))
        if best is None:
            return None
        _, place, x = best
        if (place, self._reference) in self._results:
            return place, x
        if (place, self._reference) in running:
            return None  # its result decides
        return place, self._reference

    def _free_place(self, size: int | None, x: int, running: set[tuple[_Place, int]]) -> _Place:
        repeat = 0
        while (_Place(size, repeat), x) in self._results or (_Place(size, repeat), x) in running:
            repeat += 1
        return _Place(size, repeat)

    def _sizes(self) -> list[int | None]:
        n_rows = self._task.n_rows
        sizes: list[int | None] = [size for size in self._protocol.sizes(n_rows) if size is not None]
        return [*sizes, None] if n_rows <= MAX_ROWS_OF_WHOLE else sizes

    def _rows(self, size: int | None) -> int:
        return size or int(self._task.n_rows * (1 - 1 / self._protocol.n_folds))

    def _n_fits(self, size: int | None) -> int:
        return self._protocol.fits_of_repeat(self._task.n_rows, size)

    def _variance(self, size: int | None) -> float:
        return self._on_task.model.fit_variance * 1000.0 / self._rows(size) / self._n_fits(size)

    def _seconds(self, size: int | None) -> Array:
        """Expected seconds of a probe of each configuration, corrected by those that ended."""
        rows = self._rows(size)
        expected = self._expected_seconds(rows) * self._n_fits(size)
        ratios = [
            probe.seconds / (self._expected_seconds(probe.rows)[x] * self._n_fits(place.size))
            for (place, x), probe in self._results.items()
        ]
        factor = float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-3))))) if ratios else 1.0
        return np.asarray(np.nan_to_num(expected * factor, nan=1.0))

    def _limit(self, place: _Place, x: int, began: float) -> float:
        """Time at which a probe is stopped."""
        return began + max(self._least_limit, PATIENCE * float(self._seconds(place.size)[x]))

    def _start(self, workers: ProcessPoolExecutor, place: _Place, x: int) -> Future[Any]:
        learner, configuration = self._candidates[x]
        found: Future[Any] = workers.submit(
            measure_fits, self._prepared(place), learner, configuration, place.repeat, self._metric
        )
        return found

    def _prepared(self, place: _Place) -> list[tuple[Task, FixedSplit]]:
        """The rows of each fit, as tasks of their own that are small enough to be sent to a worker."""
        if place not in self._places:
            self._places[place] = [
                (self._task.take(np.concatenate([train, test])), FixedSplit(n_train=len(train)))
                for train, test in self._protocol.splits(self._task, place.size, place.repeat)
            ]
        return self._places[place]

    def _record(self, place: _Place, x: int, began: float, future: Future[Any] | None) -> None:
        learner, configuration = self._candidates[x]
        rows, seconds = self._rows(place.size), time.monotonic() - began
        default = self._results.get((place, self._reference))
        default_loss = float("nan") if default is None else default.loss
        loss, status, message = float("nan"), "stopped", "took too long"
        if future is not None:
            loss, seconds, message = future.result()
            status = "failed" if message else "success"
        if x == self._reference:
            default_loss = loss
        probe = Probe(learner, configuration, rows, status, loss, default_loss, seconds, message)  # type: ignore[arg-type]
        self._order.append(probe)
        self._results[place, x] = probe
        if status != "success":
            self._excluded |= {(other, x) for other in map(self._rows, self._sizes()) if other >= rows}

    def _trials(self) -> MeasuredChanges:
        """Changes that were measured, the mean over the repeats of a size."""
        found: dict[tuple[int | None, int], list[float]] = {}
        for (place, x), probe in self._results.items():
            if x == self._reference or probe.status == "stopped" or np.isnan(probe.default_loss):
                continue
            found.setdefault((place.size, x), []).append(change_of(probe.loss, probe.default_loss, self._metric))
        return MeasuredChanges(
            np.array([x for _, x in found], dtype=np.intp),
            np.array([self._rows(size) for size, _ in found], dtype=np.float64),
            np.array([np.mean(changes) for changes in found.values()], dtype=np.float64),
            np.array([self._variance(size) / len(c) for (size, _), c in found.items()], dtype=np.float64),
        )
