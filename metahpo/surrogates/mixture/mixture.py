"""The mixture of source tasks, a model of a new task that is conditioned on its trials in closed form.

A hypothesis is a pair of a source task t and a mixture component j. Under this hypothesis, the z-score of a
configuration x on the new task is

    z(x) = a_j mu(x) + b d_t(x) + g(x) + e,      b ~ N(b_j, v_j),    g ~ GP(0, k_j),    e ~ N(0, s_j)
    k_j  = v_mean mu(x) mu(x') + v_span <d(x), d(x')> / T + v_open o(x, x')
         + v_mapped D(x, x') + v_plain M(x, x')

Symbols
    B           leading batch dimensions
    n, m        numbers of trials and of predicted configurations
    T, J        numbers of source tasks and of components
    mu          expected function of the new task, and
    D, d_t      deviations of the source functions from mu; d_t is the column of task t
                (see :mod:`metahpo.surrogates.mixture.source_functions`, which also defines o, D(x, x') and M(x, x'))
    a_j, b_j    mean coefficients of mu and of d_t (`mean_slope`, `slope`)
    v_j         prior variance of the slope b
    v_mean      variance of the coefficient of mu
    v_span      variance of the part of g in the span of all source tasks
    v_open      variance of the part of g that the records leave open: o(x, x') is large where no task was recorded
    v_mapped    variance of the kernel D(x, x') on learnt maps
    v_plain     variance of the Matern kernel M(x, x') on the columns
    s_j         variance of the noise of one trial
    s, q        losses of the trials, standardised; z-scores of these losses among each other, standardised
    y           losses moved towards their ranks, y = (1 - w) s + w q, standardised, with w = n / (n + 5)
    tau, c      factor and shift between losses and z-scores, z = tau y - c
    L           Cholesky factor, L L' = K_j + s_j I
    [pq]        p' (K_j + s_j I)^-1 q, the inner product of two whitened vectors; 1 is the vector of ones

Covariance. A component is one setting of the variances. The components range from tasks that resemble the source tasks
to tasks that resemble none. The covariance k_j does not depend on t. One Cholesky factor therefore serves T hypotheses:
after whitening with L^-1, the term v_j d_t d_t' is a correction of rank one (Sherman-Morrison).

Scale of the losses. Raw losses are sensitive to outliers, ranks are not: one diverged trial can be further from the
others than they are from each other. The weight w of the ranks therefore grows with the number of trials. The shift c
has a flat prior and is integrated out in closed form. With m for the prior means of the z-scores of the n trials, the
logarithm of the integral is

    log p(y | t, j, tau) = (n - 1) log tau - (tau^2 [yy] - 2 tau [ym] + [mm]) / 2 + const

The quadratic forms [..] do not depend on tau, so tau is integrated on a grid at almost no cost. The prior of tau comes
from the spread of losses on the source tasks. It has the heavy tails of Student's t distribution. Under this prior, two
losses that hardly differ are likely to have close z-scores. The heavy tails allow for a task that is measured on
another scale.

The evidence p(y | t, j) weights the hypotheses. The posterior is the mixture of their predictions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metahpo.numerics.copula import normal_scores
from metahpo.numerics.device import SINGLE
from metahpo.surrogates.loss_spread import ROUNDING
from metahpo.surrogates.mixture.source_functions import (
    TINY,
    TYPICAL_SCALE,
    SourceFeatures,
    ZScoreKernel,
    mapped_correlations,
    matern52,
)

#: Number of trials at which ranks and values of losses have equal weight.
RANKS_COUNT_HALF = 5.0
#: Grid of log tau for losses standardised to unit variance. Few trials can span a small or a large part of the scale.
LOG_TAU = (-5.5, 1.7, 30)
#: Normal factor of the prior of log tau, which excludes extreme scales on every task.
LOG_TAU_MEAN, LOG_TAU_STD = -0.3, 1.5
#: Degrees of freedom of the prior of log tau from the source tasks, and the least standard deviation it is given.
SCALE_FREEDOM, MIN_SCALE_SPREAD = 3.0, 0.5
#: Least variance of the noise of one trial. It keeps the likelihood finite where the records have exact ties.
MIN_NOISE = 0.01
#: Hypotheses with the least weights are left out of a prediction. This is the largest sum of their weights.
NEGLIGIBLE_SHARE = 1e-3


class MixtureComponents(nn.Module):
    """Parameters of the J = 3 components, vectors with one entry for each component, and one concentration.

    The first two components are learnt. The first starts at tasks that resemble other tasks, the second at tasks that
    resemble them less. The third component is fixed. It models a task that resembles no source task and has other
    length scales. Learning would give this component no weight, because the tasks of a meta-dataset resemble each
    other. Its fixed prior weight of about 0.01 keeps it available, so that trials can select it.

    `log_spread` is computed and not learnt. It describes the logarithm of the standard deviation of a task's losses:
    the median over tasks, and the standard deviation of a normal distribution with the same quartiles.
    """

    log_spread: Tensor
    learnt: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_spread", torch.tensor([0.0, 1.0], dtype=SINGLE))
        self.register_buffer("learnt", torch.tensor([True, True, False]))
        self.log_share = nn.Parameter(torch.tensor([0.0, 0.0, -3.5], dtype=SINGLE))
        self.mean_slope = nn.Parameter(torch.tensor([1.0, 0.7, 0.0], dtype=SINGLE))
        self.log_mean_slope_variance = nn.Parameter(torch.tensor([-2.0, -1.0, -1.0], dtype=SINGLE))
        self.slope = nn.Parameter(torch.tensor([0.4, 0.2, 0.0], dtype=SINGLE))
        self.log_slope_variance = nn.Parameter(torch.tensor([-1.5, -1.5, -3.0], dtype=SINGLE))
        self.log_span_variance = nn.Parameter(torch.tensor([-1.5, -1.0, -3.0], dtype=SINGLE))
        self.log_open_variance = nn.Parameter(torch.tensor([0.0, 0.0, -3.0], dtype=SINGLE))
        self.log_mapped_variance = nn.Parameter(torch.tensor([-1.5, -0.5, -6.0], dtype=SINGLE))
        self.log_plain_variance = nn.Parameter(torch.tensor([-2.0, -1.0, 0.0], dtype=SINGLE))
        self.log_plain_scale = nn.Parameter(torch.tensor([0.0, -0.5, 0.0], dtype=SINGLE))
        self.log_noise = nn.Parameter(torch.tensor([-3.0, -3.0, -5.0], dtype=SINGLE))
        self.log_concentration = nn.Parameter(torch.tensor(-1.0, dtype=SINGLE))

    def keep_fixed(self) -> None:
        """Set the gradients of the fixed component to zero."""
        for parameter in self.parameters():
            if parameter.dim() and parameter.grad is not None:
                parameter.grad *= self.learnt

    def log_prior(self, squared_distance: Tensor) -> Tensor:
        """Log prior weight of every source task under every component, shape (B, J, T).

        The weight of a source task decreases with the distance of its function from the expected function of the new
        task. `squared_distance`, shape (B, T), is in units of its typical value. It is infinite for tasks that are left
        out.
        """
        left_out = squared_distance.isinf()
        # Masked before the product, because an infinite factor makes its gradient NaN.
        nearness = -self.log_concentration.exp() * squared_distance.masked_fill(left_out, 0.0)
        over_tasks = torch.log_softmax(nearness.masked_fill(left_out, -torch.inf), -1)
        return torch.log_softmax(self.log_share, 0)[:, None] + over_tasks[..., None, :]


@dataclass(frozen=True)
class Losses:
    """Losses of n trials of B tasks.

    Attributes
    ----------
    y : Tensor of shape (B, n)
        Standardised values, between losses and ranks.
    spread : Tensor of shape (B, 1)
        Standard deviation of the losses.
    extra : Tensor of shape (B, n) or None
        Additional variance, on the scale of y, of losses that are predictions of unfinished trials. None if all losses
        are measured.
    """

    y: Tensor
    spread: Tensor
    extra: Tensor | None = None

    @classmethod
    def standardise(cls, losses: Tensor) -> Losses:
        """Standardise losses of shape (B, n) to mean 0 and variance 1. Equal losses give zeros and a spread of 0."""
        unit = torch.pow(2.0, (torch.frexp(losses.abs().amax(-1, keepdim=True)).exponent - 1).to(losses))
        values, spread = _standard(losses / unit)  # in this unit, squares stay within the range of floats
        differ = spread > ROUNDING
        n = losses.shape[-1]
        share = n / (n + RANKS_COUNT_HALF)
        ranked, _ = _standard(torch.from_numpy(normal_scores(losses.cpu().numpy())).to(losses))
        y, _ = _standard((1.0 - share) * values + share * ranked)
        return cls(torch.where(differ, y, 0.0), torch.where(differ, spread * unit, 0.0))

    def with_noise(self, std: Tensor) -> Losses:
        """Add standard deviations of shape (B, n), in units of the original losses and 0 for measured ones.

        They are converted to the scale of y as if y were linear in the loss, without ranks.
        """
        return replace(self, extra=(std / torch.where(self.spread > 0.0, self.spread, 1.0)).square())

    def lowest(self) -> Tensor:
        """Lowest measured loss on the scale of y, shape (B,)."""
        if self.extra is None or not bool((self.extra == 0.0).any()):
            return self.y.amin(-1)
        return self.y.masked_fill(self.extra > 0.0, torch.inf).amin(-1)


def _standard(values: Tensor) -> tuple[Tensor, Tensor]:
    """Standardise values (B, n) and return them with their standard deviation (B, 1)."""
    centred = values - values.mean(-1, keepdim=True)
    spread = centred.square().mean(-1, keepdim=True).sqrt()
    return centred / spread.clamp_min(1e-300), spread


def integrate_scale(yy: Tensor, ym: Tensor, mm: Tensor, losses: Losses, log_spread: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior mean of tau, and the logarithm of the integral over it; each of shape (B, J, T)."""
    log_tau = torch.linspace(*LOG_TAU, dtype=yy.dtype, device=yy.device).reshape(-1, *[1] * yy.dim())
    tau = log_tau.exp()
    spread = losses.spread[..., None]
    differ = spread > 0.0
    # If the z-scores of the task had variance 1, tau would be the spread of these trials over the spread of the task.
    expected = torch.where(differ, spread, 1.0).log() - log_spread[0]
    off = (log_tau - expected) / log_spread[1].clamp_min(MIN_SCALE_SPREAD)
    prior = torch.where(differ, losses.y.shape[-1] - 1.0, 0.0) * log_tau
    prior = prior - 0.5 * (SCALE_FREEDOM + 1.0) * torch.log1p(off.square() / SCALE_FREEDOM)
    prior = prior - 0.5 * ((log_tau - LOG_TAU_MEAN) / LOG_TAU_STD).square()
    log_p = prior - 0.5 * (tau * tau * yy - 2.0 * tau * ym + mm)
    return (torch.softmax(log_p, 0) * tau).sum(0), torch.logsumexp(log_p, 0)


