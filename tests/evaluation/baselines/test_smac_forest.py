from __future__ import annotations

import numpy as np

from metahpo.evaluation.baselines.random_search import RandomSearch
from metahpo.evaluation.baselines.smac_forest import MIN_STD, ForestModel, RandomForest
from metahpo.evaluation.replay import replay
from tests.evaluation.bowls import bowl


def test_forest_finds_a_minimum_sooner_than_chance() -> None:
    table = bowl("t", 0.3, n=200)
    model = replay(RandomForest(), table, 25, n_replays=3)
    chance = replay(RandomSearch(), table, 25, n_replays=3)
    np.testing.assert_array_equal(model.regret[:5], chance.regret[:5])  # the same random start
    assert model.regret[-1] < 0.5 * chance.regret[-1]


def test_uncertainty_is_the_spread_of_the_trees() -> None:
    table = bowl("t", 0.3, n=40)
    posterior = ForestModel(0).posterior(table.X, (table.X, table.loss))
    assert (posterior.std >= MIN_STD).all()
    assert posterior.std.max() > 10 * MIN_STD
    assert np.corrcoef(posterior.mean[0], table.loss)[0, 1] > 0.8


def test_losses_that_do_not_differ_leave_all_alike() -> None:
    posterior = ForestModel(0).posterior(np.zeros((3, 2)), (np.zeros((2, 2)), np.array([np.nan, np.nan])))
    assert np.ptp(posterior.mean) == np.ptp(posterior.std) == 0
