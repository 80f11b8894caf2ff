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
    M           source functions at the configurations, (n, T)
    mu          expected function of the new task, mu = M alpha
    D, d_t      deviations of the source functions from mu, D = M - mu; d_t is the column of task t
    a_j, b_j    mean coefficients of mu and of d_t (`mean_slope`, `slope`)
    v_j         prior variance of the slope b
    v_mean      variance of the coefficient of mu
    v_span      variance of the part of g in the span of all source tasks
    v_open      variance of the part of g that the records leave open: o(x, x') is large where no task was recorded
                (see :mod:`metahpo.surrogates.mixture.source_functions`)
    v_mapped    variance of the kernel D(x, x') on learnt maps, and
    v_plain     variance of the Matern kernel M(x, x') on the columns
                (see :mod:`metahpo.surrogates.mixture.kernels`)
    s_j         variance of the noise of one trial
    tau, c      factor and shift between losses and z-scores, z = tau y - c
                (see :mod:`metahpo.surrogates.mixture.loss_scale`)
    L           Cholesky factor, L L' = K_j + s_j I
    [pq]        p' (K_j + s_j I)^-1 q, the inner product of two whitened vectors; 1 is the vector of ones

A component is one setting of the variances. The components range from tasks that resemble the source tasks to tasks
that resemble none. The covariance k_j does not depend on t. One Cholesky factor therefore serves T hypotheses: after
whitening with L^-1, the term v_j d_t d_t' is a correction of rank one (Sherman-Morrison).

Losses are moved towards their ranks first. The factor tau and the shift c are integrated out. The evidence p(y | t, j)
then weights the hypotheses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from metahpo.surrogates.mixture.components import MixtureComponents
from metahpo.surrogates.mixture.kernels import TYPICAL_SCALE, ZScoreKernel, mapped_correlations, matern52
from metahpo.surrogates.mixture.loss_scale import TINY, Losses, integrate_scale
from metahpo.surrogates.mixture.source_features import SourceFeatures

#: Least variance of the noise of one trial. It keeps the likelihood finite where the records have exact ties.
MIN_NOISE = 0.01
#: Hypotheses with the least weights are left out of a prediction. This is the largest sum of their weights.
NEGLIGIBLE_SHARE = 1e-3


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

    def covariances(self, a: SourceFeatures, b: SourceFeatures) -> Tensor:
        """Covariances k_j(x, x') without noise, shape (B, J, n, m)."""
        span = a.deviations @ b.deviations.transpose(-1, -2) / a.deviations.shape[-1]
        mean = a.mean @ b.mean.transpose(-1, -2)
        mapped, inverse_scales = mapped_correlations(a.place, b.place), self._inverse_scales().to(mean.dtype)
        # The first slice of the plain correlations is at the length scales of the kernel.
        plain = matern52(
            a.place.plain[..., None, :, :] * inverse_scales, b.place.plain[..., None, :, :] * inverse_scales
        )
        recorded = a.recorded @ b.recorded.transpose(-1, -2)
        left_open = self.kernel.weighed(mapped, plain[..., 0, :, :]) - recorded
        shared, plain = torch.stack([mean, span, left_open, mapped], dim=-3), plain[..., 1:, :, :]
        of_shared, of_plain = (v.to(mapped.dtype) for v in self._variances())
        sums = (of_shared.T @ shared.flatten(-2)).reshape(plain.shape)
        return sums.add_(of_plain[:, None, None] * plain)

    def diagonals(self, a: SourceFeatures) -> Tensor:
        """Variances k_j(x, x) without noise, shape (B, J, n)."""
        left_open = self.kernel.variance() - a.recorded.square().sum(-1)
        parts = [a.mean[..., 0].square(), a.deviations.square().mean(-1), left_open, torch.ones_like(left_open)]
        of_shared, of_plain = (v.to(left_open.dtype) for v in self._variances())
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
        """Predict m configurations, without leading dimensions, given their covariances K with the trials, (J, n, m).

        These S m numbers are computed in single precision. Its error is far smaller than the noise of a trial.
        """
        at = at.to(torch.float32)
        known, counts = self.diagonals(at), torch.bincount(chosen.components).tolist()
        parts = [
            self._predict_under(j, tasks, given, K[j], at, known[j])
            for j, tasks in enumerate(torch.split(chosen.tasks, counts))
            if len(tasks)
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

    def source_coefficients(self, log_weights: Tensor, given: Conditioned | None, alpha: Tensor) -> Tensor:
        """Coefficient of every source function m_t in the expected z-score, shape (T,).

        A source function contributes through its own hypotheses (the mean of b), through the span and through mu.
        """
        weights = torch.softmax(log_weights.flatten(), 0).reshape(log_weights.shape)
        own, of_mean = self.components.slope[:, None].expand_as(weights), self.components.mean_slope
        coefficients = (weights * own).sum(0)
        total = (weights.sum(1) * of_mean).sum()
        if given is not None:
            v_mean, v_span = self._variances()[0][:2]
            residual = given.residual - given.deviations * given.slope_correction[:, None, :]
            residual = (residual * weights[:, None, :]).sum(-1, keepdim=True)
            span = v_span[:, None] * (given.deviations * residual).sum(1) / len(alpha)
            coefficients = coefficients + (weights * given.slope_correction).sum(0) + span.sum(0)
            total = total + (v_mean * (given.expected * residual).sum((1, 2))).sum()
        return coefficients + (total - coefficients.sum()) * alpha

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

    def _variances(self) -> tuple[Tensor, Tensor]:
        """Variances v_mean, v_span, v_open and v_mapped, shape (4, J), and v_plain, shape (J,)."""
        r = self.components
        shared: list[Tensor] = [
            r.log_mean_slope_variance,
            r.log_span_variance,
            r.log_open_variance,
            r.log_mapped_variance,
        ]
        return torch.stack(shared).exp(), r.log_plain_variance.exp()
