"""The classifier of tables, an ensemble of multi-layer perceptrons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from metahpo.networks.mlp.mlp_estimator import NetworkEstimator
from metahpo.networks.mlp.mlp_shape import Activation, Normalisation
from metahpo.networks.network_targets import class_codes, classes_of, weights_with_classes
from metahpo.numerics.arithmetic import own_arithmetic


class NetworkClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Multi-layer perceptron for tables, trained on smoothed cross-entropy.

    Parameters
    ----------
    members : int, default=4
        Networks that are trained beside each other, from different first weights and in different orders of the rows;
        their mean probability is the prediction.
    depth, width : int, default=3, 64
        Hidden layers and their units.
    activation : {"relu", "silu", "tanh"}, default="silu"
    residual : bool, default=False
        Each hidden layer but the first adds to its input.
    normalisation : {"none", "batch", "layer"}, default="none"
    dropout : float in [0, 1), default=0.1
    bins : int, default=8
        Bins of the piecewise linear encoding of a number, beside the number itself.
    embedding_size : int, default=8
        Length of the learnt vector of a category.
    optimiser : {"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"}, default="adamw"
    learning_rate : float, default=5e-3
        Peak of the schedule.
    momentum : float in [0, 1), default=0.9
        For "momentum" and "nesterov".
    weight_decay, l1 : float, default=0.3, 0.0
        Penalties; the first is decoupled for "adamw".
    batch_size : int, default=32
    schedule : {"constant", "cosine", "step", "one_cycle"}, default="cosine"
    label_smoothing : float in [0, 1), default=0.1
    epochs : int, default=40
    early_stopping : bool, default=True
        Each member holds rows of its own out, keeps the weights of the epoch with the lowest loss on them, and stops
        when it no longer falls.
        Below 50 rows none are held out.
    patience : int, default=10
        Epochs without a lower validation loss.
    validation_fraction : float in (0, 1), default=0.2
    class_weight : "balanced", dict or None, default=None
    categorical_features : sequence of int or str, default=None
        Columns to embed beside those of a DataFrame that hold no numbers.
    device : str, default="cpu"
        "cpu", "cuda", "cuda:N", or "auto": a GPU where there is one.
    n_jobs : int or None, default=None
        Threads on a CPU, each with a member of its own, as joblib counts them: None is one, -1 is all cores. They
        change nothing but the time.
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    history_, status_, n_epochs_, best_epoch_, fit_seconds_
        See :class:`metahpo.networks.mlp.mlp_estimator.NetworkEstimator`.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True)
    >>> NetworkClassifier(random_state=0).fit(X, y).score(X, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetworkEstimator._parameter_constraints,
        "label_smoothing": [Interval(Real, 0.0, 1.0, closed="left")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    #: Classes that the first of several partial fits has announced.
    _classes_to_come: NDArray[Any] | None = None

    def __init__(
        self,
        *,
        members: int = 4,
        depth: int = 3,
        width: int = 64,
        activation: Activation = "silu",
        residual: bool = False,
        normalisation: Normalisation = "none",
        dropout: float = 0.1,
        bins: int = 8,
        embedding_size: int = 8,
        optimiser: str = "adamw",
        learning_rate: float = 5e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.3,
        l1: float = 0.0,
        batch_size: int = 32,
        schedule: str = "cosine",
        label_smoothing: float = 0.1,
        epochs: int = 40,
        early_stopping: bool = True,
        patience: int = 10,
        validation_fraction: float = 0.2,
        class_weight: Literal["balanced"] | Mapping[Any, float] | None = None,
        categorical_features: Sequence[int | str] | None = None,
        device: str = "cpu",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            members=members,
            depth=depth,
            width=width,
            activation=activation,
            residual=residual,
            normalisation=normalisation,
            dropout=dropout,
            bins=bins,
            embedding_size=embedding_size,
            optimiser=optimiser,
            learning_rate=learning_rate,
            momentum=momentum,
            weight_decay=weight_decay,
            l1=l1,
            batch_size=batch_size,
            schedule=schedule,
            epochs=epochs,
            early_stopping=early_stopping,
            patience=patience,
            validation_fraction=validation_fraction,
            categorical_features=categorical_features,
            device=device,
            n_jobs=n_jobs,
            random_state=random_state,
        )
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch on these rows, at the constant learning rate; all of them are learnt from.

        Parameters
        ----------
        X, y, sample_weight
            See :meth:`fit`; scales and categories are those of the first call.
        classes : array-like, default=None
            All classes that will come; needed in the first call, where `y` has not all of them.
        """
        if not hasattr(self, "outcomes_"):
            self._classes_to_come = None if classes is None else np.unique(classes)
            try:
                return self._start_partial(X, y, sample_weight)
            finally:
                self._classes_to_come = None
        if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes must be those of the first call, {self.classes_}, but are {classes}.")
        return self._go_on(X, y, sample_weight)

    @own_arithmetic()
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of the classes, of shape (n_rows, n_classes)."""
        probability: NDArray[np.float64] = softmax(self._output(X), axis=2).mean(axis=0)
        return probability

    def predict(self, X: Any) -> NDArray[Any]:
        """Most probable classes, of shape (n_rows,)."""
        check_is_fitted(self, "outcomes_")
        chosen: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return chosen

    @property
    def n_network_outputs(self) -> int:
        """Outputs of the network."""
        return len(self.classes_)

    def _learn_target(self, target: NDArray[Any]) -> NDArray[Any]:
        announced = self._classes_to_come
        self.classes_ = classes_of(target if announced is None else announced)
        return self._encode_target(target)

    def _encode_target(self, target: NDArray[Any]) -> NDArray[np.int64]:
        return class_codes(target, self.classes_)

    def _weight(self, sample_weight: Any, target: NDArray[Any]) -> NDArray[np.float64] | None:
        weight = super()._weight(sample_weight, target)
        return weights_with_classes(weight, self.class_weight, target, self.classes_)
