"""The improvement on the default after trials of the new task, whatever number of rows they were trained on.

Symbols beside those of :mod:`metahpo.surrogates.improvement`: m trials of configurations x_i, trained on s_i rows; y
the changes that they measured and v their variances; s* the rows that the recommended model is trained on; r what is
left between the new task and the source task that it resembles; k its share of the variance; b the decay over sizes.

    y_i | t, b = G_t,x_i + r(x_i, s_i) + e_i,        e_i ~ N(0, v_i)
    r | b ~ GP(0, R(x, x') (s / s')^(-b)),           s > s'
    R = k (C / 2 + M / 2),    C the covariance of G over the source tasks,
                              M_xx' = sqrt(C_xx C_x'x') exp(-|x - x'|_1 / l),    l the median distance

A trial on few rows is thus an observation of the same task at another size. Its correlation with the size that counts
is (s* / s)^(-b). The decay b is not known: each of `DECAYS` is a hypothesis, and trials at several sizes tell them
apart. A hypothesis is a pair (t, b). R does not depend on t. One Cholesky factor therefore serves the T hypotheses of a
decay.

Users tell losses, not changes, and perhaps no loss of the default. The default's loss is then unknown as well: a
hypothesis is a pair (t, E_r), with values of E_r on a grid, and a density that is flat in log E_r.

The incumbent is the best of the default and the configurations that were tried. Decisions after trials weigh gains and
losses relative to the incumbent, because the best of many predictions is more often overestimated than a measurement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from metahpo.exceptions import DataError
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.numerics.cholesky import factor, solve
from metahpo.surrogates.improvement import MIN_STANDARD_ERROR, Improvement, ImprovementModel, change_of

Array = NDArray[np.float64]

#: Candidates for the decay b and their prior probabilities. The correlation of two sizes that differ by a factor of 4
#: is .96, .90, .80, .64 and .33.
DECAYS, DECAY_PRIOR = (0.03, 0.08, 0.16, 0.32, 0.8), (0.15, 0.35, 0.25, 0.15, 0.1)
#: Hypotheses whose weight is less than this share of the largest one are left out.
NEGLIGIBLE = 1e-5
#: Variance that keeps covariance matrices positive definite.
JITTER = 1e-8
#: Size of the grid of losses of the default. The grid lies between these quantiles of what the source tasks imply.
#: A configuration has at least this share of the default's loss there, because a loss of zero has no logarithm.
BASES, BASE_QUANTILES, LEAST_SHARE = 15, (0.02, 0.98), 0.02
#: Nodes of the quadrature over the result of a trial.
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(15)


@dataclass(frozen=True, eq=False)
class MeasuredChanges:
    """Changes that m trials of the new task measured.

    Attributes
    ----------
    places : ndarray of int of shape (m,)
        Index of each trial's configuration among those of the model.
    rows : ndarray of shape (m,)
        Rows that each was trained on.
    change : ndarray of shape (m,)
        Relative to the default, trained and tested on the same rows.
    variance : ndarray of shape (m,)
        Of the noise of each change.
    """

    places: NDArray[np.intp]
    rows: Array
    change: Array
    variance: Array

    def __post_init__(self) -> None:
        shapes = {self.places.shape, self.rows.shape, self.change.shape, self.variance.shape}
        finite = np.isfinite(np.concatenate([self.rows, self.change, self.variance])).all()
        if shapes != {(len(self.places),)} or not finite or (self.rows <= 0).any() or (self.variance < 0).any():
            raise DataError(
                "probes need places, rows, changes and variances of one shape (m,), all finite, rows above 0 and "
                f"variances of at least 0, but are {self}."
            )


@dataclass(frozen=True, eq=False)
class ImprovementOnTask:
    """The improvement on the default on one task, which trials of it make more certain.

    Attributes
    ----------
    model : ImprovementModel
    rows : float
        Rows that the recommended model is trained on.
    meta_features : mapping of str to float, default=None
        As in :meth:`metahpo.surrogates.improvement.ImprovementModel.on`.
    """

    model: ImprovementModel
    rows: float
    meta_features: Mapping[str, float] | None = None
    before: Improvement = field(init=False, repr=False)
    residual: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        model = self.model
        object.__setattr__(self, "before", replace(model.on(self.meta_features), rule=model.trial_rule))
        residual = residual_covariance(model.change, model.encoded, model.reference, model.residual_share)
        object.__setattr__(self, "residual", residual)

    @own_arithmetic()
    def given(self, trials: MeasuredChanges) -> Improvement:
        """Distribution of the change after trials; before any it is that of the model."""
        if not len(trials.places):
            return self.model.on(self.meta_features)
        return self.conditioned(trials)[0]

    @own_arithmetic()
    def conditioned(self, trials: MeasuredChanges) -> tuple[Improvement, Array]:
        """Distribution of the change after trials, and the covariance (n, n) of the residuals."""
        if not len(trials.places):
            return self.before, self.residual
        return condition(self.before, self.residual, trials, self.rows)

    @own_arithmetic()
    def value_of_trials(self, conditioned: tuple[Improvement, Array], rows: float, variance: float) -> Array:
        """By how much one more trial of each configuration would raise the expected change of the best, shape (n,).

        This is the knowledge gradient (Frazier, Powell and Dayanik, INFORMS J. Comput. 2009), for a normal distribution
        with the moments of the mixture.

        Parameters
        ----------
        conditioned : pair (Improvement, ndarray of shape (n, n))
            Result of :meth:`conditioned` for the trials so far. It serves trials of every size.
        rows, variance : float
            Rows that the trial is trained on, and variance of the change that it measures.
        """
        after, residual = conditioned
        mean = after.expected()
        centred = after.change - mean
        shared = (after.weights[:, None] * centred).T @ centred
        rho = float(np.dot(DECAY_PRIOR, [_correlation(rows, self.rows, decay) for decay in DECAYS]))
        covariance = shared + rho * residual  # (n, n): of the change at s*, with what a trial of x measures
        spread = np.diag(shared) + rho**2 * np.diag(residual) + (1.0 - rho**2) * np.diag(self.residual) + variance
        step = covariance / np.sqrt(spread + JITTER)
        value = np.zeros(len(mean))
        for node, weight in zip(NODES, NODE_WEIGHTS / NODE_WEIGHTS.sum(), strict=True):
            value += weight * (mean[:, None] + node * step).max(axis=0)
        value -= mean.max()
        value[after.reference] = 0.0
        return np.maximum(value, 0.0)


def residual_covariance(change: Array, encoded: Array, reference: int, share: float) -> Array:
    """Covariance R, shape (n, n), from changes (T, n) on source tasks and encoded configurations (n, d)."""
    covariance = np.atleast_2d(np.cov(change.T, bias=True))
    std = np.sqrt(np.diag(covariance))
    distance = np.abs(encoded[:, None, :] - encoded[None, :, :]).sum(axis=2)
    near = np.exp(-distance / np.median(distance[distance > 0])) if (distance > 0).any() else np.ones_like(distance)
    residual = 0.5 * share * (covariance + np.outer(std, std) * near)
    residual[reference] = residual[:, reference] = 0.0
    return np.asarray(residual)


def condition(before: Improvement, residual: Array, trials: MeasuredChanges, rows: float) -> tuple[Improvement, Array]:
    """Condition a distribution on trials: its hypotheses after them, and the mean covariance (n, n) of their residuals.

    Parameters
    ----------
    before : Improvement
        Its H hypotheses are source tasks.
    residual : ndarray of shape (n, n)
        R.
    trials : MeasuredChanges
        At least one.
    rows : float
        s*.
    """
    # Where all trials have the size that counts, the decay does not matter.
    same_size = bool((trials.rows == rows).all())
    decays, prior = (DECAYS[:1], (1.0,)) if same_size else (DECAYS, DECAY_PRIOR)
    parts = [_given(before, residual, trials, rows, decay) for decay in decays]
    return _mixed(before, parts, np.log(prior), trials.places)


@own_arithmetic()
def given_losses(
    before: Improvement, residual: Array, columns: Sequence[int], losses: Array, metric: str, variance: float
) -> Improvement:
    """Condition a distribution on losses of the new task, of trials at the size that counts.

    Parameters
    ----------
    before : Improvement
    residual : ndarray of shape (n, n)
        R.
    columns : sequence of int
        Configuration of each trial, by its column. The default may be among them.
    losses : ndarray of shape (len(columns),)
        Non-negative; NaN for a failed trial.
    metric : str
    variance : float
        Of the change that one trial measures.
    """
    places = np.asarray(columns, dtype=np.intp)
    tried = np.unique(places)
    own = [losses[(places == column) & ~np.isnan(losses)] for column in tried]
    means = np.array([each.mean() if len(each) else np.nan for each in own])
    noise = variance / np.array([max(1, len(each)) for each in own])
    failed, is_default = np.isnan(means), tried == before.reference
    change = before.change.copy()
    change[:, tried[failed & ~is_default]] = -1.0
    before = replace(before, change=change)
    known = ~failed & ~is_default
    if not known.any():
        return before
    at, errors, noise_of_default = tried[known], means[known], noise[is_default & ~failed].sum()
    bases = means[is_default & ~failed] if (is_default & ~failed).any() else _bases(before, at, errors)
    parts = []
    for base in bases:
        measured = np.array([change_of(float(error), float(base), metric) for error in errors])
        spread = noise[known] * np.square(1.0 - measured) + noise_of_default
        ones = np.ones(len(at))
        parts.append(_given(before, residual, MeasuredChanges(at, ones, measured, spread), 1.0, DECAYS[0]))
    # The density of losses is that of changes times 1 / E_r for each trial.
    return _mixed(before, parts, -len(at) * np.log(bases), at)[0]


def _bases(before: Improvement, places: NDArray[np.intp], errors: Array) -> Array:
    """Values of the default's loss that source tasks imply, given losses of other configurations."""
    share = np.maximum(1.0 - before.change[before.weights > 0.0][:, places], LEAST_SHARE)
    implied = (np.log(np.maximum(errors, np.finfo(float).tiny)) - np.log(share)).mean(axis=1)
    low, high = np.quantile(implied, BASE_QUANTILES)
    return np.asarray(np.exp(np.linspace(low, high, BASES)))


