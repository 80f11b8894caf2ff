from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap

from metahpo.evaluation.statistics.bootstrap import (
    by_family,
    interval,
    mean_intervals,
    percentile_level,
    resampled_means,
    wide,
)
from tests.evaluation.statistics.made_up import made_up_regrets, simulated


def values(families: list[str], numbers: list[float], spaces: list[str] | None = None) -> pd.DataFrame:
    index = pd.MultiIndex.from_arrays(
        [spaces or ["s"] * len(families), families, range(len(families))], names=["space", "family", "task"]
    )
    return pd.DataFrame({"a": numbers}, index=index)


def test_mean_is_that_of_spaces_each_counted_once() -> None:
    table = values(["f", "f", "g"], [0.0, 0.2, 1.0], ["s", "s", "t"])
    assert mean_intervals(table)["mean"]["a"] == pytest.approx((0.1 + 1.0) / 2)


def test_one_family_has_no_interval() -> None:
    found = mean_intervals(values(["f", "f"], [0.0, 1.0]))
    assert found["mean"]["a"] == 0.5
    assert found[["low", "high"]].isna().all().all()


def test_resamples_are_means_of_whole_families() -> None:
    totals, counts = by_family(values(["f", "f", "f", "g"], [1.0, 1.0, 1.0, 0.0]))
    means = resampled_means(totals, counts, 500, 0)
    assert set(means[:, 0].round(9)) == {0.0, 0.75, 1.0}


def test_interval_is_that_of_scipy_where_every_family_is_one_task() -> None:
    numbers = np.random.default_rng(0).gamma(2.0, size=30)
    own = mean_intervals(values([f"f{i}" for i in range(30)], list(numbers)), n_resamples=20_000).loc["a"]
    theirs = bootstrap(
        (numbers,), np.mean, method="percentile", confidence_level=percentile_level(0.95, 30), n_resamples=20_000, rng=0
    ).confidence_interval
    assert own["low"] == pytest.approx(theirs.low, abs=0.02)
    assert own["high"] == pytest.approx(theirs.high, abs=0.02)


def test_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Families share a deviation; an interval over tasks would be too narrow."""
    rng, held = np.random.default_rng(0), 0
    for world in range(300):
        totals, counts = simulated(rng, lead=0.03)
        low, high = interval(resampled_means(totals[None, :, None], counts[:, None], 400, world), len(counts))
        held += low[0] <= 0.03 <= high[0]
    assert 0.90 <= held / 300 <= 0.98


def test_same_seed_same_interval() -> None:
    table = wide(made_up_regrets(), [1])
    pd.testing.assert_frame_equal(mean_intervals(table), mean_intervals(table))
    assert not mean_intervals(table).equals(mean_intervals(table, random_state=1))
