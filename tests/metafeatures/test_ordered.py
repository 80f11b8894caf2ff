"""What follows of one sort, against numpy and scipy on columns with ties and gaps."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.stats import rankdata

from metahpo.metafeatures.ordered import Ordered
from metahpo.metafeatures.sample import quantile_bins

RNG = np.random.default_rng(0)
COLUMNS = np.column_stack(
    [RNG.normal(size=60), RNG.integers(0, 3, 60), np.full(60, 2.0), np.full(60, np.nan), RNG.integers(0, 40, 60)]
)
COLUMNS[RNG.random(COLUMNS.shape) < 0.2] = np.nan
COLUMNS[1:, 2] = np.nan
COLUMNS[0, 2] = 2.0


def test_distinct_values_and_the_most_frequent_one() -> None:
    known = [column[~np.isnan(column)] for column in COLUMNS.T]
    counts = [np.unique(column, return_counts=True)[1] for column in known]
    ordered = Ordered(COLUMNS)
    assert ordered.n_distinct.tolist() == [len(of_column) for of_column in counts]
    expected = [of_column.max() / of_column.sum() if len(of_column) else np.nan for of_column in counts]
    np.testing.assert_array_equal(ordered.mode_share, expected)


def test_quantiles() -> None:
    for share in (0.0, 0.25, 0.6, 1.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a column without known cells
            expected = np.nanquantile(COLUMNS, share, axis=0)
        np.testing.assert_allclose(Ordered(COLUMNS).quantile(share), expected)


def test_bins_are_those_of_mean_ranks() -> None:
    found = quantile_bins(COLUMNS, Ordered(COLUMNS), 7)
    missing = np.isnan(COLUMNS)
    share = (rankdata(np.where(missing, np.inf, COLUMNS), axis=0) - 0.5) / np.maximum((~missing).sum(axis=0), 1)
    np.testing.assert_array_equal(found, np.where(missing, 7, np.minimum(share * 7, 6)).astype(int))


def test_no_columns_have_nothing_to_tell() -> None:
    ordered = Ordered(np.empty((5, 0)))
    assert len(ordered.n_distinct) == len(ordered.mode_share) == len(ordered.quantile(0.5)) == 0
