"""The marginal likelihood of a cold start's process: scikit-learn's value and gradient, for any theta."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from metahpo.surrogates.fitting.marginal_likelihood import NegativeLogLikelihood


@pytest.mark.parametrize("seed", range(5))
def test_value_and_gradient_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, d = 12, 5
    X, y, added = rng.random((n, d)), rng.standard_normal(n), rng.uniform(1e-10, 0.1, n)
    X[3] = X[4]  # a repeated trial
    kernel = ConstantKernel(1.0) * Matern(np.ones(d), nu=2.5) + WhiteKernel(1.0)
    process = GaussianProcessRegressor(kernel, alpha=added, optimizer=None).fit(X, y)
    theta = rng.normal(-0.5, 1.0, d + 2)
    value, gradient = process.log_marginal_likelihood(theta, eval_gradient=True)
    found, slope = NegativeLogLikelihood(X, y, added)(theta)
    assert found == pytest.approx(-value, rel=1e-10)
    np.testing.assert_allclose(slope, -gradient, rtol=1e-8, atol=1e-10)


def test_a_singular_covariance_is_infinitely_unlikely() -> None:
    X, y = np.zeros((3, 2)), np.array([0.0, 1.0, 2.0])
    value, slope = NegativeLogLikelihood(X, y, np.zeros(3))(np.array([0.0, 0.0, 0.0, -800.0]))
    assert value == np.inf
    assert (slope == 0.0).all()
