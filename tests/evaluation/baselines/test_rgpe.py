from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metahpo.evaluation.baselines.rgpe import RankingWeightedEnsemble, RankingWeights, ranking_losses
from metahpo.evaluation.baselines.task_process import TaskProcess, source_processes
from metahpo.evaluation.replay import replay
from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.gaussian_process import GaussianProcessSurrogate, standardised
from tests.evaluation.bowls import bowl


def upside_down(table: TaskTable) -> TaskTable:
    return replace(table, task=f"-{table.task}", loss=-table.loss)


def weights(sources: list[TaskTable], trials: TaskTable) -> np.ndarray:
    y = standardised(trials.loss)
    assert y is not None
    target = TaskProcess(GaussianProcessSurrogate().fit(trials.X, y))
    ranking = RankingWeights(np.random.default_rng(0), 256)
    return ranking.weights(source_processes(sources, 0), target, trials.X, y)


def test_ranking_loss_counts_ordered_pairs() -> None:
    y = np.array([1.0, 2.0, 3.0])
    samples = np.array([[10.0, 20.0, 30.0], [20.0, 10.0, 30.0], [3.0, 2.0, 1.0]])
    assert ranking_losses(samples, samples, y).tolist() == [0, 2, 6]


def test_the_task_itself_is_judged_against_its_losses() -> None:
    y = np.array([1.0, 2.0, 3.0])
    left_out = np.array([[1.5, 1.5, 9.0], [2.5, 2.0, 3.0]])
    # 2.5 in place of 1 is ranked behind 2; the others still compare with what was measured.
    assert ranking_losses(left_out, y[None], y).tolist() == [0, 1]


def test_weight_goes_to_an_identical_task_and_none_to_its_opposite() -> None:
    twin, far = bowl("twin", 0.2, n=60), bowl("far", 0.9, n=60)
    found = weights([upside_down(twin), twin, far], bowl("new", 0.2, n=6, seed=5))
    assert found.sum() == pytest.approx(1)
    assert found[1] > 0.9
    assert found[0] == 0


def test_enough_trials_of_its_own_outweigh_tasks_that_rank_otherwise() -> None:
    found = weights([bowl("other", 0.9, n=60), upside_down(bowl("opposite", 0.2, n=60))], bowl("new", 0.2, n=30))
    assert found[-1] > 0.99


def test_variance_is_that_of_a_sum_of_independent_processes() -> None:
    ranking = RankingWeights(np.random.default_rng(0), 2)
    variance = ranking.variance(np.array([0.5, 0.25, 0.25]), np.array([[4.0], [1.0], [2.0]]))
    assert variance == pytest.approx([0.25 * 4 + 0.0625 * 3])


def test_below_three_trials_the_training_tasks_count_alike() -> None:
    sources = source_processes([bowl("a", 0.2), bowl("b", 0.4)], 0)
    ranking = RankingWeights(np.random.default_rng(0), 2)
    assert ranking.weights(sources, None, np.zeros((0, 2)), np.zeros(0)).tolist() == [0.5, 0.5, 0.0]


def test_it_is_ahead_of_its_peers_where_tasks_resemble_each_other() -> None:
    tasks = [bowl(f"t{i}", 0.6, n=40, seed=i) for i in range(4)]
    policy = RankingWeightedEnsemble().learn(tasks[1:], "s", 0)
    assert replay(policy, tasks[0], 1).regret[0] < 0.05
