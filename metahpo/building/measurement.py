"""How one configuration is measured on one task: cross-validation, every metric at once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator

from metahpo.exceptions import DataError
from metahpo.learners.learner import Learner
from metahpo.tasks.metric import classification_losses, regression_losses
from metahpo.tasks.preprocessing import Encoding, preprocessing
from metahpo.tasks.task import Task

#: Raised when a change makes recorded trials incomparable with new ones.
PROTOCOL_VERSION = 1


@dataclass(frozen=True)
class Protocol:
    """How trials of a meta-dataset are measured.

    Attributes
    ----------
    n_folds : int
        Folds of the (stratified) cross-validation.
    max_rows : int
        Larger tasks are subsampled (stratified) to this many rows.
    seed : int
        Seed of subsample, folds and learners.
    """

    n_folds: int = 3
    max_rows: int = 2000
    seed: int = 0

    @property
    def name(self) -> str:
        """Text that is part of every trial's identity."""
        return f"v{PROTOCOL_VERSION}-cv{self.n_folds}-rows{self.max_rows}"

    def prepare(self, task: Task) -> Task:
        """The task as it is measured: subsampled, classes too rare for the folds dropped."""
        return task.subsample(self.max_rows, self.seed).without_rare_classes(self.n_folds)


@dataclass(frozen=True)
class Measurement:
    """Losses and seconds of every fold: see :class:`metahpo.trials.trial.Trial`."""

    fold_losses: Mapping[str, list[float]]
    fit_seconds: list[float]
    predict_seconds: list[float]


@dataclass(frozen=True)
class _Fold:
    X_train: Any
    y_train: NDArray[Any]
    X_test: Any
    y_test: NDArray[Any]


class Measuring:
    """Cross-validates configurations on one task.

    Preprocessing depends on the training rows of a fold and not on the configuration, so it is done once a fold.

    Parameters
    ----------
    task : Task
        Already prepared by ``protocol.prepare``.
    protocol : Protocol
    """

    def __init__(self, task: Task, protocol: Protocol) -> None:
        self.task, self.protocol = task, protocol
        self._folds: dict[Encoding, list[_Fold]] = {}

    def measure(self, learner: Learner, configuration: Mapping[str, Any]) -> Measurement:
        """Losses of one configuration on every fold, in every metric of the task's kind."""
        folds: list[dict[str, float]] = []
        fit_seconds, predict_seconds = [], []
        for fold in self.prepared(learner.encoding):
            estimator = learner.on_prepared_columns(configuration, self.task, self.protocol.seed)
            start = time.perf_counter()
            estimator.fit(fold.X_train, fold.y_train)
            fitted = time.perf_counter()
            if self.task.kind == "classification":
                losses = classification_losses(fold.y_test, class_probabilities(estimator, fold.X_test))
            else:
                losses = regression_losses(fold.y_test, _finite(estimator.predict(fold.X_test)))
            fit_seconds.append(fitted - start)
            predict_seconds.append(time.perf_counter() - fitted)
            folds.append(losses)
        return Measurement({m: [fold[m] for fold in folds] for m in folds[0]}, fit_seconds, predict_seconds)

    def prepared(self, encoding: Encoding) -> list[_Fold]:
        """Every fold, its columns in that encoding."""
        if encoding not in self._folds:
            X, y = self.task.X, self.task.y
            prepared = []
            for train, test in self.task.splits(self.protocol.n_folds, self.protocol.seed):
                transformer = preprocessing(self.task, encoding)
                X_train = transformer.fit_transform(X.iloc[train])
                prepared.append(_Fold(X_train, y[train], transformer.transform(X.iloc[test]), y[test]))
            self._folds[encoding] = prepared
        return self._folds[encoding]


def class_probabilities(estimator: BaseEstimator, X: Any) -> NDArray[np.float64]:
    """Probabilities of shape (n, n_classes).

    An estimator without ``predict_proba`` (SVC) has the logistic, for several classes the softmax, of its decision
    function for probability: it keeps the ranking, and so ROC AUC; its log loss is that of an uncalibrated model.
    """
    if hasattr(estimator, "predict_proba"):
        return _finite(estimator.predict_proba(X))
    decision = _finite(estimator.decision_function(X))
    if decision.ndim == 1:
        positive = expit(decision)
        return np.column_stack([1.0 - positive, positive])
    return np.asarray(softmax(decision, axis=1), dtype=np.float64)


class DivergedError(DataError):
    """A model predicts values that are not finite."""


def _finite(prediction: Any) -> NDArray[np.float64]:
    values = np.asarray(prediction, dtype=np.float64)
    if not np.isfinite(values).all():
        raise DivergedError("the model predicts values that are not finite.")
    return values
