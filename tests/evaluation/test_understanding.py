from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from metahpo.evaluation.understanding import (
    good_ranges,
    importance_over_tasks,
    map_of_tasks,
    mean_learning_curve,
    parallel_coordinates,
    regret_matrix,
    size_curves,
    tuned_defaults,
    understood,
)
from metahpo.metadata.meta_dataset import MetaDataset


def test_mode_and_rate_matter_and_the_knob_does_not(toy: MetaDataset) -> None:
    found = importance_over_tasks(toy.drop(tasks=[f"task{i}" for i in range(4, 12)]), "toy", "r2")
    share = found.set_index("hyperparameters")["share"]
    assert set(share.index[:2]) == {"mode", "rate"}
    assert share["mode"] + share["rate"] > 0.6
    assert share.get("knob", 0.0) < 0.1
    assert (found["low"] <= found["high"]).all()
    assert (found["n_tasks"] == 4).all()


def test_tuned_default_is_the_best_in_the_mean_and_the_rest_is_left_out(toy: MetaDataset) -> None:
    matrix = regret_matrix(toy, "toy", "r2")
    found = tuned_defaults(toy, "toy", "r2").set_index("size")
    assert found["n_tasks"].sum() == 12
    small = matrix.loc[[f"task{i}" for i in range(5)]]
    row = found.loc["up to 500 rows"]
    assert row["configuration"] == small.mean().idxmin()
    assert row["regret"] == pytest.approx(small.mean().min())
    assert row["regret_left_out"] >= row["regret"]
    assert row["regret_default"] > row["regret"]


def test_good_ranges_hold_the_best_values(toy: MetaDataset) -> None:
    found = good_ranges(toy, "toy", "r2").set_index(["size", "hyperparameter"])["good"]
    assert found["up to 500 rows", "mode"].startswith("tuned (")
    low, high = map(float, found["up to 500 rows", "rate"].split(" to "))
    assert 1e-3 < low < high < 1e1


def test_map_has_a_place_for_each_task(toy: MetaDataset) -> None:
    places = map_of_tasks(toy)
    assert places is not None
    assert list(places["task"]) == list(toy.tasks.index)
    assert np.isfinite(places[["x", "y"]].to_numpy()).all()
    assert map_of_tasks(MetaDataset(toy.tasks, toy.trials, None, toy.spaces)) is None


def test_parallel_coordinates_lie_in_the_unit_cube(toy: MetaDataset) -> None:
    names, rows, good = parallel_coordinates(toy, "toy", "r2")
    assert names == list(toy.spaces["toy"])
    assert np.nanmin(rows) >= 0
    assert np.nanmax(rows) <= 1
    active = [name == "knob" for name in names]
    tuned = [json.loads(text)["mode"] == "tuned" for text in regret_matrix(toy, "toy", "r2").columns]
    assert np.isfinite(rows[:, active]).sum() == sum(tuned)
    assert 0 < good.sum() < len(good)


def test_learning_curves_are_relative_to_their_first_and_best(toy: MetaDataset) -> None:
    assert mean_learning_curve(toy, "toy") is None
    trials = toy.trials.assign(learning_curve=pd.Series([[1.0, 0.5, 0.0]] * len(toy.trials)))
    found = mean_learning_curve(MetaDataset(toy.tasks, trials, None, toy.spaces), "toy")
    assert found is not None
    np.testing.assert_allclose(found["loss"], 1 - found["share_of_epochs"])


def test_everything_at_once_and_nothing_of_too_few_trials(toy: MetaDataset) -> None:
    few = MetaDataset(toy.tasks, toy.trials.groupby("task").head(3), toy.meta_features, toy.spaces)
    found = understood(few, ["toy", "joint"], "r2")
    assert "importance" not in found
    assert {"tuned_defaults", "good_ranges", "map", "parallel.toy"} <= found.keys()
    assert isinstance(found["parallel.toy"], pd.DataFrame)


def test_size_curves_tell_how_loss_falls_with_rows_and_how_ranks_carry_over(toy: MetaDataset) -> None:
    trials = toy.trials[toy.trials["task"].isin(["task0", "task1"])]
    parts, tasks = [], []
    for rows, factor in ((300, 1.0), (1200, 0.5)):
        for task in ("task0", "task1"):
            own = trials[trials["task"] == task]
            parts.append(own.assign(task=f"{task}@{rows}", **{"loss.r2": factor * (own["loss.r2"] + 10.0)}))
            about = {"family": task, "kind": "regression", "dataset": task, "size": rows}
            tasks.append({"task": f"{task}@{rows}", **about})
    md = MetaDataset(pd.DataFrame(tasks).set_index("task"), pd.concat(parts, ignore_index=True), None, toy.spaces)
    found = size_curves(md, "toy", "r2")
    assert found is not None
    assert found["rows"].tolist() == [300, 1200]
    np.testing.assert_allclose(found["loss"], [1.0, 0.5])
    np.testing.assert_allclose(found["correlation"], [1.0, 1.0])
    assert found["n_datasets"].tolist() == [2, 2]
    assert "size_curves" in understood(md, ["toy"], "r2")
    assert size_curves(toy, "toy", "r2") is None
