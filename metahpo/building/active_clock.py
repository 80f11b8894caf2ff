"""Seconds in which this process was running: those of a suspended machine or a stopped process do not count."""

from __future__ import annotations

import time

#: Seconds between two readings above which the process counts as stopped. Readings are some hundredths of a second
#: apart.
STOOD_STILL_SECONDS = 2.0


class ActiveClock:
    """A clock that must be read often.

    A long time between two readings counts as one in which this process was stopped.

    Attributes
    ----------
    seconds : float
        Active seconds up to the last :meth:`tick`.
    stood_still : float
        Seconds up to then in which the process was stopped.
    """

    def __init__(self) -> None:
        self.seconds = self.stood_still = 0.0
        self._last = time.monotonic()

    def tick(self) -> None:
        """Read the clock."""
        now = time.monotonic()
        passed, self._last = now - self._last, now
        if passed > STOOD_STILL_SECONDS:
            self.stood_still += passed
        else:
            self.seconds += passed
