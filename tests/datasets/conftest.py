"""The server that answers like OpenML's, started for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.datasets.openml_server import OpenMLServer, fruit_server


@pytest.fixture
def server() -> Iterator[OpenMLServer]:
    """Three small datasets, a task on each, and suites "fruits" and "99" of these; "empty" and "runs" have none."""
    server = fruit_server()
    thread = server.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()
