"""Life of a trial process: a trial's key in, a finished trial out, until the parent is gone.

Started by :class:`metahpo.building.trial_process.TrialProcess` as
``python -m metahpo.building.trial_worker FD PARENT_PID``.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import math
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path

from sklearn.utils._param_validation import InvalidParameterError
from threadpoolctl import threadpool_limits

from metahpo.building.device_use import device_use, forget_device_use
from metahpo.building.measurement import DivergedError, Measuring, Protocol
from metahpo.exceptions import MetaHPOError
from metahpo.learners.registry import learner_named
from metahpo.tasks.cache import read_task
from metahpo.trials.records import TaskRefusal
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

#: Seconds beyond its limit after which the kernel ends a trial whose parent is gone and cannot do it.
GRACE_SECONDS = 5.0
#: Option of Linux' prctl(2): orphaned descendants become children of this process, not of init.
PR_SET_CHILD_SUBREAPER = 36


def serve(pipe: Connection) -> None:
    """Receive cache and protocol once, then run trials as they come.

    The answer to a key and its limit in seconds is a pair: the trial, or why its task cannot be measured; and whether
    the process should be replaced before the next trial.
    """
    warnings.simplefilter("ignore")  # what a learner warns of is not news here: its losses tell
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's business: it lets running trials finish
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    cache, protocol = pipe.recv()
    pid = os.getpid()
    with threadpool_limits(1), contextlib.suppress(EOFError, BrokenPipeError):
        pipe.send("ready")
        while True:
            key, seconds = pipe.recv()
            signal.setitimer(signal.ITIMER_REAL, seconds + GRACE_SECONDS)
            answer = _run(key, cache, protocol)
            if os.getpid() != pid:
                os._exit(0)  # a fork that a learner left running comes by here; only the original may answer
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            out_of_memory = isinstance(answer, Trial) and answer.status is TrialStatus.OUT_OF_MEMORY
            pipe.send((answer, out_of_memory or _has_children()))


def _run(key: TrialKey, cache: Path, protocol: Protocol) -> Trial | TaskRefusal:
    start = time.perf_counter()
    losses: Mapping[str, list[float]] = {}
    fit_seconds: list[float] = []
    predict_seconds: list[float] = []
    status, message = TrialStatus.SUCCESS, ""
    _forget_peak_memory()
    forget_device_use()
    try:
        with _faults_of_the_task():
            measuring = _measuring(cache, key.task, protocol)
        learner = learner_named(key.learner, measuring.task.kind)
        with _faults_of_the_task():
            measuring.prepared(learner.encoding)
        measured = measuring.measure(learner, key.configuration)
        losses, fit_seconds, predict_seconds = measured.fold_losses, measured.fit_seconds, measured.predict_seconds
        if not all(math.isfinite(x) for fold in losses.values() for x in fold):
            status, message = TrialStatus.DIVERGED, "a loss is not finite"
    except _UnmeasurableError as error:
        return TaskRefusal(key.task, str(error)[:500], time.time())
    except MemoryError as error:
        status, message = TrialStatus.OUT_OF_MEMORY, str(error) or "out of memory"
    except DivergedError as error:
        status, message = TrialStatus.DIVERGED, str(error)
    except InvalidParameterError as error:
        status, message = TrialStatus.INVALID, str(error)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - any failure of a learner is data here
        status, message = TrialStatus.CRASHED, f"{type(error).__name__}: {error}"
    device, peak_device_memory = device_use()
    return Trial(
        key,
        status,
        fold_losses=losses if status is TrialStatus.SUCCESS else {},
        fit_seconds=fit_seconds,
        predict_seconds=predict_seconds,
        message=message[:500],
        seconds=time.perf_counter() - start,
        peak_memory_bytes=_peak_memory_bytes(),
        device=device,
        peak_device_memory_bytes=peak_device_memory,
        versions=library_versions(),
    )


class _UnmeasurableError(Exception):
    pass


@contextlib.contextmanager
def _faults_of_the_task() -> Iterator[None]:
    """What goes wrong before any learner has a part in it (a damaged file, a constant target) is the task's fault."""
    try:
        yield
    except MemoryError:
        raise
    except MetaHPOError as error:
        raise _UnmeasurableError(str(error)) from error
    except Exception as error:
        raise _UnmeasurableError(f"it cannot be prepared: {type(error).__name__}: {error}") from error


@lru_cache(maxsize=2)
def _measuring(cache: Path, key: str, protocol: Protocol) -> Measuring:
    return Measuring(protocol.prepare(read_task(cache, key)), protocol)


@lru_cache(maxsize=1)
def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide a trial's result."""
    return {name: importlib.metadata.version(name) for name in ("scikit-learn", "numpy", "scipy")}


def _forget_peak_memory() -> None:
    """Let the kernel's record of the largest resident set begin anew; see proc(5), ``clear_refs``."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory_bytes() -> int:
    """Largest resident set since it was forgotten; 0 where the kernel does not say: the parent watches as well."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    return 0


def _has_children() -> bool:
    """Whether the trial left processes; that this may reap one matters to nobody, for it retires this process."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _end_with(parent: int) -> None:
    """End this process and what it forked when its parent is gone, also in the middle of a trial."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    _end_with(int(sys.argv[2]))
    serve(Connection(int(sys.argv[1])))
