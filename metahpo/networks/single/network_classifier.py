"""Base of classifiers that train one torch module, for images or texts."""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d

from metahpo.networks.batched.training_configuration import OPTIMISERS, SCHEDULES, ModelStatus, TrainingConfiguration
from metahpo.networks.network_targets import class_codes, classes_of, held_out_rows, training_of, weights_with_classes
from metahpo.networks.training_record import Training
from metahpo.numerics.arithmetic import own_arithmetic

if TYPE_CHECKING:
    import torch
    from torch import nn

    from metahpo.networks.single.single_training import Augment


class ModuleClassifier(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn is untyped
    """A classifier that trains one torch module; a subclass says what its rows and its module are.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    module_ : torch.nn.Module
    history_ : dict of str to list of float
        Per epoch: train loss, validation loss and accuracy (empty where no rows are held out), seconds.
    status_ : {"finished", "stopped", "diverged"}
    n_epochs_, best_epoch_ : int
        Epochs trained, and the one (from 1) whose weights predict.
    fit_seconds_ : float
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "optimiser": [StrOptions(set(OPTIMISERS))],
        "learning_rate": [Interval(Real, 0.0, None, closed="neither")],
        "momentum": [Interval(Real, 0.0, 1.0, closed="left")],
        "weight_decay": [Interval(Real, 0.0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "schedule": [StrOptions(set(SCHEDULES))],
        "label_smoothing": [Interval(Real, 0.0, 1.0, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0.0, 1.0, closed="neither")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "device": [str],
        "random_state": ["random_state"],
    }

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train from fresh weights.

        Parameters
        ----------
        X : rows
            See the class.
        y : array-like of shape (n_rows,)
        sample_weight : array-like of shape (n_rows,), default=None

        Raises
        ------
        DataError
            Rows that are none of this kind; a device that is not there.
        """
        return self.fit_watched(X, y, sample_weight, None)

    @own_arithmetic()
    def fit_watched(self, X: Any, y: Any, sample_weight: Any, watched: tuple[Any, Any] | None) -> Self:
        """As :meth:`fit`; where no row is held out, the rows `watched` (X, y) take their place in the history."""
        import torch  # with the first fit, not with the first import

        from metahpo.networks.single.single_training import Rows, as_index, train_module
        from metahpo.numerics.device import device_named
        from metahpo.numerics.torch_seed import torch_seeded

        start = time.perf_counter()
        self._validate_params()
        device = device_named(self.device)
        self.seed_ = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        inputs = self._learn_inputs(X)
        target = self._learn_target(y, len(inputs[0]))
        weight = self._weight(sample_weight, target)
        train, held_out = self._hold_out(target)

        def rows(inputs: Sequence[NDArray[Any]], target: NDArray[np.int64], weight: NDArray[Any] | None) -> Rows:
            tensors = [torch.as_tensor(x, device=device) for x in inputs]
            w = None if weight is None else torch.as_tensor(weight, dtype=torch.float32, device=device)
            return Rows(tensors, as_index(target, device), w)

        seen = rows([x[train] for x in inputs], target[train], None if weight is None else weight[train])
        other = None
        if len(held_out):
            other = rows([x[held_out] for x in inputs], target[held_out], None)
        elif watched is not None:
            other = rows(self._inputs(watched[0]), self._encode_target(np.asarray(watched[1])), None)
        with torch_seeded(self.seed_, device):  # modules draw their weights and dropout from the global stream only
            self.module_ = self._module(len(self.classes_)).to(device)
            trained = train_module(
                self.module_,
                seen,
                self._training_configuration(),
                other,
                stops=len(held_out) > 0,
                augment=self._augment(),
                groups=self._groups(self.module_),
            )
        self.history_, self.status_, self.best_epoch_ = trained.history, trained.status.value, trained.best_epoch
        self.n_epochs_ = len(self.history_["train_loss"])
        self.fit_seconds_ = time.perf_counter() - start
        if trained.status is ModelStatus.DIVERGED:
            message = f"training diverged in epoch {self.n_epochs_}; the weights are those of epoch {self.best_epoch_}"
            warnings.warn(f"{message}. Try a lower learning_rate.", ConvergenceWarning, stacklevel=3)
        return self

    @own_arithmetic()
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of the classes, of shape (n_rows, n_classes)."""
        import torch

        from metahpo.networks.single.single_training import outputs

        check_is_fitted(self, "module_")
        device = next(self.module_.parameters()).device
        logits = outputs(self.module_, [torch.as_tensor(x, device=device) for x in self._inputs(X)])
        probability: NDArray[np.float64] = softmax(logits.double().cpu().numpy(), axis=1)
        return probability

    def predict(self, X: Any) -> NDArray[Any]:
        """Most probable classes, of shape (n_rows,)."""
        check_is_fitted(self, "module_")
        chosen: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return chosen

    def __sklearn_tags__(self) -> Any:
        """A row is an image or a text, which may be missing, and no row of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.allow_nan = False, True
        return tags

    @abstractmethod
    def _learn_inputs(self, X: Any) -> list[NDArray[Any]]:
        """Rows as arrays that the module takes, after learning how from them."""

    @abstractmethod
    def _inputs(self, X: Any) -> list[NDArray[Any]]:
        """As :meth:`_learn_inputs` has learnt it."""

    @abstractmethod
    def _module(self, n_classes: int) -> nn.Module:
        """Fresh module, its weights drawn from torch's current generator."""

    def _augment(self) -> Augment | None:
        return None

    def _groups(self, module: torch.nn.Module) -> list[dict[str, Any]] | None:
        return None

    def _training_configuration(self) -> TrainingConfiguration:
        names = ("optimiser", "learning_rate", "momentum", "weight_decay", "batch_size", "schedule", "label_smoothing")
        chosen = {name: getattr(self, name) for name in (*names, "epochs", "patience")}
        configuration = TrainingConfiguration(**chosen, seed=self.seed_)
        return configuration if self.early_stopping else replace(configuration, patience=configuration.epochs)

    def _learn_target(self, y: Any, n_rows: int) -> NDArray[np.int64]:
        target = np.asarray(column_or_1d(y, warn=True))
        if pd.isna(target).any():
            raise ValueError("Input y contains NaN; drop the rows whose target is missing.")
        if len(target) != n_rows:
            raise ValueError(f"X and y must have equally many rows, but have {n_rows} and {len(target)}.")
        self.classes_ = classes_of(target)
        return self._encode_target(target)

    def _encode_target(self, target: NDArray[Any]) -> NDArray[np.int64]:
        return class_codes(target, self.classes_)

    def _weight(self, sample_weight: Any, target: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Weights of the rows, of mean one; None where all are equal."""
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, target, dtype=np.float64, ensure_non_negative=True)
            weight = weight / weight.mean()
        return weights_with_classes(weight, self.class_weight, target, self.classes_)

    def _hold_out(self, target: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows to learn from and rows to stop by: of each class a share."""
        rows = np.arange(len(target))
        if not self.early_stopping:
            return rows, rows[:0]
        chosen = held_out_rows(target, self.validation_fraction, self.seed_)
        return np.setdiff1d(rows, chosen), chosen


def fit_each(
    estimators: Sequence[ModuleClassifier],
    X: Any,
    y: NDArray[Any],
    *,
    watched: tuple[Any, NDArray[Any]] | None,
    memory_bytes: int | None,
) -> list[Training]:
    """Fit one after the other, and write their learning curves down; `memory_bytes` is of no use to them."""
    trainings = []
    for estimator in estimators:
        estimator.fit_watched(X, y, None, watched)
        trainings.append(training_of(estimator, "accuracy"))
    return trainings
