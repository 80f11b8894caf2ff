"""A child process that runs trials one at a time, under limits, and is replaced when one of them brings it down."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from metahpo.building.measurement import Protocol
from metahpo.exceptions import MetaHPOError, StoreError
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

#: Seconds that a new process may take to import its libraries; not counted against the first trial.
START_SECONDS = 120.0


@dataclass(frozen=True)
class Limits:
    """What one trial may use: wall-clock seconds, and bytes of address space beyond what the process starts with."""

    seconds: float = 60.0
    memory_bytes: int = 4 << 30


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
    """

    def __init__(self, cache: Path, protocol: Protocol, limits: Limits) -> None:
        self.cache, self.protocol, self.limits = cache, protocol, limits
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def run(self, key: TrialKey) -> Trial:
        """Run one trial; whatever the learner does, a trial comes back.

        Raises
        ------
        StoreError
            The dataset cannot be read.
        MetaHPOError
            The child process cannot be started at all.
        """
        process, pipe = self._started()
        start = time.perf_counter()
        answer: Trial | StoreError | None = None
        status, message = TrialStatus.TIMEOUT, f"stopped after {self.limits.seconds:g} s"
        try:
            pipe.send(key)
            if pipe.poll(self.limits.seconds):
                answer = pipe.recv()
        except (EOFError, OSError):
            code = process.wait()
            # Without a word of its own, SIGKILL is the kernel's answer to a machine out of memory.
            status = TrialStatus.OUT_OF_MEMORY if code == -signal.SIGKILL else TrialStatus.CRASHED
            message = f"the process ended with exit code {code}"
        if isinstance(answer, Trial):
            return answer
        if answer is not None:
            raise answer
        self.close()
        return Trial(key, status, message=message, seconds=time.perf_counter() - start)

    def close(self) -> None:
        """End the child process and what it forked, if there is one."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = self._pipe = None

    def _started(self) -> tuple[subprocess.Popen[bytes], Connection]:
        if self._pipe is None or self._process is None or self._process.poll() is not None:
            self.close()
            self._pipe, theirs = Pipe()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "metahpo.building.trial_worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            theirs.close()
            try:
                self._pipe.send((self.cache, self.protocol, self.limits.memory_bytes))
                if not self._pipe.poll(START_SECONDS):
                    raise EOFError
                self._pipe.recv()
            except (EOFError, OSError):
                self.close()
                raise MetaHPOError(
                    f"a trial process did not start within {START_SECONDS:g} s; "
                    "`python -m metahpo.building.trial_worker 0` shows why."
                ) from None
        return self._process, self._pipe
