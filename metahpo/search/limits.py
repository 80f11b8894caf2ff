"""Worker processes that can be stopped in the middle of a fit, because a fit in this process cannot be."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

from joblib.executor import get_memmapping_executor
from joblib.parallel import LokyBackend

from metahpo.building.process_tree import kill_with_descendants

#: How often new processes are called until all have answered.
MAX_ROUNDS = 200


class StoppableWorkers(LokyBackend):
    """joblib's own backend of processes, used with one job as well, whose running calls can be stopped.

    joblib runs on it inside ``parallel_config(backend=workers)``. Inside ``workers.limit(seconds, ...)`` its processes,
    and all that they started, are killed when the seconds are over, and a call that is running raises
    ``concurrent.futures.BrokenExecutor``. The next call finds new processes.
    """

    _workers: Any
    parallel: Any

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._running = False
        self._ready: Any = None
        self.stopped = False

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """At least 2, since joblib would run a single job in this process."""
        return max(2, self._n_workers(n_jobs))

    def configure(self, n_jobs: int | None = 1, parallel: Any = None, **options: Any) -> int:  # type: ignore[override]
        """Start the worker processes: as many as there are jobs."""
        n_workers = self._n_workers(n_jobs)
        environment = self._prepare_worker_env(n_jobs=n_workers)  # type: ignore[attr-defined]  # the stubs lack it
        self._workers = get_memmapping_executor(n_workers, timeout=300, env=environment, context_id=parallel._id)
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    @contextlib.contextmanager
    def limit(self, seconds: float, warm_up: Any) -> Iterator[None]:
        """Kill the workers when what runs inside takes longer; `stopped` says afterwards whether that was so.

        Parameters
        ----------
        seconds : float
        warm_up : picklable
            Sent to workers that are new before the clock starts, so that they import the libraries that it needs.
        """
        if self._ready is not self._workers:
            self._wait_for_workers(warm_up)
        self._running, self.stopped = True, False
        timer = threading.Timer(seconds, self._stop)
        timer.daemon = True
        timer.start()
        try:
            yield
            with self._lock:
                self._running = False
            if self.stopped:  # in the very moment in which all was done
                self.abort_everything()
        finally:
            timer.cancel()
            with self._lock:
                self._running = False

    def _wait_for_workers(self, warm_up: Any) -> None:
        """Return when every process has answered; the wait in each lets the others take a call, too."""

        def answer(_: Any) -> int:  # a function inside another is sent whole: a worker need not import this module
            time.sleep(0.05)
            return os.getpid()

        n_workers, seen = self._workers._max_workers, set[int]()
        for _ in range(MAX_ROUNDS):
            seen |= {call.result() for call in [self._workers.submit(answer, warm_up) for _ in range(n_workers)]}
            if len(seen) >= n_workers:
                break
        self._ready = self._workers

    def _stop(self) -> None:
        with self._lock:
            if not self._running:
                return
            self.stopped = True
            for pid in list(self._workers._processes):
                kill_with_descendants(pid)

    def _n_workers(self, n_jobs: int | None) -> int:
        return max(1, int(super().effective_n_jobs(n_jobs)))  # type: ignore[arg-type]  # None is fine
