"""The surrogate of a search without experience: a Gaussian process on the trials of the task.

Symbols: n trials, d columns; y the losses on the scale chosen by :mod:`metahpo.surrogates.loss_warping`; theta as in
:mod:`metahpo.surrogates.process`.

    theta = argmax  log p(y | X, theta) + log p(theta)

The priors say what a handful of trials cannot: a length scale grows with the diagonal of the cube (Hvarfner, Hellsten
and Nardi, ICML 2024), and the noise is small, but may be as small as it likes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky
from scipy.optimize import Bounds, minimize
from scipy.spatial.distance import cdist

from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.surrogates.fitting.marginal_likelihood import NegativeLogLikelihood
from metahpo.surrogates.loss_spread import failed_as_worse, spread_of
from metahpo.surrogates.loss_warping import BENDS, warped
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.process import SQRT_5, Process, process_of
from metahpo.surrogates.surrogate import checked_noise

Array = NDArray[np.float64]

#: Normal priors of log s and log l: modes (l: in units of sqrt(d)) and standard deviations.
SCALE_MODE, SCALE_STD = 1.0, 1.0
LENGTH_MODE, LENGTH_STD = 0.5, 1.0
#: Gamma prior of the noise e, by its density: almost flat below 1 / `NOISE_RATE`.
NOISE_SHAPE, NOISE_RATE = 1.1, 30.0
NOISE_START = 1e-3
#: Bounds of s, l and e.
SCALE_BOUNDS, LENGTH_BOUNDS, NOISE_BOUNDS = (1e-2, 1e3), (1e-2, 1e3), (1e-6, 1.0)
#: Iterations of a fit: of the first ones, and of those that start at the fit before.
MAX_ITERATIONS, MAX_ITERATIONS_AGAIN = 40, 15
#: Up to so many trials every fit also starts at the modes of the priors.
FEW_TRIALS = 20
JITTER = 1e-10


class ColdSurrogate:
    """Gaussian process on the trials of one task; a :class:`~metahpo.surrogates.surrogate.TaskSurrogate`.

    Before two different losses are observed, it predicts the same for all configurations.
    """

    def __init__(self) -> None:
        #: Log hyperparameters of the latest fit, at which the next one starts; None before the first.
        self.hyperparameters: Array | None = None
        self._fitted: tuple[bytes, tuple[Process, float] | None] | None = None

    @own_arithmetic()
    def posterior(
        self,
        configurations: Array,
        observed: tuple[Array, Array] | None = None,
        noise: Array | None = None,
        under_way: Array | None = None,
    ) -> Posterior:
        """Posterior of the losses of `configurations`, on a scale of its own; see the contract of surrogates.

        Parameters
        ----------
        configurations : ndarray of shape (m, d)
            Rows of the unit cube.
        observed : pair of ndarrays of shapes (n, d) and (n,), default=None
            Trials so far and their losses; NaN = failed.
        noise : ndarray of shape (n,), default=None
            Standard deviations of losses that are predictions, 0 for measured ones; see the contract.
        under_way : ndarray of shape (p, d), default=None
            Configurations whose losses are still to come: little is left to learn near them.
        """
        fitted = self.process(observed, noise, under_way)
        m = len(configurations)
        if fitted is None:
            return Posterior(np.ones(1), np.zeros((1, m)), np.ones((1, m)), np.zeros(1))
        process, incumbent = fitted
        mean, std = process.predict(np.asarray(configurations, dtype=np.float64))
        return Posterior(np.ones(1), mean[None], std[None], np.array([incumbent]))

    @own_arithmetic()
    def process(
        self,
        observed: tuple[Array, Array] | None,
        noise: Array | None = None,
        under_way: Array | None = None,
    ) -> tuple[Process, float] | None:
        """The process that :meth:`posterior` predicts with, and the incumbent on its scale; None: nothing is known.

        The incumbent is the lowest mean at a measured trial: a noisy loss may be the lowest by luck.
        """
        if observed is None or not len(observed[1]):
            return None
        X, losses = np.ascontiguousarray(observed[0], dtype=np.float64), np.asarray(observed[1], dtype=np.float64)
        extra = np.zeros(len(losses)) if noise is None else checked_noise(noise, len(losses))
        away = np.empty((0, X.shape[1])) if under_way is None else np.asarray(under_way, dtype=np.float64)
        seen = b"".join(part.tobytes() for part in (X, losses, extra, away))
        if self._fitted is None or self._fitted[0] != seen:
            self._fitted = (seen, self._fit(X, losses, extra, away))
        return self._fitted[1]

    def _fit(self, X: Array, losses: Array, extra: Array, under_way: Array) -> tuple[Process, float] | None:
        filled = failed_as_worse(losses, typical_spread=1.0)
        spread = spread_of(filled)
        if spread == 0.0:
            return None
        d = X.shape[1]
        modes = _modes(d)
        started = self.hyperparameters is not None and len(self.hyperparameters) == d + 2
        start = self.hyperparameters if started and self.hyperparameters is not None else modes
        starts = [start, modes] if started and len(losses) <= FEW_TRIALS else [start]
        best: tuple[float, Array, Array, Array] | None = None
        for begin in starts:
            bend = _likeliest_bend(begin, X, filled, extra / spread)
            y, log_jacobian, slopes = warped(filled, bend)
            added = JITTER + (extra / spread * slopes) ** 2
            iterations = MAX_ITERATIONS_AGAIN if started and begin is start else MAX_ITERATIONS
            theta, value = _most_probable(NegativeLogLikelihood(X, y, added), begin, iterations)
            if best is None or value - log_jacobian < best[0]:
                best = (value - log_jacobian, theta, y, added)
        assert best is not None
        _, theta, y, added = best
        self.hyperparameters = theta
        process = process_of(theta, X, y, added, under_way)
        measured = extra == 0.0
        return process, float(process.predict(X[measured] if measured.any() else X)[0].min())


def fitted_theta(X: Array, y: Array, added: Array) -> Array:
    """Hyperparameters of a process of values (n,) at rows (n, d), with variances `added` (n,) of single values."""
    return _most_probable(NegativeLogLikelihood(X, y, added), _modes(X.shape[1]), MAX_ITERATIONS_AGAIN)[0]


def _modes(d: int) -> Array:
    return np.log([SCALE_MODE, *[LENGTH_MODE * np.sqrt(d)] * d, NOISE_START])


def _likeliest_bend(theta: Array, X: Array, losses: Array, extra: Array) -> float:
    """The bend of the losses with the highest likelihood under a process of hyperparameters theta."""
    scaled = X / np.exp(theta[1:-1])
    a = SQRT_5 * cdist(scaled, scaled)
    K = np.exp(theta[0]) * (1.0 + a + a * a / 3.0) * np.exp(-a)
    K[np.diag_indices(len(K))] += np.exp(theta[-1]) + JITTER
    found: dict[float, float] = {}
    for bend in BENDS:
        y, log_jacobian, slopes = warped(losses, bend)
        own = K.copy() if extra.any() else K
        if extra.any():
            own[np.diag_indices(len(K))] += (extra * slopes) ** 2
        try:
            L = cholesky(own, lower=True)
        except LinAlgError:
            continue
        fit = 0.5 * float(y @ cho_solve((L, True), y)) + float(np.log(np.diag(L)).sum())
        found[bend] = fit - log_jacobian
    return min(found, key=found.__getitem__, default=np.inf)


def _most_probable(likelihood: NegativeLogLikelihood, start: Array, iterations: int) -> tuple[Array, float]:
    """Hyperparameters of the highest posterior density found, and its negative logarithm."""
    d = len(start) - 2
    mean = _modes(d)[:-1]
    std = np.array([SCALE_STD, *[LENGTH_STD] * d])
    bounds = np.log([SCALE_BOUNDS, *[LENGTH_BOUNDS] * d, NOISE_BOUNDS])

    def negative_log_posterior(theta: Array, /) -> tuple[float, Array]:
        value, gradient = likelihood(theta)
        deviation, noise = (theta[:-1] - mean) / std, float(np.exp(theta[-1]))
        value += 0.5 * float(deviation @ deviation) + NOISE_RATE * noise - (NOISE_SHAPE - 1.0) * float(theta[-1])
        of_noise = NOISE_RATE * noise - (NOISE_SHAPE - 1.0)
        return value, gradient + np.append(deviation / std, of_noise)

    found = minimize(
        negative_log_posterior,
        np.clip(start, *bounds.T),
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(*bounds.T),
        options={"maxiter": iterations},
    )
    return found.x, float(found.fun)
