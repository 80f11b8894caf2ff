"""A child process that runs trials under limits, and is replaced when one of them brings it down.

How a trial ends, and who finds out:

- the child answers with a trial of any status; it goes on to the next, unless the trial left processes or much memory
  behind: then it is retired;
- it holds more memory than allowed, or takes more time: this side kills it and everything it forked (out_of_memory,
  timeout);
- it dies of a fault of its own, such as a segfault, an abort, an exit (crashed);
- it is killed by a signal that others send: an operator, the cluster, the kernel of a machine without memory. That says
  nothing about the trial, which runs again, and counts as crashed only when it happens every time.

Trials of a learner that trains configurations at once come several together, with the time of all and the memory of
one. When that does not end well, whatever the cause, it is two halves that run next, and so on until the trial at fault
is alone and ends as above.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from metahpo.building.process_tree import ProcessTree
from metahpo.building.protocol import Protocol
from metahpo.exceptions import MetaHPOError
from metahpo.trials.records import TaskRefusal
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

#: Seconds that a new process may take to import its libraries; not counted against the first trial.
START_SECONDS = 120.0
#: Seconds between two looks at the memory of a running trial. An answer is seen at once.
WATCH_SECONDS = 0.05
#: How often a trial is started when something from outside kills its process every time.
MAX_STARTS = 3
#: Signals that a process gets from others and hardly ever from its own doing.
FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
#: One thread a trial. Libraries read these when they are loaded, so they are set before the child starts.
ONE_THREAD = {
    f"{library}_THREADS": "1"
    for library in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "BLIS_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM")
}


@dataclass(frozen=True)
class Limits:
    """What one trial may use; of trials that train at once, its share of the time, and the memory of all.

    Attributes
    ----------
    seconds : float
        Wall-clock seconds, the reading of the dataset included.
    memory_bytes : int
        Resident set of the trial process and all that it forks, libraries (some 200 MiB) included.
    """

    seconds: float = 60.0
    memory_bytes: int = 4 << 30


@dataclass(frozen=True)
class _Child:
    process: subprocess.Popen[bytes]
    pipe: Connection
    tree: ProcessTree
    idle_bytes: int


class _KilledFromOutsideError(Exception):
    pass


class TrialProcess:
    """Runs trials in a child process that is reused, and replaced after a timeout or a crash.

    A plain child of :mod:`subprocess`, because a worker of joblib's loky cannot start processes by
    :mod:`multiprocessing`; it leads a process group of its own, so that what a learner forks ends with it.

    Parameters
    ----------
    cache : path
        Dataset cache that the trials' tasks are read from.
    protocol : Protocol
    limits : Limits
    environment : mapping, default=None
        Environment variables for the child, beyond those of this process: which GPU it sees, for example.
    """

    def __init__(
        self, cache: Path, protocol: Protocol, limits: Limits, environment: Mapping[str, str] | None = None
    ) -> None:
        self.cache, self.protocol, self.limits = cache, protocol, limits
        self.environment = dict(environment or {})
        self._child: _Child | None = None

    def run(self, keys: Sequence[TrialKey]) -> list[Trial] | TaskRefusal:
        """Run trials of one learner on one task at once; for a learner that trains one by one, a single one.

        Whatever the learner does, a trial comes back for every key, or why nothing can be measured on their task.

        Raises
        ------
        MetaHPOError
            The child process cannot be started at all, or holds more than the memory limit before any trial.
        """
        message = ""
        for _ in range(MAX_STARTS):
            try:
                outcome = self._run_once(keys)
            except _KilledFromOutsideError as killed:
                message = f"{killed} {MAX_STARTS} times, from outside"
                continue
            if outcome is None:
                break
            if isinstance(outcome, TaskRefusal):
                return outcome
            return [replace(trial, finished=time.time()) for trial in outcome]
        if len(keys) == 1:
            return [Trial(keys[0], TrialStatus.CRASHED, message=message, finished=time.time())]
        middle = len(keys) // 2
        first = self.run(keys[:middle])
        second = first if isinstance(first, TaskRefusal) else self.run(keys[middle:])
        return second if isinstance(first, TaskRefusal) or isinstance(second, TaskRefusal) else [*first, *second]

    def close(self) -> None:
        """End the child process and what it forked, if there is one."""
        if self._child is not None:
            self._child.pipe.close()
            self._child.tree.kill()
            self._child.process.wait()
        self._child = None

    def _run_once(self, keys: Sequence[TrialKey]) -> list[Trial] | TaskRefusal | None:
        """Trials; None where several did not end well."""
        child = self._started()
        start, peak = time.perf_counter(), 0
        limit_seconds = self.limits.seconds * len(keys)

        def ended(status: TrialStatus, message: str) -> list[Trial] | None:
            self.close()
            if len(keys) > 1:
                return None
            seconds = time.perf_counter() - start
            return [Trial(keys[0], status, message=message, seconds=seconds, peak_memory_bytes=peak)]

        try:
            child.pipe.send((keys, self.limits.seconds, (self.limits.memory_bytes - child.idle_bytes) // 2))
            while not child.pipe.poll(WATCH_SECONDS):
                peak = max(peak, held := child.tree.resident_bytes())
                if held > self.limits.memory_bytes:
                    limit = self.limits.memory_bytes
                    return ended(TrialStatus.OUT_OF_MEMORY, f"held {_mib(held)} of memory; the limit is {_mib(limit)}")
                if time.perf_counter() - start > limit_seconds:
                    return ended(TrialStatus.TIMEOUT, f"stopped after {self.limits.seconds:g} s")
                # What it forked may hold the pipe open, so its end is no sure sign of a death.
                if child.process.poll() is not None and not child.pipe.poll():
                    raise EOFError
            outcome: list[Trial] | TaskRefusal | None
            outcome, retire = child.pipe.recv()
        except (EOFError, OSError):
            code = self._exit_code(child)
            if -code in FROM_OUTSIDE:
                self.close()
                raise _KilledFromOutsideError(f"killed by {signal.Signals(-code).name}") from None
            how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            return ended(TrialStatus.CRASHED, f"the process {how}")
        held = child.tree.resident_bytes()
        if retire or held > (child.idle_bytes + self.limits.memory_bytes) / 2:
            self.close()
        if isinstance(outcome, list):
            return [replace(trial, peak_memory_bytes=max(peak, held, trial.peak_memory_bytes)) for trial in outcome]
        return outcome

    @staticmethod
    def _exit_code(child: _Child) -> int:
        """Exit code of a child whose pipe is closed; one that lives on without it is ended, as if it had aborted."""
        try:
            return child.process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return -signal.SIGABRT

    def _started(self) -> _Child:
        if self._child is not None and self._child.process.poll() is None:
            return self._child
        self.close()
        for _ in range(MAX_STARTS):
            if self._start():
                break
        if self._child is None:
            raise MetaHPOError(
                f"a trial process did not start within {START_SECONDS:g} s; "
                "`python -c 'import metahpo.building.trial_worker'` may show why."
            )
        if self._child.idle_bytes >= self.limits.memory_bytes:
            held = self._child.idle_bytes
            self.close()
            raise MetaHPOError(
                f"a trial process holds {_mib(held)} of memory before its first trial, and the limit is "
                f"{_mib(self.limits.memory_bytes)}; allow more."
            )
        return self._child

    def _start(self) -> bool:
        """Start a child; False where it did not come to life, killed while starting, for example."""
        pipe, theirs = Pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "metahpo.building.trial_worker", str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **ONE_THREAD, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        tree = ProcessTree(process.pid)
        try:
            pipe.send((self.cache, self.protocol))
            if not pipe.poll(START_SECONDS):
                raise EOFError
            pipe.recv()
        except (EOFError, OSError):
            pipe.close()
            tree.kill()
            process.wait()
            return False
        self._child = _Child(process, pipe, tree, tree.resident_bytes())
        return True


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:.0f} MiB"
