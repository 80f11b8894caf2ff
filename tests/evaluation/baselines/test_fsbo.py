from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from metahpo.evaluation.baselines.fsbo import (
    MIN_NOISE,
    MIN_WIDTH,
    DeepKernelProcess,
    FewShotDeepKernel,
    randomly_scaled,
)
from metahpo.evaluation.baselines.meta_training import unit_range
from metahpo.evaluation.replay import replay
from metahpo.surrogates.mixture.source_functions import matern52
from tests.evaluation.bowls import bowl


@pytest.fixture(scope="module")
def process() -> DeepKernelProcess:
    torch.manual_seed(0)
    return DeepKernelProcess(3).double().requires_grad_(False)


def dense_covariance(process: DeepKernelProcess, X: torch.Tensor) -> np.ndarray:
    features = process.network(X) / process.log_scale.exp()
    return np.asarray((process.log_variance.exp() * matern52(features, features)).numpy())


def test_likelihood_is_that_of_a_dense_reference(process: DeepKernelProcess) -> None:
    rng = np.random.default_rng(0)
    X, y = torch.tensor(rng.random((2, 12, 3))), torch.tensor(rng.random((2, 12)))
    found = process.negative_log_likelihood(X, y)
    noise = float(process.log_noise.exp()) + MIN_NOISE
    for i in range(2):
        covariance = dense_covariance(process, X[i]) + noise * np.eye(12)
        reference = multivariate_normal(np.full(12, float(process.mean)), covariance).logpdf(y[i].numpy())
        assert float(found[i]) == pytest.approx(-reference)


def test_prediction_is_that_of_a_dense_reference(process: DeepKernelProcess) -> None:
    rng = np.random.default_rng(1)
    X, y, at = torch.tensor(rng.random((9, 3))), torch.tensor(rng.random(9)), torch.tensor(rng.random((4, 3)))
    K = dense_covariance(process, torch.cat([X, at]))
    K_XX = K[:9, :9] + (float(process.log_noise.exp()) + MIN_NOISE) * np.eye(9)
    mean, std = process.predict(X, y, at)
    c = float(process.mean)
    np.testing.assert_allclose(mean, c + K[9:, :9] @ np.linalg.solve(K_XX, y.numpy() - c), atol=1e-9)
    variance = np.diag(K[9:, 9:] - K[9:, :9] @ np.linalg.solve(K_XX, K[:9, 9:]))
    np.testing.assert_allclose(std.numpy() ** 2, variance, atol=1e-9)


def test_random_bounds_scale_without_changing_the_order() -> None:
    loss = torch.tensor(np.random.default_rng(0).random((50, 7)) * 40.0 - 20.0)
    scaled = randomly_scaled(loss, torch.Generator().manual_seed(0))
    assert torch.equal(scaled.argsort(-1), loss.argsort(-1))
    widths = scaled.amax(-1) - scaled.amin(-1)
    assert bool((widths >= 1 - 1e-9).all())
    assert bool((widths <= 1 / MIN_WIDTH + 1e-9).all())


def test_unit_range_puts_failed_trials_last() -> None:
    assert unit_range(np.array([3.0, 1.0])).tolist() == [1.0, 0.0]
    scaled = unit_range(np.array([3.0, np.nan, 1.0]))
    assert scaled.argmax() == 1
    assert scaled.min() == 0
    assert unit_range(np.array([2.0, 2.0])).tolist() == [0.0, 0.0]


def test_meta_training_finds_the_minimum_of_a_new_task_sooner() -> None:
    tasks = [bowl(f"t{i}", c, n=60, seed=i) for i, c in enumerate((0.2, 0.35, 0.5, 0.65, 0.8))]
    method = FewShotDeepKernel(n_initial=3, meta_steps=150, fine_steps=10)
    regret = replay(method.learn(tasks, "s", 0), bowl("new", 0.42, n=120, seed=9), 10).regret
    assert regret[-1] < 0.01


def test_training_leaves_the_random_state_alone_and_is_reproducible() -> None:
    tasks, method = [bowl("a", 0.2), bowl("b", 0.6)], FewShotDeepKernel(meta_steps=3)
    before = torch.random.get_rng_state()
    once, again = (method.learn(tasks, "s", 4).process.state_dict() for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(once[name], again[name]) for name in once)
