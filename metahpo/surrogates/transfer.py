"""The mixture of source tasks: hypotheses about a new task, conditioned on its trials in closed form.

Symbols: B leading batch dimensions, n trials, m configurations, T source tasks, J regimes; M (n, T) the source
functions at configurations, mu = M alpha the function expected of the task, D = M - mu the deviations from it. Every
source task t, under every regime j, is one hypothesis of how the scores z of the new task depend on a configuration x:

    z(x) = mu(x) + b d_t(x) + g(x) + e,      b ~ N(b_j, v_j),    g ~ GP(0, k_j),    e ~ N(0, s_j)
    k_j  = v_span <d(x), d(x')> / T + f_deep k_deep(x, x') + f_plain k_plain(x, x')

so the task resembles task t as far as b says, lies in the span of all tasks as far as v_span says, and may differ from
both as far as g says. A regime is one setting of these variances: one for tasks that are like others, one for tasks
that are not. k_j is the same under every t, so one Cholesky factor K_j + s_j I = L L' serves T hypotheses: with all
whitened by L^-1, the term v_j d_t d_t' is a correction of rank one (Sherman-Morrison).

Losses y are related to scores by an unknown shift and factor, z = tau y - c. With a flat prior on c its integral is
closed; then log p(y | t, j, tau) = (n - 1) log tau - (tau^2 [yy] - 2 tau [ym] + [mm]) / 2 + const, for quadratic forms
[..] that do not depend on tau, so tau is integrated on a grid at no cost. How widely losses spread on the source tasks
is the prior of tau, with the tails of Student's t: two losses that hardly differ are likely close in score, too, but a
task measured on another scale is soon recognised. p(y | t, j) then weighs the hypotheses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metahpo.surrogates.kernels import DeepKernel, Located

#: Grid of log tau for losses standardised to unit variance: few trials may span little of the scale, or most of it.
LOG_TAU = (-5.5, 1.7, 30)
#: Normal factor of its prior: whatever the task, trials span neither nothing of it nor far more than it does.
LOG_TAU_MEAN, LOG_TAU_STD = -0.3, 1.5
#: Degrees of freedom of the prior of log tau from the source tasks, and the least standard deviation it is given.
SCALE_FREEDOM, MIN_SCALE_SPREAD = 3.0, 0.5
#: Least variance of one trial's score: ties, exact in the records, must not make any hypothesis infinitely likely.
MIN_NOISE = 0.01
#: Smallest variance and quadratic form: below it lies rounding.
TINY = 1e-9


class Regimes(nn.Module):
    """Parameters of the hypotheses, learnt across tasks: vectors with an entry a regime, and one concentration.

    They start at a regime for tasks that are like others, and one for tasks that are not. `log_spread`, counted and not
    learnt, is the mean and standard deviation over tasks of the logarithm of the standard deviation of losses.
    """

    log_spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_spread", torch.tensor([0.0, 1.0]))
        self.log_share = nn.Parameter(torch.zeros(2))
        self.slope = nn.Parameter(torch.tensor([0.4, 0.2]))
        self.log_slope_variance = nn.Parameter(torch.tensor([-1.5, -1.5]))
        self.log_span_variance = nn.Parameter(torch.tensor([-1.5, -1.0]))
        self.log_deep_factor = nn.Parameter(torch.tensor([-1.0, 0.0]))
        self.log_plain_factor = nn.Parameter(torch.tensor([-1.0, 0.0]))
        self.log_plain_scale = nn.Parameter(torch.tensor([0.0, -0.5]))
        self.log_noise = nn.Parameter(torch.tensor([-3.0, -3.0]))
        self.log_concentration = nn.Parameter(torch.tensor(-1.0))

    @property
    def n_regimes(self) -> int:
        """J."""
        return len(self.log_share)

    def log_prior(self, squared_distance: Tensor) -> Tensor:
        """Log prior weight of every source task under every regime, shape (B, J, T).

        A task is the more likely to resemble the new one, the nearer its function is to the function expected of it;
        `squared_distance`, shape (B, T), is in units of its typical value, and infinite for tasks left out.
        """
        left_out = squared_distance.isinf()  # kept out of the product, whose gradient they would turn into NaN
        nearness = -self.log_concentration.exp() * squared_distance.masked_fill(left_out, 0.0)
        over_tasks = torch.log_softmax(nearness.masked_fill(left_out, -torch.inf), -1)
        return torch.log_softmax(self.log_share, 0)[:, None] + over_tasks[..., None, :]


@dataclass(frozen=True)
class Described:
    """Configurations as the mixture sees them: place, expected function mu (B, n, 1), deviations D (B, n, T)."""

    place: Located
    mean: Tensor
    deviations: Tensor


def describe(place: Located, M: Tensor, alpha: Tensor, known: Tensor | None = None) -> Described:
    """Split source functions (B, n, T) by weights alpha (B, T); `known` (B, T) leaves tasks out where False."""
    mean = M @ alpha[..., None]
    deviations = M - mean
    return Described(place, mean, deviations if known is None else deviations * known[..., None, :])


def squared_distances(M: Tensor, alpha: Tensor, known: Tensor | None = None) -> Tensor:
    """Distance of source functions M (R, T) from the expected one, in units of their mean, shape (B, T).

    `alpha` (B, T) are the weights of the expected function; where `known` (B, T) is False, the distance is infinite.
    """
    squared = (M - (M @ alpha.T).T[..., None]).square().mean(-2)
    if known is None:
        return squared / squared.mean(-1, keepdim=True)
    typical = (squared * known).sum(-1, keepdim=True) / known.sum(-1, keepdim=True)
    return (squared / typical).masked_fill(~known, torch.inf)


@dataclass(frozen=True)
class RegimeKernel:
    """Covariance k_j of one regime."""

    kernel: DeepKernel
    regimes: Regimes
    j: int

    def __call__(self, a: Described, b: Described) -> Tensor:
        """Covariances without noise, shape (B, n, m)."""
        scale = self.regimes.log_plain_scale[self.j].exp()
        deep, plain = self.kernel.correlations(
            a.place.with_plain_scaled(1.0 / scale), b.place.with_plain_scaled(1.0 / scale)
        )
        v_span, v_deep, v_plain = self._variances()
        span = a.deviations @ b.deviations.transpose(-1, -2) / a.deviations.shape[-1]
        covariance: Tensor = v_span * span + v_deep * deep + v_plain * plain
        return covariance

    def diagonal(self, a: Described) -> Tensor:
        """Variances without noise, shape (B, n)."""
        v_span, v_deep, v_plain = self._variances()
        variance: Tensor = v_span * a.deviations.square().mean(-1) + v_deep + v_plain
        return variance

    def noise(self) -> Tensor:
        """Variance s_j of one trial's score."""
        return self.regimes.log_noise[self.j].exp() + MIN_NOISE

    def _variances(self) -> tuple[Tensor, Tensor, Tensor]:
        r, k = self.regimes, self.kernel
        return (
            r.log_span_variance[self.j].exp(),
            (r.log_deep_factor[self.j] + k.log_variance_deep).exp(),
            (r.log_plain_factor[self.j] + k.log_variance_plain).exp(),
        )


