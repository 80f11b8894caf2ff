"""Losses of trials come between their values and their ranks, the nearer to ranks the more trials there are."""

from __future__ import annotations

import numpy as np
import torch

from metahpo.numerics.copula import normal_scores
from metahpo.surrogates.mixture.mixture import RANKS_COUNT_HALF, Losses


def standard(values: np.ndarray) -> np.ndarray:
    return np.asarray((values - values.mean()) / values.std())


def test_values_and_ranks_count_alike_at_five_trials() -> None:
    losses = np.array([0.3, 0.1, 0.2, 0.9, 0.2])
    assert len(losses) == RANKS_COUNT_HALF
    expected = standard(0.5 * standard(losses) + 0.5 * standard(normal_scores(losses)))
    ours = Losses.standardise(torch.from_numpy(losses))
    np.testing.assert_allclose(ours.y, expected)
    np.testing.assert_allclose(ours.spread, [losses.std()])


def test_a_diverged_trial_does_not_make_all_others_alike() -> None:
    losses = torch.cat([torch.arange(20, dtype=torch.float64), torch.tensor([1e9], dtype=torch.float64)])
    y = Losses.standardise(losses).y
    assert y[-1] == y.max()
    assert float(y[:-1].std()) > 0.5


def test_each_task_is_ranked_by_itself() -> None:
    losses = torch.tensor([[1.0, 2.0, 5.0], [70.0, 60.0, 0.0]], dtype=torch.float64)
    both = Losses.standardise(losses)
    for row, y in zip(losses, both.y, strict=True):
        torch.testing.assert_close(Losses.standardise(row).y, y)


def test_trials_that_do_not_differ_say_nothing() -> None:
    ours = Losses.standardise(torch.full((4,), 0.7, dtype=torch.float64))
    assert not ours.y.any()
    assert not ours.spread.any()
    assert not Losses.standardise(torch.tensor([3.0], dtype=torch.float64)).y.any()
