"""The regressor of tables, an ensemble of multi-layer perceptrons."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin

from metahpo.networks.mlp.mlp_estimator import NetworkEstimator
from metahpo.numerics.arithmetic import own_arithmetic


class NetworkRegressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Multi-layer perceptron for tables, trained on the squared error of the standardised target.

    Its parameters are those of :class:`metahpo.networks.mlp.mlp_classifier.NetworkClassifier`, but for
    `label_smoothing` and `class_weight`; another default is ``activation="relu"``.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> NetworkRegressor(random_state=0).fit(X, y).score(X, y) > 0.4
    True
    """

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch on these rows, at the constant learning rate; all of them are learnt from.

        Parameters
        ----------
        X, y, sample_weight
            See :meth:`fit`; scales, categories, and the scale of the target are those of the first call.
        """
        if not hasattr(self, "outcomes_"):
            return self._start_partial(X, y, sample_weight)
        return self._go_on(X, y, sample_weight)

    @own_arithmetic()
    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predicted numbers, of shape (n_rows,)."""
        standardised: NDArray[np.float64] = self._output(X)[:, :, 0].mean(axis=0)
        return standardised * self._target_scale + self._target_centre

    @property
    def n_network_outputs(self) -> int:
        """Outputs of the network."""
        return 1

    def _learn_target(self, target: NDArray[Any]) -> NDArray[np.float64]:
        numbers = self._numbers(target)
        spread = float(numbers.std())
        self._target_centre, self._target_scale = float(numbers.mean()), spread if spread > 0.0 else 1.0
        return self._encode_target(numbers)

    def _encode_target(self, target: NDArray[Any]) -> NDArray[np.float64]:
        return (self._numbers(target) - self._target_centre) / self._target_scale

    @staticmethod
    def _numbers(target: NDArray[Any]) -> NDArray[np.float64]:
        numbers = target.astype(np.float64)
        if not np.isfinite(numbers).all():
            raise ValueError("Input y contains infinity; drop those rows or replace the values.")
        return numbers