@dataclass(frozen=True)
class Losses:
    """Losses of n trials of B tasks: standardised values y (B, n), and the spread that was divided out (B, 1)."""

    y: Tensor
    spread: Tensor

    @classmethod
    def standardise(cls, losses: Tensor) -> Losses:
        """Losses of shape (B, n), to mean 0 and variance 1; all 0, with spread 0, where they do not differ."""
        centred = losses - losses.mean(-1, keepdim=True)
        spread = centred.square().mean(-1, keepdim=True).sqrt()
        differ = spread > TINY * losses.abs().amax(-1, keepdim=True)
        return cls(torch.where(differ, centred / spread.clamp_min(1e-300), 0.0), torch.where(differ, spread, 0.0))


@dataclass(frozen=True)
class Conditioned:
    """One regime's T hypotheses after n trials; n-vectors are whitened by the Cholesky factor.

    Attributes
    ----------
    log_evidence : Tensor of shape (B, T)
        log p(y | t, j) up to a constant that all hypotheses share.
    incumbent : Tensor of shape (B, T)
        Lowest score observed, at the expected tau and c.
    factor : Tensor of shape (B, n, n)
        L.
    one, deviations, residual : Tensors of shape (B, n, 1), (B, n, T), (B, n, T)
        A one a trial, D, and what the hypothesis leaves unexplained of the scores.
    gain, pull, lean, level : Tensors of shape (B, T)
        v_j / (1 + v_j [dd]); the shift of b; gain times [1d]; and the precision of c.
    """

    log_evidence: Tensor
    incumbent: Tensor
    factor: Tensor
    one: Tensor
    deviations: Tensor
    residual: Tensor
    gain: Tensor
    pull: Tensor
    lean: Tensor
    level: Tensor


