"""Meta-features that do not learn, against numbers worked out by hand, by scipy or by scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.decomposition import PCA
from sklearn.metrics import mutual_info_score
from sklearn.preprocessing import StandardScaler

from metahpo.metafeatures.extraction import extract
from metahpo.metafeatures.information import TARGET_BINS, information
from metahpo.metafeatures.ordered import Ordered
from metahpo.metafeatures.sample import N_LEVELS, Sample, quantile_bins
from metahpo.metafeatures.statistical import statistical
from metahpo.tasks.task import Task

SMALL = Task.from_arrays(
    pd.DataFrame(
        {
            "number": [1.0, 2.0, 2.0, None, 5.0, 6.0, 7.0, 8.0],
            "flag": ["y", "n", "y", "y", "y", "y", "y", None],
            "colour": ["r", "g", "b", "r", "r", "g", "k", "w"],
        }
    ),
    ["a", "a", "a", "a", "a", "b", "b", "c"],
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("log_rows", np.log(8)),
        ("log_columns", np.log(3)),
        ("log_rows_per_column", np.log(8 / 3)),
        ("log_encoded_columns", np.log(1 + 1 + 5)),
        ("share_categorical", 2 / 3),
        ("share_binary", 1 / 3),
        ("share_missing_cells", 2 / 24),
        ("share_missing_rows", 2 / 8),
        ("log_cardinality_mean", (np.log(2) + np.log(5)) / 2),
        ("log_cardinality_max", np.log(5)),
        ("distinct_ratio_mean", 6 / 7),
        ("mode_share_mean", (2 / 7 + 6 / 7 + 3 / 8) / 3),
        ("log_classes", np.log(3)),
        ("class_share_min", 1 / 8),
        ("class_imbalance", np.log(5)),
        ("log_rows_smallest_class", 0.0),
        ("target_mode_share", 5 / 8),
        ("class_entropy", stats.entropy([5, 2, 1]) / np.log(3)),
    ],
)
def test_simple_feature_by_hand(name: str, expected: float) -> None:
    assert extract(SMALL).values[name] == pytest.approx(expected)


def test_regression_target_by_hand() -> None:
    values = extract(Task.from_arrays([[float(i)] for i in range(8)], [0.0, 0, 0, 1, 2, 3, 4, 9.5])).values
    assert values["target_mode_share"] == pytest.approx(3 / 8)
    assert values["target_distinct_ratio"] == pytest.approx(6 / 8)
    assert values["target_outlier_share"] == pytest.approx(1 / 8)


def test_moments_and_correlations_agree_with_scipy() -> None:
    X, y = load_diabetes(return_X_y=True)
    values = statistical(Sample.of(Task.from_arrays(X, y)))
    skewness, kurtosis = stats.skew(X), stats.kurtosis(X, fisher=False)
    correlation = np.abs(np.corrcoef(X.T))[np.triu_indices(X.shape[1], 1)]
    assert values["skewness_mean"] == pytest.approx(np.log1p(np.abs(skewness)).mean())
    assert values["skewness_max"] == pytest.approx(np.log1p(np.abs(skewness)).max())
    assert values["kurtosis_mean"] == pytest.approx(np.log(kurtosis).mean())
    assert values["correlation_mean"] == pytest.approx(correlation.mean())
    assert values["correlation_max"] == pytest.approx(correlation.max())
    assert values["correlation_strong_share"] == pytest.approx((correlation > 0.5).mean())
    assert values["target_skewness"] == pytest.approx(np.log1p(stats.skew(y)))
    assert values["target_kurtosis"] == pytest.approx(np.log(stats.kurtosis(y, fisher=False)))


def test_moments_skip_missing_cells_and_constant_columns() -> None:
    rng = np.random.default_rng(0)
    known = rng.exponential(size=200)
    X = np.column_stack([np.r_[known, np.full(50, np.nan)], np.full(250, 2.0)])
    values = statistical(Sample.of(Task.from_arrays(X, np.arange(250) % 2)))
    assert values["skewness_mean"] == pytest.approx(np.log1p(stats.skew(known)))
    assert values["kurtosis_mean"] == pytest.approx(np.log(stats.kurtosis(known, fisher=False)))
    assert np.isnan(values["correlation_mean"])


def test_principal_components_agree_with_scikit_learn() -> None:
    X, y = load_wine(return_X_y=True)
    values = statistical(Sample.of(Task.from_arrays(X, y)))
    share = PCA().fit(StandardScaler().fit_transform(X)).explained_variance_ratio_
    assert values["pca_first_share"] == pytest.approx(share[0])
    assert values["pca_components_95"] == pytest.approx((np.cumsum(share) < 0.95).sum() / 13 + 1 / 13)
    assert values["pca_effective_rank"] == pytest.approx(np.exp(stats.entropy(share)) / 13)


def test_uncorrelated_columns_of_equal_variance_have_full_effective_rank() -> None:
    X = [[a, b, c] for a in (0.0, 1.0) for b in (0.0, 1.0) for c in (0.0, 1.0)] * 3
    values = statistical(Sample.of(Task.from_arrays(X, np.arange(24) % 2)))
    assert values["pca_effective_rank"] == pytest.approx(1.0)
    assert values["pca_first_share"] == pytest.approx(1 / 3)
    assert values["correlation_max"] == pytest.approx(0.0, abs=1e-12)


def test_explained_variance_agrees_with_regression_and_analysis_of_variance() -> None:
    X, y = load_diabetes(return_X_y=True)
    r2 = np.array([stats.pearsonr(column, y).statistic ** 2 for column in X.T])
    adjusted = np.maximum(1 - (1 - r2) * (len(y) - 1) / (len(y) - 2), 0)
    values = statistical(Sample.of(Task.from_arrays(X, y)))
    assert values["explained_max"] == pytest.approx(adjusted.max())
    assert values["explained_mean"] == pytest.approx(adjusted.mean())

    X, y = load_wine(return_X_y=True)
    n, k = len(y), 3
    F = np.array([stats.f_oneway(*(column[y == c] for c in range(k))).statistic for column in X.T])
    eta2 = F * (k - 1) / (F * (k - 1) + n - k)
    values = statistical(Sample.of(Task.from_arrays(X, y)))
    assert values["explained_max"] == pytest.approx(1 - (1 - eta2.max()) * (n - 1) / (n - k))


def test_outliers_are_counted_outside_the_fences() -> None:
    column = np.r_[np.linspace(0, 1, 99), 50.0]
    values = statistical(Sample.of(Task.from_arrays(column[:, None], np.arange(100) % 2)))
    assert values["outlier_share"] == pytest.approx(0.01)


def test_column_that_copies_the_class_tells_all_of_it() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 4000)
    X = pd.DataFrame({"copy": np.where(y == 1, "p", "q"), **{f"noise{j}": rng.normal(size=4000) for j in range(4)}})
    values = information(Sample.of(Task.from_arrays(X, y)))
    assert values["mutual_information_max"] == pytest.approx(1.0, abs=1e-3)
    assert values["informative_share"] == pytest.approx(0.2)
    assert values["information_spread"] == pytest.approx(0.2, abs=0.02)
    assert values["log_equivalent_columns"] == pytest.approx(np.log(5), abs=0.02)


def test_mutual_information_agrees_with_scikit_learn_but_for_its_bias() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    sample = Sample.of(Task.from_arrays(X, y))
    bias = (N_LEVELS - 1) / (2 * len(y))
    told = np.array([mutual_info_score(levels, y) for levels in sample.levels.T])
    values = information(sample)
    assert values["mutual_information_max"] == pytest.approx((told.max() - bias) / stats.entropy(np.bincount(y)))


def test_noise_tells_nothing_although_estimates_are_biased_upwards() -> None:
    rng = np.random.default_rng(3)
    values = information(Sample.of(Task.from_arrays(rng.normal(size=(200, 40)), rng.integers(0, 5, 200))))
    assert values["log_equivalent_columns"] > np.log(40)
    assert values["mutual_information_max"] < 0.05


def test_missing_cells_are_a_level_of_their_own() -> None:
    y = np.arange(400) % 2
    hidden = np.where(y == 1, np.nan, np.arange(400.0) % 7)
    values = information(Sample.of(Task.from_arrays(hidden[:, None], y)))
    assert values["mutual_information_max"] == pytest.approx(1.0, abs=0.02)


def test_quantile_bins_are_even_and_keep_ties_together() -> None:
    column = np.random.default_rng(0).permutation(np.arange(100.0))[:, None]
    even = quantile_bins(column, Ordered(column), TARGET_BINS)
    np.testing.assert_array_equal(np.bincount(even[:, 0]), np.full(TARGET_BINS, 20))
    column = np.array([[0.0], [0.0], [0.0], [1.0], [np.nan]])
    tied = quantile_bins(column, Ordered(column), 4)[:, 0]
    assert len(set(tied[:3])) == 1
    assert tied[3] == 3
    assert tied[4] == 4


def test_matrix_holds_standardised_numbers_and_indicators() -> None:
    matrix = Sample.of(SMALL).matrix
    assert matrix.shape == (8, 1 + 1 + 4)  # a number, a flag, all but the rarest of five colours
    assert matrix[:, 0].mean() == pytest.approx(0.0, abs=1e-8)
    assert matrix[3, 0] == 0.0  # missing: at the mean
    assert set(np.unique(matrix[:, 1:])) == {0.0, 1.0}
    np.testing.assert_array_equal(matrix[:, 2], [1, 0, 0, 1, 1, 0, 0, 0])  # the most frequent colour first
