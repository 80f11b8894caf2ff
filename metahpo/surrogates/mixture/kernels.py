"""The kernel on configurations: a Matern on the columns of the unit cube and Materns on learnt linear maps of them.

Symbols: B leading batch dimensions, n and m configurations, d columns; A_e, of shape (F, d), one of E learnt maps, and
c_e, of shape (F,), the length scales of the features that it yields.

    M(a, b)  = (1 + r + r^2 / 3) exp(-r),   r = sqrt(5) |a - b|                                (Matern 5/2)
    D(x, x') = mean_e M(A_e x / c_e, A_e x' / c_e)
    k(x, x') = v_mapped D(x, x') + v_plain M(x / l, x' / l)

A map rotates and scales the cube. It can find a relevant direction of several columns together; one length scale for
each column cannot (Vivarelli and Williams, NeurIPS 1998). The scales c_e do not make the kernel more general. They let
learning switch off whole features quickly, which improves predictions. There are several maps with different random
starts, and their correlations are averaged. The plain part has one length scale for each column. It separates
configurations that the maps confuse. Neural networks instead of maps (deep kernels: Wilson et al., AISTATS 2016; FSBO:
Wistuba and Grabocka, ICLR 2021) do not predict held-out tasks better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from metahpo.numerics.device import SINGLE

#: Number of maps E, and of features F of each map.
MAPS, FEATURES = 4, 16
#: Prior of the length scale of a column: its median, in units of the diagonal of the cube, and the standard deviation
#: of its logarithm.
TYPICAL_SCALE, SCALE_SPREAD = 0.5, 1.5
#: Least variance of the noise. It keeps the likelihood finite where the records have exact ties.
MIN_NOISE = 1e-3


@dataclass(frozen=True)
class Located:
    """Inputs of the kernel over length scales: mapped configurations (B, n, E, F) and their columns (B, n, d)."""

    mapped: Tensor
    plain: Tensor


def matern52(a: Tensor, b: Tensor) -> Tensor:
    """Correlations of shape (B, n, m) between points (B, n, d) and (B, m, d), over unit length scales."""
    # |a|^2 + |b|^2 - 2 a.b without copies is faster than cdist. Most of the time of a prediction is spent here.
    a, b = math.sqrt(5.0) * a, math.sqrt(5.0) * b
    squared = (-2.0 * a) @ b.transpose(-1, -2)
    squared += a.square().sum(-1)[..., :, None]
    squared += b.square().sum(-1)[..., None, :]
    correlations: Tensor = _MaternOfSquare.apply(squared)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return correlations


class _MaternOfSquare(torch.autograd.Function):
    """M as a function of r^2, in place. Its derivative -(1 + r) exp(-r) / 6 is finite where points coincide."""

    @staticmethod
    def forward(ctx: Any, squared: Tensor) -> Tensor:
        # In place, because new arrays take about twice as long.
        ctx.mark_dirty(squared)
        r = squared.clamp_(min=0.0).sqrt_()
        decay = r.neg().exp_()
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward((1.0 + r).mul_(decay).mul_(-1.0 / 6.0))
        return r.addcmul_(r, r, value=1.0 / 3.0).add_(1.0).mul_(decay)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        slope: Tensor = ctx.saved_tensors[0]
        return gradient * slope


def mapped_correlations(a: Located, b: Located) -> Tensor:
    """D, shape (B, n, m): correlations of the mapped configurations, averaged over the maps."""
    return matern52(a.mapped.movedim(-2, -3), b.mapped.movedim(-2, -3)).mean(-3)


class ZScoreKernel(nn.Module):
    """Kernel of the copula z-scores of a task: the sum of Materns on learnt maps and a Matern on the columns.

    Parameters
    ----------
    n_columns : int
        Columns d of a configuration.
    generator : torch.Generator, default=None
        Draws the initial maps. None takes a generator with the default seed of torch.
    """

    def __init__(self, n_columns: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        drawn = torch.randn(MAPS, FEATURES, n_columns, generator=generator or torch.Generator(), dtype=SINGLE)
        typical = TYPICAL_SCALE * math.sqrt(n_columns)
        # With this spread, initial distances are about those of columns with typical length scales.
        self.maps = nn.Parameter(drawn / (typical * math.sqrt(FEATURES)))
        self.log_scale_mapped = nn.Parameter(torch.zeros(MAPS, FEATURES, dtype=SINGLE))
        self.log_scale_plain = nn.Parameter(torch.full((n_columns,), math.log(typical), dtype=SINGLE))
        self.log_variance_mapped = nn.Parameter(torch.tensor(-0.5, dtype=SINGLE))
        self.log_variance_plain = nn.Parameter(torch.tensor(-1.0, dtype=SINGLE))
        self.log_noise = nn.Parameter(torch.tensor(-3.0, dtype=SINGLE))

    def locate(self, X: Tensor) -> Located:
        """Compute the inputs of the kernel for configurations (B, n, d), once for each configuration."""
        mapped = (X @ self.maps.flatten(0, 1).T).reshape(*X.shape[:-1], MAPS, FEATURES)
        return Located(mapped / self.log_scale_mapped.exp(), X / self.log_scale_plain.exp())

    def log_prior(self) -> Tensor:
        """Log prior density of the length scales of columns, up to a constant."""
        typical = math.log(TYPICAL_SCALE * math.sqrt(len(self.log_scale_plain)))
        return -0.5 * ((self.log_scale_plain - typical) / SCALE_SPREAD).square().sum()

    def noise(self) -> Tensor:
        """Variance of the noise of one recorded z-score."""
        return self.log_noise.exp() + MIN_NOISE

    def variance(self) -> Tensor:
        """Variance of the z-score of any configuration, without noise."""
        return self.log_variance_mapped.exp() + self.log_variance_plain.exp()

    def forward(self, a: Located, b: Located) -> Tensor:
        """Covariances of shape (B, n, m), without noise."""
        return self.weighed(mapped_correlations(a, b), matern52(a.plain, b.plain))

    def weighed(self, mapped: Tensor, plain: Tensor) -> Tensor:
        """Covariances from correlations that are already computed."""
        return self.log_variance_mapped.exp() * mapped + self.log_variance_plain.exp() * plain
