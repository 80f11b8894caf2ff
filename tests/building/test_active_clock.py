"""The time in which a process was stopped is not counted."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from metahpo.building import active_clock
from metahpo.building.active_clock import ActiveClock


def test_a_pause_is_told_from_activity(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(active_clock, "time", SimpleNamespace(monotonic=lambda: now))
    clock = ActiveClock()
    for passed in (0.05, 1.5, 3600.0, 0.05):
        now += passed
        clock.tick()
    assert (clock.seconds, clock.stood_still) == pytest.approx((1.6, 3600.0))
