from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metahpo.evaluation.regret import (
    ALL_SPACES,
    mean_regret,
    normalised_regret,
    regret_of_losses,
    regret_so_far,
    scale_of,
    trials_to_match,
)
from metahpo.exceptions import DataError

LOSSES = arrays(np.float64, st.integers(2, 30), elements=st.floats(-1e6, 1e6, width=32)).filter(lambda x: np.ptp(x) > 1)


def curves(values: dict[tuple[str, str, str, str], list[float]]) -> pd.DataFrame:
    """Rows of {(space, task, family, method): regret after trial 1, 2, ...}."""
    return pd.DataFrame(
        [
            {"space": space, "task": task, "family": family, "method": method, "trial": t, "regret": regret}
            for (space, task, family, method), line in values.items()
            for t, regret in enumerate(line, start=1)
        ]
    )


def test_best_is_zero_worst_is_one_and_a_failed_trial_is_worst() -> None:
    assert normalised_regret(np.array([3.0, 1.0, np.nan, 2.0])).tolist() == [1.0, 0.0, 1.0, 0.5]


def test_failures_are_told_apart_where_all_other_trials_are_equal() -> None:
    assert normalised_regret(np.array([2.0, np.nan, 2.0])).tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(("loss", "message"), [([1.0, 1.0], "all have the loss 1.0"), ([np.nan], "did not fail")])
def test_a_task_that_tells_nothing_is_refused(loss: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        normalised_regret(np.array(loss))


@given(LOSSES, st.floats(0.1, 10), st.floats(-100, 100))
def test_regret_lies_between_0_and_1_and_ignores_the_unit_of_the_loss(
    loss: np.ndarray, scale: float, shift: float
) -> None:
    regret = normalised_regret(loss)
    assert regret.min() == 0.0
    assert regret.max() == 1.0
    np.testing.assert_allclose(normalised_regret(scale * loss + shift), regret, atol=1e-4)


def test_regret_so_far_stands_where_no_configuration_is_left() -> None:
    regret = np.array([0.5, 0.7, 0.2])
    assert regret_so_far(regret, regret, 5).tolist() == [0.5, 0.5, 0.2, 0.2, 0.2]
    assert regret_so_far(regret, regret, 2).tolist() == [0.5, 0.5]


def test_regret_so_far_is_of_the_incumbent_by_the_losses_told() -> None:
    regret, told = np.array([0.1, 0.9, 0.4, 0.0]), np.array([3.0, 2.0, np.nan, 2.0])
    assert regret_so_far(regret, told, 4).tolist() == [0.1, 0.9, 0.9, 0.9]
    assert regret_so_far(np.array([1.0, 0.3]), np.array([np.nan, 5.0]), 2).tolist() == [1.0, 0.3]


def test_standard_error_of_tasks_without_relatives_is_the_textbook_one() -> None:
    values = [0.1, 0.4, 0.7, 0.2]
    summary = mean_regret(curves({("s", f"t{i}", f"t{i}", "m"): [v] for i, v in enumerate(values)}))
    row = summary.iloc[0]
    assert row["regret"] == pytest.approx(np.mean(values))
    assert row["standard_error"] == pytest.approx(np.std(values, ddof=1) / 2)
    assert row["n_tasks"] == 4


def test_copies_of_a_task_within_its_family_do_not_make_the_mean_more_certain() -> None:
    values = [0.1, 0.4, 0.7]
    once = mean_regret(curves({("s", f"t{i}", f"f{i}", "m"): [v] for i, v in enumerate(values)}))
    twice = mean_regret(curves({("s", f"t{i}{c}", f"f{i}", "m"): [v] for i, v in enumerate(values) for c in "ab"}))
    assert twice["standard_error"][0] == pytest.approx(once["standard_error"][0])


def test_standard_error_of_a_single_family_is_unknown() -> None:
    assert np.isnan(
        mean_regret(curves({("s", "a", "f", "m"): [0.1], ("s", "b", "f", "m"): [0.3]}))["standard_error"][0]
    )


def test_every_space_counts_once_in_the_mean_over_spaces() -> None:
    values = {("small", "a", "a", "m"): [0.8], ("small", "b", "b", "m"): [0.6]}
    values |= {("large", f"t{i}", f"t{i}", "m"): [0.1] for i in range(10)}
    summary = mean_regret(curves(values)).set_index("space")
    assert summary["regret"].to_dict() == pytest.approx({"small": 0.7, "large": 0.1, ALL_SPACES: 0.4})
    assert summary["n_tasks"].to_dict() == {"small": 2, "large": 10, ALL_SPACES: 12}
    # Only the small space varies. It has half the weight, and its two families are two of twelve.
    error = summary["standard_error"].to_dict()
    assert error[ALL_SPACES] == pytest.approx(error["small"] * 0.5 * np.sqrt(12 / 11 / 2))


def test_one_space_has_no_row_over_all_spaces() -> None:
    assert ALL_SPACES not in set(mean_regret(curves({("s", "a", "a", "m"): [0.1]}))["space"])


def test_regret_of_losses_is_on_the_scale_of_all_searches() -> None:
    searches: list[list[float | None]] = [[None, 0.4, 0.6, 0.2], [float("nan"), float("inf"), 0.7]]
    scale = scale_of(searches)
    assert scale == (0.2, 0.7)
    np.testing.assert_allclose(regret_of_losses(searches[0], scale, 5), [1.0, 0.4, 0.4, 0.0, 0.0])
    np.testing.assert_allclose(regret_of_losses(searches[1], scale, 2), [1.0, 1.0])
    assert scale_of([[0.5, None], [0.5]]) is None
    assert scale_of([[None]]) is None


def test_trials_to_match_counts_up_to_the_baselines_last_regret() -> None:
    summary = mean_regret(
        curves(
            {
                ("s", "a", "a", "slow"): [0.9, 0.5, 0.3],
                ("s", "a", "a", "fast"): [0.4, 0.3, 0.1],
                ("s", "a", "a", "never"): [0.9, 0.9, 0.9],
            }
        )
    )
    trials = trials_to_match(summary, "slow").set_index("method")
    assert trials["target"].unique().tolist() == [0.3]
    assert trials["trials"]["fast"] == 2
    assert trials["trials"]["slow"] == 3
    assert pd.isna(trials["trials"]["never"])
