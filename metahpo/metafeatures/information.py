"""Information-theoretic meta-features: the information about the target in single columns.

Legend: n rows, p columns; X a column cut into levels, Y the classes or quintiles of the target, H entropy in nats,
I(X; Y) = H(X) + H(Y) - H(X, Y) less its bias (|X| - 1)(|Y| - 1) / 2n under independence (Miller, 1955), at least 0;
|.| counts the levels that occur.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metahpo.metafeatures.definition import MetaFeature
from metahpo.metafeatures.ordered import Ordered
from metahpo.metafeatures.references import CASTIELLO, RIVOLLI, ROY, STATLOG
from metahpo.metafeatures.sample import N_LEVELS, Sample, quantile_bins

INFORMATION = (
    MetaFeature("class_entropy", "information", "H(Y) / ln k over the classes", CASTIELLO, "classification"),
    MetaFeature("mutual_information_max", "information", "I(X; Y) / H(Y), largest over columns", RIVOLLI),
    MetaFeature("informative_share", "information", "share of the columns with I(X; Y) > 0.01 H(Y)", RIVOLLI),
    MetaFeature(
        "information_spread",
        "information",
        "exp(entropy of I(X; Y) / sum of I(X; Y)) / p: 1 where all columns tell as much, 1 / p where one tells all",
        ROY,
    ),
    MetaFeature("log_equivalent_columns", "information", "ln(H(Y) / mean I(X; Y))", STATLOG),
    MetaFeature("log_noise_to_signal", "information", "ln(1 + (mean H(X) - mean I(X; Y)) / mean I(X; Y))", STATLOG),
)

TARGET_BINS = 5
#: Smallest share of H(Y) that a mean column is taken to tell, so that the logarithms of ratios stay finite.
LEAST = 1e-4


def information(sample: Sample) -> dict[str, float]:
    """The information-theoretic meta-features of a sample; NaN where not defined."""
    y = sample.y if sample.kind == "classification" else _bins(sample.y)
    joint = _joint_counts(sample.levels, y)
    n_y = int(np.count_nonzero(joint.sum(axis=(0, 1))))
    H_y = float(_entropy(joint.sum(axis=1)[:1])[0])
    H_x = _entropy(joint.sum(axis=2))
    n_x = np.count_nonzero(joint.sum(axis=2), axis=1)
    told = H_x + H_y - _entropy(joint.reshape(len(joint), -1)) - (n_x - 1) * (n_y - 1) / (2 * sample.n_rows)
    told = np.maximum(told, 0.0)
    if H_y <= 0:  # a target that falls into one bin
        return {}
    share = told / H_y
    mean = max(float(share.mean()), LEAST)
    signal = share[share > 0] / share.sum() if share.any() else np.array([np.nan])
    values = {
        "mutual_information_max": float(share.max()),
        "informative_share": float((share > 0.01).mean()),
        "information_spread": float(np.exp(-(signal * np.log(signal)).sum()) / len(share)),
        "log_equivalent_columns": -float(np.log(mean)),
        "log_noise_to_signal": float(np.log(max(H_x.mean(), mean * H_y) / (mean * H_y))),
    }
    if sample.kind == "classification":
        values["class_entropy"] = H_y / float(np.log(n_y))
    return values


def _bins(y: NDArray[np.float64]) -> NDArray[np.int64]:
    """The target as `TARGET_BINS` levels, (n,)."""
    column = y[:, None]
    return quantile_bins(column, Ordered(column), TARGET_BINS)[:, 0]


def _joint_counts(levels: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Joint counts of level and target in each column, (p, N_LEVELS + 1, target levels)."""
    p, n_x, n_y = levels.shape[1], N_LEVELS + 1, int(y.max()) + 1
    cell = (np.arange(p) * n_x + levels) * n_y + y[:, None]
    return np.bincount(cell.ravel(), minlength=p * n_x * n_y).reshape(p, n_x, n_y)


def _entropy(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Entropy in nats of each row of counts, (p, levels) to (p,)."""
    share = counts / counts.sum(axis=1, keepdims=True)
    terms = share * np.log(np.where(share > 0, share, 1.0))
    entropy: NDArray[np.float64] = -terms.sum(axis=1)
    return entropy
