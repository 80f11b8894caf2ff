"""Life of a trial process: keys in, finished trials out, until the parent is gone.

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
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path

from sklearn.utils._param_validation import InvalidParameterError
from threadpoolctl import threadpool_limits

from metahpo.building.device_use import device_use, forget_device_use
from metahpo.building.measurement import Measurement, Measuring
from metahpo.building.protocol import Protocol, dataset_and_size
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

    What comes are keys of one learner, one task and one repeat, the limit of each in seconds, and the memory to plan
    with. The answer is a pair: the trials, or why their task cannot be measured, or None where several did not end
    well; and whether the process should be replaced before the next.
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
            keys, seconds, memory_bytes = pipe.recv()
            signal.setitimer(signal.ITIMER_REAL, seconds * len(keys) + GRACE_SECONDS)
            try:
                answer = _run(keys, cache, protocol, seconds, memory_bytes)
            except _NotTogetherError:
                answer = None
            if os.getpid() != pid:
                os._exit(0)  # a fork that a learner left running comes by here; only the original may answer
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            pipe.send((answer, _is_spoilt(answer) or _has_children()))


def _run(
    keys: Sequence[TrialKey], cache: Path, protocol: Protocol, seconds: float, memory_bytes: int
) -> list[Trial] | TaskRefusal:
    start = time.perf_counter()
    measured = [Measurement({}, [], [])]
    status, message = TrialStatus.SUCCESS, ""
    libraries: tuple[str, ...] = ()
    _forget_peak_memory()
    forget_device_use()
    try:
        with _faults_of_the_task():
            measuring = _measuring(cache, keys[0].task, protocol)
        learner = learner_named(keys[0].learner, measuring.task.kind)
        libraries = learner.libraries
        with _faults_of_the_task():
            measuring.prepared(learner.encoding, keys[0].seed)
        configurations = [learner.at_fidelity(key.configuration, key.fidelity) for key in keys]
        measured = measuring.measure_together(learner, configurations, keys[0].seed, memory_bytes)
    except _UnmeasurableError as error:
        return TaskRefusal(keys[0].task, str(error)[:500], time.time())
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # any failure of a learner is data here
        if len(keys) > 1:
            raise _NotTogetherError from error
        status, message = _status_of(error)
    device, peak_device_memory = device_use()
    trial = Trial(
        keys[0],
        status,
        message=message[:500],
        peak_memory_bytes=_peak_memory_bytes(),
        device=device,
        peak_device_memory_bytes=peak_device_memory,
        versions=library_versions(libraries),
    )
    # What is not of one configuration, such as preprocessing, they share.
    own = [sum(m.fit_seconds) + sum(m.predict_seconds) for m in measured]
    shared = (time.perf_counter() - start - sum(own)) / len(keys)
    return [
        _filled(replace(trial, key=key, seconds=s + max(0.0, shared)), m, seconds if len(keys) > 1 else math.inf)
        for key, m, s in zip(keys, measured, own, strict=True)
    ]


def _filled(trial: Trial, measured: Measurement, limit: float) -> Trial:
    """The trial with what was measured, in at most `limit` seconds."""
    losses = measured.fold_losses
    if trial.status is TrialStatus.SUCCESS:
        if measured.diverged:
            trial = replace(trial, status=TrialStatus.DIVERGED, message=measured.diverged)
        elif not all(math.isfinite(x) for fold in losses.values() for x in fold):
            trial = replace(trial, status=TrialStatus.DIVERGED, message="a loss is not finite")
        elif trial.seconds > limit:
            trial = replace(trial, status=TrialStatus.TIMEOUT, message=f"took {trial.seconds:.3g} s of {limit:g}")
    return replace(
        trial,
        fold_losses=losses if trial.status is TrialStatus.SUCCESS else {},
        fit_seconds=measured.fit_seconds,
        predict_seconds=measured.predict_seconds,
        learning_curve=measured.learning_curve,
    )


def _status_of(error: BaseException) -> tuple[TrialStatus, str]:
    """What an exception says of the trial that it ended."""
    if isinstance(error, MemoryError):
        return TrialStatus.OUT_OF_MEMORY, str(error) or "out of memory"
    if isinstance(error, InvalidParameterError):
        return TrialStatus.INVALID, str(error)
    return TrialStatus.CRASHED, f"{type(error).__name__}: {error}"


class _NotTogetherError(Exception):
    """Several trials that ran at once did not end well."""


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
    dataset, size = dataset_and_size(key)
    return Measuring(protocol.prepare(read_task(cache, dataset)), protocol, size)


@lru_cache(maxsize=8)
def library_versions(more: tuple[str, ...] = ()) -> dict[str, str]:
    """Versions of the libraries that decide a trial's result, `more` of them for some learners."""
    return {name: importlib.metadata.version(name) for name in ("scikit-learn", "numpy", "scipy", *more)}


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


def _is_spoilt(answer: list[Trial] | TaskRefusal | None) -> bool:
    """Whether this process may be left with too little memory."""
    if isinstance(answer, list):
        return any(trial.status is TrialStatus.OUT_OF_MEMORY for trial in answer)
    return answer is None


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
