"""The command line, as a user types it."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_iris

from metahpo.cli import main
from metahpo.datasets.cache import read_task
from metahpo.evaluation.baselines.catalogue import METHODS

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.fixture
def table(tmp_path: Path) -> str:
    frame = load_iris(as_frame=True).frame
    frame.to_csv(tmp_path / "flowers.csv", index=False)
    return str(tmp_path / "flowers.csv")


@pytest.mark.usefixtures("quick_training", "workers_of_the_tests")
def test_flow__build_status_release_train_recommend_tune_evaluate(
    small_cache: Path, tmp_path: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, released = str(tmp_path / "build"), str(tmp_path / "mine")
    tasks = ["--tasks", "s0", "s1", "s2", "s3"]
    build = ["build", folder, "--cache", str(small_cache), *tasks, "--learners", "linear", "--configurations", "5"]
    assert main([*build, "--folds", "2", "--max-fits", "2", "--jobs", "1"]) == 0
    assert "20" in capsys.readouterr().out
    assert main(["status", folder]) == 0
    assert main(["release", folder, released, "--kind", "classification", "--jobs", "1", "--min-skill", "2"]) == 1
    assert "nothing is left to release" in capsys.readouterr().err
    assert main(["release", folder, released, "--kind", "classification", "--jobs", "1"]) == 0
    assert "4 tasks, 20 trials" in capsys.readouterr().out
    assert main(["train", released, "--jobs", "1"]) == 0
    assert main(["recommend", table, "--learner", "linear", "--experience", released, "-n", "2", "--explain"]) == 0
    printed = capsys.readouterr().out
    assert "three and more together" in printed
    assert "recommendations for 'flowers'" in printed
    assert "'C':" in printed
    tune = ["tune", table, "--learner", "linear", "--trials", "2", "--folds", "2", "--experience", released]
    assert main(tune) == 0
    assert "best balanced_accuracy of linear" in capsys.readouterr().out
    report = tmp_path / "report.html"
    evaluate = ["evaluate", released, "--trials", "4", "--folds", "2", "--jobs", "1", "--report", str(report)]
    assert main([*evaluate, "--methods", "random_search,portfolio", "nearest_tasks"]) == 0
    assert report.read_text().startswith("<!doctype html>")
    assert main(["info", released, "--tasks"]) == 0
    assert "small0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recommend", "nowhere.csv"], "neither a file nor one of the bundled datasets"),
        (["recommend", "nowhere.csv", "--metric", "speed"], "unknown metric 'speed'"),
        (["evaluate", "nowhere", "--report", "no folder/r.html"], "the report 'no folder/r.html' must be a file in a"),
        (["evaluate", "nowhere", "--report", "."], "the report '.' must be a file in a folder"),
        (["info", "nowhere"], "unknown meta-dataset 'nowhere'"),
        (["status", "nowhere-at-all"], "not the folder of a build"),
        (["build", "x", "--cache", "nowhere"], "is not a folder"),
    ],
)
def test_errors__one_line_and_status_1(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("metahpo: ")
    assert message in printed


def test_unknown_learner__the_message_lists_those_there_are(
    table: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recommend", table, "--learner", "xgboost", "--experience", str(trained)]) == 1
    assert "linear" in capsys.readouterr().err


def test_recommend__parquet_with_a_named_target(
    small_cache: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = read_task(small_cache, "s0")
    frame = pd.DataFrame({"answer": task.y.astype(str), "a": task.X["a"], "b": task.X["b"]})
    frame.to_parquet(tmp_path / "small.parquet")
    arguments = ["recommend", str(tmp_path / "small.parquet"), "--target", "answer", "--experience", str(trained)]
    assert main(arguments) == 0
    assert "recommendations for 'small'" in capsys.readouterr().out


def test_recommend__kind_separator_and_encoding_are_taken_and_the_reading_is_told(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{i},5\t{'ж' if i % 3 else 'ш'}\t{i % 24}\n" for i in range(96))
    (tmp_path / "mine.txt").write_text("a\tb\tc\n" + rows, encoding="koi8-r")
    said = ["--kind", "classification", "--sep", "\\t", "--encoding", "koi8-r"]
    assert main(["recommend", str(tmp_path / "mine.txt"), *said, "--experience", str(trained), "-n", "1"]) == 0
    printed = capsys.readouterr().out
    assert "classification of 24 classes: 96 rows, 1 numeric and 1 categorical columns (b)" in printed
    assert "column 'a' holds numbers as text (decimal comma) and became numeric" in printed
    assert "the last column, 'c', is taken for the target" in printed


def test_evaluate__what_a_report_needs_is_looked_for_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, module)
    for module in ("canvas", "figures", "ranking_figure"):
        monkeypatch.delitem(sys.modules, f"metahpo.evaluation.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["evaluate", "nowhere", "--report", "report.html"]) == 1
    assert "figures need matplotlib; install it with: pip install 'metahpo[report]'" in capsys.readouterr().err


def test_evaluate__help_names_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    printed = capsys.readouterr().out
    assert [name for name in METHODS if name not in printed] == []


@pytest.mark.parametrize("script", ["build_meta_dataset", "train_surrogate", "recommend", "evaluate", "demo"])
def test_scripts__answer_help(script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="__main__")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out


def test_scripts__every_benchmark_and_experiment_has_a_small_run() -> None:
    small = runpy.run_path(str(SCRIPTS / "smoke_benchmarks.py"))["SMALL"]
    assert set(small) == {path.stem for kind in ("benchmark", "try") for path in SCRIPTS.glob(f"{kind}_*.py")}
    for name, arguments in small.items():
        text = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
        assert all(f'"{option}"' in text for option in arguments if option.startswith("--")), name


def test_output_that_nobody_reads_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as unread:
        command = [sys.executable, "-m", "metahpo.cli", "info"]
        ended = subprocess.run(command, stdout=unread, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (141, b"")
