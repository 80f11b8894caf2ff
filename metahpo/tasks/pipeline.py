"""A scikit-learn pipeline that takes the rows of the user and predicts the labels of the user."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import Pipeline, _final_estimator_has
from sklearn.utils import Tags, _safe_indexing
from sklearn.utils.metaestimators import available_if

from metahpo.exceptions import DataError
from metahpo.tasks.columns import TableReading
from metahpo.tasks.images import ImageReading
from metahpo.tasks.target import Labels, as_target, encode_target


class ReadColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Converts rows of the user to the columns of a task. Fitting learns nothing.

    Parameters
    ----------
    reading : TableReading or ImageReading
        ``task.reading``: what was found when the task was made.
    """

    def __init__(self, reading: TableReading | ImageReading) -> None:
        self.reading = reading

    def fit(self, X: Any, y: Any = None) -> ReadColumns:
        """Check that `X` has the columns of the task.

        Raises
        ------
        DataError
            A column is missing, or holds other values than it did in the task.
        """
        self.reading.prepared(X)
        return self

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> pd.DataFrame:
        """The same as :meth:`transform`."""
        return self.transform(X)

    def transform(self, X: Any) -> pd.DataFrame:
        """Numbers as float64 and categories of strings; see :meth:`metahpo.tasks.columns.TableReading.prepared`."""
        return self.reading.prepared(X)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Names of the columns that are used."""
        return np.asarray(self.reading.column_names, dtype=object)

    @property
    def n_features_in_(self) -> int:
        """Number of columns of the rows that it takes."""
        return len(self.reading.names)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        inputs = tags.input_tags
        inputs.allow_nan = inputs.string = inputs.categorical = inputs.sparse = True
        inputs.three_d_array = isinstance(self.reading, ImageReading)
        return tags


class TaskPipeline(Pipeline):  # type: ignore[misc]  # scikit-learn has no types
    """Pipeline whose target is read as a task's is: labels of any type, rows without a target left out.

    The learner is given class indices, whatever the labels are: scikit-learn's forests, for one, take labels that look
    like digits for numbers, and then fail with class weights. ``classes_`` and predictions are the user's labels.
    A mapping for ``class_weight`` of the last step has the user's labels for keys. Parameters as in
    :class:`sklearn.pipeline.Pipeline`.
    """

    _labels: Labels | None = None

    def fit(self, X: Any, y: Any = None, **params: Any) -> TaskPipeline:
        """Fit on a dataset.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
            Rows without a target are left out.
        **params
            For the steps, as in :meth:`sklearn.pipeline.Pipeline.fit`; arrays of length n_rows lose the same rows.

        Raises
        ------
        DataError
            Columns that are not those of the task, or a target that makes no task.
        """
        if y is None:
            raise DataError("y must be given: these are supervised learners.")
        target = as_target(y)
        known = target.notna().to_numpy()
        if not known.any():
            raise DataError("y holds no value: every row's target is missing.")
        if not known.all():
            rows = np.flatnonzero(known)
            first = self.steps[0][1]
            X = _safe_indexing(first.transform(X) if isinstance(first, ReadColumns) else X, rows)
            params = {
                name: _safe_indexing(value, rows) if np.ndim(value) and len(value) == len(known) else value
                for name, value in params.items()
            }
            target = target[known].infer_objects()
        values, self._labels = encode_target(target, "classification" if is_classifier(self) else "regression")
        weights = getattr(self._final_estimator, "class_weight", None)
        if not isinstance(weights, Mapping) or self._labels is None:
            super().fit(X, values, **params)
            return self
        self._final_estimator.set_params(class_weight=self._coded(weights, self._labels))
        try:
            super().fit(X, values, **params)
        finally:
            self._final_estimator.set_params(class_weight=weights)
        return self

    @staticmethod
    def _coded(weights: Mapping[Any, float], labels: Labels) -> dict[int, float]:
        codes = labels.codes(pd.Series(list(weights), dtype=object).infer_objects()).tolist()
        unknown = [label for label, code in zip(weights, codes, strict=True) if code < 0]
        if unknown:
            raise DataError(f"class_weight names {unknown}, but the labels are {labels.values.tolist()}.")
        return dict(zip(codes, weights.values(), strict=True))

    def with_labels(self, labels: Sequence[Any]) -> TaskPipeline:
        """A copy of a pipeline that was fitted on class indices, with the labels that these stand for.

        Parameters
        ----------
        labels : sequence
            Label of each index. Empty for regression, where nothing changes.
        """
        found = copy.copy(self)
        if found._labels is not None and len(labels):
            found._labels = Labels(np.asarray(Labels.of(pd.Series(list(labels), dtype=object)).values)[self.classes_])
        return found

    @property
    def classes_(self) -> NDArray[Any]:
        """The user's labels, in the order of the columns of ``predict_proba``; classifiers only."""
        if self._labels is None:
            raise AttributeError("there are no classes_ before a classifier is fitted")
        return self._labels.values

    @available_if(_final_estimator_has("predict"))  # type: ignore[untyped-decorator]
    def predict(self, X: Any, **params: Any) -> NDArray[Any]:
        """Predicted labels or numbers, of shape (n_rows,)."""
        predicted: NDArray[Any] = super().predict(X, **params)
        return predicted if self._labels is None else self._labels.values[predicted]

    @available_if(_final_estimator_has("score"))  # type: ignore[untyped-decorator]
    def score(self, X: Any, y: Any = None, sample_weight: Any = None, **params: Any) -> float:
        """Accuracy, or R2, on the rows that have a target."""
        target = as_target(y)
        known = target.notna().to_numpy()
        predicted = super().predict(X, **params)[known]
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        if self._labels is None:
            return float(r2_score(encode_target(target[known], "regression")[0], predicted, sample_weight=weight))
        codes = self._labels.codes(target[known].infer_objects())
        return float(accuracy_score(codes, predicted, sample_weight=weight))