class _Given(NamedTuple):
    """The hypotheses of one decay and one loss of the default after trials.

    Attributes
    ----------
    log_weights : ndarray of shape (H,)
    change : ndarray of shape (H, n)
    residual : ndarray of shape (n, n)
    """

    log_weights: Array
    change: Array
    residual: Array


def _given(before: Improvement, residual: Array, trials: MeasuredChanges, rows: float, decay: float) -> _Given:
    at = trials.places
    between = _correlation(trials.rows[:, None], trials.rows[None, :], decay)
    towards = residual[:, at] * _correlation(trials.rows, rows, decay)  # (n, m)
    L = factor(residual[np.ix_(at, at)] * between + np.diag(trials.variance + JITTER))
    left = trials.change - before.change[:, at]  # (H, m)
    solved = solve(L, left.T)  # (m, H)
    log_evidence = -0.5 * np.einsum("tm,mt->t", left, solved) - np.log(np.diag(L)).sum()
    with np.errstate(divide="ignore"):
        log_weights = np.log(before.weights) + log_evidence
    after = residual - towards @ solve(L, towards.T)
    return _Given(log_weights, before.change + (towards @ solved).T, after)


def _mixed(
    before: Improvement, parts: Sequence[_Given], log_prior: Array, tried: NDArray[np.intp]
) -> tuple[Improvement, Array]:
    """The hypotheses of all parts as one distribution, and the mean covariance (n, n) of their residuals."""
    reference = before.reference
    log_weights = np.concatenate([part.log_weights + prior for part, prior in zip(parts, log_prior, strict=True)])
    weights = np.exp(log_weights - logsumexp(log_weights))
    by_part = weights.reshape(len(parts), -1).sum(axis=1)
    residuals = np.array([part.residual for part in parts])
    change = np.concatenate([part.change for part in parts])
    variance = np.maximum(np.diagonal(residuals, axis1=1, axis2=2), 0.0)
    spread = np.sqrt(np.concatenate([np.square(before.standard_error) + own for own in variance]))
    change[:, reference], spread[:, reference] = 0.0, MIN_STANDARD_ERROR
    kept = weights > NEGLIGIBLE * weights.max()
    weights, change, spread = weights[kept] / weights[kept].sum(), change[kept], spread[kept]
    known = np.unique([reference, *tried])
    incumbent = int(known[np.argmax((weights @ change)[known])])
    after = Improvement(weights, change, spread, reference, before.rule, incumbent)
    return after, np.asarray(np.tensordot(by_part, residuals, axes=1))


def _correlation(rows: Array | float, others: Array | float, decay: float) -> Array:
    return np.asarray(np.exp(-decay * np.abs(np.log(rows) - np.log(others))))
