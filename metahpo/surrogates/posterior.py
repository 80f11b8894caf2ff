"""What a surrogate believes about configurations: a mixture of Gaussians on the score scale of the loss.

Symbols: k components, m configurations; z the score: the normal quantile of a loss's rank among all configurations of
its task, so that 0 is the median configuration and lower is better, on every task alike (Salinas et al., ICML 2020).

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

#: What makes a normal density integrate to one: log sqrt(2 pi).
LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
#: Halvings of the bracket around a quantile: from a width of some tens of standard deviations to below 1e-9.
BISECTIONS = 40
#: Share of the mixture below a score, and above it, at least: beyond, its logarithm would be infinite.
TINY_SHARE = 1e-15


@dataclass(frozen=True)
class Posterior:
    """Mixture of k Gaussians for each of m configurations, on the score scale of the loss (lower is better).

    Attributes
    ----------
    weights : ndarray of shape (k,)
        Positive, sum to one.
    mean, std : ndarray of shape (k, m)
        Of the score that a trial would measure, under each component.
    incumbent : ndarray of shape (k,)
        Best (lowest) score observed, as each component places it on the scale; a bad one, where nothing has been
        observed.
    gap_std : ndarray of shape (k, m), default=None
        Standard deviation of the difference to the incumbent, without the noise of a trial, but with what is unknown
        of the incumbent's own place on the scale; None: that of the score.
    sharpness : float, default=1
        Calibration of cdf, quantiles and intervals, for tasks of which nothing was known when it was learnt: above 1
        they are narrower than the mixture's, below 1 wider. See :mod:`metahpo.surrogates.fitting.calibration`.
    """

    weights: Array
    mean: Array
    std: Array
    incumbent: Array
    gap_std: Array | None = None
    sharpness: float = 1.0

    def __post_init__(self) -> None:
        k, m = self.mean.shape
        stds = [self.std] if self.gap_std is None else [self.std, self.gap_std]
        if any(std.shape != (k, m) for std in stds) or self.weights.shape != (k,) or self.incumbent.shape != (k,):
            raise ValueError(
                f"a posterior of {k} components and {m} configurations needs std and gap_std of shape {(k, m)}, and "
                f"weights and incumbent of shape {(k,)}, but they are {[s.shape for s in stds]}, "
                f"{self.weights.shape}, {self.incumbent.shape}."
            )

    @own_arithmetic()
    def mixture_mean(self) -> Array:
        """Expected score, shape (m,)."""
        return self.weights @ self.mean

    @own_arithmetic()
    def mixture_std(self) -> Array:
        """Standard deviation of the score, shape (m,): within the components and between them."""
        spread = self.mean - self.mixture_mean()
        return np.sqrt(self._mix(self.std**2 + spread**2))

    @own_arithmetic()
    def cdf(self, z: float | Array) -> Array:
        """Probability that the score is at most `z` (a number, or one a configuration), shape (m,)."""
        return np.asarray(betainc(self.sharpness, self.sharpness, self._mixture_cdf(z)))

    @own_arithmetic()
    def log_density(self, z: float | Array) -> Array:
        """Logarithm of the density of the score at `z` (a number, or one a configuration), shape (m,).

        The derivative of :meth:`cdf`: the density of the mixture, times that of Beta(a, a) at the mixture's share.
        """
        gap = (np.asarray(z, dtype=np.float64) - self.mean) / self.std
        parts = -0.5 * gap * gap - np.log(self.std) - LOG_SQRT_2PI
        share = np.clip(self._mixture_cdf(z), TINY_SHARE, 1.0 - TINY_SHARE)
        bent = (self.sharpness - 1.0) * np.log(share * (1.0 - share)) - betaln(self.sharpness, self.sharpness)
        return np.asarray(logsumexp(parts, axis=0, b=self.weights[:, None]) + bent)

    @own_arithmetic()
    def quantile(self, q: float) -> Array:
        """Score that is not exceeded with probability `q` in (0, 1), shape (m,); by bisection."""
        if not 0.0 < q < 1.0:
            raise ValueError(f"a quantile needs a probability strictly between 0 and 1, but q is {q}.")
        share = betaincinv(self.sharpness, self.sharpness, q)
        low, high = (self.mean - 40.0 * self.std).min(axis=0), (self.mean + 40.0 * self.std).max(axis=0)
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            below = self._mixture_cdf(middle) < share
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray(0.5 * (low + high))

    @own_arithmetic()
    def expected_percentile(self) -> Array:
        """Expected share of configurations that this one is better than, in [0, 1], shape (m,).

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
