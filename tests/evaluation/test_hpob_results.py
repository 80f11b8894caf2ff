"""Results in the layout of HPO-B: ours are made in its protocol, and published ones stand beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metahpo.evaluation.baselines.greedy_portfolio import GreedyPortfolio
from metahpo.evaluation.baselines.random_search import RandomSearch
from metahpo.evaluation.hpob_results import report_of_results, search_in_protocol
from metahpo.evaluation.regret import normalised_regret
from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset


@pytest.fixture(scope="module")
def folder(toy: MetaDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hpob")
    toy.to_hpob(path)
    return path


def test_a_folder_with_its_meta_features_is_read_whole(folder: Path, toy: MetaDataset, tmp_path: Path) -> None:
    md = MetaDataset.from_hpob(folder)
    assert set(md.tasks.index) == set(toy.tasks.index)
    recorded = {table.task: table.meta_features for table in toy.tables("toy")}
    for table in md.tables("toy"):
        assert table.meta_features is not None
        assert table.meta_features["shift"] == (recorded[table.task] or {})["shift"]
    with pytest.raises(DataError, match="holds none of meta-train-dataset"):
        MetaDataset.from_hpob(tmp_path)
    for name in ("train", "test"):
        (tmp_path / f"meta-{name}-dataset.json").write_text(json.dumps({"s": {"t": {"X": [[0.5]], "y": [1]}}}))
    with pytest.raises(DataError, match="that another part holds too"):
        MetaDataset.from_hpob(tmp_path)


def test_searches_begin_with_the_initial_configurations(folder: Path) -> None:
    found = search_in_protocol(folder, GreedyPortfolio(), n_trials=3)
    test = MetaDataset.from_hpob(folder / "meta-test-dataset.json")
    initial = json.loads((folder / "bo-initializations.json").read_text())["toy"]
    for table in test.tables("toy"):
        regret = normalised_regret(table.loss)
        for seed, curve in found["toy"][table.task].items():
            assert len(curve) == 4
            assert curve[0] == pytest.approx(1 - regret[initial[table.task][seed]].min())
            assert (np.diff(curve) >= 0).all()
    json.dumps(found)  # in the layout of its files


def test_published_results_stand_beside_ours(folder: Path, tmp_path: Path) -> None:
    ours = search_in_protocol(folder, GreedyPortfolio(), n_trials=3)
    theirs = search_in_protocol(folder, RandomSearch(), n_trials=5)
    theirs["toy"]["elsewhere"] = {"test0": [0.1, 0.2]}
    (tmp_path / "random.json").write_text(json.dumps(theirs))
    report = report_of_results({"portfolio": ours, "published": tmp_path / "random.json"}, n_trials=3)
    assert report.methods == ["portfolio", "published"]
    assert set(report.to_frame()["task"]) == set(ours["toy"])
    task, seeds = next(iter(ours["toy"].items()))
    own = report.to_frame().query("method == 'portfolio'")
    curve = own.loc[own["task"] == task, "regret"]
    np.testing.assert_allclose(curve, 1 - np.mean(list(seeds.values()), axis=0))
    assert report.paired()["trial"].max() == 4
    pytest.importorskip("jinja2")
    report.save(tmp_path / "report.html", beside=False)


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ({}, "one method at least"),
        ({"a": {"s": {"t": {"test0": [0.5]}}}, "b": {"s": {"u": {"test0": [0.5]}}}}, "in common"),
        ({"a": {"s": {"t": {"test0": [0.5, 1.5]}}}}, r"must lie in \[0, 1\]"),
        ({"a": "nowhere.json"}, "cannot be read as JSON"),
    ],
)
def test_other_results_are_refused(results: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        report_of_results(results)
