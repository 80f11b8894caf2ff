"""Probes: fits on few rows of the user's table that make a recommendation more certain.

A probe trains one configuration on a subsample and tests it on other rows. It is an observation of the same task at
another size: see :mod:`metahpo.surrogates.improvement_on_task`. The probe with the largest expected increase of
the improvement per second comes next. The default is trained on the same rows first, because the change against it
counts.

Probes run in worker processes, so that one that takes too long can be stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metahpo.building.protocol import Protocol
from metahpo.recommendation.candidates import Candidates
from metahpo.recommendation.experience import Experience
from metahpo.recommendation.probe_worker import FixedSplit, ProbeWorkers
from metahpo.space.cash import from_cash
from metahpo.space.configuration import Configuration, to_json
from metahpo.surrogates.improvement import Improvement, change_of
from metahpo.surrogates.improvement_on_task import ImprovementOnTask, MeasuredChanges
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
    places, losses, noise : ndarray of shape (k,)
        Index, mean loss and its standard deviation of the configurations that were measured at the size at which most
        were: trials of one task, for a surrogate of losses.
    """

    improvement: Improvement
    probes: tuple[Probe, ...]
    notes: tuple[str, ...]
    places: NDArray[np.intp]
    losses: Array
    noise: Array


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
    workers : ProbeWorkers
        Started before, so that they import while other things are computed.
    allowed : ndarray of bool of shape (n,), default=None
        Which configurations may be recommended; None: all.
    """

    def __init__(
        self,
        task: Task,
        on_task: ImprovementOnTask,
        candidates: Sequence[tuple[str, Configuration]],
        metric: str,
        expected_seconds: Callable[[float], Array],
        workers: ProbeWorkers,
        allowed: NDArray[np.bool_] | None = None,
    ) -> None:
        self._on_task, self._candidates = on_task, candidates
        self._metric, self._expected_seconds, self._workers = metric, expected_seconds, workers
        self._allowed = np.ones(len(candidates), dtype=bool) if allowed is None else allowed
        self._protocol = Protocol(n_holdouts=1, max_test_rows=MAX_TEST_ROWS)
        self._task = self._protocol.prepare(task)
        self._reference = on_task.model.reference
        self._results: dict[tuple[_Place, int], Probe] = {}
        self._order: list[Probe] = []
        self._least_limit = 0.0
        self._excluded: set[tuple[int, int]] = set()  # rows and configuration of what was stopped or failed
        self._places: dict[_Place, list[tuple[Task, FixedSplit]]] = {}

    def run(self, seconds: float) -> Probed:
        """Measure until the seconds are over, or another probe would not change the answer; then stop the workers."""
        deadline = time.monotonic() + seconds
        self._least_limit = LIMIT_SHARE * seconds
        notes: list[str] = []
        try:
            self._workers.wait_until_ready(seconds)
            self._measure(deadline)
        except BrokenExecutor as error:
            notes.append(f"probes ended early, because a worker process died: {error}")
        finally:
            self._workers.stop()
        trials = self._trials()
        if not len(trials.places):
            notes.append(
                f"the {max(seconds, 0.0):.2g} seconds that were left for probes were too short for the start of their "
                "processes, the default and another configuration: the answer rests on the experience alone"
            )
        return Probed(self._on_task.given(trials), tuple(self._order), tuple(notes), *self._losses())

    def _measure(self, deadline: float) -> None:
        running: dict[Future[Any], tuple[_Place, int, float]] = {}
        while True:
            while len(running) < self._workers.n_jobs:
                todo = self._next({(place, x) for place, x, _ in running.values()}, deadline - time.monotonic())
                if todo is None:
                    break
                running[self._start(*todo)] = (*todo, time.monotonic())
            if not running:
                return
            limit = min(deadline, *(self._limit(*probe) for probe in running.values()))
            done, _ = wait(running, max(0.0, limit - time.monotonic()), return_when=FIRST_COMPLETED)
            for future in done:
                self._record(*running.pop(future), future)
            if done:
                continue
            over = time.monotonic() >= deadline
            for future in [f for f, probe in running.items() if over or self._limit(*probe) <= time.monotonic()]:
                self._record(*running.pop(future), None)
            if over:
                return
            # A single call of a process cannot be stopped. Probes that ran beside it are asked for again.
            running.clear()
            self._workers.stop()
            self._workers.restart()
            self._workers.wait_until_ready(deadline - time.monotonic())

    def _next(self, running: set[tuple[_Place, int]], left: float) -> tuple[_Place, int] | None:
        """The most valuable probe that fits into the seconds that are left; None where none does."""
        known = self._on_task.conditioned(self._trials())
        best: tuple[float, _Place, int] | None = None
        for size in self._sizes():
            rows = self._rows(size)
            value = np.where(self._allowed, self._on_task.value_of_trials(known, rows, self._variance(size)), 0.0)
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
        return self._on_task.model.variance_of_fit(self._rows(size)) / self._n_fits(size)

    def _seconds(self, size: int | None) -> Array:
        """Expected seconds of a probe of each configuration, corrected by those that ended, if any of that size did."""
        expected = np.nan_to_num(self._expected_seconds(self._rows(size)) * self._n_fits(size), nan=1.0)
        of_size = {place.size for place, _ in self._results}
        ratios = [
            probe.seconds / (self._expected_seconds(probe.rows)[x] * self._n_fits(place.size))
            for (place, x), probe in self._results.items()
            if size not in of_size or place.size == size
        ]
        known = [ratio for ratio in ratios if np.isfinite(ratio) and ratio > 0.0]
        return np.asarray(expected * (float(np.exp(np.mean(np.log(known)))) if known else 1.0))

    def _limit(self, place: _Place, x: int, began: float) -> float:
        """Time at which a probe is stopped."""
        return began + max(self._least_limit, PATIENCE * float(self._seconds(place.size)[x]))

    def _start(self, place: _Place, x: int) -> Future[Any]:
        learner, configuration = self._candidates[x]
        return self._workers.submit(self._prepared(place), learner, configuration, place.repeat, self._metric)

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

    def _losses(self) -> tuple[NDArray[np.intp], Array, Array]:
        """Places, losses and noise: see :class:`Probed`."""
        by_size: dict[int | None, dict[int, list[float]]] = {}
        for (place, x), probe in self._results.items():
            if probe.status == "success":
                by_size.setdefault(place.size, {}).setdefault(x, []).append(probe.loss)
        if not by_size:
            return np.zeros(0, dtype=np.intp), np.zeros(0), np.zeros(0)
        size, losses = max(by_size.items(), key=lambda one: (len(one[1]), self._rows(one[0])))
        default = float(np.mean(losses.get(self._reference, [1.0])))
        noise = [abs(default) * np.sqrt(self._variance(size) / len(own)) for own in losses.values()]
        return np.array(list(losses), dtype=np.intp), np.array([np.mean(v) for v in losses.values()]), np.array(noise)

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


def probe(
    task: Task,
    experience: Experience,
    candidates: Candidates,
    metric: str,
    meta_features: Mapping[str, float] | None,
    workers: ProbeWorkers,
    seconds: float,
) -> Probed | None:
    """Probe candidates on a task; None where no improvement on the default was learnt, or no seconds were recorded.

    Parameters
    ----------
    task : Task
    experience : Experience
    candidates : Candidates
        Those that may be recommended.
    metric : str
        Recorded metric.
    meta_features : mapping of str to float or None
        Of the task, as far as they are used.
    workers : ProbeWorkers
        Stopped at the end.
    seconds : float
        Budget.
    """
    model, cost = experience.improvement(candidates.space, metric), experience.cost(candidates.space)
    if model is None or cost is None:
        return None
    known: list[Configuration] = [json.loads(text) for text in model.configurations]
    own = [(candidates.space, c) if candidates.space is not None else from_cash(c) for c in known]
    allowed = {to_json(configuration) for configuration in candidates.configurations}
    encoded = experience.meta_dataset.encoder(candidates.space).encode(known)

    def expected_seconds(rows: float) -> Array:
        return np.exp(cost.of_size(int(rows), task.X.shape[1], len(task.classes)).expected(encoded))

    prober = Prober(
        task,
        ImprovementOnTask(model, task.n_rows, meta_features),
        own,
        metric,
        expected_seconds,
        workers,
        np.array([text in allowed for text in model.configurations]),
    )
    return prober.run(seconds)
