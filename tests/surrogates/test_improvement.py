"""The improvement on the default: what was planted is found, disasters are feared, files come back whole."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from ConfigSpace import ConfigurationSpace, Float
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from metahpo.exceptions import ArtefactError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.numerics.rounding import rounded
from metahpo.space.configuration import to_json
from metahpo.surrogates.fitting.improvement_learning import learn_improvement, relative_changes
from metahpo.surrogates.improvement import (
    BITS_OF_STANDARD_ERROR,
    MIN_STANDARD_ERROR,
    STEP_OF_CHANGE,
    Improvement,
    ImprovementModel,
    Rule,
    improvement_path,
    weights_by_size,
)

#: Places of the configurations: the default, one that helps some tasks and harms others, and one that helps all a bit.
DEFAULT, BOLD, SAFE = 0.5, 0.9, 0.1
SPACE = ConfigurationSpace(space=[Float("x", (0.0, 1.0), default=DEFAULT)])


def recorded(names: list[str], features: list[dict[str, float]], losses: list[tuple[str, str, float]]) -> MetaDataset:
    """Meta-dataset of tasks, each of a family of its own, their meta-features, and (task, configuration, loss)."""
    trials = pd.DataFrame(losses, columns=["task", "configuration", "loss.balanced_accuracy"])
    trials = trials.assign(space="s", status="success", seconds=1.0, **{"se.balanced_accuracy": 1e-3})
    tasks = pd.DataFrame({"family": names, "kind": "classification"}, index=pd.Index(names, name="task"))
    return MetaDataset(tasks, trials, pd.DataFrame(features, index=tasks.index), {"s": SPACE})


def planted(n_tasks: int = 40, harm: float = 0.3) -> MetaDataset:
    """Tasks of two kinds, told apart by a meta-feature: BOLD helps those of the first, and harms the others."""
    rng = np.random.default_rng(0)
    rows, features, names = [], [], [f"task{i:02}" for i in range(n_tasks)]
    for i, name in enumerate(names):
        first = i % 2 == 0
        features.append({"kind": float(first) + 0.01 * i, "noise": rng.normal()})
        changes = {DEFAULT: 0.0, BOLD: 0.4 if first else -harm, SAFE: 0.1}
        base = rng.uniform(0.2, 0.5)
        for x, change in changes.items():
            loss = base * (1.0 - change) + rng.normal(scale=1e-4)
            rows.append((name, to_json({"x": x}), loss))
    return recorded(names, features, rows)


@pytest.fixture(scope="module")
def model() -> ImprovementModel:
    learnt = learn_improvement(planted(), "s")
    assert learnt is not None
    return learnt


def picked(model: ImprovementModel, n: int, meta_features: dict[str, float] | None) -> list[float]:
    return [json.loads(model.configurations[i])["x"] for i in model.on(meta_features).picks(n)]


def test_meta_features_choose_the_configuration_that_helps_such_tasks(model: ImprovementModel) -> None:
    assert picked(model, 1, {"kind": 1.1, "noise": 0.0}) == [BOLD]
    assert picked(model, 1, {"kind": 0.1, "noise": 0.0}) == [SAFE]


def test_further_picks_complement_the_first(model: ImprovementModel) -> None:
    assert picked(model, 3, {"kind": 0.1}) == [SAFE, BOLD, DEFAULT] or picked(model, 2, {"kind": 0.1})[0] == SAFE
    assert sorted(picked(model, 9, None)) == [SAFE, DEFAULT, BOLD]


def test_a_rare_disaster_outweighs_many_gains() -> None:
    md = planted(n_tasks=20)
    trials = md.trials.copy()
    text = to_json({"x": BOLD})
    bold = trials["configuration"] == text
    default = trials.loc[trials["configuration"] == to_json({"x": DEFAULT})].set_index("task")["loss.balanced_accuracy"]
    base = trials["task"].map(default)
    few = trials["task"].isin(["task03", "task09", "task15"])
    trials.loc[bold, "loss.balanced_accuracy"] = np.where(few, 10.0 * base, 0.7 * base)[bold]
    learnt = learn_improvement(MetaDataset(md.tasks, trials, None, md.spaces), "s")
    assert learnt is not None
    assert picked(learnt, 1, None) == [SAFE]
    chosen = learnt.on(None)
    i = learnt.configurations.index(text)
    assert chosen.expected()[i] > 0.05  # gains on most tasks
    assert chosen.utility()[i] < chosen.utility()[learnt.configurations.index(to_json({"x": SAFE}))]


def test_the_default_stays_where_everything_else_is_worse() -> None:
    md = planted(n_tasks=12)
    trials = md.trials.copy()
    other = trials["configuration"] != to_json({"x": DEFAULT})
    trials.loc[other, "loss.balanced_accuracy"] = 0.9
    learnt = learn_improvement(MetaDataset(md.tasks, trials, None, md.spaces), "s")
    assert learnt is not None
    assert picked(learnt, 1, None) == [DEFAULT]
    assert learnt.on(None).p_better()[learnt.reference] == 0.5


def test_probabilities_and_intervals_agree_with_what_was_planted(model: ImprovementModel) -> None:
    first = model.on({"kind": 1.1})
    low, high = first.interval()
    bold, safe = (model.configurations.index(to_json({"x": x})) for x in (BOLD, SAFE))
    assert first.p_better()[bold] > 0.9
    assert model.on({"kind": 0.1}).p_better()[bold] < 0.1
    assert low[safe] <= 0.1 <= high[safe]
    assert high[safe] - low[safe] < 0.1
    assert first.expected()[bold] > 0.1 > -0.1 > model.on({"kind": 0.1}).expected()[bold]
    assert first.expected()[safe] == pytest.approx(0.1, abs=0.01)


def test_the_interval_contains_the_median_where_a_few_tasks_move_the_mean_out_of_it() -> None:
    change = np.array([[0.0, 0.01, 0.98]] * 12 + [[0.0, 0.02, 0.99]] * 6 + [[0.0, -1.4, 0.97]] * 2)
    skewed = Improvement(np.full(20, 0.05), change, np.full_like(change, 0.05), 0, Rule(interval_share=0.7))
    (low, high), median, mean = skewed.interval(), skewed.median(), skewed.expected()
    assert (low <= median).all()
    assert (median <= high).all()
    assert median.tolist() == [0.0, 0.01, 0.98]
    assert mean[1] < low[1]
    assert low[0] == high[0] == 0.0
    assert high[2] == 1.0  # no error is below zero


def test_changes_are_relative_to_the_default_bounded_and_never_of_nothing() -> None:
    errors = np.array([[0.2, 0.1, 0.3, np.nan], [np.nan, 0.1, 0.2, np.nan], [0.001, 0.0005, 5.0, 0.001]])
    spread = np.full_like(errors, 0.01)
    change, noise = relative_changes(errors, spread, 0, floor=0.01)
    assert change[0] == pytest.approx([0.0, 0.5, -0.5, -1.0])
    assert change[1] == pytest.approx([0.0, 1.0, 1.0, -1.0])
    assert change[2] == pytest.approx([0.0, 0.05, -1.0, 0.0])
    assert noise[0, 1] == pytest.approx(0.01 / 0.2)
    assert np.isfinite(noise).all()


def test_too_few_tasks_or_no_default_teach_nothing() -> None:
    md = planted(n_tasks=6)
    assert learn_improvement(md, "s") is None
    md = planted(n_tasks=12)
    rest = md.trials[md.trials["configuration"] != to_json({"x": DEFAULT})]
    assert learn_improvement(MetaDataset(md.tasks, rest, None, md.spaces), "s") is None


def test_a_file_comes_back_as_it_was_and_damage_is_an_error(model: ImprovementModel, tmp_path: Path) -> None:
    path = improvement_path(tmp_path, "s", "balanced_accuracy")
    model.save(path)
    again = ImprovementModel.load(path)
    for features in (None, {"kind": 1.1}, {"kind": 0.1, "noise": np.nan}, {"other": 3.0}):
        assert again.on(features).picks(3) == model.on(features).picks(3)
        np.testing.assert_array_equal(again.on(features).expected(), model.on(features).expected())
    assert again.rule == model.rule
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtefactError):
        ImprovementModel.load(path)
    with pytest.raises(ArtefactError, match="cannot name a file"):
        improvement_path(tmp_path, "../s", "r2")


def test_source_tasks_lie_in_their_own_leaves_also_after_loading(model: ImprovementModel, tmp_path: Path) -> None:
    path = improvement_path(tmp_path, "s", "balanced_accuracy")
    model.save(path)
    assert model.trees.depth > 0
    features = planted().meta_features
    assert features is not None
    for one in (model, ImprovementModel.load(path)):
        for i, task in enumerate(one.tasks):
            own = dict(zip(features.columns, features.loc[task].to_numpy(np.float64).tolist(), strict=True))
            np.testing.assert_array_equal(one.on(own).weights, model.weights_like(i))


def test_a_file_whose_values_were_not_rounded_is_read(model: ImprovementModel, tmp_path: Path) -> None:
    path = improvement_path(tmp_path, "s", "balanced_accuracy")
    model.save(path)
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    assert tensors["values"].dtype == torch.float32
    features = planted().meta_features
    assert features is not None
    exact = features[list(model.meta_feature_names)].to_numpy(np.float64)
    tensors["values"] = torch.from_numpy(np.sort(exact, axis=0).T.ravel())
    save_file(tensors, path, metadata=header)
    older = ImprovementModel.load(path)
    assert [own.tolist() for own in older.sorted_values] == [own.tolist() for own in model.sorted_values]


@pytest.mark.parametrize("first", [0, 300, 40_000])
def test_trees_of_any_number_of_nodes_come_back(model: ImprovementModel, tmp_path: Path, first: int) -> None:
    path = improvement_path(tmp_path, "s", "balanced_accuracy")
    trees = replace(model.trees, leaves=model.trees.leaves + first)
    replace(model, trees=trees).save(path)
    np.testing.assert_array_equal(ImprovementModel.load(path).trees.leaves, trees.leaves)


def test_changes_and_standard_errors_are_learnt_with_few_bits(model: ImprovementModel) -> None:
    steps = model.change / STEP_OF_CHANGE
    np.testing.assert_array_equal(steps, np.round(steps))
    np.testing.assert_array_equal(rounded(model.standard_error, BITS_OF_STANDARD_ERROR), model.standard_error)
    assert (np.delete(model.standard_error, model.reference, axis=1) > MIN_STANDARD_ERROR).all()


def test_learning_is_deterministic(model: ImprovementModel) -> None:
    again = learn_improvement(planted(), "s")
    assert again is not None
    assert again.rule == model.rule
    assert np.array_equal(again.trees.threshold, model.trees.threshold)


def test_differences_are_paired_where_single_fits_were_recorded() -> None:
    md = planted(n_tasks=12)
    hard = np.array([0.0, 0.2, -0.1, 0.1])  # what all configurations find hard in the same fits
    noise = np.random.default_rng(1).normal(scale=0.01, size=(len(md.trials), 4))
    fits = [list(loss + hard + own) for loss, own in zip(md.trials["loss.balanced_accuracy"], noise, strict=True)]
    trials = md.trials.drop(columns="se.balanced_accuracy")
    trials["folds.balanced_accuracy"] = fits
    learnt = learn_improvement(MetaDataset(md.tasks, trials, None, md.spaces), "s")
    assert learnt is not None
    others = np.arange(3) != learnt.reference
    assert np.median(learnt.standard_error[:, others]) < 0.05  # unpaired, they would be .2 and more
    assert np.median(learnt.standard_error[:, others]) > 0.005


def of_two_sizes(n_tasks: int = 48) -> MetaDataset:
    """BOLD helps tasks of 300 rows and harms those of 5,000; no other meta-feature tells anything."""
    rng = np.random.default_rng(1)
    rows, features, names = [], [], [f"task{i:02}" for i in range(n_tasks)]
    for i, name in enumerate(names):
        small = i % 4 == 0
        noise = {f"noise{j}": rng.normal() for j in range(30)}
        features.append({"log_rows": np.log(300.0 if small else 5000.0), **noise})
        for x, change in {DEFAULT: 0.0, BOLD: 0.3 if small else -0.3, SAFE: 0.05}.items():
            loss = 0.4 * (1.0 - change) + rng.normal(scale=0.02)
            rows.append((name, to_json({"x": x}), loss))
    return recorded(names, features, rows)


def test_tasks_of_another_size_weigh_less_where_that_helps(tmp_path: Path) -> None:
    learnt = learn_improvement(of_two_sizes(), "s")
    assert learnt is not None
    assert learnt.size_range is not None
    small, large = ({"log_rows": np.log(n)} for n in (300.0, 5000.0))
    assert picked(learnt, 1, small) == [BOLD]
    assert picked(learnt, 1, large) == [SAFE]
    is_small = learnt.log_rows < np.log(1000.0)
    assert learnt.on(small).weights[is_small].sum() > learnt.on({}).weights[is_small].sum()
    assert learnt.on(small).weights.sum() == pytest.approx(1.0)
    learnt.save(tmp_path / "m.safetensors")
    again = ImprovementModel.load(tmp_path / "m.safetensors")
    assert again.size_range == learnt.size_range
    assert np.array_equal(again.on(small).weights, learnt.on(small).weights)
    changed = again.without_tasks({again.tasks[1]})
    assert changed is not None
    more = changed.with_task("new", learnt.change[1], learnt.standard_error[1], large)
    assert more.log_rows[-1] == np.log(5000.0)
    assert len(more.on(large).weights) == len(learnt.tasks)


def test_the_kernel_of_sizes_falls_to_1_over_e_at_the_size_range() -> None:
    weights, log_rows = np.array([0.5, 0.25, 0.25]), np.log([300.0, 300.0 * math.e**2, np.nan])
    found = weights_by_size(weights, log_rows, np.log(300.0), 2.0)
    assert found == pytest.approx(np.array([0.5, 0.25 / math.e, 0.25]) / (0.75 + 0.25 / math.e))
    assert weights_by_size(weights, log_rows, np.nan, 2.0) is weights
    assert weights_by_size(weights, log_rows, np.log(300.0), None) is weights


def test_tasks_of_one_size_have_no_size_range(model: ImprovementModel) -> None:
    assert model.size_range is None
