"""Rows and classes, meta-features that need no columns; and what those of images and of texts share.

Legend: n rows, k classes.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import StratifiedKFold, cross_val_score

from metahpo.metafeatures.definition import MetaFeature
from metahpo.metafeatures.references import FEURER, RIVOLLI

LOG_ROWS = MetaFeature("log_rows", "general", "ln n", FEURER)
TARGET_MODE_SHARE = MetaFeature(
    "target_mode_share", "general", "share of the largest class or the most frequent target", FEURER
)
CLASSES = (
    MetaFeature("log_classes", "general", "ln k", FEURER, "classification"),
    MetaFeature("class_share_min", "general", "share of the smallest class", FEURER, "classification"),
    MetaFeature("class_imbalance", "general", "ln(largest / smallest class)", RIVOLLI, "classification"),
    MetaFeature("log_rows_smallest_class", "general", "ln(rows of the smallest class)", RIVOLLI, "classification"),
)
#: What can be told of any classification task.
WITHOUT_COLUMNS = (LOG_ROWS, *CLASSES, TARGET_MODE_SHARE)

#: Rows of images and of texts that are looked at; of more, so many are drawn.
ROWS = 2_000


def without_columns(y: NDArray[np.int64]) -> dict[str, float]:
    """Values of `WITHOUT_COLUMNS` for class indices (n,)."""
    return {"log_rows": float(np.log(len(y))), **class_structure(y)}


def class_structure(y: NDArray[np.int64]) -> dict[str, float]:
    """Number and shares of the classes: values of `CLASSES` and `TARGET_MODE_SHARE` for class indices (n,)."""
    counts = np.bincount(y)
    counts = counts[counts > 0]
    return {
        "log_classes": float(np.log(len(counts))),
        "class_share_min": float(counts.min() / len(y)),
        "class_imbalance": float(np.log(counts.max() / counts.min())),
        "log_rows_smallest_class": float(np.log(counts.min())),
        "target_mode_share": float(counts.max() / len(y)),
    }


def share_explained(values: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the variance of columns (n, p) that lies between classes, of shape (p,); NaN for a constant column."""
    counts = np.bincount(y)
    means = np.stack([np.bincount(y, column) for column in values.T], axis=1) / counts[:, None].clip(min=1)
    centre = values.mean(axis=0)
    between = (counts[:, None] * (means - centre) ** 2).sum(axis=0)
    whole = ((values - centre) ** 2).sum(axis=0)
    share: NDArray[np.float64] = np.divide(between, whole, out=np.full(len(whole), np.nan), where=whole > 1e-12)
    return share


def landmark(model: BaseEstimator, X: Any, y: NDArray[np.int64]) -> float:
    """Balanced accuracy of a simple model in two folds; NaN where a class has fewer than two rows."""
    kept = np.isin(y, np.flatnonzero(np.bincount(y) >= 2))
    if len(np.unique(y[kept])) < 2:
        return float("nan")
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant pixel is no news
        scores = cross_val_score(model, X[kept], y[kept], cv=folds, scoring="balanced_accuracy")
    return float(scores.mean())
