"""Requests that leave a server time to breathe and do not wait for it for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests


class Throttle:
    """Rules for the requests of code that gives them none: a pause before each, a limit on silence.

    Parameters
    ----------
    pause_seconds : float
        From the end of one request to the start of the next.
    timeout_seconds : float
        Without a byte from the server; then the request fails. The OpenML client sets no limit of its own, and would
        wait on one dead connection for ever.
    """

    def __init__(self, pause_seconds: float, timeout_seconds: float) -> None:
        self.pause_seconds = pause_seconds
        self.timeout_seconds = timeout_seconds
        self._next = 0.0

    @contextmanager
    def applied(self) -> Iterator[None]:
        """For the time of the block, every request of the process through `requests` follows the rules."""
        original = requests.Session.request

        def request(session: requests.Session, *arguments: Any, **options: Any) -> requests.Response:
            time.sleep(max(0.0, self._next - time.monotonic()))
            try:
                return original(session, *arguments, **{"timeout": self.timeout_seconds, **options})
            finally:
                self._next = time.monotonic() + self.pause_seconds

        setattr(requests.Session, "request", request)  # noqa: B010 - a session is not ours to make or to subclass
        try:
            yield
        finally:
            setattr(requests.Session, "request", original)  # noqa: B010
