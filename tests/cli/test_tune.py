"""`metahpo tune`: trials are printed and saved as they end, and what cannot work is refused at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from joblib import parallel_config

from metahpo.cli import main
from metahpo.search import MetaSearchCV

TUNE = ["tune", "iris", "--learner", "linear", "--folds", "2", "--trials", "3"]


@pytest.fixture(autouse=True)
def _in_this_process() -> Iterator[None]:
    with parallel_config("sequential"):
        yield


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_tune__prints_and_saves_each_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "trials.jsonl"
    assert main([*TUNE, "--metric", "roc_auc_ovo", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert (
        "note: the experience is of 'roc_auc_ovr', the nearest that there is to what is scored, 'roc_auc_ovo'"
        in printed
    )
    assert printed.count("\ntrial ") == 3
    assert "best roc_auc_ovo of linear" in printed
    trials = [json.loads(line) for line in out.read_text().splitlines()]
    assert [trial["trial"] for trial in trials] == [1, 2, 3]
    assert all(trial["score"] > 0.9 and trial["learner"] == "linear" and trial["seconds"] > 0 for trial in trials)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_tune__interrupted__tells_the_best_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = MetaSearchCV._try

    def interrupted(search: MetaSearchCV, *arguments: object) -> bool:
        if len(search._search_state.tried) == 2:
            raise KeyboardInterrupt
        return tried(search, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(MetaSearchCV, "_try", interrupted)
    assert main([*TUNE, "--out", str(tmp_path / "trials")]) == 130
    printed = capsys.readouterr()
    assert "best balanced_accuracy of linear: " in printed.out
    assert "interrupted" in printed.err
    assert len((tmp_path / "trials").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "auc"], "unknown metric 'auc'"),
        (["--metric", "r2"], "unknown classification metric 'r2'"),
        (["--metric", "f1"], "'f1' cannot score this table: Target is multiclass"),
        (["--folds", "1"], "--folds must be at least 2"),
        (["--out", "."], "exists already"),
        (["--out", "no-such-folder/trials"], "not a folder"),
        (["--timeout", "-1"], "timeout must be a positive number"),
    ],
)
def test_tune__what_cannot_work_is_refused_at_once(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(MetaSearchCV, "_start", None)  # nothing is started
    assert main([*TUNE, *arguments]) == 1
    assert message in capsys.readouterr().err
