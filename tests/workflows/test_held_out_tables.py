"""Tables that experience is judged on: families are left out, and live tuning of such tables goes on and reports."""

from __future__ import annotations

import json
import runpy
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metahpo import Recommender
from metahpo.datasets.cache import read_task
from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.workflows.held_out_tables import TableFolds, held_out_groups

SCRIPT = Path(__file__).parents[2] / "scripts" / "evaluate_tuning.py"


def test_groups_hold_each_table_once_and_name_the_families_to_leave_out(
    built_meta_dataset: MetaDataset, small_cache: Path
) -> None:
    md = built_meta_dataset
    groups = held_out_groups(md, small_cache, n_groups=2, rows=(1, np.inf))
    keys = [key for group in groups for key in group.tables]
    assert set(md.tasks["key"]) <= set(keys)
    of_these = held_out_groups(md, small_cache, n_groups=2, rows=(1, np.inf), recorded=True)
    assert sorted(key for group in of_these for key in group.tables) == sorted(md.tasks["key"])
    for group in groups:
        assert set(group.families) == set(group.tables.values()) & set(md.tasks["family"])
    assert len(held_out_groups(md, small_cache, n_families=1, rows=(1, np.inf))) == 1
    with pytest.raises(DataError, match="no table of 1000000 to inf rows"):
        held_out_groups(md, small_cache, rows=(10**6, np.inf))


@pytest.fixture
def two_tables(built_meta_dataset: MetaDataset, tmp_path: Path) -> list[str]:
    """Arguments of a live evaluation on two tables."""
    built_meta_dataset.save(tmp_path / "small")
    return [str(tmp_path / "small"), "--out", str(tmp_path / "out"), "--learners", "linear", "--families", "2",
            "--groups", "1", "--min-rows", "1", "--seeds", "1", "--jobs", "1"]  # fmt: skip


@pytest.mark.usefixtures("quick_training")
def test_live_tuning_is_resumed_and_summed_up(
    two_tables: list[str], small_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(SCRIPT))
    arguments = [*two_tables, "--cache", str(small_cache), "--replay"]
    out, read = tmp_path / "out", list[str]()
    of_script, task_of = script["made"].__globals__, script["task_of"]

    def counted(run: Any, place: Any) -> Any:
        read.append(run.table)
        return task_of(run, place)

    of_script["task_of"] = counted
    script["main"]([*arguments, "--methods", "metahpo", "random", "--trials", "2"])
    # Each live run reads its table once, and so does the replay that begins with what is recommended for it.
    assert sorted(Counter(read).values()) == [3, 3]
    with (out / "runs.jsonl").open("a") as file:
        file.write('{"table": "cut o')
    (trained,) = (out / "experience").iterdir()
    before = trained.stat().st_mtime_ns
    script["main"]([*arguments, "--methods", "metahpo", "random", "--trials", "2"])
    lines = (out / "runs.jsonl").read_text().splitlines()
    runs = [json.loads(line) for line in lines if line.endswith("}")]
    assert len(runs) == 2 * 2 * 2
    script["main"]([*arguments, "--methods", "metahpo", "cold", "random", "--trials", "3"])
    runs = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines() if line.endswith("}")]
    assert len(runs) == 8 + 12
    assert trained.stat().st_mtime_ns == before
    known, tables = Recommender(trained).meta_dataset, {run["family"] for run in runs}
    assert len(known.tasks) == 2
    assert tables.isdisjoint(known.tasks["family"])
    first = {(run["table"], run["kind"], run["losses"][0]) for run in runs}
    assert len(first) == 4, "the default is the first trial of all"
    regrets = pd.read_csv(out / "regrets.csv")
    assert set(regrets["method"]) == {"metahpo", "cold", "random"}
    assert regrets["regret"].between(0.0, 1.0).all()
    assert set(regrets["trial"]) == {1, 2, 3}
    summary = json.loads((out / "summary.json").read_text())
    gap = pd.DataFrame(summary["replays of recorded trials against live trials of the same tables"])
    np.testing.assert_allclose(gap["gap"], gap["from the scale"] + gap["from the search"], atol=1e-9)
    assert "mean normalised regret after so many trials" in capsys.readouterr().out
    assert (out / "summary.txt").read_text().startswith("2 pairs of a table and a learner")


def test_every_method_begins_with_the_default_and_learns_from_its_losses(
    built_meta_dataset: MetaDataset, small_cache: Path, tmp_path: Path
) -> None:
    for library in ("optuna", "smac"):
        pytest.importorskip(library)
    script = runpy.run_path(str(SCRIPT))
    md, table = built_meta_dataset, str(built_meta_dataset.tasks["key"].iloc[0])
    place = script["Place"]("unused", small_cache, Path("unused"), 4)
    found: dict[str, list[float]] = {}
    for method in ("cold", "tpe", "gp", "smac", "random"):
        for kind in ("live", "replay"):
            run = script["Run"](table, "f", "linear", method, 0, kind)
            engine = script["engine_of"](run, md.spaces["linear"], None, 4, tmp_path)
            parts = (run, place, engine, md)
            task = script["task_of"](run, place)
            losses = script["live"](*parts, task) if kind == "live" else script["replayed"](*parts)
            found[f"{method} {kind}"] = list(losses)
    assert {len(losses) for losses in found.values()} == {4}
    assert len({losses[0] for name, losses in found.items() if name.endswith("live")}) == 1
    _, _, known = script["recorded"](md, table, "linear")
    for name, losses in found.items():
        if name.endswith("replay"):
            assert set(losses) <= set(known.tolist()), name


def test_trials_are_worth_what_the_curves_say() -> None:
    script = runpy.run_path(str(SCRIPT))
    curves: dict[str, Any] = {"metahpo": [0.5] * 4 + [0.1] * 21, "tpe": [0.6] * 14 + [0.2] * 11}
    rows = [
        {
            "table": f"t{i}",
            "family": f"f{i}",
            "learner": "svm",
            "method": method,
            "seed": 0,
            "trial": n + 1,
            "regret": r,
        }
        for i in range(8)
        for method, each in curves.items()
        for n, r in enumerate(each)
    ]
    worth = script["worth_of"](pd.DataFrame(rows), 25).set_index(["own trials", "other", "trials"])
    assert worth.loc[(5, "tpe", 15), "at most theirs"]
    assert worth.loc[(5, "tpe", 15), "own"] == pytest.approx(0.1)
    assert worth.loc[(5, "tpe", 15), "wins"] == 8
    assert worth.loc[(5, "tpe", 15), "p"] < 0.05
    assert (20, "tpe", 50) not in worth.index
    assert (25, "tpe", 25) in worth.index


def test_three_folds_are_the_same_in_every_run(small_cache: Path) -> None:
    task = read_task(small_cache, "s0")
    one, other = (TableFolds().splits(task, None) for _ in range(2))
    assert len(one) == 3
    np.testing.assert_equal(one, other)


def test_the_script_names_its_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == 0
    assert "--replay" in capsys.readouterr().out
