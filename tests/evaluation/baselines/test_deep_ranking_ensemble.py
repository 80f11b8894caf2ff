from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from metahpo.evaluation.baselines.deep_ranking_ensemble import DeepRankingEnsemble, RankingNetworks, weighted_list_mle
from metahpo.evaluation.replay import replay
from tests.evaluation.bowls import bowl


def test_weighted_list_mle_by_hand() -> None:
    scores, loss = torch.tensor([2.0, 0.5, 1.0]), torch.tensor([0.1, 0.9, 0.4])  # already ranked rightly
    first = math.log(math.exp(2.0) + math.exp(0.5) + math.exp(1.0)) - 2.0
    second = math.log(math.exp(0.5) + math.exp(1.0)) - 1.0
    expected = first / math.log(2.0) + second / math.log(3.0)
    assert float(weighted_list_mle(scores, loss)) == pytest.approx(expected)


def test_the_right_order_costs_least_and_an_error_at_the_top_most() -> None:
    loss = torch.arange(5.0)
    right, first_wrong, last_wrong = (
        float(weighted_list_mle(torch.tensor(s), loss))
        for s in ([5.0, 4.0, 3.0, 2.0, 1.0], [4.0, 5.0, 3.0, 2.0, 1.0], [5.0, 4.0, 3.0, 1.0, 2.0])
    )
    assert right < last_wrong < first_wrong


def test_context_is_a_set_and_may_be_empty() -> None:
    torch.manual_seed(0)
    networks = RankingNetworks(2, 4).requires_grad_(False)
    X, y, at = torch.rand(3, 5, 2), torch.rand(3, 5), torch.rand(3, 7, 2)
    scores, order = networks(X, y, at), torch.randperm(5)
    assert scores.shape == (4, 3, 7)
    torch.testing.assert_close(scores, networks(X[:, order], y[:, order], at))
    assert not torch.allclose(scores, networks(X, y.flip(1), at))
    assert torch.isfinite(networks(X[:, :0], y[:, :0], at)).all()


def test_scorers_are_independent_networks() -> None:
    torch.manual_seed(0)
    networks = RankingNetworks(2, 3)
    X, y = torch.rand(1, 6, 2), torch.rand(1, 6)
    networks(X[:, :2], y[:, :2], X[:, 2:])[1].sum().backward()
    for weight in networks.weights:
        assert weight.grad is not None
        assert weight.grad[1].abs().sum() > 0
        assert weight.grad[[0, 2]].abs().sum() == 0


def test_it_learns_where_tasks_are_alike() -> None:
    tasks = [bowl(f"t{i}", 0.6, n=40, seed=i) for i in range(6)]
    method = DeepRankingEnsemble(n_scorers=4, meta_steps=200, fine_steps=5)
    policy = method.learn(tasks[1:], "s", 0)
    assert replay(policy, tasks[0], 3).regret[-1] < 0.05
    again = method.learn(tasks[1:], "s", 0)
    np.testing.assert_array_equal(replay(policy, tasks[0], 8).regret, replay(again, tasks[0], 8).regret)
