"""Life of a trial process: a trial's key in, a finished trial out, until the parent is gone.

Started by :class:`metahpo.building.trial_process.TrialProcess` as ``python -m metahpo.building.trial_worker FD``.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import resource
import sys
import time
import warnings
from collections.abc import Mapping
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path

from sklearn.utils._param_validation import InvalidParameterError
from threadpoolctl import threadpool_limits

from metahpo.building.measurement import DivergedError, Measuring, Protocol
from metahpo.exceptions import StoreError
from metahpo.learners.registry import learner_named
from metahpo.tasks.cache import read_task
from metahpo.trials.trial import Trial, TrialKey, TrialStatus


def serve(pipe: Connection) -> None:
    """Receive cache, protocol and memory limit once, then run trials as they come.

    The answer to a key is its trial, or the StoreError that kept its dataset from being read.
    """
    warnings.simplefilter("ignore")  # what a learner warns of is not news here: its losses tell
    cache, protocol, memory_bytes = pipe.recv()
    _limit_memory(memory_bytes)
    with threadpool_limits(1), contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        pipe.send("ready")
        while True:
            try:
                pipe.send(_run(pipe.recv(), cache, protocol))
            except StoreError as error:
                pipe.send(error)


def _run(key: TrialKey, cache: Path, protocol: Protocol) -> Trial:
    start = time.perf_counter()
    losses: Mapping[str, list[float]] = {}
    fit_seconds: list[float] = []
    predict_seconds: list[float] = []
    status, message = TrialStatus.SUCCESS, ""
    try:
        measuring = _measuring(cache, key.task, protocol)
        measured = measuring.measure(learner_named(key.learner, measuring.task.kind), key.configuration)
        losses, fit_seconds, predict_seconds = measured.fold_losses, measured.fit_seconds, measured.predict_seconds
        if not all(math.isfinite(x) for fold in losses.values() for x in fold):
            status, message = TrialStatus.DIVERGED, "a loss is not finite"
    except StoreError:
        raise  # a dataset that cannot be read is no fault of the learner: nothing has been measured
    except MemoryError as error:
        status, message = TrialStatus.OUT_OF_MEMORY, str(error) or "out of memory"
    except DivergedError as error:
        status, message = TrialStatus.DIVERGED, str(error)
    except InvalidParameterError as error:
        status, message = TrialStatus.INVALID, str(error)
    except Exception as error:  # noqa: BLE001 - the one place where any failure of a learner becomes data
        status, message = TrialStatus.CRASHED, f"{type(error).__name__}: {error}"
    return Trial(
        key,
        status,
        fold_losses=losses if status is TrialStatus.SUCCESS else {},
        fit_seconds=fit_seconds,
        predict_seconds=predict_seconds,
        message=message[:500],
        seconds=time.perf_counter() - start,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        versions=library_versions(),
    )


@lru_cache(maxsize=2)
def _measuring(cache: Path, key: str, protocol: Protocol) -> Measuring:
    return Measuring(protocol.prepare(read_task(cache, key)), protocol)


@lru_cache(maxsize=1)
def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide a trial's result."""
    return {name: importlib.metadata.version(name) for name in ("scikit-learn", "numpy", "scipy")}


def _limit_memory(memory_bytes: int) -> None:
    """Let allocations fail with MemoryError beyond the address space held now plus `memory_bytes`."""
    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + memory_bytes, resource.RLIM_INFINITY))


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
