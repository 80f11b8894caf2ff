"""The workers of joblib, one call at a time: each that returns gets the next.

``joblib.Parallel`` maps a function over what is known beforehand. A search knows its next trial only when one before it
has ended, so it gives its calls to joblib's backend itself: the one of ``joblib.parallel_config``, whether it is loky,
threads, Dask or Ray.
"""

from __future__ import annotations

import contextlib
import os
import queue
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from joblib import Parallel, parallel_config
from joblib.parallel import BatchedCalls, get_active_backend
from sklearn import config_context, get_config
from sklearn.utils.parallel import delayed

from metahpo.exceptions import DataError
from metahpo.search.stoppable_workers import StoppableWorkers

#: Seconds between two looks for calls whose end nobody reports: Dask does not, of calls whose workers died.
LOOK_SECONDS = 0.25
#: What the libraries raise over a worker that died, beside concurrent.futures.BrokenExecutor: names of classes.
_DEATHS = ("KilledWorker", "CommClosedError", "CancelledError", "RayActorError", "ActorDiedError", "WorkerCrashedError")


class WorkerLostError(Exception):
    """The worker of a call died, or was killed, before it gave an answer."""


@dataclass(frozen=True)
class Answer:
    """Result of a call.

    Attributes
    ----------
    key : object
        What the call was submitted with.
    value : object
        What the function returned, or the :class:`WorkerLostError`.
    """

    key: Any
    value: Any


class Workers:
    """Workers that take calls and give answers; :func:`workers` makes and ends them.

    Attributes
    ----------
    n_workers : int
        Calls that run side by side.
    """

    def __init__(self, parallel: Parallel, warm_up: Any) -> None:
        self._parallel, self._warm_up = parallel, warm_up
        self._backend: Any = parallel._backend
        own = isinstance(self._backend, StoppableWorkers)
        n_jobs = parallel.n_jobs
        self.n_workers: int = self._backend.n_workers(n_jobs) if own else max(1, parallel._effective_n_jobs())  # type: ignore[attr-defined]
        self._in_this_process = self.n_workers == 1 and not own
        self._answers: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._running: dict[int, tuple[Any, Any]] = {}
        self._n_calls = 0
        self._broken = False

    @property
    def n_running(self) -> int:
        """Calls without an answer so far."""
        return len(self._running)

    @property
    def has_room(self) -> bool:
        """Whether a worker is free. Of workers that died, all calls are waited for before there are new ones."""
        return not self._running if self._broken else self.n_running < self.n_workers

    def prepare(self) -> None:
        """Start workers where there are none: before a clock that is not to count their start."""
        if self._broken:
            self._backend.abort_everything(ensure_ready=True)
            self._broken = False
        if isinstance(self._backend, StoppableWorkers):
            self._backend.wait_for_workers(self._warm_up)

    def submit(self, key: Any, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function; :meth:`next` gives what it returns. Without other workers, it is called here and now."""
        number = self._n_calls
        self._n_calls += 1
        if self._in_this_process:
            self._running[number] = (key, None)
            try:
                self._answers.put((number, function(*arguments)))
            except BaseException:
                del self._running[number]
                raise
            return
        self.prepare()
        under = partial(_under, os.getpid(), get_config(), list(warnings.filters), function)
        calls = BatchedCalls([(under, arguments, {})], self._backend.get_nested_backend(), self._use_own_folder)
        self._running[number] = (key, None)  # an answer may come before `submit` has returned
        future = self._backend.submit(calls, callback=lambda out: self._answers.put((number, out)))
        if number in self._running:
            self._running[number] = (key, future)

    def next(self, seconds: float | None = None) -> Answer | None:
        """The next answer; None where the seconds pass without one.

        Raises
        ------
        Exception
            What joblib raises over a call that cannot be sent, or an answer that cannot come back.
        """
        deadline = None if seconds is None else time.monotonic() + max(0.0, seconds)
        while self._running:
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - time.monotonic())
            try:
                number, out = self._answers.get(timeout=max(0.0, left))
            except queue.Empty:
                for number, (_, future) in self._running.items():
                    if _failed(future) is not None and self._answers.empty():
                        self._answers.put((number, _failed(future)))
                        break
                if deadline is not None and time.monotonic() >= deadline and self._answers.empty():
                    return None
                continue
            if number not in self._running:
                continue
            key, _ = self._running.pop(number)
            return Answer(key, out if self._in_this_process else self._value(out))
        return None

    def kill(self) -> bool:
        """Kill the workers, if these are processes that can be; their calls answer with a WorkerLostError."""
        if not isinstance(self._backend, StoppableWorkers):
            return False
        self._broken = True
        self._backend.kill()
        return True

    def end(self) -> None:
        """End workers that are dead, or that still run: nobody waits for their calls."""
        if (self._running or self._broken) and not self._in_this_process:
            self._backend.abort_everything(ensure_ready=False)

    def _use_own_folder(self) -> None:
        """Put large arrays, which worker processes map into memory, into the folder that is removed at the end."""
        processes: Any = getattr(self._backend, "_workers", None)
        if hasattr(processes, "_temp_folder_manager"):
            processes._temp_folder_manager.set_current_context(vars(self._parallel)["_id"])

    def _value(self, out: Any) -> Any:
        try:
            if isinstance(out, BaseException):
                raise out
            (value,) = self._backend.retrieve_result_callback(out)
        except Exception as error:
            if not isinstance(error, BrokenExecutor) and type(error).__name__ not in _DEATHS:
                raise
            self._broken = True
            return WorkerLostError(str(error))
        return value


def _under(process: int, config: dict[str, Any], filters: list[Any], function: Callable[..., Any], *call: Any) -> Any:
    """Call a function under the settings of scikit-learn that the caller has, whose thread alone has them.

    Other processes get the caller's filters of warnings as well.
    """
    if os.getpid() == process:
        with config_context(**config):
            return function(*call)
    wrapped, _, _ = delayed(function)()
    return wrapped.with_config_and_warning_filters(config, filters)(*call)


@contextlib.contextmanager
def workers(n_jobs: int | None, *, stoppable: bool, warm_up: Any) -> Iterator[Workers]:
    """Workers of the backend that joblib is set to.

    Parameters
    ----------
    n_jobs : int or None
        As everywhere in joblib.
    stoppable : bool
        Whether calls may have to be stopped: then the workers are processes of this machine, with one job as well.
    warm_up : picklable
        What new processes import before they are given calls, where these can be stopped.

    Raises
    ------
    DataError
        Calls may have to be stopped, and joblib is set to workers elsewhere.
    """
    context: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if stoppable:
        backend, _ = get_active_backend()
        if not type(backend).__module__.startswith("joblib._parallel_backends"):
            raise DataError(
                "trial_timeout stops processes of this machine, but joblib is set to "
                f"{type(backend).__name__}; leave trial_timeout out, or the parallel_config."
            )
        context = parallel_config(backend=StoppableWorkers())
    with context, Parallel(n_jobs=n_jobs) as parallel:
        backend = parallel._backend
        if hasattr(backend, "start_call"):
            backend.start_call()
        pool = Workers(parallel, warm_up)
        try:
            yield pool
        finally:
            pool.end()
            if hasattr(backend, "stop_call"):
                backend.stop_call()


def _failed(future: Any) -> BaseException | None:
    """What a call that has ended without a report has raised; None where it goes on."""
    if not hasattr(future, "exception") or not future.done():
        return None
    error: BaseException | None = future.exception()
    return error
