from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import studentized_range, wilcoxon

from metahpo.evaluation.ranking import critical_difference, nemenyi_p_values, signed_rank_p
from metahpo.evaluation.statistics.pairs import paired_comparison
from tests.evaluation.statistics.made_up import made_up_regrets, simulated


def test_a_planted_lead_is_found_with_its_size() -> None:
    found = paired_comparison(made_up_regrets(lead=0.1, spaces=("s", "t"), n_trials=2), "ours", [1, 2])
    assert list(found["trial"]) == [1, 2]
    first = found.iloc[0]
    assert first["difference"] == pytest.approx(-0.1, abs=0.03)
    assert first["low"] < -0.1 < first["high"] < 0
    assert first["p_holm"] < 0.01
    assert first["p_better"] > 0.99
    assert first["wins"] > 3 * first["losses"]


def test_p_value_is_scipys_over_families() -> None:
    regrets = made_up_regrets(lead=0.02, seed=3)
    table = regrets.pivot_table("regret", ["family", "task"], "method")
    families = (table["ours"] - table["theirs"]).groupby("family").mean()
    theirs = wilcoxon(families, zero_method="zsplit", method="approx").pvalue
    assert paired_comparison(regrets, "ours", [1])["p_value"][0] == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(("lead", "least", "most"), [(0.0, 0.02, 0.08), (0.06, 0.75, 1.0)])
def test_equal_methods_are_told_apart_in_one_of_twenty_worlds_and_better_ones_in_most(
    lead: float, least: float, most: float
) -> None:
    """A small version of scripts/check_statistics.py, which has 10,000 worlds."""
    rng, found = np.random.default_rng(1), 0
    for _ in range(400):
        totals, counts = simulated(rng, lead)
        found += signed_rank_p(totals / counts) < 0.05
    assert least <= found / 400 <= most


def test_a_single_method_has_no_comparison() -> None:
    regrets = made_up_regrets().query("method == 'ours'")
    assert paired_comparison(regrets, "ours", [1]).empty


def test_nemenyi_agrees_with_its_critical_difference() -> None:
    ranks = pd.Series({"a": 1.2, "b": 2.0, "c": 2.8})
    p = nemenyi_p_values(ranks, 20)
    apart = np.abs(ranks["a"] - ranks)
    assert ((p["a"] < 0.05) == (apart > critical_difference(3, 20))).all()
    statistic = 1.6 / np.sqrt(3 * 4 / (6 * 20)) * np.sqrt(2)
    assert p.loc["a", "c"] == pytest.approx(studentized_range.sf(statistic, 3, np.inf), abs=1e-12)


def test_nemenyi_is_that_of_scikit_posthocs() -> None:
    posthocs = pytest.importorskip("scikit_posthocs")
    blocks = np.random.default_rng(0).random((25, 4))
    ranks = pd.Series(pd.DataFrame(blocks).rank(axis=1).mean())
    theirs = posthocs.posthoc_nemenyi_friedman(blocks).to_numpy()
    np.testing.assert_allclose(nemenyi_p_values(ranks, 25).to_numpy(), theirs, rtol=0, atol=1e-9)
