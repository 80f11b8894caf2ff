from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metahpo.evaluation.ranking import compare_to, critical_difference, holm, rank_methods
from metahpo.evaluation.regret import ALL_SPACES


def regrets(table: dict[str, list[float]], families: list[str] | None = None, space: str = "s") -> pd.DataFrame:
    """One trial; a column a method, a row a task."""
    n_tasks = len(next(iter(table.values())))
    return pd.DataFrame(
        [
            {
                "space": space,
                "task": f"t{i}",
                "family": families[i] if families else f"f{i}",
                "method": method,
                "trial": 1,
                "regret": values[i],
            }
            for method, values in table.items()
            for i in range(n_tasks)
        ]
    )


def test_ranks_share_ties_and_come_best_first() -> None:
    ranking = rank_methods(regrets({"a": [0.2, 0.2], "b": [0.1, 0.2], "c": [0.9, 0.9]}), trial=1)
    assert ranking.ranks.to_dict() == {"b": 1.25, "a": 1.75, "c": 3.0}
    assert list(ranking.ranks.index) == ["b", "a", "c"]


def test_a_large_family_has_the_weight_of_one() -> None:
    table = {"a": [0.0, 0.0, 0.0, 1.0], "b": [1.0, 1.0, 1.0, 0.0]}
    assert rank_methods(regrets(table, ["f", "f", "f", "g"]), 1).ranks.to_dict() == {"a": 1.5, "b": 1.5}
    assert rank_methods(regrets(table), 1).ranks["a"] == 1.25


def test_critical_difference_is_that_of_the_published_example() -> None:
    # Demšar 2006, section 3.2.2: four classifiers on 14 data sets, CD = 1.25.
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_friedman_sees_a_consistent_order_and_nothing_where_all_are_equal() -> None:
    consistent = {"a": [0.1] * 8, "b": [0.2] * 8, "c": [0.3] * 8}
    assert rank_methods(regrets(consistent), 1).p_value < 0.001
    assert np.isnan(rank_methods(regrets({"a": [0.1] * 8, "b": [0.1] * 8, "c": [0.1] * 8}), 1).p_value)


def test_groups_are_the_longest_runs_within_the_critical_difference() -> None:
    rng = np.random.default_rng(0)
    n = 60
    table = {m: list(rng.normal(level, 1.0, n)) for m, level in {"a": 0, "b": 0.2, "c": 5, "d": 5.1}.items()}
    ranking = rank_methods(regrets(table), 1)
    assert [set(group) for group in ranking.groups()] == [{"a", "b"}, {"c", "d"}]


def test_wins_are_the_references_and_the_difference_is_negative_where_it_is_better() -> None:
    row = compare_to(regrets({"ours": [0.1, 0.1, 0.5], "theirs": [0.2, 0.1, 0.4]}), "ours", [1]).iloc[0]
    assert (row["wins"], row["ties"], row["losses"]) == (1, 1, 1)
    assert row["difference"] == pytest.approx(0.0)
    better = compare_to(regrets({"ours": [0.1] * 20, "theirs": list(np.linspace(0.2, 0.4, 20))}), "ours", [1]).iloc[0]
    assert better["difference"] < 0
    assert better["p_value"] < 1e-3


def test_methods_that_never_differ_have_p_value_one() -> None:
    assert compare_to(regrets({"a": [0.1, 0.2], "b": [0.1, 0.2]}), "a", [1])["p_value"].tolist() == [1.0]


def test_comparison_over_all_spaces_counts_every_task_of_every_space() -> None:
    both = pd.concat([regrets({"a": [0.1, 0.2], "b": [0.3, 0.3]}, space=s) for s in ("x", "y")])
    table = compare_to(both, "a", [1]).set_index("space")
    assert table["wins"].to_dict() == {"x": 2, "y": 2, ALL_SPACES: 4}


def test_relatives_do_not_make_a_difference_more_significant() -> None:
    values = np.linspace(0.2, 0.4, 6)
    alone = compare_to(regrets({"a": [0.1] * 6, "b": list(values)}), "a", [1])["p_value"][0]
    families = [f"f{i // 3}" for i in range(18)]
    crowd = compare_to(regrets({"a": [0.1] * 18, "b": list(np.repeat(values, 3))}, families), "a", [1])["p_value"][0]
    assert crowd == pytest.approx(alone)


def test_holm_corrects_as_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06])


@given(arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 1)))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values: np.ndarray) -> None:
    corrected = holm(p_values)
    assert (corrected >= p_values).all()
    assert (corrected <= 1).all()
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(corrected[order]) >= 0).all()
