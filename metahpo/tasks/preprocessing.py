"""Preprocessing: transformers from the columns of a task to numbers, one for each family of learners."""

from __future__ import annotations

from typing import Literal

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from metahpo.exceptions import DataError
from metahpo.tasks.task import Task

Encoding = Literal["scaled", "ordinal", "text"]

#: Rarer categories are pooled, so that a column of ten thousand categories cannot explode the width.
MAX_ONE_HOT = 30
#: Histogram boosting takes at most 255 bins a column, one of which is for missing values.
MAX_ORDINAL = 250


def preprocessing(task: Task, encoding: Encoding) -> ColumnTransformer:
    """Unfitted transformer for the columns of `task`.

    Parameters
    ----------
    encoding : {"scaled", "ordinal", "text"}
        "scaled", for learners that measure distances: numbers imputed by the median and standardised, categories
        one-hot, the rarest pooled beyond 30 a column. "ordinal", for trees: numbers as they are (missing stays
        missing), categories as integers, missing and unseen ones as NaN; categorical columns come first. "text": the
        categorical columns as they are, and nothing else.

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
        steps = [("categorical", encoder, list(task.categorical)), ("numeric", "passthrough", list(task.numeric))]
    else:
        one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_ONE_HOT, sparse_output=False)
        scale = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
        steps = [("categorical", one_hot, list(task.categorical)), ("numeric", scale, list(task.numeric))]
    return ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)
