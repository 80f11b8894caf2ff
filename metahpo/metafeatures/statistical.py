"""Statistical meta-features: shape, spread and dependence of the numeric columns and of the target.

Legend: Z (n, a) numeric columns with mean 0 and deviation 1 over known cells, M (n, width) the sample as numbers.
Moments are taken over the known cells of all columns at once; `scipy.stats.skew` would loop over columns with missing
cells and warn about nearly constant ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metahpo.metafeatures.definition import MetaFeature, largest_of, mean_of
from metahpo.metafeatures.ordered import Ordered
from metahpo.metafeatures.references import BARDENET, EZEKIEL, FEURER, ROY, SOARES, STATLOG, TUKEY
from metahpo.metafeatures.sample import Sample, principal_variances, standardise

_EXPLAINED = "adjusted R^2 (classes: correlation ratio eta^2) between column and target"
_SKEW, _KURTOSIS = "ln(1 + |skewness|)", "ln of the kurtosis E z^4"

STATISTICAL = (
    MetaFeature("skewness_mean", "statistical", f"{_SKEW} of a numeric column, mean", STATLOG),
    MetaFeature("skewness_max", "statistical", f"{_SKEW} of a numeric column, largest", FEURER),
    MetaFeature("kurtosis_mean", "statistical", f"{_KURTOSIS} of a numeric column, mean", STATLOG),
    MetaFeature(
        "outlier_share",
        "statistical",
        "share of numeric cells outside the quartiles by 1.5 interquartile ranges",
        TUKEY,
    ),
    MetaFeature("correlation_mean", "statistical", "|Pearson correlation| of two numeric columns, mean", STATLOG),
    MetaFeature("correlation_max", "statistical", "|Pearson correlation| of two numeric columns, largest", SOARES),
    MetaFeature("correlation_strong_share", "statistical", "share of those pairs above 0.5", SOARES),
    MetaFeature("pca_components_95", "statistical", "share of the components that hold 95 % of the variance", BARDENET),
    MetaFeature("pca_first_share", "statistical", "share of the variance in the first principal component", FEURER),
    MetaFeature("pca_effective_rank", "statistical", "exp(entropy of the variance shares) / components", ROY),
    MetaFeature("explained_mean", "statistical", f"{_EXPLAINED}, mean over numeric columns", EZEKIEL),
    MetaFeature("explained_max", "statistical", f"{_EXPLAINED}, largest over numeric columns", EZEKIEL),
    MetaFeature("target_skewness", "statistical", "sign(s) ln(1 + |s|), s the target's skewness", SOARES, "regression"),
    MetaFeature("target_kurtosis", "statistical", f"{_KURTOSIS} of the target", SOARES, "regression"),
    MetaFeature(
        "target_outlier_share",
        "statistical",
        "share of targets outside the quartiles by 1.5 interquartile ranges",
        SOARES,
        "regression",
    ),
)


def statistical(sample: Sample) -> dict[str, float]:
    """The statistical meta-features of a sample; NaN where not defined."""
    Z = sample.standardised
    skewness, kurtosis = _moments(Z)
    outliers, n_known = _outliers(sample.numeric, sample.ordered), sample.ordered.n_known.sum()
    correlation = _correlations(Z)
    explained = _explained(sample)
    values = {
        "skewness_mean": mean_of(np.log1p(np.abs(skewness))),
        "skewness_max": largest_of(np.log1p(np.abs(skewness))),
        "kurtosis_mean": mean_of(np.log(kurtosis)),
        "outlier_share": float(outliers.sum() / n_known) if n_known else float("nan"),
        "correlation_mean": mean_of(correlation),
        "correlation_max": largest_of(correlation),
        "correlation_strong_share": mean_of((correlation > 0.5).astype(float)),
        **_principal_components(sample.matrix),
        "explained_mean": mean_of(explained),
        "explained_max": largest_of(explained),
    }
    if sample.kind == "regression":
        target = sample.y[:, None]
        skew, kurt = _moments(standardise(target))
        values |= {
            "target_skewness": float(np.sign(skew[0]) * np.log1p(np.abs(skew[0]))),
            "target_kurtosis": float(np.log(kurt[0])),
            "target_outlier_share": float(_outliers(target, Ordered(target)).mean()),
        }
    return values


def _moments(Z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Skewness E z^3 and kurtosis E z^4 of standardised columns (n, a), each (a,); NaN for a constant column."""
    known = ~np.isnan(Z)
    n_known = np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    filled = np.where(known, Z, 0.0)
    cubes = filled * filled * filled
    return cubes.sum(axis=0) / n_known, (cubes * filled).sum(axis=0) / n_known


def _outliers(columns: NDArray[np.float64], ordered: Ordered) -> NDArray[np.bool_]:
    """Cells outside Tukey's fences, (n, a); missing ones are not."""
    low, high = ordered.quantile(0.25), ordered.quantile(0.75)
    margin = 1.5 * (high - low) + 1e-12  # larger than rounding errors of cells at the fence
    outside: NDArray[np.bool_] = (columns < low - margin) | (columns > high + margin)
    return outside


def _correlations(Z: NDArray[np.float64]) -> NDArray[np.float64]:
    """|Pearson| of every pair of varying columns, missing cells at the mean; (pairs,)."""
    varying = np.nan_to_num(Z[:, ~np.isnan(Z).all(axis=0)], nan=0.0)
    if varying.shape[1] < 2:
        return np.empty(0)
    length = np.sqrt((varying**2).sum(axis=0))
    pairs = np.triu_indices(varying.shape[1], k=1)
    return np.minimum(np.abs((varying.T @ varying) / np.outer(length, length))[pairs], 1.0)


def _principal_components(M: NDArray[np.float64]) -> dict[str, float]:
    variances = principal_variances(M)
    total = variances.sum()
    if not total > 1e-12 * M.size:
        return dict.fromkeys(("pca_components_95", "pca_first_share", "pca_effective_rank"), float("nan"))
    share = variances / total
    positive = share[share > 0]
    return {
        "pca_components_95": float((np.searchsorted(np.cumsum(share), 0.95) + 1) / len(share)),
        "pca_first_share": float(share[0]),
        "pca_effective_rank": float(np.exp(-(positive * np.log(positive)).sum()) / len(share)),
    }


def _explained(sample: Sample) -> NDArray[np.float64]:
    """Adjusted share of variance of each varying numeric column: R^2 (regression) or eta^2 by class; (columns,)."""
    Z = np.nan_to_num(sample.standardised[:, ~np.isnan(sample.standardised).all(axis=0)], nan=0.0)
    total = (Z**2).sum(axis=0)
    if sample.kind == "regression":
        share, groups = (standardise(sample.y[:, None])[:, 0] @ Z) ** 2 / (total * sample.n_rows), 2
    else:
        members = np.eye(int(sample.y.max()) + 1)[sample.y]
        groups = members.shape[1]
        share = ((members.T @ Z) ** 2 / members.sum(axis=0)[:, None]).sum(axis=0) / total
    if sample.n_rows <= groups:
        return np.empty(0)
    adjusted: NDArray[np.float64] = 1 - (1 - share) * (sample.n_rows - 1) / (sample.n_rows - groups)
    return np.maximum(adjusted, 0.0)
