"""The surrogate without meta-data: a Gaussian process on the trials of one task.

Symbols: n trials, m configurations, d columns; y standardised losses of the trials; theta log hyperparameters.

    k(x, x') = s Matern52(x, x'; l_1 .. l_d) + e 1[x = x']        theta = log (s, l_1 .. l_d, e)
    theta    = argmax  log p(y | X, theta) + log p(theta)         a handful of trials leaves d lengthscales undetermined
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.surrogates.fitting.marginal_likelihood import NegativeLogLikelihood
from metahpo.surrogates.loss_spread import failed_as_worse, power_of_two, spread_of
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.surrogate import checked_noise

#: Wide bounds of s, l and e: the prior keeps theta away from them.
BOUNDS = (1e-7, 1e7)
#: Normal priors of log s, log l (around log of half the cube's diagonal) and log e: standard deviations.
PRIOR_STD = (1.5, 0.9, 2.0)
NOISE_MODE = 0.01
#: Iterations of the optimiser in a first fit, and in later ones: those start at the previous optimum, which one more
#: trial moves little, and the next one goes on where they end.
MAX_ITERATIONS, MAX_REFIT_ITERATIONS = 25, 10
#: Added to the diagonal of the kernel, as scikit-learn does.
JITTER = 1e-10

Objective = Callable[..., tuple[float, NDArray[np.float64]]]


class GaussianProcessSurrogate:
    """Gaussian process fitted to the trials of one task.

    Before two different losses are observed, it predicts the same for all configurations. It keeps its hyperparameters
    as the start of the next fit. It also keeps the latest fit, so that predictions for the same trials do not fit
    again.
    """

    def __init__(self) -> None:
        #: Log hyperparameters of the latest fit, at which the next one starts; None before the first.
        self.hyperparameters: NDArray[np.float64] | None = None
        self._fitted: tuple[bytes, GaussianProcessRegressor] | None = None

    @own_arithmetic()
    def posterior(
        self,
        configurations: NDArray[np.float64],
        observed: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
        noise: NDArray[np.float64] | None = None,
    ) -> Posterior:
        """Posterior of the standardised losses of `configurations`; see the contract of surrogates.

        Parameters
        ----------
        configurations : ndarray of shape (m, d)
            Rows of the unit cube.
        observed : pair of ndarrays of shapes (n, d) and (n,), default=None
            Trials so far and their losses; NaN = failed.
        noise : ndarray of shape (n,), default=None
            Standard deviations of losses that are predictions, 0 for measured ones; see the contract.
        """
        y = None if observed is None else standardised(observed[1])
        if noise is not None and observed is not None:
            noise = checked_noise(noise, len(observed[1]))
        m = len(configurations)
        if observed is None or y is None:
            return Posterior(np.ones(1), np.zeros((1, m)), np.ones((1, m)), np.zeros(1))
        extra = np.zeros(len(y)) if noise is None else noise / spread_of(failed_as_worse(observed[1], 1.0))
        process = self.fit(np.asarray(observed[0], dtype=np.float64), y, extra)
        mean, std = process.predict(configurations, return_std=True)
        lowest = y[extra == 0.0].min() if (extra == 0.0).any() else y.min()
        # Predictions contain the noise. Improvement is that of the function.
        variance = np.maximum(std**2 - np.exp(process.kernel_.theta[-1]), 1e-12)
        return Posterior(np.ones(1), mean[None], np.sqrt(variance)[None], np.array([lowest]))

    @own_arithmetic()
    def fit(
        self, X: NDArray[np.float64], y: NDArray[np.float64], extra: NDArray[np.float64] | None = None
    ) -> GaussianProcessRegressor:
        """Process fitted to configurations (n, d) and standardised losses (n,); its last theta is that of the noise.

        `extra` (n,) are standard deviations of single losses beyond that.
        """
        extra = np.zeros(len(y)) if extra is None else extra
        seen = X.tobytes() + y.tobytes() + extra.tobytes()
        if self._fitted is not None and self._fitted[0] == seen:
            return self._fitted[1]
        d = X.shape[1]
        prior_mean = np.log([1.0, *[0.5 * np.sqrt(d)] * d, NOISE_MODE])
        prior_std = np.array([PRIOR_STD[0], *[PRIOR_STD[1]] * d, PRIOR_STD[2]])
        start = prior_mean if self.hyperparameters is None else self.hyperparameters
        kernel = ConstantKernel(1.0, BOUNDS) * Matern(np.ones(d), BOUNDS, nu=2.5) + WhiteKernel(1.0, BOUNDS)
        n_iterations = MAX_ITERATIONS if self.hyperparameters is None else MAX_REFIT_ITERATIONS
        optimise, added = MaximumAPosteriori(prior_mean, prior_std, n_iterations), JITTER + extra**2
        theta, _ = optimise(NegativeLogLikelihood(X, y, added), start, kernel.bounds)
        process = GaussianProcessRegressor(kernel.clone_with_theta(theta), alpha=added, optimizer=None).fit(X, y)
        self.hyperparameters = process.kernel_.theta
        self._fitted = (seen, process)
        return process


@dataclass(frozen=True)
class MaximumAPosteriori:
    """Optimiser of theta: it adds a normal prior of theta to the likelihood that it is given.

    Attributes
    ----------
    prior_mean, prior_std : ndarray of shape (2 + d,)
    max_iterations : int
    """

    prior_mean: NDArray[np.float64]
    prior_std: NDArray[np.float64]
    max_iterations: int = MAX_ITERATIONS

    def __call__(
        self, negative_log_likelihood: Objective, start: NDArray[np.float64], bounds: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float]:
        """Theta of the highest posterior density found, and its negative logarithm."""

        def negative_log_posterior(theta: NDArray[np.float64], /) -> tuple[float, NDArray[np.float64]]:
            value, gradient = negative_log_likelihood(theta)
            deviation = (theta - self.prior_mean) / self.prior_std
            return value + 0.5 * float(deviation @ deviation), gradient + deviation / self.prior_std

        found = minimize(
            negative_log_posterior,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=Bounds(*bounds.T),
            options={"maxiter": self.max_iterations},
        )
        return found.x, float(found.fun)


def standardised(loss: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Losses with mean 0 and variance 1. A failed trial is worse than all others. None if all losses are equal."""
    filled = failed_as_worse(loss, typical_spread=1.0)
    spread = spread_of(filled)
    unit = power_of_two(filled)
    return (filled / unit - (filled / unit).mean()) / (spread / unit) if spread > 0.0 else None
