"""Requests that leave a server time to breathe, do not wait for it for ever, and take no more than they should."""

from __future__ import annotations

import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import urllib3

from metahpo.exceptions import DataError

#: A file that comes more slowly, in bytes a second, is given up.
SLOWEST = 10_000
#: Bytes that are taken at a time.
CHUNK = 1 << 16


class TooLargeError(DataError):
    """A file is larger than it may be."""


class Throttle:
    """Rules for the requests of one download after the other.

    Parameters
    ----------
    pause_seconds : float
        From the end of one request to the start of the next.
    timeout_seconds : float
        Without a byte from the server; then the request fails. So it does where a file comes at less than 10 kB a
        second, once these seconds are over.
    max_bytes : int
        Of one file, unpacked; beyond, it is not read on.
    max_seconds : float
        For one file.
    """

    def __init__(self, pause_seconds: float, timeout_seconds: float, max_bytes: int, max_seconds: float) -> None:
        self.pause_seconds, self.timeout_seconds = pause_seconds, timeout_seconds
        self.max_bytes, self.max_seconds = max_bytes, max_seconds
        self._next = 0.0

    def session(self) -> requests.Session:
        """A session whose requests follow the rules. Other sessions of the process do not."""
        return _Session(self)

    def download(self, url: str, path: Path) -> None:
        """Bring one file.

        Raises
        ------
        FileNotFoundError
            The server cannot be reached, or does not give that file.
        requests.RequestException
            It did not come whole.
        TooLargeError
            It is larger than it may be.
        """
        try:
            with self.session() as session:
                response = session.get(url)
        except requests.ConnectionError as error:
            raise FileNotFoundError(f"{url} cannot be had: {error}") from error
        if response.status_code != 200:
            raise FileNotFoundError(f"{url} cannot be had: the server answers with status {response.status_code}")
        path.write_bytes(response.content)

    @contextmanager
    def applied_to(self, client: Any) -> Iterator[None]:
        """For the time of the block, sessions that one module opens in this thread follow the rules.

        Parameters
        ----------
        client : module
            It has imported `requests`, and asks that module for a session. Neither `requests` itself nor another module
            that uses it is touched.
        """
        original = client.requests
        client.requests = _Requests(self)
        try:
            yield
        finally:
            client.requests = original

    def wait(self) -> None:
        """Sleep until the next request may be sent."""
        time.sleep(max(0.0, self._next - time.monotonic()))

    def ended(self) -> None:
        """Note that a request has ended."""
        self._next = time.monotonic() + self.pause_seconds

    def check(self, n_bytes: int, seconds: float, url: str) -> None:
        """Raise an error for a download that is too large or too slow, from its bytes and seconds so far.

        Raises
        ------
        TooLargeError
            Too many bytes.
        requests.Timeout
            Too many seconds.
        """
        if n_bytes > self.max_bytes:
            raise TooLargeError(f"{url} is larger than {self.max_bytes} bytes; raise the limit (max_bytes) to take it.")
        allowed = min(self.max_seconds, self.timeout_seconds + n_bytes / SLOWEST)
        if seconds > allowed:
            raise requests.Timeout(f"{url} brought {n_bytes} bytes in {seconds:.0f} seconds, which is too slow")


class _Requests:
    """The module `requests`, whose sessions follow the rules of a throttle in the thread that made this object."""

    def __init__(self, throttle: Throttle) -> None:
        self._throttle, self._thread = throttle, threading.get_ident()

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    def Session(self) -> requests.Session:
        """A session: see :class:`requests.Session`."""
        return self._throttle.session() if threading.get_ident() == self._thread else requests.Session()


class _Session(requests.Session):
    """Follows the rules of a throttle; its responses are complete, as those of a session are."""

    def __init__(self, throttle: Throttle) -> None:
        super().__init__()
        self._throttle = throttle
        self.headers["Accept-Encoding"] = "gzip"

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """One request: see :meth:`requests.Session.request`."""
        self._throttle.wait()
        try:
            seconds = self._throttle.timeout_seconds
            response = super().request(*arguments, **{"timeout": seconds, **options, "stream": True})
            with response:
                return self._complete(response)
        finally:
            self._throttle.ended()

    def _complete(self, response: requests.Response) -> requests.Response:
        """Read the content; it is on disk until it has all come, so that an endless one fills no memory."""
        start, n_bytes = time.monotonic(), 0
        announced = response.headers.get("Content-Length", "")
        self._throttle.check(int(announced) if announced.isdecimal() else 0, 0.0, response.url)
        with tempfile.TemporaryFile() as file:
            for piece in _pieces(response):
                n_bytes += len(piece)
                self._throttle.check(n_bytes, time.monotonic() - start, response.url)
                file.write(piece)
            file.seek(0)
            response._content = file.read()
        return response


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """The content, unpacked, in pieces of `CHUNK` bytes at most; an empty piece where what came unpacks to nothing yet.

    `requests` waits for whole pieces, in which time a slow server cannot be told.
    """
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip", "deflate"):
        raise requests.exceptions.ContentDecodingError(f"{response.url} came in the unknown encoding {encoding!r}")
    pieces = iter(lambda: response.raw.read1(CHUNK, decode_content=False), b"")
    try:
        yield from pieces if encoding == "identity" else _unpacked(pieces)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.ReadTimeout(f"{response.url}: {error}") from error
    except (urllib3.exceptions.HTTPError, EOFError) as error:
        raise requests.exceptions.ChunkedEncodingError(f"{response.url}: {error}") from error
    except zlib.error as error:
        raise requests.exceptions.ContentDecodingError(f"{response.url}: {error}") from error


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    unpacking, empty = _unpacking(), True
    for piece in pieces:
        empty = False
        while piece:
            if unpacking.eof:  # another member follows
                unpacking = _unpacking()
            yield unpacking.decompress(piece, CHUNK)
            piece = unpacking.unconsumed_tail or unpacking.unused_data
    yield unpacking.flush()
    if not (unpacking.eof or empty):
        raise EOFError("the packed content ends in the middle")


def _unpacking() -> zlib._Decompress:
    return zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip, or zlib
