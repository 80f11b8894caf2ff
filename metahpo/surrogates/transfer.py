"""The mixture of source tasks, conditioned on trials in closed form.

Symbols: B leading batch dimensions, n trials, m configurations, T source tasks; M (n, T) the source functions at
configurations, mu their mean over tasks, D = M - mu. Every source task t is one hypothesis of how the scores z of the
new task depend on the configuration x:

    z(x) = mu(x) + b d_t(x) + g(x) + e,      b ~ N(b0, v_b),    g ~ GP(0, k_0),    e ~ N(0, v_e)
    k_0  = v_l <d(x), d(x')> / T + g_deep k_deep + g_plain k_plain

so the new task resembles task t as far as b says, lies in the span of all tasks as far as v_l says, and may differ from
both as far as g says. k_0 is the same under every t, so one Cholesky factor K_0 + v_e I = L L' serves all hypotheses:
with everything whitened by L^-1, the term v_b d_t d_t' is a correction of rank one (Sherman-Morrison).

Losses y are related to scores by an unknown shift and factor, ``tau_t y - c_t = z``. With a flat prior on c its
integral is closed; then log p(y | t, tau) = (n - 1) log tau - (tau^2 [yy] - 2 tau [ym] + [mm]) / 2 + const, for
quadratic forms [..] that do not depend on tau, so tau is integrated on a grid at no cost. p(y | t) weighs hypotheses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metahpo.surrogates.kernels import DeepKernel, Located

#: Grid of log tau for losses standardised to unit variance, and its normal prior.
LOG_TAU = (-2.5, 1.2, 24)
LOG_TAU_MEAN, LOG_TAU_STD = -0.3, 0.7
#: Smallest variance and quadratic form: below it lies rounding.
TINY = 1e-9


class Variances(nn.Module):
    """How far tasks resemble one another: the parameters of the hypotheses, learnt across tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.5))
        self.log_slope_variance = nn.Parameter(torch.tensor(-1.0))
        self.log_span_variance = nn.Parameter(torch.tensor(-2.0))
        self.log_deep_factor = nn.Parameter(torch.tensor(-1.5))
        self.log_plain_factor = nn.Parameter(torch.tensor(-2.0))
        self.log_noise = nn.Parameter(torch.tensor(-3.0))

    def noise(self) -> Tensor:
        """Variance v_e of one trial's score."""
        return self.log_noise.exp() + 1e-4


@dataclass(frozen=True)
class Described:
    """Configurations as the mixture sees them: place (n), mean over tasks mu (n, 1), deviations D (n, T)."""

    place: Located
    mean: Tensor
    deviations: Tensor


def describe(place: Located, M: Tensor, known: Tensor | None = None) -> Described:
    """Split source functions (B, n, T) into mean and deviations; `known` (B, T) leaves tasks out where False."""
    if known is None:
        mean = M.mean(-1, keepdim=True)
        return Described(place, mean, M - mean)
    share = known.to(M.dtype)[..., None, :]
    mean = (M * share).sum(-1, keepdim=True) / share.sum(-1, keepdim=True)
    return Described(place, mean, (M - mean) * share)


def residual_covariance(kernel: DeepKernel, v: Variances, a: Described, b: Described) -> Tensor:
    """k_0 between configurations, shape (B, n, m), without noise."""
    deep, plain = kernel.correlations(a.place, b.place)
    span = a.deviations @ b.deviations.transpose(-1, -2) / a.deviations.shape[-1]
    return (
        (v.log_deep_factor + kernel.log_variance_deep).exp() * deep
        + (v.log_plain_factor + kernel.log_variance_plain).exp() * plain
        + v.log_span_variance.exp() * span
    )


def residual_variance(kernel: DeepKernel, v: Variances, a: Described) -> Tensor:
    """k_0(x, x), shape (B, n)."""
    deep = (v.log_deep_factor + kernel.log_variance_deep).exp()
    plain = (v.log_plain_factor + kernel.log_variance_plain).exp()
    return deep + plain + v.log_span_variance.exp() * a.deviations.square().mean(-1)


@dataclass(frozen=True)
class Prediction:
    """What T hypotheses say of m configurations: log evidence (T,), mean and variance (m, T), best score (T,)."""

    log_evidence: Tensor
    mean: Tensor
    variance: Tensor
    incumbent: Tensor


def prior(kernel: DeepKernel, v: Variances, at: Described) -> Prediction:
    """Prediction before any trial; the incumbent is the median configuration."""
    mean = at.mean + v.slope * at.deviations
    variance = residual_variance(kernel, v, at)[:, None] + v.log_slope_variance.exp() * at.deviations.square()
    nothing = torch.zeros(mean.shape[1], dtype=mean.dtype)
    return Prediction(nothing, mean, variance, nothing)


