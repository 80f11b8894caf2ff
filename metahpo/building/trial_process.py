"""A process that runs trials under limits, and is replaced after a trial that ends it.

A watcher (:mod:`metahpo.building.trial_watcher`) runs between it and this process. It ends processes that learners
fork.

A trial can end in these ways:

- the trial process answers with a trial of any status; it goes on to the next, unless the trial left processes,
  changed settings or much memory behind: then it is retired;
- it holds more memory than allowed, or takes more time: this side kills it and everything it forked (out_of_memory,
  timeout);
- it dies of a fault of its own, such as a segfault, an abort, an exit (crashed);
- it writes on the connection, or closes it (crashed);
- it, or its watcher, is killed by a signal that others send: an operator, the cluster, the kernel of a machine without
  memory. That says nothing about the trial, which runs again, and counts as crashed only when it happens every time;
- this process stood still meanwhile, because the machine was suspended or all processes were stopped. That time does
  not count towards the limit, and the trial runs again once, because its own seconds are wrong.

A learner that trains configurations at once gets several trials together, with the time limit of all and the memory
limit of one. If they fail together, each half runs again, and so on until the trial at fault is alone and ends as
above.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metahpo.building import trial_watcher
from metahpo.building.active_clock import ActiveClock
from metahpo.building.answer import CUT_OFF, Answer
from metahpo.building.frames import REQUEST_NONCE, ForeignBytesError, FrameReader, new_nonce, send
from metahpo.building.process_tree import TAG, ProcessTree, kill_orphans, new_tag
from metahpo.building.protocol import Protocol
from metahpo.exceptions import DataError, MetaHPOError
from metahpo.trials.records import TaskRefusal
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

#: Seconds that a new process may take to import its libraries; not counted against the first trial.
START_SECONDS = 120.0
#: Seconds between two looks at the memory of a running trial. An answer is seen at once.
WATCH_SECONDS = 0.05
#: Seconds to wait for the report on a trial process whose connection is closed.
LAST_WORDS_SECONDS = 5.0
#: Seconds to wait for a watcher to end what it watches; then this side does it.
END_SECONDS = trial_watcher.END_SECONDS + 2.0
#: How often a trial is started when something from outside kills its process every time.
MAX_STARTS = 3
#: Signals that a process gets from others and hardly ever from its own doing.
FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
#: Why there is no answer where a learner has closed the connection.
CLOSED = "the learner closed the descriptors of the trial process"
#: One thread a trial. Libraries read these when they are loaded, so they are set before the child starts.
ONE_THREAD = {
    f"{library}_THREADS": "1"
    for library in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "BLIS_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM")
}


@dataclass(frozen=True)
class Limits:
    """Limits of one trial. For trials that train at once, the time is that of each, and the memory that of all.

    Attributes
    ----------
    seconds : float
        Wall-clock seconds, the reading of the dataset included.
    memory_bytes : int
        Resident set of the trial process and all that it forks, libraries (some 200 MiB) included.

    Raises
    ------
    DataError
        A limit that is not positive.
    """

    seconds: float = 60.0
    memory_bytes: int = 4 << 30

    def __post_init__(self) -> None:
        if not self.seconds > 0 or not self.memory_bytes > 0:
            raise DataError(
                f"the limits of a trial are positive, but got {self.seconds} seconds and {self.memory_bytes} bytes."
            )


class _KilledFromOutsideError(Exception):
    pass


class _StoodStillError(Exception):
    pass


class TrialProcess:
    """Runs trials in a child process that is reused, and replaced after a timeout or a crash.

    Started by :mod:`subprocess`, because a worker of joblib's loky cannot start processes by :mod:`multiprocessing`.

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

    def start(self) -> None:
        """Start the child process, unless there is one that is ready; :meth:`run` does so as well.

        Raises
        ------
        MetaHPOError
            It cannot be started, or holds more than the memory limit before any trial.
        """
        self._started()

    def run(self, keys: Sequence[TrialKey]) -> list[Trial] | TaskRefusal:
        """Run trials of one learner on one task at once; for a learner that trains one by one, a single one.

        The result is a trial for every key, whatever the learner does, or the reason why nothing can be measured on the
        task.

        Raises
        ------
        MetaHPOError
            The child process cannot be started at all, or holds more than the memory limit before any trial.
        """
        message, n_killed, stood_still = "", 0, False
        while n_killed < MAX_STARTS:
            try:
                outcome = self._run_once(keys, again_if_stopped=not stood_still)
            except _StoodStillError:
                stood_still = True
                continue
            except _KilledFromOutsideError as killed:
                n_killed += 1
                message = f"{killed} {n_killed} times, from outside"
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
        """End the trial process, if one runs, and all processes that it forked."""
        if self._child is not None:
            self._child.end()
        self._child = None

    def _run_once(self, keys: Sequence[TrialKey], again_if_stopped: bool) -> Sequence[Trial] | TaskRefusal | None:
        """Trials; None where several did not end well."""
        child = self._started()
        clock, peak = ActiveClock(), 0
        limit_seconds = self.limits.seconds * len(keys)

        def ended(status: TrialStatus, message: str) -> list[Trial] | None:
            self.close()
            if len(keys) > 1:
                return None
            return [Trial(keys[0], status, message=message, seconds=clock.seconds, peak_memory_bytes=peak)]

        nonce = new_nonce()
        request = (nonce, list(keys), self.limits.seconds, (self.limits.memory_bytes - child.idle_bytes) // 2)
        try:
            child.send(request)
            while (answer := child.answer(nonce, WATCH_SECONDS)) is None:
                clock.tick()
                peak = max(peak, held := child.tree.resident_bytes())
                if held > self.limits.memory_bytes:
                    limit = self.limits.memory_bytes
                    return ended(TrialStatus.OUT_OF_MEMORY, f"held {_mib(held)} of memory; the limit is {_mib(limit)}")
                if clock.seconds > limit_seconds:
                    return ended(TrialStatus.TIMEOUT, f"stopped after {self.limits.seconds:g} s")
        except ForeignBytesError:
            return ended(TrialStatus.CRASHED, "the learner wrote on a descriptor that is not its own")
        except (EOFError, OSError):
            clock.tick()
            try:
                how = child.how_it_ended()
            except _KilledFromOutsideError:
                self.close()
                raise
            return ended(TrialStatus.CRASHED, how)
        clock.tick()
        held = child.tree.resident_bytes()
        if answer.retire or held > (child.idle_bytes + self.limits.memory_bytes) / 2:
            self.close()
        if clock.stood_still and again_if_stopped:
            raise _StoodStillError
        outcome = answer.outcome
        if outcome is None or isinstance(outcome, TaskRefusal):
            return outcome
        return [
            replace(trial, key=key, peak_memory_bytes=max(peak, held, trial.peak_memory_bytes))
            for key, trial in zip(keys, outcome, strict=True)
        ]

    def _started(self) -> _Child:
        if self._child is not None and self._child.is_ready():
            return self._child
        self.close()
        kill_orphans()
        for _ in range(MAX_STARTS):
            self._child = _Child.started(self.cache, self.protocol, self.environment)
            if self._child is not None:
                break
        else:
            raise MetaHPOError(
                f"a trial process did not start within {START_SECONDS:g} s; "
                "`python -P -c 'import metahpo.building.trial_worker'` may show why."
            )
        if self._child.idle_bytes >= self.limits.memory_bytes:
            held = self._child.idle_bytes
            self.close()
            raise MetaHPOError(
                f"a trial process holds {_mib(held)} of memory before its first trial, and the limit is "
                f"{_mib(self.limits.memory_bytes)}; allow more."
            )
        return self._child


class _Child:
    """A trial process, its watcher, and the connections to both."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        tag = new_tag()
        self._connection, theirs = socket.socketpair()
        self.watcher = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", trial_watcher.__file__, str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **ONE_THREAD, **environment, TAG: tag},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._reader = FrameReader(self._connection.fileno())
        self.tree = ProcessTree(self.watcher.pid, tag)
        self.idle_bytes = 0

    @classmethod
    def started(cls, cache: Path, protocol: Protocol, environment: Mapping[str, str]) -> _Child | None:
        """Start a trial process. None if it did not start, for example because it was killed."""
        child, clock, nonce = cls(environment), ActiveClock(), new_nonce()
        try:
            child.send((nonce, cache, protocol))
            while child._payload(nonce, WATCH_SECONDS) is None:
                clock.tick()
                if clock.seconds > START_SECONDS:
                    raise EOFError
        except (EOFError, OSError, ForeignBytesError):
            child.end()
            return None
        child.idle_bytes = child.tree.resident_bytes()
        return child

    def is_ready(self) -> bool:
        """Whether it runs and has sent no unrequested bytes."""
        return self.watcher.poll() is None and not self._has_reported() and self._reader.is_silent()

    def send(self, request: object) -> None:
        """Send a request; see :func:`metahpo.building.trial_worker.serve`."""
        send(self._connection.fileno(), REQUEST_NONCE, pickle.dumps(request))

    def answer(self, nonce: bytes, timeout: float) -> Answer | None:
        """Its answer; None where there is none within `timeout` seconds.

        Raises
        ------
        ForeignBytesError
            Something else came.
        EOFError
            It has ended.
        """
        payload = self._payload(nonce, timeout)
        try:
            return None if payload is None else Answer.from_bytes(payload)
        except ValueError as error:
            raise ForeignBytesError from error

    def _payload(self, nonce: bytes, timeout: float) -> bytes | None:
        payload = self._reader.receive(nonce, timeout)
        # Processes that it forked may keep the connection open, so an open connection does not show that it runs.
        if payload is None and self._has_reported():
            payload = self._reader.receive(nonce, 0.0)  # it may have answered just before
            if payload is None:
                raise EOFError
        return payload

    def _has_reported(self) -> bool:
        assert self.watcher.stdout is not None
        poll = select.poll()
        poll.register(self.watcher.stdout, select.POLLIN)
        return bool(poll.poll(0))

    def how_it_ended(self) -> str:
        """The reason why there is no answer, in words.

        Raises
        ------
        _KilledFromOutsideError
            By a signal that others send.
        """
        assert self.watcher.stdout is not None
        poll = select.poll()
        poll.register(self.watcher.stdout, select.POLLIN)
        if not poll.poll(1000.0 * LAST_WORDS_SECONDS):
            return CLOSED
        report = self.watcher.stdout.read()
        if not report:
            code = self.watcher.wait()
            how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
            raise _KilledFromOutsideError(f"the process that watches the trial {how}")
        code = int(report)
        if code == CUT_OFF:
            return CLOSED
        if -code in FROM_OUTSIDE:
            raise _KilledFromOutsideError(f"killed by {_signal_name(-code)}")
        how = f"died of {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        return f"the process {how}"

    def end(self) -> None:
        """End it, its watcher and what it forked."""
        self._connection.close()
        assert self.watcher.stdin is not None
        assert self.watcher.stdout is not None
        self.watcher.stdin.close()
        try:
            code = self.watcher.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:  # the watcher was killed or stopped itself, so the trial process may still run
            self.tree.kill()
            self.watcher.wait()
        self.watcher.stdout.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:.0f} MiB"
