"""Simple meta-features: the size and make-up of a dataset.

Legend: n rows, p columns, k classes; shape, class counts and cardinalities are those of the whole task, the rest those
of its sample.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from metahpo.metafeatures.classes import CLASSES, LOG_ROWS, TARGET_MODE_SHARE, class_structure
from metahpo.metafeatures.definition import MetaFeature, largest_of, mean_of
from metahpo.metafeatures.ordered import Ordered
from metahpo.metafeatures.references import FEURER, RIVOLLI, SOARES, STATLOG
from metahpo.metafeatures.sample import Sample
from metahpo.tasks.task import Task

GENERAL = (
    LOG_ROWS,
    MetaFeature("log_columns", "general", "ln p", FEURER),
    MetaFeature("log_rows_per_column", "general", "ln(n / p)", FEURER),
    MetaFeature(
        "log_encoded_columns", "general", "ln of p after one-hot encoding (two categories: one column)", RIVOLLI
    ),
    MetaFeature("share_categorical", "general", "share of the columns that are categorical", FEURER),
    MetaFeature("share_binary", "general", "share of the columns with two distinct values", STATLOG),
    MetaFeature("share_missing_cells", "general", "share of the cells that are missing", FEURER),
    MetaFeature("share_missing_rows", "general", "share of the rows with a missing cell", FEURER),
    MetaFeature("log_cardinality_mean", "general", "ln of the categories of a categorical column, mean", FEURER),
    MetaFeature("log_cardinality_max", "general", "ln of the categories of a categorical column, largest", FEURER),
    MetaFeature("distinct_ratio_mean", "general", "distinct / known cells of a numeric column, mean", SOARES),
    MetaFeature("mode_share_mean", "general", "share of a column's most frequent value, mean (sparsity)", RIVOLLI),
    *CLASSES,
    TARGET_MODE_SHARE,
    MetaFeature("target_distinct_ratio", "general", "distinct target values / n", SOARES, "regression"),
)

#: Rows of a column of categories that are read before it is checked whether there can be more.
ROWS_AT_A_TIME = 10_000


def general(task: Task, drawn: Task, sample: Sample) -> dict[str, float]:
    """The simple meta-features of a task, with the part drawn from it as task and as arrays; NaN where not defined."""
    n, p = task.X.shape
    numbers, named = sample.ordered, Ordered(np.where(sample.codes < 0, np.nan, sample.codes))
    cardinality = np.array([max(1, _n_categories(task.X[name])) for name in drawn.categorical], np.float64)
    n_categorical = len(task.categorical)
    indicators = np.where(cardinality > 2, cardinality, 1).mean() if cardinality.size else 1.0
    values = {
        "log_rows": np.log(n),
        "log_columns": np.log(p),
        "log_rows_per_column": np.log(n / p),
        "log_encoded_columns": np.log(p + n_categorical * (indicators - 1)),
        "share_categorical": n_categorical / p,
        "share_binary": np.mean(np.concatenate([numbers.n_distinct, named.n_distinct]) == 2),
        "share_missing_cells": sample.missing.mean(),
        "share_missing_rows": sample.missing.any(axis=1).mean(),
        "log_cardinality_mean": mean_of(np.log(cardinality)),
        "log_cardinality_max": largest_of(np.log(cardinality)),
        "distinct_ratio_mean": mean_of(numbers.n_distinct / np.where(numbers.n_known > 0, numbers.n_known, np.nan)),
        "mode_share_mean": mean_of(np.concatenate([numbers.mode_share, named.mode_share])),
    }
    if task.kind == "classification":
        values |= class_structure(task.y)
    else:
        target = Ordered(sample.y[:, None])
        values |= {
            "target_mode_share": target.mode_share[0],
            "target_distinct_ratio": target.n_distinct[0] / sample.n_rows,
        }
    return {name: float(value) for name, value in values.items()}


def _n_categories(column: pd.Series[Any]) -> int:
    """Number of categories that occur. Rows are read in blocks until all categories were seen."""
    codes = column.cat.codes.to_numpy()
    occurs = np.zeros(len(column.cat.categories) + 1, np.bool_)  # the last is "missing", whose code is -1
    for start in range(0, len(codes), ROWS_AT_A_TIME):
        occurs[codes[start : start + ROWS_AT_A_TIME]] = True
        if occurs[:-1].all():
            break
    return int(occurs[:-1].sum())
