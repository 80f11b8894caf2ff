"""Requests keep a distance and a time limit while the rules are applied, and are free of them afterwards."""

from __future__ import annotations

import time

import pytest
import requests

from metahpo.tasks.throttle import Throttle
from tests.tasks.openml_server import OpenMLServer


def test_requests_keep_a_distance_from_block_to_block(server: OpenMLServer) -> None:
    throttle = Throttle(pause_seconds=0.1, timeout_seconds=10)
    start = time.monotonic()
    for _ in range(2):
        with throttle.applied():
            requests.get(server.url)
            requests.get(server.url)
    assert time.monotonic() - start > 0.3
    assert server.asked_at[1] - server.asked_at[0] > 0.1


def test_silence_has_a_limit_unless_the_caller_sets_another(server: OpenMLServer) -> None:
    server.faults = [("", "silent")] * 2
    with Throttle(0.0, 0.2).applied(), pytest.raises(requests.Timeout):
        requests.get(server.url)
    with Throttle(0.0, 30.0).applied(), pytest.raises(requests.Timeout):
        requests.get(server.url, timeout=0.2)


def test_the_rules_end_with_the_block() -> None:
    before = requests.Session.request
    with pytest.raises(RuntimeError), Throttle(0.0, 1.0).applied():
        raise RuntimeError
    assert requests.Session.request is before
