"""The mixture of source tasks: hypotheses about a new task, conditioned on its trials in closed form.

Symbols: B leading batch dimensions, n trials, m configurations, T source tasks, J regimes; M (n, T) the source
functions at configurations, mu = M alpha the function expected of the task, D = M - mu the deviations from it. Every
source task t, under every regime j, is one hypothesis of how the scores z of the new task depend on a configuration x:

    z(x) = a_j mu(x) + b d_t(x) + g(x) + e,      b ~ N(b_j, v_j),    g ~ GP(0, k_j),    e ~ N(0, s_j)
    k_j  = v_mean mu(x) mu(x') + v_span <d(x), d(x')> / T + v_open o(x, x')
         + v_mapped D(x, x') + v_plain M(x, x')

so the task resembles what is expected of it as far as v_mean leaves that standing, resembles task t as far as b says,
lies in the span of all tasks as far as v_span says, is unknown where no task was recorded (o, see
:mod:`metahpo.surrogates.mixture.source_functions`), and may differ from all that as far as the rest of g says. A regime
is one setting of these variances: from tasks that are like others to tasks that are like none. k_j is the same under
every t, so one Cholesky factor K_j + s_j I = L L' serves T hypotheses: with all whitened by L^-1, the term v_j d_t d_t'
is a correction of rank one (Sherman-Morrison).

Losses, brought near to ranks, are related to scores by an unknown shift and factor, both integrated: see
:mod:`metahpo.surrogates.mixture.loss_scale`.
The evidence p(y | t, j) then weighs the hypotheses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from metahpo.surrogates.mixture.components import Regimes
from metahpo.surrogates.mixture.kernels import TYPICAL_SCALE, ScoreKernel, mapped_correlations, matern52
from metahpo.surrogates.mixture.loss_scale import TINY, Losses, integrate_scale
from metahpo.surrogates.mixture.source_features import Described

#: Least variance of one trial's score: ties, exact in the records, must not make any hypothesis infinitely likely.
MIN_NOISE = 0.01
#: Share of a prediction that the lightest hypotheses may make up together and be left out.
NEGLIGIBLE_SHARE = 1e-3


@dataclass(frozen=True)
class Conditioned:
    """The hypotheses after n trials; n-vectors are whitened by the Cholesky factor.

    Attributes
    ----------
    log_evidence : Tensor of shape (B, J, T)
        log p(y | t, j) up to a constant that all hypotheses share.
    incumbent : Tensor of shape (B, J, T)
        Lowest score observed, at the expected tau and c.
    factor : Tensor of shape (B, J, n, n)
        L.
    one, expected, deviations, residual : Tensors of shape (B, J, n, 1), (B, J, n, 1), (B, J, n, T), (B, J, n, T)
        A one a trial, mu, D, and what the hypothesis leaves unexplained of the scores.
    gain, pull, lean, level : Tensors of shape (B, J, T)
        v_j / (1 + v_j [dd]); the shift of b; gain times [1d]; and the precision of c.
    """

    log_evidence: Tensor
    incumbent: Tensor
    factor: Tensor
    one: Tensor
    expected: Tensor
    deviations: Tensor
    residual: Tensor
    gain: Tensor
    pull: Tensor
    lean: Tensor
    level: Tensor


class Hypotheses(NamedTuple):
    """S chosen hypotheses: their regimes and their source tasks, each of shape (S,)."""

    regimes: Tensor
    tasks: Tensor

    @classmethod
    def heaviest(cls, log_weights: Tensor) -> Hypotheses:
        """Those that make up a prediction but for a negligible share, by the log weights of all, shape (J, T).

        They come regime by regime.
        """
        weights, order = torch.sort(torch.softmax(log_weights.flatten(), 0), descending=True)
        n_kept = 1 + int((weights.cumsum(0) < 1.0 - NEGLIGIBLE_SHARE).sum())
        best = order[:n_kept].sort().values
        return cls(best // log_weights.shape[1], best % log_weights.shape[1])


@dataclass(frozen=True)
class Prediction:
    """What S hypotheses say of the score that a trial would measure; each of shape (S, m).

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
    """The model: covariances k_j of all regimes at once, and what their hypotheses say before and after trials."""

    kernel: ScoreKernel
    regimes: Regimes

    def covariances(self, a: Described, b: Described) -> Tensor:
        """Without noise, shape (B, J, n, m)."""
        span = a.deviations @ b.deviations.transpose(-1, -2) / a.deviations.shape[-1]
        mean = a.mean @ b.mean.transpose(-1, -2)
        mapped, inverse_scales = mapped_correlations(a.place, b.place), self._inverse_scales().to(mean.dtype)
        # The first is the kernel's own.
        plain = matern52(
            a.place.plain[..., None, :, :] * inverse_scales, b.place.plain[..., None, :, :] * inverse_scales
        )
        recorded = a.recorded @ b.recorded.transpose(-1, -2)
        left_open = self.kernel.weighed(mapped, plain[..., 0, :, :]) - recorded
        shared, plain = torch.stack([mean, span, left_open, mapped], dim=-3), plain[..., 1:, :, :]
        of_shared, of_plain = (v.to(mapped.dtype) for v in self._variances())
        sums = (of_shared.T @ shared.flatten(-2)).reshape(plain.shape)
        return sums.add_(of_plain[:, None, None] * plain)

    def diagonals(self, a: Described) -> Tensor:
        """Variances k_j(x, x) without noise, shape (B, J, n)."""
        left_open = self.kernel.variance() - a.recorded.square().sum(-1)
        parts = [a.mean[..., 0].square(), a.deviations.square().mean(-1), left_open, torch.ones_like(left_open)]
        of_shared, of_plain = (v.to(left_open.dtype) for v in self._variances())
        return (torch.stack(parts, dim=-1) @ of_shared).movedim(-1, -2) + of_plain[:, None]

    def condition(self, trials: Described, K: Tensor, losses: Losses) -> Conditioned:
        """Condition all hypotheses on the losses of `trials`, of covariances K with one another, (B, J, n, n)."""
        factor, one, y, mean, D = self._whiten(trials, K, losses.y, losses.extra)
        m = self._expected(mean, D)
        v = self.regimes.log_slope_variance.exp()[:, None]
        spread = 1.0 + v * D.square().sum(-2)
        gain = v / spread
        both = torch.cat([one, y], dim=-1).transpose(-1, -2)
        (oD, yD), (om, ym) = (both @ D).unbind(-2), (both @ m).unbind(-2)
        mD = (m * D).sum(-2)
        oo = one.square().sum(-2) - gain * oD.square()
        oy = (one * y).sum(-2) - gain * oD * yD
        om = om - gain * oD * mD
        yy = (y.square().sum(-2) - gain * yD.square() - oy.square() / oo).clamp_min(TINY)
        ym = ym - gain * yD * mD - oy * om / oo
        mm = m.square().sum(-2) - gain * mD.square() - om.square() / oo

        tau, log_integral = integrate_scale(yy, ym, mm, losses, self.regimes.log_spread)
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
            gain=gain,
            pull=gain * (residual * D).sum(-2),
            lean=gain * oD,
            level=oo,
        )

    def log_density(self, trials: Described, K: Tensor, z: Tensor) -> Tensor:
        """Logarithm of p(z | t, j), up to a constant, for the scores (B, n) themselves; shape (B, J, T)."""
        factor, _, y, mean, D = self._whiten(trials, K, z)
        m = self._expected(mean, D)
        v = self.regimes.log_slope_variance.exp()[:, None]
        spread = 1.0 + v * D.square().sum(-2)
        unexplained = (y - m).square().sum(-2) - v / spread * ((y - m) * D).sum(-2).square()
        return -0.5 * (unexplained + spread.log()) - factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)[..., None]

    def predict_first(self, at: Described, chosen: Hypotheses) -> Prediction:
        """What hypotheses say of `at`, (m) without leading dimensions, before any trial."""
        j, d = chosen.regimes, at.deviations.T[chosen.tasks]
        mean = self.regimes.mean_slope[j, None] * at.mean.T + self.regimes.slope[j, None] * d
        variance = self.diagonals(at)[j] + self.regimes.log_slope_variance[j, None].exp() * d.square()
        return Prediction(mean, variance + self._noise()[j, None], variance)

    def predict(self, given: Conditioned, K: Tensor, at: Described, chosen: Hypotheses) -> Prediction:
        """What hypotheses say of `at`, (m) without leading dimensions, of covariances K with the trials, (J, n, m).

        In single precision, which loses far less than the noise of a trial: these are S m numbers.
        """
        at = at.to(torch.float32)
        known, counts = self.diagonals(at), torch.bincount(chosen.regimes).tolist()
        parts = [
            self._predict_under(j, tasks, given, K[j], at, known[j])
            for j, tasks in enumerate(torch.split(chosen.tasks, counts))
            if len(tasks)
        ]
        return Prediction(*map(torch.cat, zip(*parts, strict=True)))

    def _predict_under(
        self, j: int, tasks: Tensor, given: Conditioned, K: Tensor, at: Described, known: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, variance and variance of the gap, (S, m), of hypotheses that share regime j; `known` is k_j(x, x)."""
        # Solving for the inverse, and a product, take a fifth of what solving for all of K takes.
        one = torch.eye(len(K), dtype=given.factor.dtype)
        Q = torch.linalg.solve_triangular(given.factor[j], one, upper=False).float() @ K.float()
        columns = torch.cat([given.deviations[j][:, tasks], given.residual[j][:, tasks], given.one[j]], dim=-1)
        S, r = len(tasks), self.regimes
        explained = columns.float().T @ Q
        of_deviations, of_residual, of_one = explained[:S], explained[S : 2 * S], explained[2 * S :]
        gain, pull, lean, level = (
            part[j, tasks, None].float() for part in (given.gain, given.pull, given.lean, given.level)
        )
        mean_slope, slope, noise = (float(part[j]) for part in (r.mean_slope, r.slope, self._noise()))
        d = at.deviations.T[tasks]
        ahead = d - of_deviations
        # In place where it can be: new arrays take time.
        mean = of_residual.add_(mean_slope * at.mean.T).add_(d.mul_(slope)).add_(ahead * pull)
        share_of_c = (ahead * lean).add_(of_one)
        known_c = ahead.square_().mul_(gain).add_(known - Q.square().sum(0))
        variance = share_of_c.square().div_(level).add_(known_c).clamp_min_(TINY).add_(noise)
        gap_variance = (1.0 - share_of_c).square_().div_(level).add_(known_c).clamp_min_(TINY)
        return mean, variance, gap_variance

    def source_coefficients(self, log_weights: Tensor, given: Conditioned | None, alpha: Tensor) -> Tensor:
        """Coefficient of every source function m_t in the expected score, shape (T,), by the weights of hypotheses.

        A function enters through its own hypotheses (the expected b), through the span, and through mu.
        """
        weights = torch.softmax(log_weights.flatten(), 0).reshape(log_weights.shape)
        own, of_mean = self.regimes.slope[:, None].expand_as(weights), self.regimes.mean_slope
        coefficients = (weights * own).sum(0)
        total = (weights.sum(1) * of_mean).sum()
        if given is not None:
            v_mean, v_span = self._variances()[0][:2]
            residual = given.residual - given.deviations * given.pull[:, None, :]
            residual = (residual * weights[:, None, :]).sum(-1, keepdim=True)
            span = v_span[:, None] * (given.deviations * residual).sum(1) / len(alpha)
            coefficients = coefficients + (weights * given.pull).sum(0) + span.sum(0)
            total = total + (v_mean * (given.expected * residual).sum((1, 2))).sum()
        return coefficients + (total - coefficients.sum()) * alpha

    def _whiten(
        self, trials: Described, K: Tensor, y: Tensor, extra: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """L (B, J, n, n), and L^-1 times: ones, y and mu, (B, J, n, 1), and D, (B, J, n, T).

        `extra` variance of single trials counts as one of scores, as if the factor tau were 1: it would not be closed
        otherwise. Losses are standardised and scores are standard, so that tau is seldom far from it.
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
        """Scores that the hypotheses expect, shape (B, J, n, T)."""
        return self.regimes.mean_slope[:, None, None] * mean + self.regimes.slope[:, None, None] * D

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
        """Of the mean, the span, what is left open, and the mapped part, shape (4, J); and of the plain part, (J,)."""
        r = self.regimes
        shared: list[Tensor] = [
            r.log_mean_slope_variance,
            r.log_span_variance,
            r.log_open_variance,
            r.log_mapped_variance,
        ]
        return torch.stack(shared).exp(), r.log_plain_variance.exp()
