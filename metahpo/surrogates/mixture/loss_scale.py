"""Placing losses on the scale of scores: z = tau y - c, with the factor tau and the shift c unknown.

Symbols: B leading batch dimensions, n trials, T source tasks, J regimes; m the scores that a hypothesis expects of n
trials; s their losses, standardised, and q the scores of these losses among one another, standardised;

    y = (1 - w) s + w q, standardised,     w = n / (n + 5)

A score is a matter of ranks, a loss is not: one diverged trial is as far from the others as all of them are from each
other. So the more trials there are to be ranked, the more their ranks count.

With a flat prior on c its integral is closed, and the logarithm of what is left is

    log p(y | t, j, tau) = (n - 1) log tau - (tau^2 [yy] - 2 tau [ym] + [mm]) / 2 + const

for quadratic forms [..] that do not depend on tau, so tau is integrated on a grid at no cost. How widely losses spread
on the source tasks is the prior of tau, with the tails of Student's t: two losses that hardly differ are likely close
in score, too, but a task measured on another scale is soon recognised.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metahpo.numerics.copula import normal_scores
from metahpo.surrogates.loss_spread import ROUNDING

#: Trials whose ranks count as much as the values of their losses.
RANKS_COUNT_HALF = 5.0
#: Grid of log tau for losses standardised to unit variance: few trials may span little of the scale, or most of it.
LOG_TAU = (-5.5, 1.7, 30)
#: Normal factor of its prior: whatever the task, trials span neither nothing of it nor far more than it does.
LOG_TAU_MEAN, LOG_TAU_STD = -0.3, 1.5
#: Degrees of freedom of the prior of log tau from the source tasks, and the least standard deviation it is given.
SCALE_FREEDOM, MIN_SCALE_SPREAD = 3.0, 0.5
#: Smallest variance and quadratic form: below it lies rounding.
TINY = 1e-9


@dataclass(frozen=True)
class Losses:
    """Losses of n trials of B tasks: their values y (B, n), between losses and ranks, and the losses' spread (B, 1).

    `extra`, of shape (B, n), is the variance that a loss has beyond that of a measured one, on the scale of y: of
    trials that are not at their end, and whose loss is a prediction. None: all are measured.
    """

    y: Tensor
    spread: Tensor
    extra: Tensor | None = None

    @classmethod
    def standardise(cls, losses: Tensor) -> Losses:
        """Losses of shape (B, n), to mean 0 and variance 1; all 0, with spread 0, where they do not differ."""
        unit = torch.pow(2.0, (torch.frexp(losses.abs().amax(-1, keepdim=True)).exponent - 1).to(losses))
        values, spread = _standard(losses / unit)  # in this unit, squares stay within the range of floats
        differ = spread > ROUNDING
        n = losses.shape[-1]
        share = n / (n + RANKS_COUNT_HALF)
        ranked, _ = _standard(torch.from_numpy(normal_scores(losses.cpu().numpy())).to(losses))
        y, _ = _standard((1.0 - share) * values + share * ranked)
        return cls(torch.where(differ, y, 0.0), torch.where(differ, spread * unit, 0.0))

    def with_noise(self, std: Tensor) -> Losses:
        """The same with standard deviations of shape (B, n), 0 where measured, in the units that the losses came in.

        Ranks bend the scale; noise is placed on it as if they did not.
        """
        return replace(self, extra=(std / torch.where(self.spread > 0.0, self.spread, 1.0)).square())

    def lowest(self) -> Tensor:
        """The lowest that was measured, shape (B,)."""
        if self.extra is None or not bool((self.extra == 0.0).any()):
            return self.y.amin(-1)
        return self.y.masked_fill(self.extra > 0.0, torch.inf).amin(-1)


def _standard(values: Tensor) -> tuple[Tensor, Tensor]:
    """Values (B, n) to mean 0 and variance 1, and the standard deviation (B, 1) that was divided out."""
    centred = values - values.mean(-1, keepdim=True)
    spread = centred.square().mean(-1, keepdim=True).sqrt()
    return centred / spread.clamp_min(1e-300), spread


def integrate_scale(yy: Tensor, ym: Tensor, mm: Tensor, losses: Losses, log_spread: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior mean of tau, and the logarithm of the integral over it; each of shape (B, J, T)."""
    log_tau = torch.linspace(*LOG_TAU, dtype=yy.dtype, device=yy.device).reshape(-1, *[1] * yy.dim())
    tau = log_tau.exp()
    spread = losses.spread[..., None]
    differ = spread > 0.0
    # tau = spread of these trials / spread of the task, were scores of the task exactly standard.
    expected = torch.where(differ, spread, 1.0).log() - log_spread[0]
    off = (log_tau - expected) / log_spread[1].clamp_min(MIN_SCALE_SPREAD)
    prior = torch.where(differ, losses.y.shape[-1] - 1.0, 0.0) * log_tau
    prior = prior - 0.5 * (SCALE_FREEDOM + 1.0) * torch.log1p(off.square() / SCALE_FREEDOM)
    prior = prior - 0.5 * ((log_tau - LOG_TAU_MEAN) / LOG_TAU_STD).square()
    log_p = prior - 0.5 * (tau * tau * yy - 2.0 * tau * ym + mm)
    return (torch.softmax(log_p, 0) * tau).sum(0), torch.logsumexp(log_p, 0)
