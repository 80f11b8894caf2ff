"""One estimator for the three penalties of linear regression, so that the penalty is a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar, Literal, Self

from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import ElasticNet, Lasso, Ridge
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

LinearModel = Literal["ridge", "lasso", "elastic_net"]

#: Limits of coordinate descent on standardised columns: nearly every fit ends before, the rest stop there, as data.
MAX_ITERATIONS = 2000
TOLERANCE = 1e-3

_MODELS: Mapping[LinearModel, Any] = {"ridge": Ridge, "lasso": Lasso, "elastic_net": ElasticNet}


class LinearRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Ridge, lasso or elastic net of scikit-learn.

    Parameters
    ----------
    model : {"ridge", "lasso", "elastic_net"}, default="ridge"
    alpha : float >= 0, default=1.0
        Strength of the penalty as the scikit-learn model means it: against the sum of the squared errors for the ridge,
        against half their mean for the others.
    l1_ratio : float in [0, 1], default=0.5
        Share of the L1 penalty of the elastic net; the others do not use it.
    positive : bool, default=False
        Allow no negative coefficient.

    Attributes
    ----------
    model_ : Ridge, Lasso or ElasticNet
        The fitted model.
    coef_ : ndarray of shape (n_features,)
    intercept_ : float
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "model": [StrOptions(set(_MODELS))],
        "alpha": [Interval(Real, 0.0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0.0, 1.0, closed="both")],
        "positive": ["boolean"],
    }

    def __init__(
        self,
        *,
        model: LinearModel = "ridge",
        alpha: float = 1.0,
        l1_ratio: float = 0.5,
        positive: bool = False,
    ) -> None:
        self.model = model
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.positive = positive

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
        sample_weight : array-like of shape (n_rows,), default=None
        """
        self._validate_params()
        X, y = validate_data(self, X, y, y_numeric=True)
        parameters = {"alpha": self.alpha, "positive": self.positive}
        if self.model == "elastic_net":
            parameters["l1_ratio"] = self.l1_ratio
        if self.model != "ridge":
            parameters |= {"max_iter": MAX_ITERATIONS, "tol": TOLERANCE}
        self.model_ = _MODELS[self.model](**parameters).fit(X, y, sample_weight)
        self.coef_, self.intercept_ = self.model_.coef_, self.model_.intercept_
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predictions of shape (n_rows,)."""
        check_is_fitted(self)
        predicted: NDArray[Any] = self.model_.predict(validate_data(self, X, reset=False))
        return predicted
