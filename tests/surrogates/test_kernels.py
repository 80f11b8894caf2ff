"""Kernels against an independent implementation, and as covariances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.gaussian_process.kernels import Matern

from metahpo.surrogates.mixture.source_functions import TYPICAL_SCALE, ZScoreKernel, mapped_correlations, matern52


def test_matern_is_the_one_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((7, 3)), rng.random((5, 3))
    ours = matern52(torch.tensor(a), torch.tensor(b)).numpy()
    np.testing.assert_allclose(ours, Matern(length_scale=1.0, nu=2.5)(a, b), atol=1e-6)


def test_matern_of_a_batch_is_that_of_each_task() -> None:
    X = torch.rand(4, 6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    batch = matern52(X, X)
    for i in range(4):
        torch.testing.assert_close(batch[i], matern52(X[i], X[i]))


def test_gradients_are_finite_where_configurations_coincide() -> None:
    X = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    torch.autograd.backward(matern52(X, X).sum())
    assert X.grad is not None
    assert torch.isfinite(X.grad).all()


def test_the_kernel_is_a_covariance() -> None:
    kernel = ZScoreKernel(4).double()
    X = torch.rand(40, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    place = kernel.locate(X)
    K = kernel(place, place).detach()
    torch.testing.assert_close(K, K.T)
    assert torch.linalg.eigvalsh(K).min() > -1e-6
    torch.testing.assert_close(K.diagonal(), kernel.variance().detach().expand(40), atol=1e-6, rtol=0)


@pytest.mark.parametrize("n_columns", [1, 5, 100])
def test_maps_start_at_distances_of_typical_length_scales(n_columns: int) -> None:
    kernel = ZScoreKernel(n_columns).double()
    apart = torch.zeros(2, n_columns, dtype=torch.float64)
    apart[1] = TYPICAL_SCALE  # half of the diagonal
    place = kernel.locate(apart)
    typical = float(matern52(torch.zeros(1, 1), torch.ones(1, 1)))
    assert float(mapped_correlations(place, place)[0, 1].detach()) == pytest.approx(typical, abs=0.25)
    assert float(matern52(place.plain, place.plain)[0, 1].detach()) == pytest.approx(typical)
