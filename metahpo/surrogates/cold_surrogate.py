"""The surrogate of a search without experience: a Gaussian process on the trials of the task.

Symbols: n trials, d columns; y the losses on the scale chosen by :mod:`metahpo.surrogates.loss_warping`; theta as in
:mod:`metahpo.surrogates.process`.

    theta = argmax  log p(y | X, theta) + log p(theta)

The priors say what a handful of trials cannot: a length scale grows with the diagonal of the cube (Hvarfner, Hellsten
and Nardi, ICML 2024), and the noise is small, but may be as small as it likes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from scipy.optimize import Bounds, minimize

from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.numerics.cholesky import factor, solve
from metahpo.surrogates.fitting.marginal_likelihood import NegativeLogLikelihood
from metahpo.surrogates.loss_spread import failed_as_worse, spread_of
from metahpo.surrogates.loss_warping import BENDS, warped
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.process import Process, matern, process_of
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
MAX_ITERATIONS, MAX_ITERATIONS_AGAIN = 40, 7
#: Iterations of a fit of a constraint, which starts at the modes of the priors.
MAX_ITERATIONS_CONSTRAINT = 15
#: Up to so many trials every fit also starts at the modes of the priors.
FEW_TRIALS = 20
JITTER = 1e-10


@dataclass(frozen=True, eq=False)
class FittedProcess:
    """What the trials of a task say of it.

    Attributes
    ----------
    process : Process
        On the scale of `y`.
    incumbent : float
        Lowest mean at a measured trial: a noisy loss may be the lowest by luck.
    y : ndarray of shape (n,)
        Losses of the trials, warped and standardised.
    added : ndarray of shape (n,)
        Variances of single ones of them beyond the noise.
    evidence : float
        Logarithm of the posterior density of the hyperparameters, but for a constant.
    """

    process: Process
    incumbent: float
    y: Array
    added: Array
    evidence: float


class ColdSurrogate:
    """Gaussian process on the trials of one task; a :class:`~metahpo.surrogates.surrogate.TaskSurrogate`.

    Before two different losses are observed, it predicts the same for all configurations.
    """

    def __init__(self) -> None:
        #: Log hyperparameters of the latest fit, at which the next one starts; None before the first.
        self.hyperparameters: Array | None = None
        self._fitted: tuple[bytes, FittedProcess | None] | None = None

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
        mean, std = fitted.process.predict(np.asarray(configurations, dtype=np.float64))
        return Posterior(np.ones(1), mean[None], std[None], np.array([fitted.incumbent]))

    @own_arithmetic()
    def process(
        self,
        observed: tuple[Array, Array] | None,
        noise: Array | None = None,
        under_way: Array | None = None,
    ) -> FittedProcess | None:
        """The process that :meth:`posterior` predicts with; None while the losses do not differ."""
        if observed is None or not len(observed[1]):
            return None
        X, losses = np.ascontiguousarray(observed[0], dtype=np.float64), np.asarray(observed[1], dtype=np.float64)
        extra = np.zeros(len(losses)) if noise is None else checked_noise(noise, len(losses))
        away = np.empty((0, X.shape[1])) if under_way is None else np.asarray(under_way, dtype=np.float64)
        seen = b"".join(part.tobytes() for part in (X, losses, extra, away))
        if self._fitted is None or self._fitted[0] != seen:
            self._fitted = (seen, self.fit(X, losses, extra, away))
        return self._fitted[1]

    def fit(self, X: Array, losses: Array, extra: Array, under_way: Array) -> FittedProcess | None:
        """Fit to trials, beginning at the hyperparameters of the fit before; None where the losses do not differ.

        The result depends on the arguments and on :attr:`hyperparameters` only, and replaces the latter.
        """
        filled = failed_as_worse(losses, typical_spread=1.0)
        spread = spread_of(filled)
        if spread == 0.0:
            return None
        d = X.shape[1]
        modes = modes_of(d)
        started = self.hyperparameters is not None and len(self.hyperparameters) == d + 2
        start = self.hyperparameters if started and self.hyperparameters is not None else modes
        starts = [start, modes] if started and len(losses) <= FEW_TRIALS else [start]
        best: tuple[float, float, Array, Array, Array] | None = None
        for begin in starts:
            bend = _likeliest_bend(begin, X, filled, extra / spread)
            y, log_jacobian, slopes = warped(filled, bend)
            added = JITTER + (extra / spread * slopes) ** 2
            iterations = MAX_ITERATIONS_AGAIN if started and begin is start else MAX_ITERATIONS
            theta, value = most_probable(NegativeLogLikelihood(X, y, added), begin, iterations)
            if best is None or value - log_jacobian < best[0]:
                best = (value - log_jacobian, value, theta, y, added)
        assert best is not None
        _, objective, theta, y, added = best
        self.hyperparameters = theta
        process = process_of(theta, X, y, added, under_way)
        measured = extra == 0.0
        incumbent = float(process.predict(X[measured] if measured.any() else X)[0].min())
        return FittedProcess(process, incumbent, y, added, -objective)


def fitted_theta(X: Array, y: Array, added: Array) -> Array:
    """Hyperparameters of a process of values (n,) at rows (n, d), with variances `added` (n,) of single values."""
    return most_probable(NegativeLogLikelihood(X, y, added), modes_of(X.shape[1]), MAX_ITERATIONS_CONSTRAINT)[0]


def modes_of(d: int) -> Array:
    """Modes (d + 2,) of the priors of the hyperparameters of d columns; the noise starts there."""
    return np.log([SCALE_MODE, *[LENGTH_MODE * np.sqrt(d)] * d, NOISE_START])


def _likeliest_bend(theta: Array, X: Array, losses: Array, extra: Array) -> float:
    """The bend of the losses with the highest likelihood under a process of hyperparameters theta."""
    scaled = X / np.exp(theta[1:-1])
    K = np.exp(theta[0]) * matern(scaled, scaled)
    K[np.diag_indices(len(K))] += np.exp(theta[-1]) + JITTER
    found: dict[float, float] = {}
    for bend in BENDS:
        y, log_jacobian, slopes = warped(losses, bend)
        own = K.copy() if extra.any() else K
        if extra.any():
            own[np.diag_indices(len(K))] += (extra * slopes) ** 2
        try:
            L = factor(own)
        except LinAlgError:
            continue
        fit = 0.5 * float(y @ solve(L, y)) + float(np.log(np.diag(L)).sum())
        found[bend] = fit - log_jacobian
    return min(found, key=found.__getitem__, default=np.inf)


def most_probable(likelihood: NegativeLogLikelihood, start: Array, iterations: int) -> tuple[Array, float]:
    """Hyperparameters (d + 2,) of the highest posterior density found, and its negative logarithm."""
    d = len(start) - 2
    mean = modes_of(d)[:-1]
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
