from __future__ import annotations

import numpy as np
import pytest

from metahpo.evaluation.baselines.task_process import TaskProcess, source_processes
from metahpo.evaluation.baselines.two_stage_transfer import KernelWeights, TwoStageTransfer, discordance, epanechnikov
from metahpo.evaluation.replay import replay
from metahpo.surrogates.gaussian_process import GaussianProcessSurrogate, standardised
from tests.evaluation.bowls import bowl


def test_kernel_is_zero_beyond_the_bandwidth() -> None:
    np.testing.assert_allclose(epanechnikov(np.array([0.0, 0.5, 1.0, 1.5])), [0.75, 0.5625, 0.0, 0.0])


def test_distance_is_the_share_of_pairs_that_are_ranked_otherwise() -> None:
    y = np.array([1.0, 2.0, 3.0, 3.0])  # five pairs that differ
    assert discordance(np.array([1.0, 2.0, 3.0, 4.0]), y) == 0
    assert discordance(np.array([2.0, 1.0, 3.0, 4.0]), y) == pytest.approx(1 / 5)
    assert discordance(-y, y) == 1


def test_weights_by_hand() -> None:
    trials = bowl("new", 0.2, n=8, seed=5)
    y = standardised(trials.loss)
    assert y is not None
    tasks = [bowl("twin", 0.2, n=60), bowl("near", 0.3, n=60), bowl("far", 0.9, n=60)]
    sources, target = source_processes(tasks, 0), TaskProcess(GaussianProcessSurrogate().fit(trials.X, y))
    distances = np.array([discordance(s.predict(trials.X)[0], y) for s in sources])
    found = KernelWeights(0.3).weights(sources, target, trials.X, y)
    expected = np.append(0.75 * np.maximum(0, 1 - (distances / 0.3) ** 2), 0.75)
    np.testing.assert_allclose(found, expected / expected.sum())
    assert distances[2] > 0.3
    assert found[2] == 0
    assert found[0] >= found[1] > 0


def test_before_there_is_a_pair_all_tasks_are_equally_near() -> None:
    sources = source_processes([bowl("a", 0.2), bowl("b", 0.4), bowl("c", 0.8)], 0)
    np.testing.assert_allclose(KernelWeights(0.3).weights(sources, None, np.zeros((1, 2)), np.zeros(1)), 0.25)


def test_variance_is_that_of_the_task_itself() -> None:
    assert KernelWeights(0.3).variance(np.array([0.5, 0.5]), np.array([[4.0], [1.0]])) == [1.0]


def test_it_begins_where_tasks_agree() -> None:
    tasks = [bowl(f"t{i}", 0.6, n=40, seed=i) for i in range(4)]
    assert replay(TwoStageTransfer().learn(tasks[1:], "s", 0), tasks[0], 1).regret[0] < 0.05
