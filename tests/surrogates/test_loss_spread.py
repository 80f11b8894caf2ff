"""Scores depend on ranks alone, and failed trials come last."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

from metahpo.numerics.copula import normal_scores
from metahpo.surrogates.loss_spread import failed_as_worse

losses = st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=1, max_size=30).map(np.array)


def test_scores_by_hand() -> None:
    scores = normal_scores(np.array([3.0, 1.0, 2.0, 2.0]))
    np.testing.assert_allclose(scores, norm.ppf([0.875, 0.125, 0.5, 0.5]))


@given(losses)
def test_a_monotone_change_of_losses_changes_no_score(loss: np.ndarray) -> None:
    np.testing.assert_allclose(normal_scores(loss), normal_scores(np.arctan(loss / 1e6) * 5 + 3))


@pytest.mark.parametrize("shape", [(0,), (1,), (40,), (3, 20), (0, 5)])
def test_scores_are_normal_quantiles_of_averaged_ranks(shape: tuple[int, ...]) -> None:
    loss = np.random.default_rng(0).integers(0, 9, shape).astype(float)
    expected = norm.ppf((rankdata(loss, axis=-1) - 0.5) / shape[-1]) if loss.size else loss
    np.testing.assert_allclose(normal_scores(loss), expected, rtol=1e-12, atol=1e-15)


@given(losses)
def test_scores_are_centred(loss: np.ndarray) -> None:
    assert abs(normal_scores(loss).mean()) < 0.7
    assert np.isfinite(normal_scores(loss)).all()


def test_failed_trials_score_worst_and_alike() -> None:
    scores = normal_scores(np.array([np.nan, 5.0, 1.0, np.nan]))
    assert scores[0] == scores[3] > scores[1] > scores[2]


def test_failed_trials_are_one_spread_worse_than_the_worst() -> None:
    filled = failed_as_worse(np.array([1.0, np.nan, 3.0]), typical_spread=10.0)
    np.testing.assert_allclose(filled, [1.0, 4.0, 3.0])


@pytest.mark.parametrize(("loss", "expected"), [([2.0, np.nan], [2.0, 12.0]), ([np.nan, np.nan], [0.0, 0.0])])
def test_failed_trials_where_the_spread_is_unknown(loss: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(failed_as_worse(np.array(loss), typical_spread=10.0), expected)
