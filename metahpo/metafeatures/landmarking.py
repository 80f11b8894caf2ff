"""Landmarks: how well cheap learners do on a small sample of the task, and how they compare.

Legend: skill of a learner = 1 - loss / loss of the best constant, cross-validated: 0 is a constant's, 1 is perfect.
The loss is the squared error (regression: skill = R^2) or the error rate; for balanced skill the mean error rate of the
classes, for which any constant has loss 1 - 1/k. A skill below -1 counts as -1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.cross_decomposition import PLSRegression
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from metahpo.exceptions import DataError
from metahpo.metafeatures.definition import MetaFeature
from metahpo.metafeatures.references import FURNKRANZ, PFAHRINGER, SAERENS
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
)

N_FOLDS = 3
#: Trees take time in proportion to rows x columns, and matter most; a narrow table may have more rows than a wide one.
MIN_ROWS, MAX_ROWS, MAX_CELLS = 500, 1_000, 30_000
#: Classes beyond the most frequent ones cost time (a covariance each) and have hardly a row in the sample.
MAX_CLASSES = 30


def landmarking(task: Task, random_state: int) -> dict[str, float]:
    """The landmarks of a (canonically arranged) task; NaN where its sample cannot be cross-validated."""
    try:
        small = _frequent_classes(task).subsample(_n_rows(task), random_state).without_rare_classes(N_FOLDS)
        splits = small.splits(N_FOLDS, random_state)
    except DataError:
        return {}
    sample = Sample.of(small)
    if not all(np.ptp(sample.matrix[train], axis=0).any() and np.ptp(sample.y[train]) for train, _ in splits):
        return {}  # nothing to learn, or to learn from
    # The sample is known to be clean: skipping scikit-learn's checks saves a quarter of the time.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        return (_regression if sample.kind == "regression" else _classification)(sample, splits)


def _classification(sample: Sample, splits: list[tuple[NDArray[np.intp], NDArray[np.intp]]]) -> dict[str, float]:
    X, y = sample.matrix, sample.y
    learners: dict[str, Any] = {
        "nearest": KNeighborsClassifier(1, algorithm="brute"),
        "naive": GaussianNB(var_smoothing=1e-3),
        "stump": DecisionTreeClassifier(max_depth=1, random_state=0),
        "tree": DecisionTreeClassifier(max_depth=5, random_state=0),
        "linear": LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1),
    }
    predicted = {key: np.empty_like(y) for key in (*learners, "reweighted")}
    for train, test in splits:
        for key, learner in learners.items():
            predicted[key][test] = learner.fit(X[train], y[train]).predict(X[test])
        linear = learners["linear"]
        predicted["reweighted"][test] = (linear.predict_log_proba(X[test]) - np.log(linear.priors_)).argmax(axis=1)
    counts = np.bincount(y)
    errors = {key: np.bincount(y, weights=guess != y) for key, guess in predicted.items()}
    plain = {key: _skill(error.sum() / (len(y) - counts.max())) for key, error in errors.items()}
    balanced = {key: _skill((error / counts).mean() / (1 - 1 / len(counts))) for key, error in errors.items()}
    return {
        **{f"landmark_{key}": plain[key] for key in learners},
        **{f"landmark_{key}_balanced": balanced[key] for key in learners},
        **_differences(balanced),
        "balancing_gain": balanced["reweighted"] - balanced["linear"],
    }


def _regression(sample: Sample, splits: list[tuple[NDArray[np.intp], NDArray[np.intp]]]) -> dict[str, float]:
    X, y = sample.matrix, sample.y.round(9)  # so that a change of units cannot turn a tie
    learners: dict[str, Any] = {
        "nearest": KNeighborsRegressor(1, algorithm="brute"),
        "naive": PLSRegression(1, scale=False),
        "stump": DecisionTreeRegressor(max_depth=1, random_state=0),
        "tree": DecisionTreeRegressor(max_depth=5, random_state=0),
        "linear": Ridge(alpha=1.0),
    }
    error, constant = dict.fromkeys(learners, 0.0), 0.0
    for train, test in splits:
        constant += float(((y[test] - y[train].mean()) ** 2).sum())
        for key, learner in learners.items():
            residual = y[test] - learner.fit(X[train], y[train]).predict(X[test])
            error[key] += float((residual**2).sum())
    skill = {key: _skill(value / constant) for key, value in error.items()}
    return {**{f"landmark_{key}": value for key, value in skill.items()}, **_differences(skill)}


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
