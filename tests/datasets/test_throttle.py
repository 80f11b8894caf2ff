"""Sessions of a throttle keep a distance and their limits of time and size; all other sessions are free of them."""

from __future__ import annotations

import gzip
import threading
import time
import types
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from metahpo.datasets.throttle import Throttle, TooLargeError
from tests.datasets.openml_server import OpenMLServer


def throttle(pause: float = 0.0, timeout: float = 5.0, max_bytes: int = 1 << 20, max_seconds: float = 9.0) -> Throttle:
    return Throttle(pause, timeout, max_bytes, max_seconds)


class Endless(BaseHTTPRequestHandler):
    """Sends for ever: /flood as fast as it can, /zeros packed, /drip a byte at a time, /packed-drip that packed."""

    def do_GET(self) -> None:
        self.send_response(200)
        zipped = self.path in ("/zeros", "/packed-drip", "/cut")
        if zipped:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        packed = gzip.compress(bytes(1 << 20))
        try:
            if self.path == "/cut":
                self.wfile.write(packed[:500])
                return
            for i in range(10**6):
                if self.path.endswith("drip"):
                    self.wfile.write(packed[i : i + 1] if zipped else b"x")
                    time.sleep(0.02)
                else:
                    self.wfile.write(packed if zipped else bytes(1 << 16))
        except OSError:
            pass

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def endless() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_requests_keep_a_distance_from_session_to_session(server: OpenMLServer) -> None:
    rules = throttle(pause=0.1)
    start = time.monotonic()
    for _ in range(2):
        with rules.session() as session:
            session.get(server.url)
            session.get(server.url)
    assert time.monotonic() - start > 0.3
    assert server.asked_at[1] - server.asked_at[0] > 0.1


def test_silence_has_a_limit_unless_the_caller_sets_another(server: OpenMLServer) -> None:
    server.faults = [("", "silent")] * 2
    with throttle(timeout=0.2).session() as session, pytest.raises(requests.Timeout):
        session.get(server.url)
    with throttle(timeout=30.0).session() as session, pytest.raises(requests.Timeout):
        session.get(server.url, timeout=0.2)


@pytest.mark.parametrize("path", ["/flood", "/zeros"])
def test_an_endless_file_is_given_up_at_its_limit(endless: str, path: str) -> None:
    with throttle().session() as session, pytest.raises(TooLargeError, match="is larger than 1048576 bytes"):
        session.get(endless + path)


@pytest.mark.parametrize("path", ["/drip", "/packed-drip"])
def test_a_file_that_comes_too_slowly_is_given_up(endless: str, path: str) -> None:
    start = time.monotonic()
    with throttle(timeout=0.3).session() as session, pytest.raises(requests.Timeout, match="too slow"):
        session.get(endless + path)
    assert time.monotonic() - start < 5.0


def test_a_fast_file_has_a_limit_of_time_too(endless: str) -> None:
    rules = throttle(max_bytes=1 << 60, max_seconds=0.2)
    with rules.session() as session, pytest.raises(requests.Timeout, match="too slow"):
        session.get(endless + "/flood")


def test_a_packed_file_that_is_cut_is_an_error(endless: str) -> None:
    with throttle().session() as session, pytest.raises(requests.exceptions.ChunkedEncodingError, match="middle"):
        session.get(endless + "/cut")


def test_a_download_is_the_file_or_says_that_there_is_none(server: OpenMLServer, tmp_path: Path) -> None:
    throttle().download(f"{server.url}/download/1", tmp_path / "file")
    assert (tmp_path / "file").read_text() == server.datasets[1].arff
    with pytest.raises(FileNotFoundError, match="status 412"):
        throttle().download(f"{server.url}/download/9", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="cannot be had"):
        throttle().download("http://127.0.0.1:9/x", tmp_path / "none")


def test_the_rules_are_those_of_one_module_in_one_thread_and_end_with_the_block() -> None:
    client = types.ModuleType("client")
    client.requests = requests  # type: ignore[attr-defined]
    made: list[type] = []
    before = requests.Session, requests.Session.request

    def fail() -> None:
        with throttle().applied_to(client):
            assert (requests.Session, requests.Session.request) == before
            assert type(client.requests.Session()) is not requests.Session
            assert client.requests.codes is requests.codes
            other = threading.Thread(target=lambda: made.append(type(client.requests.Session())))
            other.start()
            other.join()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert made == [requests.Session]
    assert client.requests is requests
