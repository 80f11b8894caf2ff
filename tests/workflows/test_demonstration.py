"""What experience is worth on one dataset, as the demonstration tells it."""

from __future__ import annotations

from pathlib import Path

from metahpo.datasets.bundled import bundled_task
from metahpo.recommendation.recommender import Recommender
from metahpo.workflows.demonstration import demonstrate


def test_demonstration__tells_shows_and_saves(trained: Path, tmp_path: Path) -> None:
    shown = demonstrate(bundled_task("iris"), ["linear"], n_trials=3, n_folds=2, recommender=Recommender(trained))
    frame = shown.to_frame()
    assert len(frame) == 6
    assert frame.groupby("search")["score"].is_monotonic_increasing.all()
    assert "library default" in str(shown)
    assert len(shown.findings()) == 1
    written = shown.save(tmp_path / "out")
    assert all(path.stat().st_size > 1000 for path in written)
