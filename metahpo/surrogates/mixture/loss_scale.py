"""Losses on the scale of z-scores, z = tau y - c, with an unknown factor tau and an unknown shift c.

Symbols: B leading batch dimensions, n trials, T source tasks, J components; m the prior means of the z-scores of n
trials under a hypothesis; s their losses, standardised; q the z-scores of these losses among each other, standardised;

    y = (1 - w) s + w q, standardised,     w = n / (n + 5)

Raw losses are sensitive to outliers, ranks are not: one diverged trial can be further from the others than they are
from each other. The weight w of the ranks therefore grows with the number of trials.

c has a flat prior and is integrated out in closed form. The logarithm of the integral is

    log p(y | t, j, tau) = (n - 1) log tau - (tau^2 [yy] - 2 tau [ym] + [mm]) / 2 + const

The quadratic forms [..] do not depend on tau, so tau is integrated on a grid at almost no cost. The prior of tau comes
from the spread of losses on the source tasks. It has the heavy tails of Student's t distribution. Under this prior, two
losses that hardly differ are likely to have close z-scores. The heavy tails allow for a task that is measured on
another scale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metahpo.numerics.copula import normal_scores
from metahpo.surrogates.loss_spread import ROUNDING

#: Number of trials at which ranks and values of losses have equal weight.
RANKS_COUNT_HALF = 5.0
#: Grid of log tau for losses standardised to unit variance. Few trials can span a small or a large part of the scale.
LOG_TAU = (-5.5, 1.7, 30)
#: Normal factor of the prior of log tau, which excludes extreme scales on every task.
LOG_TAU_MEAN, LOG_TAU_STD = -0.3, 1.5
#: Degrees of freedom of the prior of log tau from the source tasks, and the least standard deviation it is given.
SCALE_FREEDOM, MIN_SCALE_SPREAD = 3.0, 0.5
#: Smallest variance and quadratic form. Smaller values are rounding errors.
TINY = 1e-9


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
