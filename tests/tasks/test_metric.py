"""Metrics are scikit-learn's, turned into losses once."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import get_scorer, log_loss

from metahpo.exceptions import UnknownNameError
from metahpo.tasks.metric import METRICS, classification_losses, metric_named, metric_names, regression_losses


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classification_losses_are_one_minus_scikit_learns_scores(n_classes: int) -> None:
    X, y = load_iris(return_X_y=True)
    X, y = X[y < n_classes, :2], y[y < n_classes]
    model = LogisticRegression(C=0.01).fit(X, y)
    losses = classification_losses(y, model.predict_proba(X))
    assert set(losses) == set(metric_names("classification"))
    for name, loss in losses.items():
        score = get_scorer(name)(model, X, y)
        assert loss == pytest.approx(METRICS[name].best_score - score)
        assert loss >= 0
        assert METRICS[name].score_from_loss(loss) == pytest.approx(score)
        assert METRICS[name].loss_from_score(score) == pytest.approx(loss)


def test_a_certain_mistake_costs_what_it_costs_in_scikit_learn() -> None:
    y, probability = np.array([0, 1, 2]), np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    losses = classification_losses(y, probability)
    assert losses["neg_log_loss"] == pytest.approx(log_loss(y, probability))


def test_regression_losses_are_scikit_learns_scores_turned() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = LinearRegression().fit(X, y)
    losses = regression_losses(y, model.predict(X))
    assert set(losses) == set(metric_names("regression"))
    for name, loss in losses.items():
        assert loss == pytest.approx(METRICS[name].best_score - get_scorer(name)(model, X, y))


def test_a_perfect_model_has_no_loss() -> None:
    y = np.array([0, 1, 2, 1])
    assert classification_losses(y, np.eye(3)[y]) == pytest.approx(dict.fromkeys(metric_names("classification"), 0.0))
    t = np.array([0.5, 1.0, -2.0])
    assert regression_losses(t, t) == pytest.approx(dict.fromkeys(metric_names("regression"), 0.0))


def test_macro_f1_counts_a_class_that_is_neither_there_nor_predicted() -> None:
    # By hand: classes 0 and 1 have F1 = 1, class 2 has none.
    y = np.array([0, 1, 0, 1, 2])
    probability = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2]])
    losses = classification_losses(y, probability)
    assert losses["accuracy"] == pytest.approx(1 / 5)
    assert losses["balanced_accuracy"] == pytest.approx(1 / 3)
    assert losses["f1_macro"] == pytest.approx(1 - (4 / 5 + 1 + 0) / 3)


def test_defaults_and_unknown_names() -> None:
    assert metric_named(None, "classification").name == metric_names("classification")[0] == "balanced_accuracy"
    assert metric_named(None, "regression").name == metric_names("regression")[0] == "r2"
    with pytest.raises(UnknownNameError, match="unknown classification metric 'acc'; known are: balanced_accuracy, "):
        metric_named("acc", "classification")
    with pytest.raises(UnknownNameError, match="unknown regression metric 'accuracy'; known are: r2, "):
        metric_named("accuracy", "regression")


def test_capped__r2_worse_than_the_mean_counts_as_the_mean() -> None:
    losses = np.array([0.2, 1.0, 1e5, np.nan])
    np.testing.assert_array_equal(METRICS["r2"].capped(losses), [0.2, 1.0, 1.0, np.nan])
    np.testing.assert_array_equal(METRICS["accuracy"].capped(losses), losses)
