"""Worker processes of probes, and what they do. The file imports little, so that workers start quickly."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]

from metahpo.building.measurement import Measuring
from metahpo.building.protocol import Protocol, Split
from metahpo.exceptions import DataError
from metahpo.learners.registry import learner_named
from metahpo.space.activity import default_configuration
from metahpo.tasks.metric import METRICS
from metahpo.tasks.task import Task, TaskKind


@dataclass(frozen=True)
class FixedSplit(Protocol):
    """The first rows of a small task are trained on, the others tested on."""

    n_train: int = 0

    def splits(self, task: Task, size: int | None, repeat: int = 0) -> list[Split]:
        """One split, the same for every size and repeat."""
        rows = np.arange(task.n_rows)
        return [(rows[: self.n_train], rows[self.n_train :])]


class ProbeWorkers:
    """Processes that start at once, and that can be stopped in the middle of a probe.

    Parameters
    ----------
    n_jobs : int
        Number of processes.
    learners : sequence of str
        Learners whose libraries they import.
    kind : {"classification", "regression"}
    """

    def __init__(self, n_jobs: int, learners: Sequence[str], kind: TaskKind) -> None:
        self.n_jobs, self._learners, self._kind = n_jobs, list(learners), kind
        self.restart()

    def restart(self) -> None:
        """Start new processes."""
        self._pool = ProcessPoolExecutor(self.n_jobs, timeout=60, env={"OMP_NUM_THREADS": "1"})
        self._imports = [self._pool.submit(import_learners, self._learners, self._kind) for _ in range(self.n_jobs)]

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until the workers have imported what a probe needs. This time does not count as time of a probe."""
        wait(self._imports, max(0.0, seconds))

    def submit(self, *arguments: Any) -> Future[Any]:
        """Start :func:`measure_fits` with these arguments."""
        future: Future[Any] = self._pool.submit(measure_fits, *arguments)
        return future

    def stop(self) -> None:
        """Kill the processes, and what they run."""
        self._pool.shutdown(wait=False, kill_workers=True)


def import_learners(learners: Sequence[str], kind: TaskKind) -> None:
    """Import the libraries of learners."""
    for name in learners:
        learner = learner_named(name, kind)
        learner.estimator(default_configuration(learner.space))
    time.sleep(0.05)  # so that each worker takes a call


def measure_fits(
    fits: Sequence[tuple[Task, FixedSplit]], learner: str, configuration: Mapping[str, Any], seed: int, metric: str
) -> tuple[float, float, str]:
    """Mean loss of a configuration, seconds that its fits took, and why it failed."""
    began = time.monotonic()
    losses = []
    try:
        for task, split in fits:
            measured = Measuring(task, split).measure(learner_named(learner, task.kind), configuration, seed)
            losses.extend(METRICS[metric].capped(np.array(measured.fold_losses[metric])).tolist())
    except (DataError, ValueError, ArithmeticError, MemoryError, TypeError, RuntimeError) as error:
        return float("nan"), time.monotonic() - began, f"{type(error).__name__}: {error}"
    return float(np.mean(losses)), time.monotonic() - began, ""
