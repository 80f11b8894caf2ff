"""A child process and its descendants: their total memory, and killing all of them.

The environment of the child holds a tag that its descendants inherit. The tag identifies daemons whose parents have
ended, and processes of killed workers whose watchers were killed too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil

#: Seconds between two looks for new descendants: each look walks over all processes of the machine.
LOOK_SECONDS = 0.25
#: Environment variable with the tag: namespace of process ids, id and start of the worker, and a random part.
TAG = "METAHPO_TRIAL_PROCESS"
#: How often all processes are searched for those that are to be killed, since they may fork meanwhile.
MAX_ROUNDS = 20


class ProcessTree:
    """A process that leads its own process group, and its descendants, also those that left the group.

    Parameters
    ----------
    pid : int
        A running child of this process.
    tag : str, default=""
        Value of :data:`TAG` in its environment; empty where it has none.
    """

    def __init__(self, pid: int, tag: str = "") -> None:
        self._tag = tag
        self._root = psutil.Process(pid)
        self._descendants: set[psutil.Process] = set()
        self._next_look = time.monotonic() + LOOK_SECONDS

    def resident_bytes(self) -> int:
        """Sum of the resident sets. A shared page counts once for each process. 0 after all have ended."""
        if time.monotonic() >= self._next_look:
            self._look()
        return sum(_resident_bytes(p) for p in [self._root, *self._descendants])

    def kill(self) -> None:
        """Send SIGKILL to the group, to all descendants seen so far, and to all processes with the tag."""
        self._look()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._root.pid, signal.SIGKILL)
        for process in self._descendants:  # psutil makes sure that a number is still the same process
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self._tag:
            _kill_tagged(lambda tag: tag == self._tag)

    def _look(self) -> None:
        # Descendants stay in the set, because after the end of the root no other record leads to its daemons.
        with contextlib.suppress(psutil.Error):
            self._descendants.update(self._root.children(recursive=True))
        self._next_look = time.monotonic() + LOOK_SECONDS


def kill_with_descendants(pid: int) -> None:
    """Send SIGKILL to a process and its known descendants. Nothing happens if it has ended."""
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [*root.children(recursive=True), root]:
            with contextlib.suppress(psutil.Error):
                process.kill()


def new_tag() -> str:
    """A new tag for a child of this process."""
    return f"{_namespace()}/{os.getpid()}/{_start(os.getpid())}/{uuid.uuid4().hex}"


def kill_orphans() -> None:
    """Send SIGKILL to processes of trials whose workers have ended."""

    def is_orphan(tag: str) -> bool:
        namespace, pid, start, _ = tag.split("/")
        # In another namespace, such as a container's, process ids are others.
        return namespace == _namespace() and _start(int(pid)) != start

    _kill_tagged(is_orphan)


def _start(pid: int) -> str:
    """Start time of a process in ticks of the kernel; empty if it does not exist or has no record."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _kill_tagged(is_meant: Callable[[str], bool]) -> None:
    for _ in range(MAX_ROUNDS):
        n_found = 0
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError, KeyError, ValueError):
                if process.pid != os.getpid() and is_meant(process.environ()[TAG]):
                    process.kill()
                    n_found += 1
        if not n_found:
            return
        time.sleep(0.01)


@cache
def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
