"""Worker processes that can be stopped in the middle of a fit, because a fit in this process cannot be."""

from __future__ import annotations

import os
import time
from typing import Any

from joblib.executor import get_memmapping_executor
from joblib.parallel import LokyBackend

from metahpo.building.process_tree import kill_with_descendants

#: How often new processes are called until all have answered.
MAX_ROUNDS = 200


class StoppableWorkers(LokyBackend):
    """joblib's own backend of processes, used with one job as well, whose running calls can be stopped.

    joblib runs on it inside ``parallel_config(backend=workers)``. A call that runs when the workers are killed ends
    with ``concurrent.futures.BrokenExecutor``.
    """

    _workers: Any
    parallel: Any

    def __init__(self) -> None:
        super().__init__()
        self._ready: Any = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """At least 2, since joblib would run a single job in this process."""
        return max(2, self.n_workers(n_jobs))

    def configure(self, n_jobs: int | None = 1, parallel: Any = None, **options: Any) -> int:  # type: ignore[override]
        """Start the worker processes: as many as there are jobs."""
        n_workers = self.n_workers(n_jobs)
        environment = self._prepare_worker_env(n_jobs=n_workers)  # type: ignore[attr-defined]  # the stubs lack it
        self._workers = get_memmapping_executor(n_workers, timeout=300, env=environment, context_id=parallel._id)
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    def n_workers(self, n_jobs: int | None) -> int:
        """Processes for so many jobs."""
        return max(1, int(super().effective_n_jobs(n_jobs)))  # type: ignore[arg-type]  # None is fine

    def wait_for_workers(self, warm_up: Any) -> None:
        """Return when every process has answered, so that no clock counts its start.

        Parameters
        ----------
        warm_up : picklable
            Sent to workers that are new, so that they import the libraries that it needs.
        """
        if self._ready is self._workers:
            return

        def answer(_: Any) -> int:  # a function inside another is sent whole: a worker need not import this module
            time.sleep(0.05)  # meanwhile the others take a call, too
            return os.getpid()

        n_workers, seen = self._workers._max_workers, set[int]()
        for _ in range(MAX_ROUNDS):
            seen |= {call.result() for call in [self._workers.submit(answer, warm_up) for _ in range(n_workers)]}
            if len(seen) >= n_workers:
                break
        self._ready = self._workers

    def kill(self) -> None:
        """Kill the processes, and all that they started."""
        for pid in list(self._workers._processes):
            kill_with_descendants(pid)
