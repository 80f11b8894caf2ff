"""Tasks of pure noise are told from tasks that can be learnt, however many configurations were tried on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metahpo.building.learnability import MIN_SKILL, cross_validated_best, task_skill
from metahpo.tasks.target import TaskKind


def test_the_best_of_many_lucky_configurations_earns_nothing() -> None:
    rng = np.random.default_rng(0)
    noise = 0.5 + 0.05 * rng.standard_normal((500, 3))
    assert noise.mean(axis=1).min() < 0.43
    assert abs(cross_validated_best(noise) - 0.5) < 0.08


def test_a_configuration_that_is_better_on_every_fold_is_judged_by_its_own_losses() -> None:
    losses = np.full((10, 3), 0.5)
    losses[4] = [0.1, 0.2, 0.3]  # fits 0 and 2 make one half, fit 1 the other
    assert cross_validated_best(losses) == pytest.approx(0.2)


@pytest.mark.parametrize("losses", [np.full((4, 3), np.nan), np.zeros((4, 1)), np.zeros((0, 3))])
def test_without_folds_or_a_success_it_cannot_be_told(losses: np.ndarray) -> None:
    assert np.isnan(cross_validated_best(losses))


def test_learners_may_differ_in_their_fits() -> None:
    assert cross_validated_best(np.array([[0.3, 0.3, np.nan, np.nan], [0.5, 0.5, 0.1, 0.1]])) == pytest.approx(0.3)


def test_failed_configurations_are_passed_over() -> None:
    assert cross_validated_best(np.array([[0.3, 0.3], [np.nan, np.nan], [0.4, 0.4]])) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("kind", "metric", "constant"), [("classification", "balanced_accuracy", 0.75), ("regression", "r2", 1.0)]
)
def test_skill_is_measured_from_a_constant_prediction(kind: TaskKind, metric: str, constant: float) -> None:
    rng = np.random.default_rng(0)
    folds = {"signal": constant * np.full((20, 3), 0.4), "noise": constant * rng.uniform(0.98, 1.02, (20, 3))}
    skills = {}
    for task, losses in folds.items():
        rows = [*map(list, losses), []]  # the last trial failed
        skills[task] = task_skill(pd.DataFrame({f"folds.{metric}": rows}), kind, n_classes=4)
    assert skills["signal"] == pytest.approx(0.6)
    assert skills["noise"] < MIN_SKILL
