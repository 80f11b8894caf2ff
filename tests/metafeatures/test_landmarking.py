"""Landmarks say what they promise on data whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from metahpo.metafeatures.landmarking import LANDMARKING, LEARNERS, TWO_SIZES, landmarking
from metahpo.tasks.task import Task

RNG_SEED = 0


def plane(n_rows: int = 600, n_columns: int = 4) -> np.ndarray:
    return np.random.default_rng(RNG_SEED).normal(size=(n_rows, n_columns))


def test_linear_boundary_favours_the_linear_learner() -> None:
    X = plane(n_columns=8)
    found = landmarking(Task.from_arrays(X, X.sum(axis=1) > 0), 0)
    assert found["landmark_linear"] > 0.85
    assert found["linear_minus_tree"] > 0.2
    assert found["linear_minus_nearest"] > 0.1


def test_checkerboard_favours_trees_and_neighbours() -> None:
    X = np.random.default_rng(RNG_SEED).uniform(size=(900, 2))
    found = landmarking(Task.from_arrays(X, (X[:, 0] > 0.3) ^ (X[:, 1] > 0.6)), 0)
    assert found["landmark_nearest"] > 0.85
    assert found["linear_minus_tree"] < -0.3
    assert found["tree_minus_stump"] > 0.3


def test_one_threshold_is_all_a_stump_needs() -> None:
    X = plane()
    found = landmarking(Task.from_arrays(X, X[:, 1] > 0.4), 0)
    assert found["landmark_stump"] > 0.97
    assert found["tree_minus_stump"] == pytest.approx(0.0, abs=0.02)


def test_noise_is_learnt_by_nobody() -> None:
    X = plane(1000)
    y = np.random.default_rng(1).integers(0, 2, 1000)
    found = landmarking(Task.from_arrays(X, y), 0)
    for key in LEARNERS:
        assert found[f"landmark_{key}_balanced"] == pytest.approx(0.0, abs=0.12)
    found = landmarking(Task.from_arrays(X, np.random.default_rng(2).normal(size=1000)), 0)
    assert found["landmark_linear"] == pytest.approx(0.0, abs=0.03)
    assert found["landmark_nearest"] < -0.7  # copies the noise: twice the variance


def test_balancing_gains_where_classes_overlap_and_one_is_rare() -> None:
    rng = np.random.default_rng(RNG_SEED)
    y = (np.arange(1000) % 12 == 0).astype(int)
    rare = landmarking(Task.from_arrays(rng.normal(size=(1000, 3)) + y[:, None], y), 0)
    y = np.arange(1000) % 2
    even = landmarking(Task.from_arrays(rng.normal(size=(1000, 3)) + y[:, None], y), 0)
    assert rare["balancing_gain"] > 0.2
    assert even["balancing_gain"] == pytest.approx(0.0, abs=1e-9)


def test_rare_class_drags_the_plain_skill_but_not_the_balanced_one() -> None:
    rng = np.random.default_rng(RNG_SEED)
    y = (np.arange(900) % 30 == 0).astype(int)
    found = landmarking(Task.from_arrays(rng.normal(size=(900, 3)) + y[:, None], y), 0)
    assert found["landmark_nearest"] < 0.0  # more errors than "never"
    assert found["landmark_nearest_balanced"] > 0.1


def test_skill_of_linear_regression_is_its_r2() -> None:
    X = plane(900)
    y = X @ [1.0, 2.0, -1.0, 0.5] + np.random.default_rng(4).normal(size=900) * 2.5
    found = landmarking(Task.from_arrays(X, y), 0)
    assert found["landmark_linear"] == pytest.approx(6.25 / 12.5, abs=0.06)
    assert found["landmark_naive"] == pytest.approx(found["landmark_linear"], abs=0.05)  # columns are independent


def test_skill_is_bounded_below() -> None:
    X = plane(300, 2)
    y = np.random.default_rng(5).standard_cauchy(300)
    found = landmarking(Task.from_arrays(X, y), 0)
    assert all(-1 <= found[f"landmark_{key}"] <= 1 for key in LEARNERS)


def test_text_and_units_free_names_match_the_definitions() -> None:
    X = plane(200)
    classes = landmarking(Task.from_arrays(X, X[:, 0] > 0), 0)
    numbers = landmarking(Task.from_arrays(X, X[:, 0]), 0)
    assert list(classes) == [feature.name for feature in LANDMARKING]
    assert list(numbers) == [feature.name for feature in LANDMARKING if feature.kind is None]


@pytest.mark.parametrize(("n_classes", "slope"), [(40, 1), (200, 1), (100, 0)])
def test_many_classes_are_cut_to_the_frequent_ones(n_classes: int, slope: int) -> None:
    rng = np.random.default_rng(RNG_SEED)
    centres = rng.normal(size=(n_classes, 3)) * 100
    y = np.repeat(np.arange(n_classes), slope * np.arange(n_classes) // 4 + 9)
    found = landmarking(Task.from_arrays(centres[y] + rng.normal(size=(len(y), 3)), y, kind="classification"), 0)
    assert found["landmark_nearest"] > 0.9


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_more_rows_help_where_there_is_much_to_learn_and_not_where_there_is_little(kind: str) -> None:
    X = np.random.default_rng(RNG_SEED).uniform(size=(900, 2))
    fine = np.sin(9 * X[:, 0]) * np.sin(9 * X[:, 1])
    coarse = X[:, 0] - 0.5
    found = {}
    for name, target in (("fine", fine), ("coarse", coarse)):
        found[name] = landmarking(Task.from_arrays(X, target > 0 if kind == "classification" else target), 0)
    assert found["fine"]["nearest_gain_of_rows"] > 0.07
    assert found["coarse"]["linear_gain_of_rows"] == pytest.approx(0.0, abs=0.03)
    of_all = found["fine"]["landmark_nearest_balanced" if kind == "classification" else "landmark_nearest"]
    assert found["fine"]["nearest_gain_of_rows"] == of_all - found["fine"]["landmark_nearest_quarter"]


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_noise_is_the_spread_of_a_landmark_over_draws(kind: str) -> None:
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(150, 2))
        y = X[:, 0] + rng.normal(size=150)
        found.append(landmarking(Task.from_arrays(X, y > 0 if kind == "classification" else y), 0))
    scores = [[one[f"landmark_{key}_quarter"] + one[f"{key}_gain_of_rows"] for key in TWO_SIZES] for one in found]
    spread = np.std(scores, axis=0, ddof=1).mean()
    assert np.mean([one["landmark_noise"] for one in found]) == pytest.approx(spread, rel=0.5)


def test_noise_falls_with_the_number_of_rows() -> None:
    rng = np.random.default_rng(RNG_SEED)
    X = rng.normal(size=(900, 3))
    y = X[:, 0] + rng.normal(size=900) > 0
    few, many = (landmarking(Task.from_arrays(X[:n], y[:n]), 0)["landmark_noise"] for n in (100, 900))
    assert few == pytest.approx(3.0 * many, rel=0.25)