def condition(kernel: DeepKernel, v: Variances, trials: Described, y: Tensor, at: Described) -> Prediction:
    """Prediction at configurations `at`, given losses `y`, shape (n,), of `trials`; y of mean 0 and variance 1 or 0."""
    n, T = trials.deviations.shape
    K = residual_covariance(kernel, v, trials, trials) + v.noise() * torch.eye(n, dtype=y.dtype)
    right = torch.cat(
        [
            torch.ones(n, 1, dtype=y.dtype),
            y[:, None],
            trials.mean,
            trials.deviations,
            residual_covariance(kernel, v, trials, at),
        ],
        dim=1,
    )
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(K), right, upper=False)
    one, y_, mu, D, Q = white.split([1, 1, 1, T, right.shape[1] - T - 3], dim=1)
    m_ = mu + v.slope * D
    v_b = v.log_slope_variance.exp()
    gain = v_b / (1.0 + v_b * D.square().sum(0))
    oD, yD, mD = (one * D).sum(0), (y_ * D).sum(0), (m_ * D).sum(0)

    oo = (one * one).sum() - gain * oD * oD
    oy, om = (one * y_).sum() - gain * oD * yD, (one * m_).sum(0) - gain * oD * mD
    yy = ((y_ * y_).sum() - gain * yD * yD - oy * oy / oo).clamp_min(TINY)
    ym = (y_ * m_).sum(0) - gain * yD * mD - oy * om / oo
    mm = (m_ * m_).sum(0) - gain * mD * mD - om * om / oo

    tau, log_evidence = _integrate_scale(yy, ym, mm, n if float(y.abs().max()) > 0.0 else 1)
    log_evidence = log_evidence - 0.5 * torch.log1p(v_b * D.square().sum(0)) - 0.5 * oo.log()

    c = (tau * oy - om) / oo
    residual = tau * y_ - m_ - c * one
    pull = gain * (residual * D).sum(0)
    ahead = at.deviations - Q.T @ D
    mean = at.mean + v.slope * at.deviations + Q.T @ residual + ahead * pull
    variance = (residual_variance(kernel, v, at) - Q.square().sum(0))[:, None] + ahead.square() * gain
    return Prediction(log_evidence, mean, variance.clamp_min(TINY), tau * y.min() - c)


def _integrate_scale(yy: Tensor, ym: Tensor, mm: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Posterior mean of tau, and log evidence with tau integrated out; each of shape (T,)."""
    log_tau = torch.linspace(*LOG_TAU, dtype=yy.dtype)[:, None]
    tau = log_tau.exp()
    log_p = (n - 1) * log_tau - 0.5 * (tau * tau * yy - 2.0 * tau * ym + mm)
    log_p = log_p - 0.5 * ((log_tau - LOG_TAU_MEAN) / LOG_TAU_STD).square()
    log_p = log_p - 0.5 * n * math.log(2.0 * math.pi)
    return (torch.softmax(log_p, 0) * tau).sum(0), torch.logsumexp(log_p, 0)


def log_evidence(kernel: DeepKernel, v: Variances, trials: Described, z: Tensor) -> Tensor:
    """Logarithm of p(z | t), shape (B, T), of scores (B, n) whose scale is known up to a shift, as in training."""
    n, T = trials.deviations.shape[-2:]
    K = residual_covariance(kernel, v, trials, trials) + v.noise() * torch.eye(n, dtype=z.dtype)
    L = torch.linalg.cholesky(K)
    right = torch.cat([torch.ones_like(trials.mean), z[..., None] - trials.mean, trials.deviations], dim=-1)
    one, r, D = torch.linalg.solve_triangular(L, right, upper=False).split([1, 1, T], dim=-1)
    r = r - v.slope * D
    v_b = v.log_slope_variance.exp()
    spread = 1.0 + v_b * D.square().sum(-2)
    rD, oD = (r * D).sum(-2), (one * D).sum(-2)
    rr = r.square().sum(-2) - v_b * rD.square() / spread
    oo = 1.0 + one.square().sum(-2) - v_b * oD.square() / spread
    ro = (r * one).sum(-2) - v_b * rD * oD / spread
    log_det: Tensor = 2.0 * L.diagonal(dim1=-2, dim2=-1).log().sum(-1)[..., None] + spread.log() + oo.log()
    quadratic: Tensor = rr - ro.square() / oo
    return -0.5 * (quadratic + log_det + n * math.log(2.0 * math.pi))
