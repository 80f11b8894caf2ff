"""What the meta-features of images and of texts share: the classes, and a draw of rows that bounds the time."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import StratifiedKFold, cross_val_score

from metahpo.exceptions import DataError

#: Rows that are looked at; of more, so many are drawn.
ROWS = 2_000


def codes_of(y: Any, n_rows: int) -> NDArray[np.int64]:
    """Class indices of labels.

    Raises
    ------
    DataError
        Another number of labels than of rows, a missing label, or fewer than two classes.
    """
    labels = np.asarray(y, dtype=object)
    if labels.shape != (n_rows,):
        raise DataError(f"there are {n_rows} rows, but y is of shape {labels.shape}.")
    if any(label is None or label != label for label in labels):
        raise DataError("y holds missing labels; drop those rows.")
    classes, codes = np.unique(labels.astype(str), return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"y has one class: {classes[0]!r}.")
    return codes.astype(np.int64)


def drawn_rows(n_rows: int, random_state: int) -> NDArray[np.intp]:
    """At most `ROWS` rows, in order."""
    return np.sort(np.random.default_rng(random_state).permutation(n_rows)[:ROWS])


def class_structure(y: NDArray[np.int64]) -> dict[str, float]:
    """Number and shares of the classes: ``log_classes``, ``class_share_min`` and ``class_imbalance``."""
    counts = np.bincount(y)
    return {
        "log_classes": float(np.log(len(counts))),
        "class_share_min": float(counts.min() / counts.sum()),
        "class_imbalance": float(np.log(counts.max() / counts.min())),
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
