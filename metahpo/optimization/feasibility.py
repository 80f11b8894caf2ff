"""The probability that a configuration holds a constraint on its outcome.

Symbols: c values of a constraint, at most 0 where it holds; m and s the mean and the standard deviation of its process.

    P(x holds it) = Phi(-m(x) / s(x))
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from metahpo.surrogates.cold_surrogate import JITTER, fitted_theta
from metahpo.surrogates.posterior import LOG_SQRT_2PI
from metahpo.surrogates.process import Process, process_of

Array = NDArray[np.float64]


def constraint_processes(rows: Array, constraints: Array) -> list[Process]:
    """Fit a process to each constraint.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
    constraints : ndarray of shape (n, c)
        NaN where a trial does not tell.
    """
    found = []
    for values in constraints.T:
        told = np.isfinite(values)
        if told.any():
            X, y = np.ascontiguousarray(rows[told]), _bounded(values[told])
            added = np.full(len(y), JITTER)
            found.append(process_of(fitted_theta(X, y, added), X, y, added, np.empty((0, X.shape[1]))))
    return found


def _bounded(values: Array) -> Array:
    """Values of a constraint on a scale on which large ones do not hide the others; 0 stays 0."""
    size = float(np.median(np.abs(values))) or float(np.abs(values).max()) or 1.0
    with np.errstate(over="ignore"):
        bent = np.arcsinh(np.clip(values / size, -1e100, 1e100))
    return np.asarray(bent / (float(np.sqrt(np.mean(bent**2))) or 1.0))


def log_feasible(constraint: Process, rows: Array) -> Array:
    """Logarithm of the probability that each of rows (m, d) holds a constraint, shape (m,)."""
    mean, std = constraint.predict(rows)
    return np.asarray(log_ndtr(-mean / std))


def log_feasible_with_slope(constraint: Process, rows: Array) -> tuple[Array, Array]:
    """The same, and its gradients (m, d)."""
    mean, std, mean_slope, std_slope = constraint.predict_with_slope(rows)
    z = -mean / std
    value = np.asarray(log_ndtr(z))
    ratio = np.exp(-0.5 * z * z - LOG_SQRT_2PI - value) / std
    return value, -ratio[:, None] * (mean_slope + z[:, None] * std_slope)
