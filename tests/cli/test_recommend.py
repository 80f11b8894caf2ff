"""The options of `metahpo recommend`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from metahpo.cli import main
from metahpo.cli.recommend import add_options, asked
from metahpo.exceptions import DataError


def parsed(*arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return asked(parser.parse_args(arguments))


def test_options_become_a_request() -> None:
    request = parsed(
        "--fixed", "kernel=rbf", "--fixed", "class_weight=None", "--fixed", "C=2", "--range", "gamma=1e-3:0.5",
        "--range", "degree=2,3", "--exclude", "sonar", "--max-train-seconds", "1.5", "--known", "exclude",
    )  # fmt: skip
    assert request["fixed"] == {"kernel": "rbf", "class_weight": None, "C": 2}
    assert request["space"] == {"gamma": (1e-3, 0.5), "degree": [2, 3]}
    assert request["exclude"] == ["sonar"]
    assert request["max_train_seconds"] == 1.5
    assert request["known"] == "exclude"
    assert parsed()["fixed"] is None


@pytest.mark.parametrize("option", ["--fixed", "--range"])
def test_an_option_without_a_value_is_refused(option: str) -> None:
    with pytest.raises(DataError, match="is expected, but got 'C'"):
        parsed(option, "C")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fixed", "C=1", "--fixed", "C=2"], "--fixed gives 'C' twice, as '1' and '2': give it once"),
        (["--range", "C=1:2", "--range", "C=3:4"], "--range gives 'C' twice, as '1:2' and '3:4'"),
        (["--json", "--explain"], "--explain prints text, and --json has no place for it"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        parsed(*options)


def test_several_learners_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table.csv"
    rows = [f"{i % 7},{(i * 3) % 11},{'yes' if i % 3 else 'no'}" for i in range(60)]
    table.write_text("\n".join(["a,b,target", *rows]))
    arguments = ["recommend", str(table), "--learner", "svm", "--learner", "linear", "-n", "2"]
    assert main([*arguments, "--json", "--fixed", "class_weight=balanced"]) == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert {item["learner"] for item in items} <= {"svm", "linear"}
    assert all(item["parameters"]["class_weight"] == "balanced" for item in items)
    assert main([*arguments, "--exclude", "nobody"]) == 1
    assert "unknown task or family 'nobody'" in capsys.readouterr().err
