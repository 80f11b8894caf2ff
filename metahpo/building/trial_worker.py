"""The main loop of a trial process: it receives keys and returns trials until its worker has ended.

:mod:`metahpo.building.trial_watcher` forks it, and ends it and what it forked. Requests come pickled, in frames of
:mod:`metahpo.building.frames`. Answers go back as JSON: nothing that a learner has made is unpickled elsewhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import math
import os
import pickle
import resource
import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from sklearn.utils._param_validation import InvalidParameterError
from threadpoolctl import threadpool_limits

from metahpo.building.answer import CUT_OFF, Answer
from metahpo.building.device_use import device_use, forget_device_use
from metahpo.building.frames import REQUEST_NONCE, FrameReader, send
from metahpo.building.measurement import Measurement, Measuring
from metahpo.building.process_state import process_state
from metahpo.building.protocol import Protocol, dataset_and_size
from metahpo.datasets.cache import read_task
from metahpo.exceptions import MetaHPOError
from metahpo.learners.registry import learner_named
from metahpo.trials.records import TaskRefusal
from metahpo.trials.trial import Trial, TrialKey, TrialStatus


def serve(descriptor: int) -> None:
    """Receive cache and protocol once, then run trials as they come.

    A request is the nonce of its answer, keys of one learner, one task and one repeat, the limit of each in seconds,
    and the memory to plan with. The answer is an :class:`metahpo.building.answer.Answer`.

    Parameters
    ----------
    descriptor : int
        Of the connection to the worker. It is moved to a high number, where few learners write.
    """
    warnings.simplefilter("ignore")  # warnings of learners are not needed, because losses are recorded
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the driver reacts to Ctrl-C; running trials finish
    connection = _at_high_number(descriptor)
    identity = os.fstat(connection)
    reader = FrameReader(connection)
    pid = os.getpid()
    with threadpool_limits(1), contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        nonce, cache, protocol = _received(reader)
        send(connection, nonce, b"ready")
        while True:
            nonce, keys, seconds, memory_bytes = _received(reader)
            answer = _answered(keys, cache, protocol, seconds, memory_bytes)
            if os.getpid() != pid:
                os._exit(0)  # a fork of a learner can reach this line; only the original process may answer
            if not _is_same_file(connection, identity):
                os._exit(CUT_OFF)
            send(connection, nonce, answer)


def _at_high_number(descriptor: int) -> int:
    """The same connection under a high number; it is not inherited by programs that a learner starts."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = 1024 if limit == resource.RLIM_INFINITY else min(limit, 1024)
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, max(0, highest - 24))
    os.close(descriptor)
    return high


def _is_same_file(descriptor: int, identity: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), identity)
    except OSError:
        return False


def _received(reader: FrameReader) -> Any:
    payload = reader.receive(REQUEST_NONCE)
    assert payload is not None
    return pickle.loads(payload)


def _answered(keys: Sequence[TrialKey], cache: Path, protocol: Protocol, seconds: float, memory_bytes: int) -> bytes:
    """The answer to a request, which always comes."""
    before = process_state()
    outcome: list[Trial] | TaskRefusal | None = None
    try:
        outcome = _run(keys, cache, protocol, seconds, memory_bytes)
        spoilt = _is_out_of_memory(outcome)
    except _NotTogetherError as error:
        # An invalid configuration is refused before anything is trained. Whatever else failed may leave memory behind.
        spoilt = not isinstance(error.__cause__, InvalidParameterError)
    retire = spoilt or _has_children() or process_state() != before
    try:
        return Answer(outcome, retire).to_bytes()
    except (TypeError, ValueError, RecursionError) as error:
        message = f"what it measured cannot be recorded: {type(error).__name__}: {error}"[:500]
        failed = [Trial(keys[0], TrialStatus.CRASHED, message=message)] if len(keys) == 1 else None
        return Answer(failed, retire=True).to_bytes()


def _run(
    keys: Sequence[TrialKey], cache: Path, protocol: Protocol, seconds: float, memory_bytes: int
) -> list[Trial] | TaskRefusal:
    start, preparation = time.perf_counter(), 0.0
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
        preparation = time.perf_counter()
        learner.get_ready()
        preparation = time.perf_counter() - preparation
        with _faults_of_the_task():
            measuring.prepared(learner.encoding, keys[0].seed)
        configurations = [learner.at_fidelity(key.configuration, key.fidelity) for key in keys]
        measured = measuring.measure_together(learner, configurations, keys[0].seed, memory_bytes)
    except _UnmeasurableError as error:
        return TaskRefusal(keys[0].task, str(error)[:500], time.time())
    except BaseException as error:  # any failure of a learner is data here
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
    # They share the seconds that belong to no single configuration, such as preprocessing, but not compilation.
    own = [sum(m.fit_seconds) + sum(m.predict_seconds) for m in measured]
    shared = (time.perf_counter() - start - preparation - sum(own)) / len(keys)
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
    """Status of a trial that ended with an exception."""
    try:
        text = str(error)
    except BaseException as fault:  # noqa: BLE001 -- the code is a learner's
        text = f"(its message cannot be had: {type(fault).__name__})"
    if isinstance(error, MemoryError):
        return TrialStatus.OUT_OF_MEMORY, text or "out of memory"
    if isinstance(error, InvalidParameterError):
        return TrialStatus.INVALID, text
    return TrialStatus.CRASHED, f"{type(error).__name__}: {text}"


class _NotTogetherError(Exception):
    """Several trials that ran at once did not end well."""


class _UnmeasurableError(Exception):
    pass


@contextlib.contextmanager
def _faults_of_the_task() -> Iterator[None]:
    """Errors before a learner starts (a damaged file, a constant target) are faults of the task."""
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
    """Reset the kernel's record of the largest resident set; see proc(5), ``clear_refs``."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory_bytes() -> int:
    """Largest resident set since the last reset; 0 if the kernel has no record. The parent measures it too."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    return 0


def _is_out_of_memory(outcome: list[Trial] | TaskRefusal) -> bool:
    """Whether this process may hold too much memory for further trials."""
    return isinstance(outcome, list) and any(trial.status is TrialStatus.OUT_OF_MEMORY for trial in outcome)


def _has_children() -> bool:
    """Whether the trial left processes. Ended processes are reaped."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return True
    return False
