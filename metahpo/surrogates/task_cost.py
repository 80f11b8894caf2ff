"""The cost model of one task, which corrects expected seconds by the seconds of its trials.

Symbols: n trials, m configurations, d columns; s seconds; f(x) what is expected of log s before any trial.

    log s(x) = f(x) + c + g(x) + e,        c ~ N(0, 10^2),    g ~ GP(0, v Matern52),    e ~ N(0, 0.2^2)

A Gaussian process in closed form, nothing to be fitted. c is left free: the machine may be of any speed, and what is
timed may be a fold or a whole cross-validation; a constant factor of the seconds does not change which configuration is
the cheaper one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from metahpo.space.mapping import SpaceMapping

Array = NDArray[np.float64]

#: Standard deviations of c and of e, and of g where nothing is known of other tasks.
SHIFT, NOISE, UNKNOWN = 10.0, 0.2, 1.5
#: Least standard deviation of g.
MIN_DEVIATION = 0.1


def _nothing_known(rows: Array) -> Array:
    return np.zeros(len(rows))


@dataclass(frozen=True)
class _Mapped:
    """Log seconds of the rows of a space that overlaps with a known one."""

    expected: Callable[[Array], Array]
    mapping: SpaceMapping

    def __call__(self, rows: Array) -> Array:
        return self.expected(self.mapping.rows(rows))


@dataclass(frozen=True)
class TaskCost:
    """Predicts the logarithm of the seconds of a trial.

    Attributes
    ----------
    expected : callable
        f: encoded configurations of shape (m, d) -> log seconds of shape (m,). By default the same of all.
    deviation : float, default=1.5
        Standard deviation of g.
    """

    expected: Callable[[Array], Array] = _nothing_known
    deviation: float = UNKNOWN

    def in_space(self, mapping: SpaceMapping) -> TaskCost:
        """The same for the user's space of a mapping; less is known where the space has other hyperparameters, too."""
        deviation = max(self.deviation, UNKNOWN) if mapping.unknown else self.deviation
        return TaskCost(_Mapped(self.expected, mapping), deviation)

    def log_seconds(self, rows: Array, tried: Array, seconds: Array) -> Array:
        """Expected logarithm of the seconds of configurations.

        Parameters
        ----------
        rows : ndarray of shape (m, d)
        tried : ndarray of shape (n, d)
            Configurations of the trials so far.
        seconds : ndarray of shape (n,)
            What they took; NaN where that is not known.
        """
        expected = self.expected(rows)
        known = np.isfinite(seconds)
        if not known.any():
            return expected
        tried, unexplained = tried[known], np.log(seconds[known]) - self.expected(tried[known])
        typical = 0.5 * np.sqrt(rows.shape[1])
        variance = max(self.deviation, MIN_DEVIATION) ** 2
        kernel = ConstantKernel(SHIFT**2) + ConstantKernel(variance) * Matern(typical, nu=2.5)
        process = GaussianProcessRegressor(kernel, alpha=NOISE**2, optimizer=None).fit(tried, unexplained)
        return np.asarray(expected + process.predict(rows), dtype=np.float64)
