"""Seconds of the steps of a recommendation."""

from __future__ import annotations

import time


class Laps:
    """Seconds between laps.

    Attributes
    ----------
    seconds : dict of str to float
        Of each step, by its name.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def end(self, step: str) -> None:
        """End a step; the next one begins."""
        now = time.perf_counter()
        self.seconds[step] = now - self._last
        self._last = now
