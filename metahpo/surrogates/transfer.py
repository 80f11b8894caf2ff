"""The mixture: what is believed of a new task, conditioned on its trials in closed form.

Symbols: B leading batch dimensions, n trials, m configurations, T source tasks, J regimes; M (n, T) the source
functions at configurations, mu = M alpha the function expected of the task, D = M - mu the deviations from it. Every
regime j is one hypothesis of how the scores z of the new task depend on a configuration x:

    z(x) = a_j mu(x) + g(x) + e,      g ~ GP(0, k_j),    e ~ N(0, s_j)
    k_j  = v_mean mu(x) mu(x') + v_span <d(x), d(x')> / T + v_open o(x, x')
         + v_deep D(x, x') + v_plain M(x, x')

so the task resembles what is expected of it as far as v_mean leaves that standing, lies in the span of all tasks as far
as v_span says, is unknown where no task was recorded (o, see :mod:`metahpo.surrogates.sources`), and may differ from
all that as far as the rest of g says. A regime is one setting of these variances: from tasks that are like others to
tasks that are like none. All is whitened by the Cholesky factor L of K_j + s_j I = L L'.

Losses y are related to scores by an unknown shift and factor, both integrated: see :mod:`metahpo.surrogates.scale`.
The evidence p(y | j) then weighs the regimes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from metahpo.surrogates.described import Described
from metahpo.surrogates.kernels import TYPICAL_SCALE, DeepKernel, deep_correlations, matern52
from metahpo.surrogates.regimes import Regimes
from metahpo.surrogates.scale import TINY, Losses, integrate_scale

#: Least variance of one trial's score: ties, exact in the records, must not make any hypothesis infinitely likely.
MIN_NOISE = 0.01


@dataclass(frozen=True)
class Conditioned:
    """The regimes after n trials; n-vectors are whitened by the Cholesky factor.

    Attributes
    ----------
    log_evidence : Tensor of shape (B, J)
        log p(y | j) up to a constant that all regimes share.
    incumbent : Tensor of shape (B, J)
        Lowest score observed, at the expected tau and c.
    factor : Tensor of shape (B, J, n, n)
        L.
    one, expected, residual : Tensors of shape (B, J, n)
        A one a trial, mu, and what the regime leaves unexplained of the scores.
    level : Tensor of shape (B, J)
        Precision of c.
    """

    log_evidence: Tensor
    incumbent: Tensor
    factor: Tensor
    one: Tensor
    expected: Tensor
    residual: Tensor
    level: Tensor


@dataclass(frozen=True)
class Prediction:
    """What the regimes say of the score that a trial would measure; each of shape (J, m).

    Attributes
    ----------
    mean, variance : Tensor
    gap_variance : Tensor
        Of the difference to the incumbent, without the noise of a trial.
    """

    mean: Tensor
    variance: Tensor
    gap_variance: Tensor


@dataclass(frozen=True)
class Mixture:
    """The model: covariances k_j of all regimes at once, and what they say before and after trials."""

    kernel: DeepKernel
    regimes: Regimes

    def covariances(self, a: Described, b: Described) -> Tensor:
        """Without noise, shape (B, J, n, m)."""
        span = a.deviations @ b.deviations.transpose(-1, -2) / a.deviations.shape[-1]
        mean = a.mean @ b.mean.transpose(-1, -2)
        deep, inverse_scales = deep_correlations(a.place, b.place), self._inverse_scales().to(mean.dtype)
        # The first is the kernel's own.
        plain = matern52(
            a.place.plain[..., None, :, :] * inverse_scales, b.place.plain[..., None, :, :] * inverse_scales
        )
        recorded = a.recorded @ b.recorded.transpose(-1, -2)
        left_open = self.kernel.weighed(deep, plain[..., 0, :, :]) - recorded
        shared, plain = torch.stack([mean, span, left_open, deep], dim=-3), plain[..., 1:, :, :]
        of_shared, of_plain = (v.to(deep.dtype) for v in self._variances())
        sums = (of_shared.T @ shared.flatten(-2)).reshape(plain.shape)
        return sums + of_plain[:, None, None] * plain

    def diagonals(self, a: Described) -> Tensor:
        """Variances k_j(x, x) without noise, shape (B, J, n)."""
        left_open = self.kernel.variance() - a.recorded.square().sum(-1)
        parts = [a.mean[..., 0].square(), a.deviations.square().mean(-1), left_open, torch.ones_like(left_open)]
        of_shared, of_plain = (v.to(left_open.dtype) for v in self._variances())
        return (torch.stack(parts, dim=-1) @ of_shared).movedim(-1, -2) + of_plain[:, None]

    def condition(self, trials: Described, K: Tensor, losses: Losses) -> Conditioned:
        """Condition all regimes on the losses of `trials`, of covariances K with one another, (B, J, n, n)."""
        factor, one, y, mean = self._whiten(trials, K, losses.y, losses.extra)
        m = self.regimes.mean_slope[:, None] * mean
        oo, oy, om = one.square().sum(-1), (one * y).sum(-1), (one * m).sum(-1)
        yy = (y.square().sum(-1) - oy.square() / oo).clamp_min(TINY)
        ym = (y * m).sum(-1) - oy * om / oo
        mm = m.square().sum(-1) - om.square() / oo

        tau, log_integral = integrate_scale(yy, ym, mm, losses, self.regimes.log_spread)
        half_log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + 0.5 * oo.log()
        c = (tau * oy - om) / oo
        return Conditioned(
            log_evidence=log_integral - half_log_det,
            incumbent=tau * losses.lowest()[..., None] - c,
            factor=factor,
            one=one,
            expected=mean,
            residual=tau[..., None] * y - m - c[..., None] * one,
            level=oo,
        )

    def log_density(self, trials: Described, K: Tensor, z: Tensor) -> Tensor:
        """Logarithm of p(z | j), up to a constant, for the scores (B, n) themselves; shape (B, J)."""
        factor, _, y, mean = self._whiten(trials, K, z)
        unexplained = (y - self.regimes.mean_slope[:, None] * mean).square().sum(-1)
        return -0.5 * unexplained - factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def predict_first(self, at: Described) -> Prediction:
        """What the regimes say of `at`, (m) without leading dimensions, before any trial."""
        variance = self.diagonals(at)
        return Prediction(self.regimes.mean_slope[:, None] * at.mean.T, variance + self._noise()[:, None], variance)

    def predict(self, given: Conditioned, K: Tensor, at: Described) -> Prediction:
        """What the regimes say of `at`, (m) without leading dimensions, of covariances K with the trials, (J, n, m).

        In single precision, which loses far less than the noise of a trial.
        """
        one = torch.eye(K.shape[-2], dtype=given.factor.dtype)
        # Solving for the inverse, and a product, take a fifth of what solving for all of K takes.
        Q = torch.linalg.solve_triangular(given.factor, one, upper=False).float() @ K.float()
        explained, share_of_c = (part.float()[:, None] @ Q for part in (given.residual, given.one))
        mean = self.regimes.mean_slope[:, None] * at.mean.T + explained[:, 0]
        known_c, level = self.diagonals(at) - Q.square().sum(-2), given.level[:, None]
        variance = (known_c + share_of_c[:, 0].square() / level).clamp_min(TINY) + self._noise()[:, None]
        gap_variance = (known_c + (1.0 - share_of_c[:, 0]).square() / level).clamp_min(TINY)
        return Prediction(mean, variance, gap_variance)

    def source_coefficients(
        self, log_weights: Tensor, alpha: Tensor, trials: Described | None = None, given: Conditioned | None = None
    ) -> Tensor:
        """Coefficient of every source function m_t in the expected score, shape (T,), by the weights of regimes (J,).

        A function enters through the span, once there are trials, and through mu.
        """
        weights = torch.softmax(log_weights, 0)
        total, of_span = (weights * self.regimes.mean_slope).sum(), torch.zeros_like(alpha)
        if trials is not None and given is not None:
            v_mean, v_span = self._variances()[0][:2]
            total = total + (weights * v_mean * (given.expected * given.residual).sum(-1)).sum()
            unwhitened = torch.linalg.solve_triangular(given.factor.mT, given.residual[..., None], upper=True)[..., 0]
            of_span = (weights * v_span) @ unwhitened @ trials.deviations / len(alpha)
        return of_span + (total - of_span.sum()) * alpha

    def _whiten(
        self, trials: Described, K: Tensor, y: Tensor, extra: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """L (B, J, n, n), and L^-1 times: ones, y and mu, (B, J, n).

        `extra` variance of single trials counts as one of scores, as if the factor tau were 1: it would not be closed
        otherwise. Losses are standardised and scores are standard, so that tau is seldom far from it.
        """
        noise = self._noise()[:, None, None] * torch.eye(y.shape[-1], dtype=y.dtype, device=y.device)
        if extra is not None:
            noise = noise + torch.diag_embed(extra)[..., None, :, :]
        factor = torch.linalg.cholesky(K + noise)
        columns = torch.cat([torch.ones_like(trials.mean), y[..., None], trials.mean], dim=-1)
        right = columns[..., None, :, :].expand(*factor.shape[:-1], 3)
        one, y, mean = torch.linalg.solve_triangular(factor, right, upper=False).unbind(-1)
        return factor, one, y, mean

    def _noise(self) -> Tensor:
        """Variance s_j of one trial, shape (J,)."""
        return self.regimes.log_noise.exp() + MIN_NOISE

    def _inverse_scales(self) -> Tensor:
        """What kernel and regimes multiply the places of the plain part by, shape (1 + J, 1, d).

        The kernel by one; the regimes by what they have learnt, or, where that is nothing, to undo the kernel's scales.
        """
        learnt = (-self.regimes.log_plain_scale).exp()[:, None]
        own = self.kernel.log_scale_plain.exp()
        cold = own / (TYPICAL_SCALE * math.sqrt(len(own)))
        of_regimes = torch.where(self.regimes.learnt[:, None], learnt, cold)
        return torch.cat([torch.ones_like(of_regimes[:1]), of_regimes])[:, None, :]

    def _variances(self) -> tuple[Tensor, Tensor]:
        """Of the mean, the span, what is left open, and the deep part, shape (4, J); and of the plain part, (J,)."""
        r = self.regimes
        shared: list[Tensor] = [
            r.log_mean_slope_variance,
            r.log_span_variance,
            r.log_open_variance,
            r.log_deep_variance,
        ]
        return torch.stack(shared).exp(), r.log_plain_variance.exp()
