"""Metrics by their scikit-learn scorer names, as losses: the only place where a sign is flipped.

A score in [0, 1] or below 1 where 1 is best (accuracy, R2, ...) becomes ``1 - score``; a ``neg_*`` score becomes
``-score``.
Past this module every number is a loss to be minimised.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as skm

from metahpo.exceptions import UnknownNameError
from metahpo.tasks.task import TaskKind


@dataclass(frozen=True)
class Metric:
    """A metric and its loss.

    Attributes
    ----------
    name : str
        scikit-learn scorer name.
    kind : {"classification", "regression"}
    best_score : float
        The score of a perfect model: ``loss = best_score - score``.
    useless_loss : float, default=inf
        Loss of a model that knows nothing, where it is the same on every task: R2 of the mean is 0. Below it R2 has no
        bound, and one diverged kernel would shrink all other differences on its task to nothing; so losses are
        learnt and compared as if none were worse (:meth:`capped`).
    """

    name: str
    kind: TaskKind
    best_score: float
    useless_loss: float = math.inf

    def loss_from_score(self, score: float) -> float:
        """Loss (0 is perfect, lower is better) of a scikit-learn score (higher is better)."""
        return self.best_score - score

    def capped(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Losses with those worse than a useless model's brought down to it; NaN stays NaN."""
        return np.minimum(losses, self.useless_loss)

    def score_from_loss(self, loss: float) -> float:
        """Inverse of :meth:`loss_from_score`."""
        return self.best_score - loss

    def scores(self, losses: Sequence[float]) -> NDArray[np.float64]:
        """Scores of several losses."""
        return self.best_score - np.asarray(losses, dtype=np.float64)


METRICS: Mapping[str, Metric] = {
    m.name: m
    for m in (
        Metric("balanced_accuracy", "classification", 1.0),
        Metric("accuracy", "classification", 1.0),
        Metric("precision_macro", "classification", 1.0),
        Metric("recall_macro", "classification", 1.0),
        Metric("f1_macro", "classification", 1.0),
        Metric("roc_auc_ovr", "classification", 1.0),
        Metric("neg_log_loss", "classification", 0.0),
        Metric("r2", "regression", 1.0, useless_loss=1.0),
        Metric("neg_root_mean_squared_error", "regression", 0.0),
        Metric("neg_mean_absolute_error", "regression", 0.0),
        Metric("neg_median_absolute_error", "regression", 0.0),
    )
}

#: What a task is judged by unless the caller says otherwise.
DEFAULT_METRIC: Mapping[TaskKind, str] = {"classification": "balanced_accuracy", "regression": "r2"}


def metric_names(kind: TaskKind) -> list[str]:
    """Names of the metrics of a kind of task, the default first."""
    return [m.name for m in METRICS.values() if m.kind == kind]


def metric_named(name: str | None, kind: TaskKind) -> Metric:
    """Look up a metric.

    Parameters
    ----------
    name : str or None
        scikit-learn scorer name; None takes the default of `kind` (balanced accuracy, R2).

    Raises
    ------
    UnknownNameError
        No such metric for this kind of task; the message lists those that exist.
    """
    metric = METRICS.get(DEFAULT_METRIC[kind] if name is None else name)
    if metric is None or metric.kind != kind:
        raise UnknownNameError(f"{kind} metric", name, metric_names(kind), "Names are scikit-learn's scorer names.")
    return metric


def classification_losses(y: NDArray[np.int64], probability: NDArray[np.float64]) -> dict[str, float]:
    """Losses of every classification metric.

    Parameters
    ----------
    y : ndarray of shape (n,)
        True class indices.
    probability : ndarray of shape (n, n_classes)
        Predicted probabilities, rows summing to one; the predicted class is the most probable one.
    """
    n_classes = probability.shape[1]
    predicted = probability.argmax(axis=1)
    score = probability[:, 1] if n_classes == 2 else probability
    # A trial is scored on every fold, and the library's checks of what is checked already would be half of what the
    # builder adds to a trial: all but ROC AUC are written out, which is left to the library.
    confusion = np.bincount(y * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)
    of_true_class = probability[np.arange(len(y)), y]
    hits, support, claimed = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    occurs = support > 0
    scores = {
        "accuracy": hits.sum() / len(y),
        "balanced_accuracy": np.mean(hits[occurs] / support[occurs]),
        "precision_macro": np.mean((hits / np.maximum(claimed, 1))[occurs | (claimed > 0)]),
        "recall_macro": np.mean((hits / np.maximum(support, 1))[occurs | (claimed > 0)]),
        "f1_macro": np.mean(2.0 * hits / np.maximum(support + claimed, 1)),
        "roc_auc_ovr": skm.roc_auc_score(y, score, multi_class="ovr", labels=np.arange(n_classes)),
        "neg_log_loss": np.log(np.clip(of_true_class, np.finfo(of_true_class.dtype).eps, 1.0)).mean(),
    }
    return _losses(scores)


def regression_losses(y: NDArray[np.float64], prediction: NDArray[np.float64]) -> dict[str, float]:
    """Losses of every regression metric, for targets and predictions of shape (n,)."""
    scores = {
        "r2": skm.r2_score(y, prediction),
        "neg_root_mean_squared_error": -skm.root_mean_squared_error(y, prediction),
        "neg_mean_absolute_error": -skm.mean_absolute_error(y, prediction),
        "neg_median_absolute_error": -skm.median_absolute_error(y, prediction),
    }
    return _losses(scores)


def _losses(scores: dict[str, Any]) -> dict[str, float]:
    return {name: METRICS[name].loss_from_score(float(score)) for name, score in scores.items()}
