"""Outcomes of held-out tasks: the model knows no task of the family, and the errors are those that were recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from metahpo.evaluation.recorded_outcomes import groups_of_tasks, recorded_outcomes
from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.space.configuration import to_json


def test_the_model_knows_no_task_of_the_family(toy: MetaDataset) -> None:
    (outcome,) = recorded_outcomes(toy, "toy", ["task3"])
    relatives = set(toy.tasks.index[toy.tasks["family"] == toy.tasks.loc["task3", "family"]])
    assert len(relatives) == 2
    assert relatives.isdisjoint(outcome.model.tasks)
    assert set(outcome.model.tasks) == set(toy.tasks.index) - relatives
    assert outcome.family == toy.tasks.loc["task3", "family"]


def test_errors_are_those_recorded_of_the_same_configurations(toy: MetaDataset) -> None:
    (outcome,) = recorded_outcomes(toy, "toy", ["task3"])
    own = toy.trials[toy.trials["task"] == "task3"]
    recorded = {to_json(json.loads(c)): e for c, e in zip(own["configuration"], own["loss.r2"], strict=True)}
    expected = [recorded[text] for text in outcome.model.configurations]
    np.testing.assert_allclose(outcome.errors, expected)
    assert outcome.changes()[outcome.default] == 0.0
    assert (outcome.changes() > 0.0).tolist() == [error < expected[outcome.default] for error in expected]


def test_a_failed_configuration_loses_everything(toy: MetaDataset) -> None:
    (outcome,) = recorded_outcomes(toy, "toy", ["task0"])  # whose last trial failed
    failed = np.isnan(outcome.errors)
    assert failed.sum() == 1
    assert outcome.changes()[failed].tolist() == [-1.0]
    assert np.isfinite(outcome.standard_error)


def test_the_standard_error_is_that_of_paired_differences(toy: MetaDataset) -> None:
    (outcome,) = recorded_outcomes(toy, "toy", ["task3"])
    rng = np.random.default_rng(0)
    fits = rng.normal(0.5, 0.02, size=(4001, 4))
    fits[:5] += 1e3 * rng.standard_normal((5, 4))  # these diverge
    planted = replace(outcome, fits=fits, model=cast(Any, SimpleNamespace(reference=4000)))
    others = np.delete(fits, 4000, axis=0)[5:] - fits[4000]
    assert planted.standard_error == pytest.approx(np.sqrt(np.mean(np.var(others, axis=1, ddof=1)) / 4), rel=0.05)
    assert np.isnan(replace(planted, fits=fits[:, :1]).standard_error)


def test_groups_hold_every_task_once_and_whole_families(toy: MetaDataset) -> None:
    groups = groups_of_tasks(toy, 3)
    assert sorted(task for group in groups for task in group) == sorted(toy.tasks.index)
    of_groups = [set(toy.tasks.loc[group, "family"]) for group in groups]
    assert sum(map(len, of_groups)) == toy.tasks["family"].nunique()


def test_experience_that_shares_no_design_is_refused(toy: MetaDataset) -> None:
    with pytest.raises(DataError, match="too few tasks with a shared design of toy"):
        next(recorded_outcomes(toy, "toy", list(toy.tasks.index[:-1])))
