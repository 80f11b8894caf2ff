"""Cost: seconds learnt from the records of other tasks, and corrected by those of the task at hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import make_classification

from metahpo.exceptions import ArtefactError
from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.recommendation.experience import Experience
from metahpo.surrogates import tensor_file
from metahpo.surrogates.cost import KIND, CostModel, cost_path
from metahpo.surrogates.task_cost import TaskCost
from metahpo.tasks.task import Task


def with_seconds(md: MetaDataset) -> MetaDataset:
    """Seconds grow with the rows of the task and with the rate; some are not known."""
    rows = md.tasks["n_rows"].loc[md.trials["task"]].to_numpy()
    rate = np.array([json.loads(text)["rate"] for text in md.trials["configuration"]])
    seconds = 1e-3 * rows * np.sqrt(rate)
    seconds[::7] = np.nan
    return MetaDataset(md.tasks, md.trials.assign(seconds=seconds), md.meta_features, md.spaces)


@pytest.fixture(scope="module")
def task() -> Task:
    return Task.from_arrays(*make_classification(800, 5, random_state=0))


def test_cost_model__knows_size_and_configuration(toy: MetaDataset, task: Task) -> None:
    model = CostModel.of(with_seconds(toy), "toy")
    assert model is not None
    rows = toy.encoder("toy").encode([{"mode": "plain", "rate": 0.01}, {"mode": "plain", "rate": 1.0}])
    cheap, dear = model.seconds(rows, task)
    assert dear / cheap == pytest.approx(10.0, rel=0.2)
    np.testing.assert_allclose(np.exp(model.on(task).log_seconds(rows, rows[:0], np.empty(0))), [cheap, dear])


def test_cost_model__needs_seconds_and_sizes(toy: MetaDataset) -> None:
    unknown = MetaDataset(toy.tasks, toy.trials.assign(seconds=np.nan), None, toy.spaces)
    assert CostModel.of(unknown, "toy") is None
    sizeless = MetaDataset(toy.tasks[["family", "kind"]], toy.trials, None, toy.spaces)
    assert CostModel.of(sizeless, "toy") is None
    assert pd.isna(unknown.trials["seconds"]).all()


def test_cost_model__comes_back_from_its_file_and_serves_the_tables_it_was_fitted_on(
    toy: MetaDataset, task: Task, tmp_path: Path
) -> None:
    model = CostModel.of(with_seconds(toy), "toy")
    assert model is not None
    path = cost_path(tmp_path, "toy")
    model.save(path, "these")
    read = CostModel.load(path, "these")
    assert read is not None
    rows = toy.encoder("toy").encode([{"mode": "plain", "rate": 0.01}])
    np.testing.assert_array_equal(read.seconds(rows, task), model.seconds(rows, task))
    assert read.deviation == model.deviation
    assert CostModel.load(path, "others") is None


@pytest.mark.parametrize("numbers", [[1.0], [[1.0] * 9], [np.nan] * 9])
def test_cost_model__a_damaged_file_is_named(numbers: list[float], tmp_path: Path) -> None:
    path = cost_path(tmp_path, None)
    tensor_file.write(path, KIND, {"numbers": torch.tensor(numbers, dtype=torch.float64)}, {"tables": "these"})
    with pytest.raises(ArtefactError, match=r"all\.seconds\.safetensors.*finite numbers"):
        CostModel.load(path, "these")
    tensor_file.write(path, "something else", {}, {"tables": "these"})
    with pytest.raises(ArtefactError, match="something else"):
        CostModel.load(path, "these")


def test_cost_model__a_recommender_reads_what_training_stored(toy: MetaDataset, tmp_path: Path) -> None:
    with_seconds(toy).save(tmp_path)
    fitted = Experience(tmp_path).cost("toy")
    assert fitted is not None
    replace(fitted, deviation=7.0).save(cost_path(tmp_path, "toy"), release.tables_checksum(tmp_path))
    assert Experience(tmp_path).cost("toy").deviation == 7.0  # type: ignore[union-attr]
    toy.save(tmp_path)  # other tables: what is stored there is of the earlier ones
    again = Experience(tmp_path).cost("toy")
    assert again is None or again.deviation != 7.0


def test_task_cost__a_slower_machine_is_recognised_and_changes_no_order() -> None:
    rows = np.linspace(0.0, 1.0, 5)[:, None]
    cost = TaskCost(lambda rows: rows[:, 0], deviation=0.1)
    slow = np.exp(cost.log_seconds(rows, rows[:2], 50.0 * np.exp(rows[:2, 0])))
    np.testing.assert_allclose(slow, 50.0 * np.exp(rows[:, 0]), rtol=0.01)


def test_task_cost__trials_overrule_what_was_expected() -> None:
    rows = np.linspace(0.0, 1.0, 11)[:, None]
    cost = TaskCost(lambda rows: 3.0 * rows[:, 0], deviation=2.0)
    told = cost.log_seconds(rows, rows[::2], np.exp(-3.0 * rows[::2, 0]))
    np.testing.assert_allclose(told, -3.0 * rows[:, 0], atol=0.2)


def test_task_cost__without_any_knowledge_learns_from_trials_alone() -> None:
    rows = np.random.default_rng(0).random((30, 2))
    log_seconds = 4.0 * rows[:, 1]
    predicted = TaskCost().log_seconds(
        rows[20:], rows[:20], np.exp(np.where(np.arange(20) == 3, np.nan, log_seconds[:20]))
    )
    assert np.corrcoef(predicted, log_seconds[20:])[0, 1] > 0.95
    assert (TaskCost().log_seconds(rows, rows[:0], np.empty(0)) == 0.0).all()
