"""Metrics by their scikit-learn scorer names, and their losses. Only this module converts scores to losses.

A score in [0, 1] or below 1 where 1 is best (accuracy, R2, ...) becomes ``1 - score``; a ``neg_*`` score becomes
``-score``. All other modules use losses, which are minimised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as skm

from metahpo.exceptions import DataError, PluginError, UnknownNameError
from metahpo.registry import Registry
from metahpo.tasks.task import KINDS, TaskKind


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
    scorer : callable, default=None
        ``(estimator, X, y) -> float``, higher is better, as :func:`sklearn.metrics.make_scorer` makes it; for metrics
        of other packages. Of classification, `y` are class indices where a build measures. None: scikit-learn's
        scorer of that name.
    near : str, default=None
        Recorded metric that ranks models most alike: its experience serves where there is none of the metric itself.
    """

    name: str
    kind: TaskKind
    best_score: float
    useless_loss: float = math.inf
    scorer: Callable[[Any, Any, Any], float] | None = None
    near: str | None = None

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


_METRICS: Registry[Metric] = Registry(
    "metric",
    "metahpo.metrics",
    METRICS,
    expected="a Metric",
    accepts=lambda entry: isinstance(entry, Metric),
    hint="Names are scikit-learn's scorer names; register_metric adds one of your own.",
)


def register_metric(metric: Metric) -> None:
    """Add a metric, for this process, under its own name.

    A package offers a metric to every process by an entry point of the group ``metahpo.metrics`` that names a
    :class:`Metric`. A build that records it needs that, or ``module:attribute``, because its workers are processes of
    their own.

    Raises
    ------
    DataError
        The name is taken or is not plain, the metric has no `scorer`, or its kind of task does not exist.
    """
    if not isinstance(metric, Metric):
        raise DataError(f"register_metric takes a Metric, but got {metric!r}.")
    _check(metric, metric.name, DataError)
    _METRICS.register(metric.name, metric)


def unregister_metric(name: str) -> None:
    """Remove a metric that :func:`register_metric` added.

    Raises
    ------
    UnknownNameError
        Nothing was registered under the name.
    """
    _METRICS.unregister(name)


def known_metric(name: str) -> Metric | None:
    """The metric of a name that a file holds; None where neither the package nor another one knows it.

    No ``module:attribute`` is imported, because a file must not decide what is.

    Raises
    ------
    PluginError
        The metric of another package cannot be loaded.
    """
    return _looked_up(name) if name in _METRICS else None


def asked_metric(name: str) -> Metric | None:
    """The metric of a name that a user gives: as :func:`known_metric`, but ``module:attribute`` is imported."""
    return _looked_up(name) if ":" in name else known_metric(name)


def scorer_of(name: str) -> Callable[[Any, Any, Any], float] | str:
    """Value of ``scoring`` for a metric: its scorer if it is of another package, else its name."""
    metric = asked_metric(name)
    return name if metric is None or metric.scorer is None else metric.scorer


def metric_of_scorer(scorer: object) -> str | None:
    """Name of the metric of another package whose scorer this is, where it was registered or looked up before."""
    return next((m.name for m in _METRICS.in_memory() if m.scorer is not None and m.scorer is scorer), None)


def extra_losses(names: Sequence[str], kind: TaskKind, estimator: Any, X: Any, y: NDArray[Any]) -> dict[str, float]:
    """Losses of a fitted estimator by metrics of other packages; those of the other kind of task are left out.

    Raises
    ------
    UnknownNameError, PluginError
        There is no such metric, or it cannot be loaded.
    """
    metrics = [metric for metric in map(_looked_up, names) if metric.kind == kind]
    return {m.name: m.loss_from_score(float(m.scorer(estimator, X, y))) for m in metrics if m.scorer is not None}


def recorded_metric_names(extra: Sequence[str], kind: TaskKind) -> list[str]:
    """Metrics that a build records of tasks of a kind, the default first: the package's, and those of `extra`.

    Raises
    ------
    UnknownNameError, PluginError
        A metric of `extra` does not exist, or cannot be loaded.
    """
    return [*metric_names(kind), *(metric.name for metric in map(_looked_up, extra) if metric.kind == kind)]


def _looked_up(name: str) -> Metric:
    metric = _METRICS.get(name)
    if name not in METRICS:
        _check(metric, name, PluginError)
    return metric


def _check(metric: Metric, name: str, error: type[DataError] | type[PluginError]) -> None:
    near = METRICS.get(metric.near or "")
    wrong = (
        f"is named {metric.name!r}"
        if metric.name != name
        else f"is of the kind of task {metric.kind!r}"
        if metric.kind not in KINDS
        else "has no scorer (estimator, X, y) -> float"
        if not callable(metric.scorer)
        else f"is near {metric.near!r}, which is no {metric.kind} metric of the package"
        if metric.near is not None and (near is None or near.kind != metric.kind)
        else None
    )
    if wrong:
        raise error(f"the metric {name!r} {wrong}; give it a name of its own, one of the kinds {KINDS} and a scorer.")


def metric_names(kind: TaskKind) -> list[str]:
    """Names of the metrics of a kind of task, the default first."""
    return [m.name for m in METRICS.values() if m.kind == kind]


def metric_named(name: str | None, kind: TaskKind) -> Metric:
    """Look up a metric.

    Parameters
    ----------
    name : str or None
        scikit-learn scorer name; or the name of a metric that :func:`register_metric` or an installed package added;
        or ``module:attribute``. None takes the default of `kind` (balanced accuracy, R2).

    Raises
    ------
    UnknownNameError
        No such metric for this kind of task; the message lists those that exist.
    PluginError
        The metric of another package cannot be loaded.
    """
    known = metric_names(kind)
    if name is None or name in METRICS or (":" not in name and name not in _METRICS):
        metric = METRICS.get(DEFAULT_METRIC[kind] if name is None else name)
    else:
        metric = _looked_up(name)
    if metric is None or metric.kind != kind:
        others = [other for other in _METRICS.names() if other not in METRICS]
        raise UnknownNameError(f"{kind} metric", name, [*known, *others], "Names are scikit-learn's scorer names.")
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
    # A trial is scored on every fold. Repeated checks by scikit-learn would be half of the overhead of a trial, so all
    # metrics but ROC AUC are computed here.
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
