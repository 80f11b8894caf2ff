"""`metahpo tune`: trials are printed and saved as they end, and what cannot work is refused at once."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest
from joblib import parallel_config
from sklearn.datasets import load_iris

import metahpo
from metahpo.cli import main
from metahpo.exceptions import DataError
from metahpo.search import MetaSearchCV
from metahpo.search.workers import Workers

TUNE = ["tune", "iris", "--learner", "linear", "--folds", "2", "--trials", "3"]


@pytest.fixture(autouse=True)
def _in_this_process() -> Iterator[None]:
    with parallel_config("sequential"):
        yield


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_tune__prints_each_trial_and_keeps_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found"
    assert main([*TUNE, "--metric", "roc_auc_ovo", "--out", str(out), "--test-size", "0.2"]) == 0
    printed = capsys.readouterr().out
    assert (
        "note: the experience is of 'roc_auc_ovr', the nearest that there is to what is scored, 'roc_auc_ovo'"
        in printed
    )
    assert printed.count("\ntrial ") == 3
    assert "best roc_auc_ovo of linear" in printed
    result = json.loads((out / "result.json").read_text())
    assert result["n_trials"] == 3
    assert result["best_score"] > 0.9
    assert result["test_score"] > 0.8
    assert (out / "search.html").is_file() == (result.get("page") == "search.html")
    path = out / result["pipeline"]
    assert f"the fitted pipeline is {path}" in printed
    if path.suffix == ".joblib":
        rows, target = load_iris(return_X_y=True, as_frame=True)
        assert (joblib.load(path).predict(rows) == target).mean() > 0.8


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_tune__interrupted__keeps_the_best_so_far_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    submit = Workers.submit
    calls: list[object] = []

    def interrupted(workers: Workers, key: object, function: Any, *arguments: object) -> None:
        calls.append(key)
        if len(calls) == 5:  # in the third trial of two folds
            raise KeyboardInterrupt
        submit(workers, key, function, *arguments)

    out = tmp_path / "found"
    with monkeypatch.context() as patch:
        patch.setattr(Workers, "submit", interrupted)
        assert main([*TUNE, "--out", str(out)]) == 130
    printed = capsys.readouterr()
    assert "best balanced_accuracy of linear: " in printed.out
    assert f"interrupted; the same command with --resume goes on from {out / 'trials.jsonl'}" in printed.err
    assert json.loads((out / "result.json").read_text())["n_trials"] == 2
    assert list(out.glob("pipeline.*"))
    assert main([*TUNE, "--out", str(out)]) == 1
    assert "go on with --resume" in capsys.readouterr().err
    assert main([*TUNE, "--out", str(out), "--resume", "--json"]) == 0
    torn = out / "trials.jsonl"
    *trials, result = map(json.loads, capsys.readouterr().out.splitlines())
    assert [trial["trial"] for trial in trials] == [1, 2, 3]
    assert result["n_trials"] == 3
    assert len(torn.read_text().splitlines()) == 4  # the first line says what the trials are of
    torn.write_text(torn.read_text()[:-20])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main([*TUNE, "--out", str(out), "--resume"]) == 0
    assert f"metahpo: warning: line 4 of {str(torn)!r} is no trial of this search" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "auc"], "unknown metric 'auc'"),
        (["--metric", "r2"], "unknown classification metric 'r2'"),
        (["--metric", "f1"], "'f1' cannot score this table: Target is multiclass"),
        (["--folds", "1"], "--folds must be at least 2"),
        (["--folds", "1000"], "--folds must be at most"),
        (["--out", "."], "exists already"),
        (["--out", "no-such-folder/found"], "not a folder"),
        (["--resume"], "name it by --out"),
        (["--timeout", "-1"], "timeout must be a positive number"),
        (["--engine", "best"], "unknown search engine 'best'"),
        (["--test-size", "2.5"], "test_size must be a share"),
    ],
)
def test_tune__what_cannot_work_is_refused_at_once(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(MetaSearchCV, "_beginning", None)  # nothing is started
    assert main([*TUNE, *arguments]) == 1
    printed = capsys.readouterr()
    assert message in printed.err
    assert not printed.out


def test_tune__the_saved_pipeline_predicts_the_labels_of_the_table_and_notes_tell_of_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, target = load_iris(return_X_y=True, as_frame=True)
    table = rows.assign(number=range(150), kind=target.map({0: "setosa", 1: "other", 2: "virginica"}))
    table.loc[:3, "kind"] = None
    table.to_csv(tmp_path / "mine.csv", index=False)
    out = tmp_path / "found"
    given = ["--target", "kind", "--learner", "knn", "--folds", "2", "--trials", "1", "--out", str(out)]
    assert main(["tune", str(tmp_path / "mine.csv"), *given]) == 0
    printed = capsys.readouterr().out
    assert "mine: classification of 3 classes: 146 rows, 5 numeric and 0 categorical columns" in printed
    result = json.loads((out / "result.json").read_text())
    for note in ("4 rows without a target were dropped", "column 'number' numbers the rows: drop it if"):
        assert f"note: {note}" in printed
        assert any(note in one for one in result["notes"])
    path = out / result["pipeline"]
    if path.suffix == ".skops":
        io = pytest.importorskip("skops.io")
        assert "trusted=skops.io.get_untrusted_types(" in printed
        pipeline = io.load(path, trusted=io.get_untrusted_types(file=path))
    else:
        pipeline = joblib.load(path)
    known = table.dropna()
    assert pipeline.classes_.tolist() == ["other", "setosa", "virginica"]
    assert (pipeline.predict(known[known.columns[::-1]].assign(more=1)) == known["kind"]).mean() > 0.8
    with pytest.raises(DataError, match=r"X lacks the columns \['number'\]"):
        pipeline.predict(rows)


def test_tune__a_folder_of_other_things_is_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.json").write_text("mine")
    assert main([*TUNE, "--out", str(tmp_path), "--resume"]) == 1
    assert "holds other files only" in capsys.readouterr().err
    assert (tmp_path / "result.json").read_text() == "mine"


def test_tune__a_table_of_too_few_rows_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "tiny.csv"
    table.write_text("a,y\n1,x\n2,z\n")
    assert main(["tune", str(table), "--learner", "linear"]) == 1
    assert "needs two rows at least of one of the classes, but this table has 2 rows" in capsys.readouterr().err


def test_tune__what_the_search_itself_refuses_comes_without_a_heading(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "iris", "--learner", "svm", "--engine", "population", "--cold"]) == 1
    printed = capsys.readouterr()
    assert "cannot go on training" in printed.err
    assert not printed.out


def test_tune__of_several_learners_takes_the_one_that_is_recommended(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TUNE[:2], "--learner", "svm", "--learner", "random_forest", "--trials", "1", "--folds", "2"]) == 0
    X, y = load_iris(return_X_y=True)
    best = metahpo.recommend(X, y, ["random_forest", "svm"]).best_learner
    assert f"searching {best} by balanced_accuracy" in capsys.readouterr().out
