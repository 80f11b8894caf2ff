"""Prediction of the final loss of a partly trained configuration, from learning curves of other tasks.

Symbols: y_1 .. y_E losses after each of E epochs, of which the first e are known; c and r centre and spread of the
losses known on the task.

    v_i = asinh((y_i - c) / r)                 losses of all tasks on one scale; asinh limits outliers
    h   = exp(w a)                             expected size of the remaining change: ridge regression of
                                               log |v_E - v_e| on a: epochs left, how much the last ones changed, ...
    (v_E - v_e) / h = f(b) + noise,  f ~ GP    direction of the change: Matern process on b: shape so far, level, ...

Both models have closed forms. An epoch can be any equal step, for example a quarter of the rows for subsamples of
growing size. Unlike the extrapolation of single curves (Domhan et al., IJCAI 2015; Swersky et al., Freeze-Thaw
Bayesian Optimization, 2014), this model is learnt across tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from sklearn.linear_model import Ridge

from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset

Array = NDArray[np.float64]

#: Most cut curves that are used for learning.
MAX_CUTS = 800
#: Fewest losses of a task that estimate its spread alone. With fewer, the losses of the curve are used as well.
MIN_LOSSES_FOR_SPREAD = 4
#: Length scale of f in standard deviations of b, and variances of the noise, in units of f's, of which one is taken.
LENGTH, NOISES = 1.0, (0.03, 0.1, 0.3, 1.0, 3.0)
#: Bounds of a change on the scale of v, and the bound at which levels and multiples of h are clipped.
MIN_CHANGE, MAX_CHANGE, MAX_RATIO = 3e-3, 2.0, 3.0


class FinalLoss(NamedTuple):
    """Mean and standard deviation of a loss at the end of training."""

    mean: float
    std: float


@dataclass(frozen=True)
class LearningCurves:
    """Model of learning curves, learnt from other tasks.

    Attributes
    ----------
    change : Ridge
        Logarithm of h from a.
    direction : GaussianProcessRegressor
        f, from b over its standard deviations.
    noise : float
        Variance of the noise, in units of h.
    centre, spread : ndarray of shape (6,)
        Mean and standard deviation of b.
    """

    change: Ridge
    direction: GaussianProcessRegressor
    noise: float
    centre: Array
    spread: Array

    @classmethod
    def of(cls, md: MetaDataset, space: str | None, random_state: int = 0) -> LearningCurves:
        """Learn from the curves of successful trials in a space.

        Raises
        ------
        DataError
            Too few curves were recorded.
        """
        return cls.learn(list(md.learning_curves(space).values()), random_state)

    @classmethod
    def learn(cls, tasks: Sequence[Sequence[Array]], random_state: int = 0) -> LearningCurves:
        """Learn from complete curves, given as one sequence for each task.

        Each curve is cut at a random epoch, with a random number of other final losses of its task known.

        Raises
        ------
        DataError
            Fewer than two curves of two epochs or more.
        """
        rng = np.random.default_rng(random_state)
        complete = [[c for c in curves if len(c) > 1 and np.isfinite(c).all()] for curves in tasks]
        numbered = [(t, i) for t, curves in enumerate(complete) for i in range(len(curves))]
        if len(numbered) < 2:
            raise DataError(f"two learning curves of two epochs at least are needed, but there are {len(numbered)}.")
        cuts: list[_Cut] = []
        ahead = []
        for t, i in (numbered[k] for k in rng.permutation(len(numbered))[:MAX_CUTS]):
            curve, others = complete[t][i], [c[-1] for j, c in enumerate(complete[t]) if j != i]
            known = rng.permutation(others)[: rng.choice([0, MIN_LOSSES_FOR_SPREAD, 10, len(others)])]
            cut = _Cut.of(curve[: rng.integers(1, len(curve))], len(curve), known)
            cuts.append(cut)
            ahead.append(cut.squashed(curve[-1]) - cut.last)
        left = np.array(ahead)
        change = Ridge(alpha=1.0).fit([cut.hints for cut in cuts], np.log(np.abs(left) + MIN_CHANGE))
        typical = np.array([_farthest(change, cut) for cut in cuts])
        # The regression predicts a geometric mean. This offset scales h so that the process models changes of unit
        # size.
        change.intercept_ += np.log(np.sqrt(np.mean(np.clip(left / typical, -MAX_RATIO, MAX_RATIO) ** 2)) + MIN_CHANGE)
        h = np.array([_farthest(change, cut) for cut in cuts])
        b = np.array([cut.shape(far) for cut, far in zip(cuts, h, strict=True)])
        centre, spread = b.mean(0), b.std(0) + MIN_CHANGE
        process, noise = _most_likely((b - centre) / spread, np.clip(left / h, -MAX_RATIO, MAX_RATIO))
        return cls(change, process, noise, centre, spread)

    def predict(self, curve: Sequence[float] | Array, n_epochs: int, known: Sequence[float] | Array = ()) -> FinalLoss:
        """Loss after the last epoch.

        Parameters
        ----------
        curve : array-like of shape (e,)
            Loss after each epoch so far.
        n_epochs : int
            Epochs of the whole training, at least e.
        known : array-like
            Latest losses of other configurations on the task. They give the scale of the task.

        Raises
        ------
        DataError
            A curve that is empty, longer than `n_epochs` or not finite.
        """
        so_far = np.asarray(curve, dtype=np.float64)
        if so_far.ndim != 1 or not 0 < len(so_far) <= n_epochs or not np.isfinite(so_far).all():
            raise DataError(
                f"a curve must be 1 to n_epochs = {n_epochs} finite losses, but is of shape {so_far.shape}: "
                f"{so_far[:10]}. Tell a trial that diverged as failed, with a loss of NaN."
            )
        if len(so_far) == n_epochs:
            return FinalLoss(float(so_far[-1]), 0.0)
        others = np.asarray(known, dtype=np.float64)
        cut = _Cut.of(so_far, n_epochs, others[np.isfinite(others)])
        far = _farthest(self.change, cut)
        b = (np.array(cut.shape(far)) - self.centre) / self.spread
        mean, std = (float(part[0]) for part in self.direction.predict(b[None], return_std=True))
        v, s = cut.last + far * mean, far * np.sqrt(std**2 + self.noise)
        # Half of the central 68 % interval, because the moments of sinh(v) depend on its far tail only.
        return FinalLoss(float(cut.centre + cut.spread * np.sinh(v)), float(cut.spread * np.cosh(v) * np.sinh(s)))


@dataclass(frozen=True)
class _Cut:
    """The first epochs of a curve, on the scale of v."""

    v: Array
    n_epochs: int
    centre: float
    spread: float

    @classmethod
    def of(cls, curve: Array, n_epochs: int, known: Array) -> _Cut:
        last = curve[-1]
        losses = np.append(known, last)
        seen = losses if len(known) >= MIN_LOSSES_FOR_SPREAD else np.concatenate([known, curve])
        low, high = np.percentile(seen, [25, 75])
        spread = float(high - low) or float(np.ptp(seen)) or abs(float(last)) or 1.0
        centre = float(np.median(losses))
        return cls(np.arcsinh((curve - centre) / spread), n_epochs, centre, spread)

    def squashed(self, loss: float) -> float:
        return float(np.arcsinh((loss - self.centre) / self.spread))

    @property
    def last(self) -> float:
        return float(self.v[-1])

    @property
    def hints(self) -> list[float]:
        """a, the inputs of the regression for the size of the remaining change."""
        e = len(self.v)
        recent = np.abs(np.diff(self.v[max(0, min(e // 2, e - 2)) :]))
        lately = np.log(recent.mean() + MIN_CHANGE) if e > 1 else 0.0
        gained = np.log(self.v[0] - self.v.min() + MIN_CHANGE)
        level = np.clip(self.last, -MAX_RATIO, MAX_RATIO)
        return [float(hint) for hint in (lately, e == 1, np.log(self.n_epochs - e), np.log(e), gained, level)]

    def shape(self, h: float) -> list[float]:
        """b, the inputs of the process for the direction of the change."""
        e = len(self.v)
        quarter, half = np.interp([0.75 * (e - 1), 0.5 * (e - 1)], np.arange(e), self.v) - self.last
        steps = np.clip(np.array([quarter, half, self.v.min() - self.last]) / h, -MAX_RATIO, MAX_RATIO)
        level = np.clip(self.last, -MAX_RATIO, MAX_RATIO)
        return [float(level), *steps.tolist(), float(np.log(e / self.n_epochs)), float(np.log(self.n_epochs))]


def _farthest(change: Ridge, cut: _Cut) -> float:
    """h, the expected size of the remaining change."""
    return float(np.clip(np.exp(change.predict([cut.hints])[0]), MIN_CHANGE, MAX_CHANGE))


def _most_likely(b: Array, y: Array) -> tuple[GaussianProcessRegressor, float]:
    """Process of y (n,) on b (n, 6), and its noise: of `NOISES` the likeliest, with the variance then likeliest.

    Under covariances v K, the evidence is highest at v = y K^-1 y / n, where its logarithm is -(n log v + log |K|) / 2.
    """
    K = Matern(LENGTH, nu=1.5)(b)
    found = []
    for noise in NOISES:
        factor = np.linalg.cholesky(K + noise * np.eye(len(y)))
        v = float(np.mean(np.square(solve_triangular(factor, y, lower=True)))) + MIN_CHANGE**2
        found.append((len(y) * np.log(v) + 2.0 * np.log(np.diag(factor)).sum(), v, noise * v))
    _, v, noise = min(found)
    kernel = ConstantKernel(v) * Matern(LENGTH, nu=1.5)
    return GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(b, y), noise
