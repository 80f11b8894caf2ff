"""A child process and everything it forked: the memory they hold together, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import psutil

#: Seconds between two looks for new descendants: each look walks over all processes of the machine.
LOOK_SECONDS = 0.25


class ProcessTree:
    """A process that leads its own process group, and its descendants, also those that left the group.

    Parameters
    ----------
    pid : int
        A running child of this process.
    """

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._descendants: set[psutil.Process] = set()
        self._next_look = time.monotonic() + LOOK_SECONDS

    def resident_bytes(self) -> int:
        """Resident set of all of them; a page that several share counts in each. 0 when they are gone."""
        if time.monotonic() >= self._next_look:
            self._look()
        return sum(_resident_bytes(p) for p in [self._root, *self._descendants])

    def kill(self) -> None:
        """SIGKILL to the group and to every descendant that was ever seen; harmless where they are gone."""
        self._look()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._root.pid, signal.SIGKILL)
        for process in self._descendants:  # psutil makes sure that a number is still the same process
            with contextlib.suppress(psutil.Error):
                process.kill()

    def _look(self) -> None:
        # Those seen stay in the set: when the root is dead, nothing else leads to a daemon that it forked.
        with contextlib.suppress(psutil.Error):
            self._descendants.update(self._root.children(recursive=True))
        self._next_look = time.monotonic() + LOOK_SECONDS


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
