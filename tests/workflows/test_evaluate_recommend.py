"""First picks on real tables: what is measured stays, what is missing is added, and picks are compared in pairs."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metahpo.evaluation.regret import normalised_regret
from metahpo.learners.registry import learner_named
from metahpo.metadata.meta_dataset import MetaDataset

SCRIPT: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "evaluate_recommend.py"))


def row(table: str, method: str, errors: list[float], learner: str = "lightgbm") -> dict[str, Any]:
    return {"table": table, "family": f"f{table}", "learner": learner, "method": method, "errors": errors,
            "configurations": ["{}"] * 3}  # fmt: skip


def test_only_the_picks_that_a_table_lacks_are_measured(tmp_path: Path) -> None:
    path, asked = tmp_path / "results.json", []
    finished = [row("a", "default", [0.5] * 3), row("a", "metahpo", [0.4] * 3), row("b", "default", [0.2] * 3)]
    path.write_text(json.dumps(finished))

    def measure(key: str, methods: list[str], known: list[dict[str, Any]]) -> list[dict[str, Any]]:
        asked.append((key, methods, [one["method"] for one in known]))
        if key == "c":
            raise KeyboardInterrupt
        return [row(key, method, [0.3] * 3) for method in methods]

    methods = ["default", "metahpo", "portfolio"]
    with pytest.raises(KeyboardInterrupt):
        SCRIPT["complete"](path, ["a", "b", "c"], methods, measure)
    assert asked == [
        ("a", ["portfolio"], ["default", "metahpo"]),
        ("b", ["metahpo", "portfolio"], ["default"]),
        ("c", methods, []),
    ]
    kept = SCRIPT["read_rows"](path)
    assert kept[:3] == finished
    assert [(one["table"], one["method"]) for one in kept[3:]] == [
        ("a", "portfolio"), ("b", "metahpo"), ("b", "portfolio"),
    ]  # fmt: skip


def test_results_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "md.settings.json"
    SCRIPT["require_same"](path, {"rows": 5000, "families": None})
    SCRIPT["require_same"](path, {"rows": 5000, "families": None})
    with pytest.raises(SystemExit, match=r"holds results of .*5000.*, not of .*1000.*; choose another --out"):
        SCRIPT["require_same"](path, {"rows": 1000, "families": None})


def test_the_portfolio_begins_with_the_smallest_mean_regret(toy: MetaDataset) -> None:
    pick = SCRIPT["Experience"](toy, "toy", "r2").portfolio
    tables = toy.tables("toy")
    assert all(np.array_equal(table.X, tables[0].X) for table in tables), "all tasks share one design"
    best = np.argmin(np.mean([normalised_regret(table.loss) for table in tables], axis=0))
    np.testing.assert_array_equal(toy.encoder("toy").encode([pick])[0], tables[0].X[best])


@pytest.fixture
def flaml(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A stand-in for ``flaml.default``, and what it was asked."""
    asked: list[tuple[Any, ...]] = []

    def suggest(kind: str, X: pd.DataFrame, y: pd.Series, name: str) -> tuple[Any, ...]:
        asked.append((kind, X.shape, len(y), name))
        return {"n_estimators": 7, "max_leaf_nodes": 5, "n_jobs": -1, "random_state": 3, "verbose": 0}, None, X, y

    module = ModuleType("flaml.default")
    module.preprocess_and_suggest_hyperparams = suggest  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flaml", ModuleType("flaml"))
    monkeypatch.setitem(sys.modules, "flaml.default", module)
    return asked


def test_what_flaml_suggests_is_trained_with_the_threads_and_seeds_of_the_other_picks(
    flaml: list[tuple[Any, ...]], small_cache: Path, toy: MetaDataset
) -> None:
    experience = SCRIPT["Experience"](toy, "random_forest", "r2")
    options = SCRIPT["Options"](max_rows=50, flaml=True)
    found = SCRIPT["measure_table"](experience, small_cache, "s4", ["flaml"], [], options)
    assert flaml == [("regression", (50, 3), 50, "rf")] * 3
    assert found[0]["configurations"] == ['{"max_leaf_nodes": 5, "n_estimators": 7}'] * 3
    assert all(0.0 < error < 1.0 for error in found[0]["errors"])


def test_an_error_that_is_known_is_not_measured_again(
    flaml: list[tuple[Any, ...]], small_cache: Path, toy: MetaDataset
) -> None:
    experience = SCRIPT["Experience"](toy, "random_forest", "r2")
    known = [
        row("s4", "metahpo", [7.0, 8.0, 9.0]) | {"configurations": ['{"max_leaf_nodes": 5, "n_estimators": 7}'] * 3}
    ]
    options = SCRIPT["Options"](max_rows=50, flaml=True)
    found = SCRIPT["measure_table"](experience, small_cache, "s4", ["flaml"], known, options)
    assert found[0]["errors"] == [7.0, 8.0, 9.0]
    assert len(flaml) == 3


def test_a_learner_has_the_picks_that_were_asked_for_and_flamls_where_it_knows_it() -> None:
    options = SCRIPT["Options"](max_rows=50, flaml=True, searches=True)
    assert "flaml" not in options.methods("svm")
    assert {"flaml", "portfolio", "five", "tpe15", "tpe60"} <= set(options.methods("extra_trees"))
    few = SCRIPT["Options"](max_rows=50, searches=True, only=["five", "metahpo"])
    assert few.methods("svm") == ["default", "metahpo", "five"]
    for name in SCRIPT["FLAML_NAMES"]:
        learner = learner_named(name, "classification")
        assert learner.translate({"a": 1}) == {"a": 1}, "FLAML's names are those of the estimator"


def test_learners_without_a_pick_are_left_out_of_its_comparison() -> None:
    rows = [row(f"t{i}", method, [error] * 3) for i in range(8)
            for method, error in (("default", 0.4), ("metahpo", 0.2), ("flaml", 0.3))]  # fmt: skip
    rows += [row("t0", method, [0.4] * 3, "svm") for method in ("default", "metahpo")]
    table = SCRIPT["summary"](pd.DataFrame(rows), 1e-4)
    assert ("svm", "flaml") not in table.index
    assert table.loc[("lightgbm", "flaml"), "mean"] == pytest.approx(0.25)
    assert table.loc[("lightgbm", "metahpo"), "wins"] == 1.0
    said = SCRIPT["against"](pd.DataFrame(rows), 1e-4, "flaml")
    assert "mean +0.2500" in said
    assert "of 8 pairs, 8 better, 0 worse" in said
