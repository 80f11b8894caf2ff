"""Meta-features of rows and classes, which need no columns, and code that those of images and texts share.

Legend: n rows, k classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from metahpo.metafeatures.definition import Group, MetaFeature
from metahpo.metafeatures.references import FEURER, KOHAVI, LEITE, PFAHRINGER, RIVOLLI

LOG_ROWS = MetaFeature("log_rows", "general", "ln n", FEURER)
TARGET_MODE_SHARE = MetaFeature(
    "target_mode_share", "general", "share of the largest class or the most frequent target", FEURER
)
CLASSES = (
    MetaFeature("log_classes", "general", "ln k", FEURER, "classification"),
    MetaFeature("class_share_min", "general", "share of the smallest class", FEURER, "classification"),
    MetaFeature("class_imbalance", "general", "ln(largest / smallest class)", RIVOLLI, "classification"),
    MetaFeature("log_rows_smallest_class", "general", "ln(rows of the smallest class)", RIVOLLI, "classification"),
    MetaFeature("log_rows_per_class", "general", "ln(n / k)", RIVOLLI, "classification"),
)
#: What can be told of any classification task.
WITHOUT_COLUMNS = (LOG_ROWS, *CLASSES, TARGET_MODE_SHARE)

#: From training rows, their classes and test rows to the classes predicted of these.
Classifier = Callable[[Any, NDArray[np.int64], Any], NDArray[np.int64]]

#: Most rows of images and texts. Larger tasks are sampled.
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
        "log_rows_per_class": float(np.log(len(y) / len(counts))),
        "target_mode_share": float(counts.max() / len(y)),
    }


def share_explained(values: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the variance of columns (n, p) that lies between classes, of shape (p,); NaN for a constant column."""
    members = (y[:, None] == np.arange(y.max() + 1)).astype(np.float64)
    centred = values - values.mean(axis=0)
    between = (np.square(members.T @ centred) / members.sum(axis=0)[:, None].clip(min=1)).sum(axis=0)
    whole = np.einsum("ij,ij->j", centred, centred)
    share: NDArray[np.float64] = np.divide(between, whole, out=np.full(len(whole), np.nan), where=whole > 1e-12)
    return share


def landmark_features(group: Group, key: str, learner: str) -> tuple[MetaFeature, ...]:
    """Definitions of what :func:`landmark` finds of a learner."""
    score = f"balanced accuracy of {learner}"
    return (
        MetaFeature(key, group, f"{score}, 2 folds", PFAHRINGER),
        MetaFeature(f"{key}_quarter", group, f"{score}, trained on a quarter of the rows of a fold", LEITE),
        MetaFeature(f"{key}_gain_of_rows", group, f"{score}, less that from a quarter of the rows", LEITE),
        MetaFeature(f"{key}_noise", group, f"standard error of the {score}, by the number of rows", KOHAVI),
    )


def landmark(key: str, learner: Classifier, X: Any, y: NDArray[np.int64]) -> dict[str, float]:
    """Performance of a simple learner in two folds, trained on all rows of the other fold and on a quarter of them.

    Returns
    -------
    dict of str to float
        Values of :func:`landmark_features`; empty where fewer than two classes have two rows.
    """
    kept = np.flatnonzero(np.isin(y, np.flatnonzero(np.bincount(y) >= 2)))
    X, y = X[kept], np.unique(y[kept], return_inverse=True)[1]
    if not len(y) or y.max() < 1:
        return {}
    counts = np.bincount(y)
    errors = np.zeros(len(counts))
    scores: list[tuple[float, float]] = []
    for train, test in StratifiedKFold(2, shuffle=True, random_state=0).split(y, y):
        of_test = np.bincount(y[test], minlength=len(counts))
        of_sizes = []
        for part in (train, train[every_fourth(y[train])]):
            wrong = learner(X[part], y[part], X[test]) != y[test]
            of_sizes.append(np.bincount(y[test], weights=wrong, minlength=len(counts)))
        errors += of_sizes[0]
        full, quarter = (1.0 - float((wrong / of_test).mean()) for wrong in of_sizes)
        scores.append((full, quarter))
    full, quarter = np.mean(scores, axis=0).tolist()
    return {
        key: full,
        f"{key}_quarter": quarter,
        f"{key}_gain_of_rows": full - quarter,
        f"{key}_noise": balanced_noise(errors, counts),
    }


def every_fourth(y: NDArray[np.int64]) -> NDArray[np.intp]:
    """Positions of every fourth row of each class, the first of each among them; sorted."""
    by_class = np.argsort(y, kind="stable")
    counts = np.bincount(y)
    rank = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(by_class[rank % 4 == 0])


def balanced_noise(errors: NDArray[Any], counts: NDArray[Any]) -> float:
    """Standard error of the mean error rate of the classes, given errors and rows of each, both (k,).

    Rates count one more error and one more hit, so that few rows without errors do not give a standard error of zero.
    """
    rates = (errors + 1.0) / (counts + 2.0)
    return float(np.sqrt((rates * (1.0 - rates) / (counts + 2.0)).sum()) / len(counts))
