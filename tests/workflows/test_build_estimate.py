"""Hours of a build before it begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from metahpo.cli import main
from metahpo.workflows.build_estimate import estimate
from tests.building.test_build import small_plan


def test_hours_grow_with_the_plan_and_unknown_learners_are_named(small_cache: Path) -> None:
    few, many = small_plan(small_cache, 3), small_plan(small_cache, 12)
    assert 0.0 < estimate(few).hours < estimate(many).hours
    assert "svm" not in estimate(few).unknown
    strange = replace(few, learners=("svm", "text"), designs={k: {**d, "text": []} for k, d in few.designs.items()})
    assert estimate(strange).unknown == ("text",)
    assert str(estimate(strange)).endswith("not counted: text")


def test_the_command_says_the_hours_beforehand(
    small_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["build", "plan", str(tmp_path / "b"), "--cache", str(small_cache), "--learners", "svm"]
    assert main([*arguments, "--tasks", "s0", "--configurations", "3"]) == 0
    assert "hours of work for one worker" in capsys.readouterr().out
    assert not (tmp_path / "b").exists()
