"""Ctrl-C: the first drains a build, the second stops it at once."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import FrameType


class Draining:
    """A flag file that asks all workers of a build, on any machine, to stop after their running trials.

    Parameters
    ----------
    folder : path
        Folder of the build.
    flag : path, default=None
        A flag that other processes may set. None makes a flag of this driver only, so an interrupt drains no other
        driver of the folder.
    """

    def __init__(self, folder: Path, flag: Path | None = None) -> None:
        self._own = flag is None
        self.flag = flag or folder / f".drain-{uuid.uuid4().hex[:8]}"
        self._interrupted = False

    @property
    def asked(self) -> bool:
        """Whether draining was requested."""
        return self._interrupted or self.flag.exists()

    @contextlib.contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """Handle SIGINT: the first asks workers to stop after their running trials, the second is a KeyboardInterrupt.

        At its end, the context raises KeyboardInterrupt if the build was drained, because the build is not finished.
        Outside the main thread, Python delivers no signals, and the context does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
            if self._interrupted:
                raise KeyboardInterrupt
        finally:
            signal.signal(signal.SIGINT, before)
            if self._own:
                self.flag.unlink(missing_ok=True)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        sys.stderr.write("finishing the running trials; Ctrl-C again stops at once, and loses only those\n")
        with contextlib.suppress(OSError):  # the folder is gone or full; the driver itself drains anyway
            self.flag.touch()