def condition(kernel: DeepKernel, regimes: Regimes, j: int, trials: Described, losses: Losses) -> Conditioned:
    """Condition regime `j` on the losses of `trials`."""
    k, y = RegimeKernel(kernel, regimes, j), losses.y
    n, T = trials.deviations.shape[-2:]
    factor = torch.linalg.cholesky(k(trials, trials) + k.noise() * torch.eye(n, dtype=y.dtype))
    right = torch.cat([torch.ones_like(trials.mean), y[..., None], trials.mean, trials.deviations], dim=-1)
    one, y_, mean, D = torch.linalg.solve_triangular(factor, right, upper=False).split([1, 1, 1, T], dim=-1)
    m = mean + regimes.slope[j] * D
    v = regimes.log_slope_variance[j].exp()
    spread = 1.0 + v * D.square().sum(-2)
    gain = v / spread
    oD, yD, mD = (one * D).sum(-2), (y_ * D).sum(-2), (m * D).sum(-2)
    oo = one.square().sum(-2) - gain * oD.square()
    oy = (one * y_).sum(-2) - gain * oD * yD
    om = (one * m).sum(-2) - gain * oD * mD
    yy = (y_.square().sum(-2) - gain * yD.square() - oy.square() / oo).clamp_min(TINY)
    ym = (y_ * m).sum(-2) - gain * yD * mD - oy * om / oo
    mm = m.square().sum(-2) - gain * mD.square() - om.square() / oo

    tau, log_integral = _integrate_scale(yy, ym, mm, losses, regimes.log_spread)
    half_log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)[..., None] + 0.5 * (spread.log() + oo.log())
    c = (tau * oy - om) / oo
    residual = tau[..., None, :] * y_ - m - c[..., None, :] * one
    return Conditioned(
        log_evidence=log_integral - half_log_det,
        incumbent=tau * y.amin(-1, keepdim=True) - c,
        factor=factor,
        one=one,
        deviations=D,
        residual=residual,
        gain=gain,
        pull=gain * (residual * D).sum(-2),
        lean=gain * oD,
        level=oo,
    )


def _integrate_scale(yy: Tensor, ym: Tensor, mm: Tensor, losses: Losses, log_spread: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior mean of tau, and the logarithm of the integral over it; each of shape (B, T)."""
    log_tau = torch.linspace(*LOG_TAU, dtype=yy.dtype).reshape(-1, *[1] * yy.dim())
    tau = log_tau.exp()
    differ = losses.spread > 0.0
    # tau = spread of these trials / spread of the task, were scores of the task exactly standard.
    expected = torch.where(differ, losses.spread, 1.0).log() - log_spread[0]
    off = (log_tau - expected) / log_spread[1].clamp_min(MIN_SCALE_SPREAD)
    log_p = torch.where(differ, losses.y.shape[-1] - 1.0, 0.0) * log_tau - 0.5 * (tau * tau * yy - 2.0 * tau * ym + mm)
    log_p = log_p - 0.5 * (SCALE_FREEDOM + 1.0) * torch.log1p(off.square() / SCALE_FREEDOM)
    log_p = log_p - 0.5 * ((log_tau - LOG_TAU_MEAN) / LOG_TAU_STD).square()
    return (torch.softmax(log_p, 0) * tau).sum(0), torch.logsumexp(log_p, 0)


@dataclass(frozen=True)
class Prediction:
    """Means, variances, and variances of the difference to the incumbent, at m configurations; each of shape (m, T)."""

    mean: Tensor
    variance: Tensor
    gap_variance: Tensor


def predict_first(kernel: DeepKernel, regimes: Regimes, j: int, at: Described) -> Prediction:
    """What the hypotheses of regime `j` say before any trial."""
    mean = at.mean + regimes.slope[j] * at.deviations
    variance = RegimeKernel(kernel, regimes, j).diagonal(at)[:, None]
    variance = variance + regimes.log_slope_variance[j].exp() * at.deviations.square()
    return Prediction(mean, variance, variance)


def predict(
    kernel: DeepKernel, regimes: Regimes, j: int, trials: Described, given: Conditioned, at: Described, chosen: Tensor
) -> Prediction:
    """What the `chosen` hypotheses of regime `j`, shape (S,), say after the trials that they were conditioned on."""
    k = RegimeKernel(kernel, regimes, j)
    Q = torch.linalg.solve_triangular(given.factor, k(trials, at), upper=False)
    d = at.deviations[:, chosen]
    ahead = d - Q.T @ given.deviations[:, chosen]
    mean = at.mean + regimes.slope[j] * d + Q.T @ given.residual[:, chosen] + ahead * given.pull[chosen]
    known_c = (k.diagonal(at) - Q.square().sum(0))[:, None] + ahead.square() * given.gain[chosen]
    share_of_c = Q.T @ given.one + ahead * given.lean[chosen]
    variance = known_c + share_of_c.square() / given.level[chosen]
    gap_variance = known_c + (1.0 - share_of_c).square() / given.level[chosen]
    return Prediction(mean, variance.clamp_min(TINY), gap_variance.clamp_min(TINY))
