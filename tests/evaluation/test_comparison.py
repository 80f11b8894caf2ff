from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metahpo.cli import main
from metahpo.evaluation.report_comparison import compare_reports
from metahpo.evaluation.report_files import as_json
from metahpo.evaluation.result import EvaluationReport
from metahpo.exceptions import DataError
from tests.evaluation.test_report import made_up


def write(report: EvaluationReport, path: Path) -> Path:
    told = as_json(report, {"regret": report.regrets})
    path.write_text(json.dumps(told))
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two reports; in the second, metahpo has a tenth less regret, and one task is missing."""
    folder, first = tmp_path_factory.mktemp("pair"), made_up()
    better = first.regrets.copy()
    better.loc[better["method"] == "metahpo", "regret"] *= 0.9
    second = replace(first, regrets=better[better["task"] != "t9"], settings=replace(first.settings, n_folds=3))
    return write(first, folder / "before.json"), write(second, folder / "after.json")


def test_a_change_is_told_with_its_interval_and_what_did_not_change_stays(pair: tuple[Path, Path]) -> None:
    compared = compare_reports(*pair)
    found = compared.differences.set_index(["method", "trial"])
    first = made_up().regrets
    own = first[(first["method"] == "metahpo") & (first["trial"] == 1) & (first["task"] != "t9")]
    expected = -0.1 * own.groupby("space")["regret"].mean().mean()
    assert found["difference"]["metahpo", 1] == pytest.approx(expected, abs=1e-6)
    assert found["high"]["metahpo", 1] < 0
    others = found.drop(index="metahpo", level="method")["difference"]
    np.testing.assert_allclose(others, 0.0, atol=1e-12)
    assert "n_folds is 5 in before, and 3 in after" in compared.notes
    assert compared.notes[0].startswith("18 tasks")
    assert compared.sentences()[0].startswith("metahpo: mean regret after 12 trials is lower by")


def test_the_command_prints_and_writes_it(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "both.html"
    assert main(["evaluate", "compare", *map(str, pair), "--report", str(page)]) == 0
    assert "after minus before" in capsys.readouterr().out
    assert "<svg" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "a.json"], "takes two reports, but got 1"),
        (["compare", "a.json", "b.json"], "is not there"),
        (["compare", "a.json", "b.json", "--trials", "5"], "measures nothing, so that --trials has no effect"),
        (["compare", "a.json", "b.json", "--no-default-first"], "--no-default-first has no effect: leave it out"),
        (["one", "two"], "one meta-dataset is evaluated at a time"),
    ],
)
def test_wrong_calls_are_answered(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{}", '{"format": "other"}', "[1, 2]"])
def test_what_is_no_report_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match="no report of an evaluation, or is damaged"):
        compare_reports(tmp_path / "x.json", tmp_path / "x.json")


def test_reports_of_other_tasks_cannot_be_compared(pair: tuple[Path, Path], tmp_path: Path) -> None:
    report = made_up()
    other = replace(report, regrets=report.regrets.assign(task=report.regrets["task"] + "x"))
    with pytest.raises(DataError, match="no method, task and number of trials in common"):
        compare_reports(pair[0], write(other, tmp_path / "other.json"))
