"""The watcher: a process between a worker and its trial process, which ends all processes that a learner forks.

:class:`metahpo.building.trial_process.TrialProcess` starts this file as a script,
``python -P trial_watcher.py DESCRIPTOR WORKER_PID``. It forks the trial process before anything is loaded, and stays
small itself. It needs the standard library only.

- Orphans become children of this process (PR_SET_CHILD_SUBREAPER), so a daemon with a session of its own is found too.
- The kernel kills the trial process when this process dies (PR_SET_PDEATHSIG).
- Standard input is the worker's wish: when it is closed, or the worker is gone, everything is ended.
- Standard output is the report: the exit code of the trial process, as :mod:`subprocess` counts it, once everything
  that it forked has ended too.

A learner that kills its parent kills this process, and not the worker.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

#: Options of Linux' prctl(2).
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
#: Seconds between two looks at whether the worker still lives: a fork of it may hold our standard input open.
LOOK_SECONDS = 1.0
#: Seconds within which killed processes are expected to end; the kernel may hold some for longer.
END_SECONDS = 10.0


def watch(descriptor: int, worker: int) -> int:
    """Fork the trial process, wait for its end or for the worker's wish, end everything, and report.

    Parameters
    ----------
    descriptor : int
        Of the connection between the worker and the trial process.
    worker : int
        Process id of the worker, the parent of this process.

    Returns
    -------
    int
        0 where nothing is left of the trial process and what it forked, else 1.
    """
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the driver reacts to Ctrl-C
    woken, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    family = _Family(watcher=os.getpid(), trial_process=os.fork())
    if family.trial_process == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(woken)
        os.close(wakeup)
        _become_trial_process(descriptor, family.watcher)
    os.close(descriptor)
    poll = select.poll()
    for readable in (0, woken):
        poll.register(readable, select.POLLIN)
    while family.code is None and os.getppid() == worker:
        ready = {found for found, _ in poll.poll(1000.0 * LOOK_SECONDS)}
        if 0 in ready:
            break
        if woken in ready:
            os.read(woken, 4096)
        family.reap()
    is_gone = family.end()
    if family.code is not None:
        with contextlib.suppress(OSError):  # the worker is gone
            os.write(1, b"%d\n" % family.code)
    return 0 if is_gone else 1


class _Family:
    """The children of this process: the trial process, and the orphans of what it forked."""

    def __init__(self, watcher: int, trial_process: int) -> None:
        self.watcher, self.trial_process = watcher, trial_process
        self.code: int | None = None  # exit code of the trial process

    def reap(self) -> bool:
        """Reap every child that has ended. Returns whether no child is left."""
        try:
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self.trial_process:
                    self.code = os.waitstatus_to_exitcode(found[1])
        except ChildProcessError:
            return True
        return False

    def end(self) -> bool:
        """Kill children until none is left.

        The children of a killed child become children of this process. Returns whether it succeeded.
        """
        end = time.monotonic() + END_SECONDS
        while not self.reap():
            if time.monotonic() > end:
                return False
            if self.code is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.trial_process, signal.SIGKILL)
            for child in self._children():  # not reaped yet, so the number is still theirs
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(child, signal.SIGKILL)
            time.sleep(0.001)
        return True

    def _children(self) -> list[int]:
        found = [] if self.code is not None else [self.trial_process]
        own = str(self.watcher)
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if stat.read_text(errors="replace").rpartition(")")[2].split()[1] == own:
                    found.append(int(stat.parent.name))
        return found


def _become_trial_process(descriptor: int, watcher: int) -> NoReturn:
    os.setsid()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # so it knows what a trial has left behind
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != watcher:
        os._exit(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    _load_package()
    from metahpo.building.trial_worker import serve

    serve(descriptor)
    os._exit(0)


def _load_package() -> None:
    """Load the package that this file belongs to. The package may not be installed."""
    package = Path(__file__).parents[1]
    spec = importlib.util.spec_from_file_location(
        package.name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules[package.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(watch(int(sys.argv[1]), int(sys.argv[2])))
