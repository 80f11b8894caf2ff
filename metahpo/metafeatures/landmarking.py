"""Landmarks: the skill of cheap learners on a small sample of the task, their differences, and the gain by more rows.

Legend: skill of a learner = 1 - loss / loss of the best constant, cross-validated: 0 is a constant's, 1 is perfect.
The loss is the squared error (regression: skill = R^2) or the error rate; for balanced skill the mean error rate of the
classes, for which any constant has loss 1 - 1/k. A skill below -1 counts as -1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context

from metahpo.exceptions import DataError
from metahpo.metafeatures.cheap_learners import (
    discriminant_analysis,
    gaussian_naive_bayes,
    partial_least_squares,
    ridge,
    squared_distances,
    tree_and_stump,
)
from metahpo.metafeatures.classes import balanced_noise, every_fourth
from metahpo.metafeatures.definition import MetaFeature
from metahpo.metafeatures.references import FURNKRANZ, KOHAVI, LEITE, PFAHRINGER, SAERENS
from metahpo.metafeatures.sample import Sample
from metahpo.tasks.task import Task

LEARNERS = {
    "nearest": "1 nearest neighbour",
    "naive": "Gaussian naive Bayes; regression: partial least squares with one component",
    "stump": "a decision tree of depth 1",
    "tree": "a decision tree of depth 5",
    "linear": "linear discriminant analysis (shrinkage 0.1); regression: ridge",
}
#: Relative landmarks: the first learner's skill (balanced for classes) less the second's.
PAIRS = (("linear", "tree"), ("linear", "nearest"), ("tree", "stump"))
#: Learners that are also trained on a quarter of the training rows, and tested on the same test rows.
TWO_SIZES = ("nearest", "tree", "linear")

LANDMARKING = (
    *(MetaFeature(f"landmark_{key}", "landmarking", f"skill: {words}", PFAHRINGER) for key, words in LEARNERS.items()),
    *(
        MetaFeature(f"landmark_{key}_balanced", "landmarking", f"balanced skill: {words}", PFAHRINGER, "classification")
        for key, words in LEARNERS.items()
    ),
    *(
        MetaFeature(f"{a}_minus_{b}", "landmarking", f"(balanced) skill of {a} less that of {b}", FURNKRANZ)
        for a, b in PAIRS
    ),
    MetaFeature(
        "balancing_gain",
        "landmarking",
        "balanced skill of linear after its posterior is reweighted to equal class priors, less that before",
        SAERENS,
        "classification",
    ),
    *(
        MetaFeature(
            f"landmark_{key}_quarter", "landmarking", f"(balanced) skill of {key} from a quarter of the rows", LEITE
        )
        for key in TWO_SIZES
    ),
    *(
        MetaFeature(
            f"{key}_gain_of_rows",
            "landmarking",
            f"(balanced) skill of {key} less that from a quarter of the rows",
            LEITE,
        )
        for key in TWO_SIZES
    ),
    MetaFeature(
        "landmark_noise",
        "landmarking",
        f"standard error of (balanced) skill, by the number of test rows; mean of {', '.join(TWO_SIZES)}",
        KOHAVI,
    ),
)

N_FOLDS = 3
#: Trees take time in proportion to rows x columns, and matter most; a narrow table may have more rows than a wide one.
MIN_ROWS, MAX_ROWS, MAX_CELLS = 500, 1_000, 30_000
#: Classes beyond the most frequent ones cost time (a covariance each) and have hardly a row in the sample.
MAX_CLASSES = 30

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


def landmarking(task: Task, random_state: int) -> dict[str, float]:
    """The landmarks of a task, in canonical order. They are NaN if its sample cannot be cross-validated."""
    try:
        small = _frequent_classes(task).subsample(_n_rows(task), random_state).without_rare_classes(N_FOLDS)
        splits = small.splits(N_FOLDS, random_state)
    except DataError:
        return {}
    sample = Sample.of(small)
    if not all(np.ptp(sample.matrix[train], axis=0).any() and np.ptp(sample.y[train]) for train, _ in splits):
        return {}  # nothing to learn, or to learn from
    with config_context(skip_parameter_validation=True):  # of trees, whose parameters are always the same
        return (_regression if sample.kind == "regression" else _classification)(sample, splits)


def _classification(sample: Sample, splits: list[Split]) -> dict[str, float]:
    y = sample.y
    predicted = _predicted(sample, y, splits)
    counts = np.bincount(y)
    constant = 1.0 - 1.0 / len(counts)
    errors = {key: np.bincount(y, weights=guess != y) for key, guess in predicted.items()}
    plain = {key: _skill(errors[key].sum() / (len(y) - counts.max())) for key in LEARNERS}
    balanced = {key: _skill((error / counts).mean() / constant) for key, error in errors.items()}
    noise = {key: balanced_noise(errors[key], counts) / constant for key in TWO_SIZES}
    return {
        **{f"landmark_{key}": plain[key] for key in LEARNERS},
        **{f"landmark_{key}_balanced": balanced[key] for key in LEARNERS},
        **_differences(balanced),
        "balancing_gain": balanced["reweighted"] - balanced["linear"],
        **_two_sizes(balanced, noise),
    }


def _regression(sample: Sample, splits: list[Split]) -> dict[str, float]:
    y = sample.y.round(9)  # so that a change of units cannot break a tie
    squares = {key: np.square(y - guess) for key, guess in _predicted(sample, y, splits).items()}
    constant = squares.pop("constant")
    relative = {key: float(square.sum() / constant.sum()) for key, square in squares.items()}
    skill = {key: _skill(loss) for key, loss in relative.items()}
    # The delta method, for a ratio of two means over the same rows.
    spread = {key: float(np.std(squares[key] - relative[key] * constant)) for key in TWO_SIZES}
    noise = {key: min(1.0, spread[key] * float(np.sqrt(len(y)) / constant.sum())) for key in TWO_SIZES}
    return {**{f"landmark_{key}": skill[key] for key in LEARNERS}, **_differences(skill), **_two_sizes(skill, noise)}


def _predicted(sample: Sample, y: NDArray[Any], splits: list[Split]) -> dict[str, NDArray[Any]]:
    """Cross-validated predictions (n,) of the learners, and of some of them trained on a quarter of the rows."""
    X, single, kind = sample.matrix, sample.matrix.astype(np.float32), sample.kind
    beside = "reweighted" if kind == "classification" else "constant"
    predicted = {key: np.empty_like(y) for key in (*LEARNERS, beside, *map(_quarter, TWO_SIZES))}
    for train, test in splits:
        few = every_fourth(y[train]) if kind == "classification" else np.arange(0, len(train), 4)
        part = train[few]
        distances = squared_distances(X[train], X[test])
        naive: NDArray[Any]
        linear: NDArray[Any]
        small_linear: NDArray[Any]
        tree, stump = tree_and_stump(kind, single[train], y[train], single[test])
        small_tree, _ = tree_and_stump(kind, single[part], y[part], single[test])
        if kind == "classification":
            naive = gaussian_naive_bayes(X[train], y[train], X[test])
            linear, other = discriminant_analysis(X[train], y[train], X[test])
            small_linear, _ = discriminant_analysis(X[part], y[part], X[test])
        else:
            naive = partial_least_squares(X[train], y[train], X[test])
            linear, other = ridge(X[train], y[train], X[test]), y[train].mean()
            small_linear = ridge(X[part], y[part], X[test])
        found = {
            "nearest": y[train][distances.argmin(axis=1)],
            "naive": naive,
            "stump": stump,
            "tree": tree,
            "linear": linear,
            beside: other,
            _quarter("nearest"): y[part][distances[:, few].argmin(axis=1)],
            _quarter("tree"): small_tree,
            _quarter("linear"): small_linear,
        }
        for key, of_test in found.items():
            predicted[key][test] = of_test
    return predicted


def _quarter(key: str) -> str:
    return f"{key}_quarter"


def _frequent_classes(task: Task) -> Task:
    if task.kind == "regression" or len(task.classes) <= MAX_CLASSES:
        return task
    frequent = np.argsort(-np.bincount(task.y), kind="stable")[:MAX_CLASSES]
    return task.take(np.flatnonzero(np.isin(task.y, frequent)))


def _n_rows(task: Task) -> int:
    return min(MAX_ROWS, max(MIN_ROWS, MAX_CELLS // task.X.shape[1]))


def _skill(relative_loss: float) -> float:
    return float(max(1 - relative_loss, -1.0))


def _differences(skill: dict[str, float]) -> dict[str, float]:
    return {f"{a}_minus_{b}": skill[a] - skill[b] for a, b in PAIRS}


def _two_sizes(skill: dict[str, float], noise: dict[str, float]) -> dict[str, float]:
    return {
        **{f"landmark_{_quarter(key)}": skill[_quarter(key)] for key in TWO_SIZES},
        **{f"{key}_gain_of_rows": skill[key] - skill[_quarter(key)] for key in TWO_SIZES},
        "landmark_noise": float(np.mean([noise[key] for key in TWO_SIZES])),
    }