@dataclass(frozen=True)
class Conditioned:
    """The hypotheses after n trials. All n-vectors are whitened by the Cholesky factor.

    Attributes
    ----------
    log_evidence : Tensor of shape (B, J, T)
        log p(y | t, j) up to a constant that all hypotheses share.
    incumbent : Tensor of shape (B, J, T)
        Lowest observed z-score, at the posterior means of tau and c.
    factor : Tensor of shape (B, J, n, n)
        L.
    one, expected, deviations, residual : Tensors of shape (B, J, n, 1), (B, J, n, 1), (B, J, n, T), (B, J, n, T)
        The vector of ones, mu, D, and the residual of the z-scores under the hypothesis.
    slope_variance : Tensor of shape (B, J, T)
        Posterior variance of the slope b for a known c, v_j / (1 + v_j [dd]).
    slope_correction : Tensor of shape (B, J, T)
        Posterior mean of b minus its prior mean b_j, at the posterior means of tau and c.
    slope_per_shift : Tensor of shape (B, J, T)
        Decrease of that mean for a unit increase of c, slope_variance [1d].
    shift_precision : Tensor of shape (B, J, T)
        Posterior precision of c.
    """

    log_evidence: Tensor
    incumbent: Tensor
    factor: Tensor
    one: Tensor
    expected: Tensor
    deviations: Tensor
    residual: Tensor
    slope_variance: Tensor
    slope_correction: Tensor
    slope_per_shift: Tensor
    shift_precision: Tensor


