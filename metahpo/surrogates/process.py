"""A Gaussian process given the trials of one task, differentiable in the configuration.

Symbols: n trials X with values y, p configurations under way P, m configurations x; theta = log (s, l_1 .. l_d, e), and
A the variances of single values beyond the noise e.

    k(x, x') = s (1 + a + a^2 / 3) exp(-a),        a = sqrt(5) |x / l - x' / l|                         (Matern 5/2)
    mean(x)  = k(x, X) (K + e I + A)^-1 y
    var(x)   = s - k(x, Z) (K_Z + e I + A)^-1 k(Z, x),        Z = X and P

A configuration under way takes the variance away that its value will, and moves no mean: it counts as one whose value
is the mean (Ginsbourger et al. 2010, the "kriging believer").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.spatial.distance import cdist

Array = NDArray[np.float64]

SQRT_5 = float(np.sqrt(5.0))
#: Least variance, relative to s.
LEAST_VARIANCE = 1e-10


@dataclass(frozen=True, eq=False)
class Process:
    """A Gaussian process on one task.

    Attributes
    ----------
    variance : float
        s.
    scales : ndarray of shape (d,)
        l.
    Z : ndarray of shape (n + p, d)
        Trials, then configurations under way, each divided by the scales.
    weights : ndarray of shape (n + p,)
        ``(K + e I + A)^-1 y``, and zeros for what is under way.
    inverse : ndarray of shape (n + p, n + p)
        ``(K_Z + e I + A)^-1``.
    """

    variance: float
    scales: Array
    Z: Array
    weights: Array
    inverse: Array

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the function, without noise, at rows (m, d): each of shape (m,)."""
        k = self._kernel(rows / self.scales)[0]
        left = self.variance - np.einsum("ij,ij->i", k @ self.inverse, k)
        return k @ self.weights, np.sqrt(np.maximum(left, LEAST_VARIANCE * self.variance))

    def predict_with_slope(self, rows: Array) -> tuple[Array, Array, Array, Array]:
        """Mean and standard deviation at rows (m, d), and their gradients with respect to each row, of shape (m, d)."""
        scaled = rows / self.scales
        k, slope = self._kernel(scaled)
        solved = k @ self.inverse
        std = np.sqrt(np.maximum(self.variance - np.einsum("ij,ij->i", solved, k), LEAST_VARIANCE * self.variance))
        # d k_i / d x = -slope_i (x - z_i) / l^2, and d var = -2 (inverse k)' d k
        of_mean, of_std = slope * self.weights, -slope * solved / std[:, None]
        gradients = [(each @ self.Z - each.sum(axis=1)[:, None] * scaled) / self.scales for each in (of_mean, of_std)]
        return k @ self.weights, std, gradients[0], gradients[1]

    def _kernel(self, scaled: Array) -> tuple[Array, Array]:
        """Covariances with Z, and their slopes by half the squared distance, both of shape (m, n + p)."""
        a = SQRT_5 * cdist(scaled, self.Z)
        decay = self.variance * np.exp(-a)
        return (1.0 + a + a * a / 3.0) * decay, (5.0 / 3.0) * (1.0 + a) * decay


def matern(scaled: Array, others: Array) -> Array:
    """Correlations (m, n) of rows that were divided by the length scales."""
    a = SQRT_5 * cdist(scaled, others)
    correlations: Array = (1.0 + a + a * a / 3.0) * np.exp(-a)
    return correlations


def process_of(theta: Array, X: Array, y: Array, added: Array, under_way: Array) -> Process:
    """Condition a process with the hyperparameters theta (d + 2,).

    Parameters
    ----------
    theta : ndarray of shape (d + 2,)
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
    added : ndarray of shape (n,)
        Variances of single values beyond the noise.
    under_way : ndarray of shape (p, d)

    Raises
    ------
    scipy.linalg.LinAlgError
        The covariance is not positive definite.
    """
    variance, scales, noise = float(np.exp(theta[0])), np.exp(theta[1:-1]), float(np.exp(theta[-1]))
    Z = np.concatenate([X, under_way]) / scales
    n, total = len(X), len(X) + len(under_way)
    K = variance * matern(Z, Z)
    K[np.diag_indices(total)] += noise + np.concatenate([added, np.full(total - n, LEAST_VARIANCE * variance)])
    L = cholesky(K, lower=True)
    weights = np.zeros(total)
    # The factor of the trials alone is the first block of that of all.
    weights[:n] = solve_triangular(L[:n, :n], solve_triangular(L[:n, :n], y, lower=True), lower=True, trans="T")
    return Process(variance, scales, Z, weights, cho_solve((L, True), np.eye(total)))
