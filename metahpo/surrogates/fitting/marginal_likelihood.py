"""Marginal likelihood of a Gaussian process with a length scale for each column, and its gradient.

Symbols: n trials, d columns; theta = log (s, l_1 .. l_d, e), a = sqrt(5) |x / l - x' / l|.

    K = s C + e I + A + B,    C = (1 + a + a^2 / 3) exp(-a)                                          (Matern 5/2)
    -log p(y) = y' K^-1 y / 2 + log det K / 2 + n log(2 pi) / 2
    d(-log p) / d theta = sum(W * dK / d theta) / 2,        W = K^-1 - K^-1 y y' K^-1
    dC / d log l_j = (5 / 3) (1 + a) exp(-a) (x_j - x'_j)^2 / l_j^2

The gradient of all length scales is one matrix product. scikit-learn makes an array of shape (n, n, d) instead, which
takes most of the time of a suggestion in spaces of many hyperparameters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from scipy.spatial.distance import cdist

from metahpo.numerics.cholesky import factor, solve
from metahpo.surrogates.posterior import LOG_SQRT_2PI

Array = NDArray[np.float64]


class NegativeLogLikelihood:
    """Negative logarithm of the marginal likelihood of theta, and its gradient.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
    added : ndarray of shape (n,)
        Diagonal of A: variances of single losses beyond the noise e.
    shared : ndarray of shape (n, n), default=None
        B: covariances of the losses that come from elsewhere.
    """

    def __init__(self, X: Array, y: Array, added: Array, shared: Array | None = None) -> None:
        self._X, self._y, self._added, self._shared = X, y, added, shared
        self._diagonal, self._unit = np.diag_indices(len(y)), np.eye(len(y))

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """Value and gradient (2 + d,); infinite, and without a slope, where K is not positive definite."""
        variance, noise = np.exp(theta[0]), np.exp(theta[-1])
        scaled = self._X / np.exp(theta[1:-1])
        a = np.sqrt(5.0) * cdist(scaled, scaled)
        decay = np.exp(-a)
        C = (1.0 + a + a * a / 3.0) * decay
        n = len(self._y)
        K = variance * C
        K[self._diagonal] += noise + self._added
        if self._shared is not None:
            K += self._shared
        try:
            L = factor(K)
        except LinAlgError:
            return np.inf, np.zeros_like(theta)
        solved = solve(L, self._y)
        value = 0.5 * float(self._y @ solved) + float(np.log(L[self._diagonal]).sum()) + n * LOG_SQRT_2PI
        W = solve(L, self._unit) - np.outer(solved, solved)
        slope = W * (variance * 5.0 / 3.0) * (1.0 + a) * decay
        # sum_ab G_ab (u_a - u_b)^2 = 2 sum_a u_a (u_a sum_b G_ab - (G u)_a) for a symmetric G
        of_scales = (scaled * (scaled * slope.sum(1)[:, None] - slope @ scaled)).sum(0)
        of_variance, of_noise = 0.5 * variance * (W * C).sum(), 0.5 * noise * np.trace(W)
        return value, np.concatenate([[of_variance], of_scales, [of_noise]])