class Hypotheses(NamedTuple):
    """Indices of S selected hypotheses: components and source tasks, each of shape (S,)."""

    components: Tensor
    tasks: Tensor

    @classmethod
    def heaviest(cls, log_weights: Tensor) -> Hypotheses:
        """Select the hypotheses with the largest weights, ordered by component.

        Parameters
        ----------
        log_weights : Tensor of shape (J, T)
            Log weights of all hypotheses. The weights that are left out sum to at most `NEGLIGIBLE_SHARE`.
        """
        weights, order = torch.sort(torch.softmax(log_weights.flatten(), 0), descending=True)
        n_kept = 1 + int((weights.cumsum(0) < 1.0 - NEGLIGIBLE_SHARE).sum())
        best = order[:n_kept].sort().values
        return cls(best // log_weights.shape[1], best % log_weights.shape[1])


@dataclass(frozen=True)
class Prediction:
    """Predictions of S hypotheses for the z-score that a trial would measure, each of shape (S, m).

    Attributes
    ----------
    mean, variance : Tensor
    improvement_variance : Tensor
        Variance of the difference to the incumbent, without the noise of a trial.
    """

    mean: Tensor
    variance: Tensor
    improvement_variance: Tensor


@dataclass(frozen=True)
class Mixture:
    """The model: covariances k_j of all components, and the predictions of all hypotheses before and after trials."""

    kernel: ZScoreKernel
    components: MixtureComponents

    def covariances(self, a: SourceFeatures, b: SourceFeatures, components: Tensor | None = None) -> Tensor:
        """Covariances k_j(x, x') without noise, shape (B, J, n, m); with `components`, of these J only."""
        of_shared, of_plain = self.variances()
        inverse_scales = self._inverse_scales()
        if components is not None:
            of_shared, of_plain = of_shared[:, components], of_plain[components]
            inverse_scales = torch.cat([inverse_scales[:1], inverse_scales[1:][components]])
        span = a.deviations @ b.deviations.transpose(-1, -2) / a.deviations.shape[-1]
        mean = a.mean @ b.mean.transpose(-1, -2)
        mapped, inverse_scales = mapped_correlations(a.place, b.place), inverse_scales.to(mean.dtype)
        # The first slice of the plain correlations is at the length scales of the kernel.
        plain = matern52(
            a.place.plain[..., None, :, :] * inverse_scales, b.place.plain[..., None, :, :] * inverse_scales
        )
        recorded = a.recorded @ b.recorded.transpose(-1, -2)
        left_open = self.kernel.weighed(mapped, plain[..., 0, :, :]) - recorded
        shared, plain = torch.stack([mean, span, left_open, mapped], dim=-3), plain[..., 1:, :, :]
        of_shared, of_plain = of_shared.to(mapped.dtype), of_plain.to(mapped.dtype)
        sums = (of_shared.T @ shared.flatten(-2)).reshape(plain.shape)
        return sums.add_(of_plain[:, None, None] * plain)

    def diagonals(self, a: SourceFeatures) -> Tensor:
        """Variances k_j(x, x) without noise, shape (B, J, n)."""
        left_open = self.kernel.variance() - a.recorded.square().sum(-1)
        parts = [a.mean[..., 0].square(), a.deviations.square().mean(-1), left_open, torch.ones_like(left_open)]
        of_shared, of_plain = (v.to(left_open.dtype) for v in self.variances())
        return (torch.stack(parts, dim=-1) @ of_shared).movedim(-1, -2) + of_plain[:, None]

    def condition(self, trials: SourceFeatures, K: Tensor, losses: Losses) -> Conditioned:
        """Condition all hypotheses on the losses of `trials`, of covariances K with one another, (B, J, n, n)."""
        factor, one, y, mean, D = self._whiten(trials, K, losses.y, losses.extra)
        m = self._expected(mean, D)
        v = self.components.log_slope_variance.exp()[:, None]
        spread = 1.0 + v * D.square().sum(-2)
        slope_variance = v / spread
        both = torch.cat([one, y], dim=-1).transpose(-1, -2)
        (oD, yD), (om, ym) = (both @ D).unbind(-2), (both @ m).unbind(-2)
        mD = (m * D).sum(-2)
        oo = one.square().sum(-2) - slope_variance * oD.square()
        oy = (one * y).sum(-2) - slope_variance * oD * yD
        om = om - slope_variance * oD * mD
        yy = (y.square().sum(-2) - slope_variance * yD.square() - oy.square() / oo).clamp_min(TINY)
        ym = ym - slope_variance * yD * mD - oy * om / oo
        mm = m.square().sum(-2) - slope_variance * mD.square() - om.square() / oo

        tau, log_integral = integrate_scale(yy, ym, mm, losses, self.components.log_spread)
        half_log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)[..., None] + 0.5 * (spread.log() + oo.log())
        c = (tau * oy - om) / oo
        residual = (tau[..., None, :] * y).sub_(m).sub_(c[..., None, :] * one)
        return Conditioned(
            log_evidence=log_integral - half_log_det,
            incumbent=tau * losses.lowest()[..., None, None] - c,
            factor=factor,
            one=one,
            expected=mean,
            deviations=D,
            residual=residual,
            slope_variance=slope_variance,
            slope_correction=slope_variance * (residual * D).sum(-2),
            slope_per_shift=slope_variance * oD,
            shift_precision=oo,
        )

    def log_density(self, trials: SourceFeatures, K: Tensor, z: Tensor) -> Tensor:
        """Logarithm of p(z | t, j) up to a constant, for z-scores (B, n); shape (B, J, T)."""
        factor, _, y, mean, D = self._whiten(trials, K, z)
        m = self._expected(mean, D)
        v = self.components.log_slope_variance.exp()[:, None]
        spread = 1.0 + v * D.square().sum(-2)
        unexplained = (y - m).square().sum(-2) - v / spread * ((y - m) * D).sum(-2).square()
        return -0.5 * (unexplained + spread.log()) - factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)[..., None]

    def predict_first(self, at: SourceFeatures, chosen: Hypotheses) -> Prediction:
        """Predict m configurations, without leading dimensions, before any trial."""
        j, d = chosen.components, at.deviations.T[chosen.tasks]
        mean = self.components.mean_slope[j, None] * at.mean.T + self.components.slope[j, None] * d
        variance = self.diagonals(at)[j] + self.components.log_slope_variance[j, None].exp() * d.square()
        return Prediction(mean, variance + self._noise()[j, None], variance)

    def predict(self, given: Conditioned, K: Tensor, at: SourceFeatures, chosen: Hypotheses) -> Prediction:
        """Predict m configurations, without leading dimensions, given their covariances K with the trials.

        K, of shape (J, n, m), is that of the components of the chosen hypotheses, in their order. These S m numbers are
        computed in single precision. Its error is far smaller than the noise of a trial.
        """
        at = at.to(torch.float32)
        known, (components, counts) = self.diagonals(at), torch.unique(chosen.components, return_counts=True)
        parts = [
            self._predict_under(j, tasks, given, K_j, at, known[j])
            for j, K_j, tasks in zip(components.tolist(), K, torch.split(chosen.tasks, counts.tolist()), strict=True)
        ]
        return Prediction(*map(torch.cat, zip(*parts, strict=True)))

    def _predict_under(
        self, j: int, tasks: Tensor, given: Conditioned, K: Tensor, at: SourceFeatures, known: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, variance and improvement variance, (S, m), of hypotheses of component j.

        `known` is k_j(x, x).
        """
        # Solving for the inverse and multiplying takes a fifth of the time of solving for all of K.
        one = torch.eye(len(K), dtype=given.factor.dtype)
        Q = torch.linalg.solve_triangular(given.factor[j], one, upper=False).float() @ K.float()
        columns = torch.cat([given.deviations[j][:, tasks], given.residual[j][:, tasks], given.one[j]], dim=-1)
        S, r = len(tasks), self.components
        explained = columns.float().T @ Q
        of_deviations, of_residual, of_one = explained[:S], explained[S : 2 * S], explained[2 * S :]
        slope_variance, slope_correction, slope_per_shift, shift_precision = (
            part[j, tasks, None].float()
            for part in (given.slope_variance, given.slope_correction, given.slope_per_shift, given.shift_precision)
        )
        mean_slope, slope, noise = (float(part[j]) for part in (r.mean_slope, r.slope, self._noise()))
        d = at.deviations.T[tasks]
        ahead = d - of_deviations
        # In place where possible, because new arrays take time.
        mean = of_residual.add_(mean_slope * at.mean.T).add_(d.mul_(slope)).add_(ahead * slope_correction)
        share_of_c = (ahead * slope_per_shift).add_(of_one)
        known_c = ahead.square_().mul_(slope_variance).add_(known - Q.square().sum(0))
        variance = share_of_c.square().div_(shift_precision).add_(known_c).clamp_min_(TINY).add_(noise)
        improvement_variance = (1.0 - share_of_c).square_().div_(shift_precision).add_(known_c).clamp_min_(TINY)
        return mean, variance, improvement_variance

    def _whiten(
        self, trials: SourceFeatures, K: Tensor, y: Tensor, extra: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """L (B, J, n, n), and L^-1 times: ones, y and mu, (B, J, n, 1), and D, (B, J, n, T).

        The `extra` variance of single trials is added on the scale of z-scores, as if tau were 1. There is no closed
        form otherwise. Losses and z-scores are both standardised, so tau is seldom far from 1.
        """
        n, T = trials.deviations.shape[-2:]
        noise = self._noise()[:, None, None] * torch.eye(n, dtype=y.dtype, device=y.device)
        if extra is not None:
            noise = noise + torch.diag_embed(extra)[..., None, :, :]
        factor = torch.linalg.cholesky(K + noise)
        columns = torch.cat([torch.ones_like(trials.mean), y[..., None], trials.mean, trials.deviations], dim=-1)
        right = columns[..., None, :, :].expand(*factor.shape[:-1], T + 3)
        one, y, mean, D = torch.linalg.solve_triangular(factor, right, upper=False).split([1, 1, 1, T], dim=-1)
        return factor, one, y, mean, D

    def _expected(self, mean: Tensor, D: Tensor) -> Tensor:
        """Prior means of the z-scores under the hypotheses, shape (B, J, n, T)."""
        return self.components.mean_slope[:, None, None] * mean + self.components.slope[:, None, None] * D

    def _noise(self) -> Tensor:
        """Variance s_j of one trial, shape (J,)."""
        return self.components.log_noise.exp() + MIN_NOISE

    def _inverse_scales(self) -> Tensor:
        """Factors of the columns in the plain part, shape (1 + J, 1, d).

        The factors of the kernel are one. Those of a learnt component are its own inverse length scales. Those of the
        fixed component replace the length scales of the kernel by typical ones.
        """
        learnt = (-self.components.log_plain_scale).exp()[:, None]
        own = self.kernel.log_scale_plain.exp()
        cold = own / (TYPICAL_SCALE * math.sqrt(len(own)))
        of_components = torch.where(self.components.learnt[:, None], learnt, cold)
        return torch.cat([torch.ones_like(of_components[:1]), of_components])[:, None, :]

    def variances(self) -> tuple[Tensor, Tensor]:
        """Variances v_mean, v_span, v_open and v_mapped, shape (4, J), and v_plain, shape (J,)."""
        r = self.components
        shared: list[Tensor] = [
            r.log_mean_slope_variance,
            r.log_span_variance,
            r.log_open_variance,
            r.log_mapped_variance,
        ]
        return torch.stack(shared).exp(), r.log_plain_variance.exp()
