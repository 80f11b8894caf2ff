"""Measurement of one configuration on one task: the fits of one repeat, with all metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing

from metahpo.building.protocol import Protocol
from metahpo.exceptions import DataError
from metahpo.learners.learner import Learner
from metahpo.tasks.metric import classification_losses, extra_losses, regression_losses
from metahpo.tasks.preprocessing import Encoding, preprocessing
from metahpo.tasks.task import Task

#: Held-out rows, at most, whose loss is recorded after each epoch. All of them would cost more than the training of
#: networks on small tasks.
CURVE_ROWS = 300


@dataclass(frozen=True)
class Measurement:
    """Losses and seconds of every fold, and the mean learning curve: see :class:`metahpo.trials.trial.Trial`.

    If training or a prediction diverged, `diverged` says so in words, there are no losses, and the other folds are
    skipped.
    """

    fold_losses: Mapping[str, list[float]]
    fit_seconds: list[float]
    predict_seconds: list[float]
    learning_curve: Mapping[str, list[float]] = field(default_factory=dict)
    diverged: str = ""


class _Record:
    """Results of one configuration in the folds so far."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []
        self.fit_seconds: list[float] = []
        self.predict_seconds: list[float] = []
        self.curves: list[Mapping[str, Sequence[float]]] = []
        self.diverged = ""

    def measurement(self) -> Measurement:
        metrics = [] if self.diverged else self.losses[0]
        losses = {m: [fold[m] for fold in self.losses] for m in metrics}
        return Measurement(losses, self.fit_seconds, self.predict_seconds, mean_curve(self.curves), self.diverged)


@dataclass(frozen=True)
class _Fold:
    X_train: Any
    y_train: NDArray[Any]
    X_test: Any
    y_test: NDArray[Any]

    @cached_property
    def watched(self) -> tuple[Any, NDArray[Any]]:
        """Rows of the learning curve."""
        n = len(self.y_test)
        rows = np.linspace(0, n - 1, min(n, CURVE_ROWS)).round().astype(np.intp)
        return _safe_indexing(self.X_test, rows), self.y_test[rows]


class Measuring:
    """Measures configurations on one task.

    Preprocessing depends on the training rows of a fit and not on the configuration, so it is done once a fit.

    Parameters
    ----------
    task : Task
        A dataset, already prepared by ``protocol.prepare``.
    protocol : Protocol
    size : int or None, default=None
        Rows to train on; None takes the dataset as it is.
    """

    def __init__(self, task: Task, protocol: Protocol, size: int | None = None) -> None:
        self.task, self.protocol, self.size = task, protocol, size
        self._repeat = 0
        self._folds: dict[Encoding, list[_Fold]] = {}

    def measure(self, learner: Learner, configuration: Mapping[str, Any], repeat: int = 0) -> Measurement:
        """Losses of one configuration in every fit of a repeat, in every metric of the task's kind.

        Raises
        ------
        DivergedError
            It predicts values that are not finite.
        """
        measured = self.measure_together(learner, [configuration], repeat)[0]
        if measured.diverged:
            raise DivergedError(measured.diverged)
        return measured

    def measure_together(
        self,
        learner: Learner,
        configurations: Sequence[Mapping[str, Any]],
        repeat: int = 0,
        memory_bytes: int | None = None,
    ) -> list[Measurement]:
        """Measure configurations that a learner may train at once.

        Configurations that diverge do not affect the others.

        The loss on at most `CURVE_ROWS` of the held-out rows of a fold, evenly spread, is recorded during training, but
        it does not influence training. All held-out rows judge the trained model.

        Parameters
        ----------
        learner : Learner
        configurations : sequence of mapping
        repeat : int, default=0
            Number of the repeat.
        memory_bytes : int or None, default=None
            Memory that training may plan with; None: half of what is free.
        """
        records = [_Record() for _ in configurations]
        folds = self.prepared(learner.encoding, repeat)
        for number, fold in enumerate(folds, start=1):
            going = [i for i, record in enumerate(records) if not record.diverged]
            if not going:
                break
            estimators, trainings = learner.fitted(
                [configurations[i] for i in going],
                self.task,
                fold.X_train,
                fold.y_train,
                len(folds) * repeat + number - 1,
                watched=fold.watched,
                memory_bytes=memory_bytes,
            )
            for i, estimator, training in zip(going, estimators, trainings, strict=True):
                record = records[i]
                record.fit_seconds.append(training.seconds)
                record.curves.append(training.curve)
                if training.diverged:
                    record.diverged = f"{training.diverged}, fold {number}"
                    continue
                start = time.perf_counter()
                try:
                    record.losses.append(self._losses(estimator, fold))
                except DivergedError as error:
                    record.diverged = str(error)
                record.predict_seconds.append(time.perf_counter() - start)
        return [record.measurement() for record in records]

    def _losses(self, estimator: BaseEstimator, fold: _Fold) -> dict[str, float]:
        if self.task.kind == "classification":
            losses = classification_losses(fold.y_test, class_probabilities(estimator, fold.X_test))
        else:
            losses = regression_losses(fold.y_test, _finite(estimator.predict(fold.X_test)))
        extra = self.protocol.metrics
        return losses | extra_losses(extra, self.task.kind, estimator, fold.X_test, fold.y_test) if extra else losses

    def prepared(self, encoding: Encoding, repeat: int = 0) -> list[_Fold]:
        """Rows of every fit of a repeat, their columns in that encoding."""
        if repeat != self._repeat:  # rows of one repeat are kept at a time
            self._repeat, self._folds = repeat, {}
        if encoding not in self._folds:
            X, y = self.task.X, self.task.y
            prepared = []
            for train, test in self.protocol.splits(self.task, self.size, repeat):
                transformer = preprocessing(self.task, encoding)
                X_train = transformer.fit_transform(X.iloc[train])
                prepared.append(_Fold(X_train, y[train], transformer.transform(X.iloc[test]), y[test]))
            self._folds[encoding] = prepared
        return self._folds[encoding]


def class_probabilities(estimator: BaseEstimator, X: Any) -> NDArray[np.float64]:
    """Probabilities of shape (n, n_classes).

    For an estimator without ``predict_proba`` (SVC), the probability is the logistic or, for several classes, the
    softmax of its decision function. This keeps the ranking and therefore ROC AUC. The log loss is that of an
    uncalibrated model.
    """
    if hasattr(estimator, "predict_proba"):
        return _finite(estimator.predict_proba(X))
    decision = _finite(estimator.decision_function(X))
    if decision.ndim == 1:
        positive = expit(decision)
        return np.column_stack([1.0 - positive, positive])
    return np.asarray(softmax(decision, axis=1), dtype=np.float64)


def mean_curve(curves: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    """Mean over the folds, up to the epoch that all of them reached, to six digits."""
    mean: dict[str, list[float]] = {}
    for name in curves[0] if curves else ():
        epochs = zip(*(curve[name] for curve in curves), strict=False)
        mean[name] = [float(f"{sum(values) / len(values):.6g}") for values in epochs]
    return mean


class DivergedError(DataError):
    """A model predicts values that are not finite."""


def _finite(prediction: Any) -> NDArray[np.float64]:
    values = np.asarray(prediction, dtype=np.float64)
    if not np.isfinite(values).all():
        raise DivergedError("the model predicts values that are not finite.")
    return values
