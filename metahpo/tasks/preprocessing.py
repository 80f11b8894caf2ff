"""Preprocessing: transformers from the columns of a task to numbers, one for each family of learners."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from metahpo.exceptions import DataError
from metahpo.tasks.task import Task

Encoding = Literal["scaled", "ordinal", "text"]

#: Rarer categories are pooled, so that a column of ten thousand categories cannot explode the width.
MAX_ONE_HOT = 30
#: Histogram boosting takes at most 255 bins a column, one of which is for missing values.
MAX_ORDINAL = 250


class ZeroWhereEmpty(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types there
    """Sets columns to 0 that have no value in the rows it is fitted on; others keep their missing values.

    A column with few values has none in some samples and folds, and scikit-learn's histogram boosting fails on those.

    Attributes
    ----------
    empty_ : ndarray of bool, shape (n_columns,)
        Columns without any value.
    """

    def fit(self, X: Any, y: Any = None) -> ZeroWhereEmpty:
        """Find the columns without values in `X`, of shape (n_rows, n_columns)."""
        self.empty_ = np.isnan(self._checked(X, reset=True)).all(axis=0)
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """A copy with 0 in those columns."""
        check_is_fitted(self)
        values = self._checked(X, reset=False)
        values[:, self.empty_] = 0.0
        return values

    def _checked(self, X: Any, *, reset: bool) -> NDArray[np.float64]:
        values: NDArray[np.float64] = validate_data(
            self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan", copy=not reset
        )
        return values

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def preprocessing(task: Task, encoding: Encoding) -> ColumnTransformer:
    """Unfitted transformer for the columns of `task`.

    Parameters
    ----------
    encoding : {"scaled", "ordinal", "text"}
        "scaled", for learners that measure distances: numbers imputed by the median and standardised, categories
        one-hot, the rarest pooled beyond 30 a column. "ordinal", for trees: numbers as they are (missing stays
        missing, but a column without values is 0), categories as integers, missing and unseen ones as NaN; categorical
        columns come first. "text": the categorical columns as they are, and nothing else.

    Raises
    ------
    DataError
        A task without text columns for "text".
    """
    if encoding == "text":
        if not task.categorical:
            raise DataError(f"task {task.name!r} has no column of text; its columns are {list(task.X.columns)[:20]}.")
        return ColumnTransformer([("text", "passthrough", list(task.categorical))], verbose_feature_names_out=False)
    if encoding == "ordinal":
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=np.nan,
            encoded_missing_value=np.nan,
            max_categories=MAX_ORDINAL,
        )
        steps = [("categorical", encoder, list(task.categorical)), ("numeric", ZeroWhereEmpty(), list(task.numeric))]
    else:
        one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_ONE_HOT, sparse_output=False)
        scale = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
        steps = [("categorical", one_hot, list(task.categorical)), ("numeric", scale, list(task.numeric))]
    return ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)
