"""Expected improvement, the acquisition function that chooses the next configuration.

Symbols: k components, m configurations; s the standard deviation of the improvement on the incumbent, and
u = (incumbent - mean) / s the standardised improvement.

    EI(x) = sum_i w_i s_i(x) h(u_i(x)),        h(u) = phi(u) + u Phi(u)        (Jones et al. 1998, equation 15)

Where h underflows, for u below -38, its logarithm is taken without forming it (Ament et al., NeurIPS 2023, equation 9).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtr

from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.surrogates.posterior import LOG_SQRT_2PI, Posterior

Array = NDArray[np.float64]

SQRT_HALF, SQRT_HALF_PI = math.sqrt(0.5), math.sqrt(0.5 * math.pi)
#: Below this power of the least positive number, parts of an improvement may underflow.
UNDERFLOWS_BELOW = 2 / 3
#: Below this gap 1 + u Phi(u)/phi(u) cancels to rounding error; the first terms of its asymptotic series serve.
ASYMPTOTIC_BELOW = -1e3


class ExpectedImprovement:
    """Logarithm of the expected improvement; of that per second, where the seconds of trials are told.

    The default of :class:`metahpo.BayesianOptimizer`; an
    :class:`~metahpo.acquisition.function.AcquisitionFunction`.
    """

    def values(self, posterior: Posterior, log_seconds: Array | None = None) -> Array:
        """See :meth:`metahpo.acquisition.function.AcquisitionFunction.values`."""
        value = log_expected_improvement(posterior)
        return value if log_seconds is None else value - log_seconds

    def with_slope(self, posterior: Posterior) -> tuple[Array, Array, Array]:
        """Values of shape (m,), with their derivatives by the mean and by the standard deviation of each component.

        The derivatives are of shape (k, m). ``d EI / d mean = -w Phi(u)`` and ``d EI / d s = w phi(u)``.
        """
        value = log_expected_improvement(posterior)
        std = posterior.std if posterior.improvement_std is None else posterior.improvement_std
        u = (posterior.incumbent[:, None] - posterior.mean) / std
        with np.errstate(divide="ignore"):  # a component of weight zero contributes nothing
            log_share = np.log(posterior.weights)[:, None] - value
        return value, -np.exp(log_share + log_ndtr(u)), np.exp(log_share - 0.5 * u * u - LOG_SQRT_2PI)


@own_arithmetic()
def expected_improvement(posterior: Posterior) -> Array:
    """Expected improvement on the incumbent, shape (m,), in units of the z-score; the highest comes first."""
    return np.exp(log_expected_improvement(posterior))


@own_arithmetic()
def log_expected_improvement(posterior: Posterior) -> Array:
    """Logarithm of the expected improvement, shape (m,): always finite.

    It has the precision of the posterior, and double precision where improvements are tiny.
    """
    std = posterior.std if posterior.improvement_std is None else posterior.improvement_std
    # In place where possible, because new arrays take time.
    gap = posterior.incumbent[:, None].astype(std.dtype) - posterior.mean
    gap /= std
    # The functions of torch are as exact as those of SciPy and take a third of the time.
    above = torch.erfc(torch.from_numpy(-SQRT_HALF * gap)).numpy()
    above *= 0.5 * gap
    h = -0.5 * gap * gap
    h -= LOG_SQRT_2PI
    np.exp(h, out=h)
    h += above
    h *= std
    improvement = posterior.weights @ h.astype(np.float64)
    tiny = improvement < np.finfo(h.dtype).tiny ** UNDERFLOWS_BELOW
    value: Array = np.log(np.where(tiny, 1.0, improvement))
    if tiny.any():  # rare; the logarithms of all parts take twice as long
        with np.errstate(divide="ignore"):  # a component of weight zero contributes nothing
            log_weights = np.log(posterior.weights)[:, None]
        parts = log_weights + np.log(std[:, tiny]) + log_h(gap[:, tiny])
        value[tiny] = torch.logsumexp(torch.from_numpy(parts), 0).numpy()
    return value


def log_h(u: Array) -> Array:
    """Logarithm of ``h(u) = phi(u) + u Phi(u)`` for any u.

    Three ranges, each with the form that does not cancel there: above -1 as it stands; below, ``log phi(u) + log(1 -
    |u| sqrt(pi / 2) erfcx(|u| / sqrt 2))``; and, where that difference is lost to rounding, its limit ``1 / u^2``.
    """
    u = np.asarray(u, dtype=np.float64)
    value: Array = -0.5 * u * u - LOG_SQRT_2PI
    near = u > -1.0
    far = u < ASYMPTOTIC_BELOW
    middle = ~(near | far)
    value[near] = np.log(np.exp(value[near]) + u[near] * ndtr(u[near]))
    value[middle] += np.log1p(u[middle] * SQRT_HALF_PI * erfcx(-SQRT_HALF * u[middle]))
    value[far] -= 2.0 * np.log(-u[far])
    return value
