"""Factors by LAPACK are those of scipy, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import LinAlgError, cho_solve, cholesky

from metahpo.numerics.cholesky import factor, solve


@pytest.mark.parametrize("n", [1, 2, 17])
def test_factor_and_solution_are_those_of_scipy(n: int) -> None:
    A = np.random.default_rng(n).standard_normal((n, n + 3))
    K, y = A @ A.T, A[:, 0].copy()
    L = factor(K)
    np.testing.assert_array_equal(L, cholesky(K, lower=True))
    np.testing.assert_array_equal(solve(L, y), cho_solve((L, True), y))
    np.testing.assert_array_equal(solve(L, np.eye(n)), cho_solve((L, True), np.eye(n)))
    assert K[0, 0] == (A @ A.T)[0, 0]  # the matrix itself is not changed


@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan, np.inf])
def test_what_is_not_positive_definite_is_refused(bad: float) -> None:
    with pytest.raises(LinAlgError, match="positive definite"):
        factor(np.diag([1.0, bad, 1.0]))
