"""The posterior of configurations, a mixture of Gaussians on the scale of copula z-scores.

Symbols: k components, m configurations; z the copula z-score of a loss, or z-score for short. It is the normal quantile
of the rank of the loss among all configurations of its task (Salinas et al., ICML 2020). On every task, 0 is the median
configuration and lower is better.

    p(z | x) = sum_i w_i N(z; mean_i(x), std_i(x)^2)                 "better than p of the configurations":  p = Phi(-z)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, betaln, logsumexp, ndtr

from metahpo.numerics.arithmetic import own_arithmetic

Array = NDArray[np.float64]

#: Normalising constant of the normal density, log sqrt(2 pi).
LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
#: Halvings of the bracket around a quantile: from a width of some tens of standard deviations to below 1e-9.
BISECTIONS = 40
#: Bound of the probabilities below and above a z-score. It keeps their logarithms finite.
TINY_SHARE = 1e-15


@dataclass(frozen=True)
class Posterior:
    """Mixture of k Gaussians for each of m configurations, on the scale of z-scores (lower is better).

    Attributes
    ----------
    weights : ndarray of shape (k,)
        Positive, sum to one.
    mean, std : ndarray of shape (k, m)
        Mean and standard deviation of the z-score that a trial would measure, under each component.
    incumbent : ndarray of shape (k,)
        Best (lowest) observed z-score, as estimated by each component. Before any trial it is a bad z-score.
    improvement_std : ndarray of shape (k, m), default=None
        Standard deviation of the difference to the incumbent. It excludes the noise of a trial and includes the
        uncertainty of the incumbent. None takes `std`.
    calibration : float, default=1
        Parameter a of a Beta(a, a) recalibration of cdf, quantiles and intervals. Above 1, intervals are narrower than
        those of the mixture; below 1, they are wider. See :mod:`metahpo.surrogates.mixture.meta_learned`.
    """

    weights: Array
    mean: Array
    std: Array
    incumbent: Array
    improvement_std: Array | None = None
    calibration: float = 1.0

    def __post_init__(self) -> None:
        k, m = self.mean.shape
        stds = [self.std] if self.improvement_std is None else [self.std, self.improvement_std]
        if any(std.shape != (k, m) for std in stds) or self.weights.shape != (k,) or self.incumbent.shape != (k,):
            raise ValueError(
                f"a posterior of {k} components and {m} configurations needs std and improvement_std of shape "
                f"{(k, m)}, and weights and incumbent of shape {(k,)}, but they are {[s.shape for s in stds]}, "
                f"{self.weights.shape}, {self.incumbent.shape}."
            )

    @own_arithmetic()
    def mixture_mean(self) -> Array:
        """Expected z-score, shape (m,)."""
        return self.weights @ self.mean

    @own_arithmetic()
    def mixture_std(self) -> Array:
        """Standard deviation of the z-score, within and between components, shape (m,)."""
        spread = self.mean - self.mixture_mean()
        return np.sqrt(self._mix(self.std**2 + spread**2))

    @own_arithmetic()
    def cdf(self, z: float | Array) -> Array:
        """Probability that the z-score is at most `z` (a number, or one a configuration), shape (m,)."""
        return np.asarray(betainc(self.calibration, self.calibration, self._mixture_cdf(z)))

    @own_arithmetic()
    def log_density(self, z: float | Array) -> Array:
        """Logarithm of the density of the z-score at `z` (a number, or one a configuration), shape (m,).

        It is the derivative of :meth:`cdf`: the density of the mixture, times the density of Beta(a, a) at the cdf of
        the mixture.
        """
        gap = (np.asarray(z, dtype=np.float64) - self.mean) / self.std
        parts = -0.5 * gap * gap - np.log(self.std) - LOG_SQRT_2PI
        share = np.clip(self._mixture_cdf(z), TINY_SHARE, 1.0 - TINY_SHARE)
        bent = (self.calibration - 1.0) * np.log(share * (1.0 - share)) - betaln(self.calibration, self.calibration)
        return np.asarray(logsumexp(parts, axis=0, b=self.weights[:, None]) + bent)

    @own_arithmetic()
    def quantile(self, q: float) -> Array:
        """Quantile of the z-score for probability `q` in (0, 1), shape (m,). It is found by bisection."""
        if not 0.0 < q < 1.0:
            raise ValueError(f"a quantile needs a probability strictly between 0 and 1, but q is {q}.")
        share = betaincinv(self.calibration, self.calibration, q)
        low, high = (self.mean - 40.0 * self.std).min(axis=0), (self.mean + 40.0 * self.std).max(axis=0)
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            below = self._mixture_cdf(middle) < share
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray(0.5 * (low + high))

    @own_arithmetic()
    def expected_percentile(self) -> Array:
        """Expected share of all configurations that are worse than this one, in [0, 1], shape (m,).

        The expectation of ``Phi(-z)``, in closed form: ``Phi(-mean / sqrt(1 + std^2))`` for a Gaussian.
        """
        return self._mix(ndtr(-self.mean / np.sqrt(1.0 + self.std**2)))

    @own_arithmetic()
    def percentile_interval(self, level: float) -> tuple[Array, Array]:
        """Lower and upper bound, shapes (m,), of the central interval that holds the percentile with chance `level`."""
        tail = 0.5 * (1.0 - level)
        return ndtr(-self.quantile(1.0 - tail)), ndtr(-self.quantile(tail))

    def _mixture_cdf(self, z: float | Array) -> Array:
        return self._mix(ndtr((np.asarray(z, dtype=np.float64) - self.mean) / self.std))

    def _mix(self, values: Array) -> Array:
        """Weighted mean over components, (k, m) -> (m,)."""
        return np.asarray(self.weights @ values, dtype=np.float64)
