"""Kernels on configurations: a Matern on the unit cube and Materns on learnt features of it.

Symbols: B leading batch dimensions, n and m configurations, d columns, E maps of F learnt features each.

    M(a, b)  = (1 + r + r^2 / 3) exp(-r),   r = sqrt(5) |a - b|                                (Matern 5/2)
    D(x, x') = mean_e M(f_e(x) / l_e, f_e(x') / l_e)
    k(x, x') = v_deep D(x, x') + v_plain M(x / l_plain, x' / l_plain)

f_e are maps learnt across tasks, at most small networks (deep kernel: Wilson et al., AISTATS 2016; meta-learnt as in
FSBO: Wistuba and Grabocka, ICLR 2021). There are several, from different starts, because one alone takes some
configurations for alike by chance. The plain part, with a length scale a column, keeps apart what they confuse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

FeatureMap = Literal["columns", "linear", "network"]
FEATURE_MAPS: tuple[FeatureMap, ...] = get_args(FeatureMap)
#: Maps E, units of each hidden layer of one, and features F it yields.
MAPS, HIDDEN, FEATURES = 4, 64, 16
#: Length scale of a column before anything is learnt, in units of the cube's diagonal, and how far, as the standard
#: deviation of its logarithm, it may lie from that.
TYPICAL_SCALE, SCALE_SPREAD = 0.5, 1.5
#: Least noise: exact ties in the records must not make any kernel infinitely likely.
MIN_NOISE = 1e-3


@dataclass(frozen=True)
class Located:
    """Configurations as the kernel sees them: learnt features (B, n, E, F), columns (B, n, d), over length scales."""

    deep: Tensor
    plain: Tensor


def matern52(a: Tensor, b: Tensor) -> Tensor:
    """Correlations of shape (B, n, m) between points (B, n, d) and (B, m, d), over unit length scales."""
    # |a|^2 + |b|^2 - 2 a.b is quicker than cdist here, and quicker still without copies: this is where the time goes.
    a, b = math.sqrt(5.0) * a, math.sqrt(5.0) * b
    squared = (-2.0 * a) @ b.transpose(-1, -2)
    squared += a.square().sum(-1)[..., :, None]
    squared += b.square().sum(-1)[..., None, :]
    correlations: Tensor = _MaternOfSquare.apply(squared)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return correlations


class _MaternOfSquare(torch.autograd.Function):
    """M as a function of r^2; its derivative -(1 + r) exp(-r) / 6 is finite where points coincide."""

    @staticmethod
    def forward(ctx: Any, squared: Tensor) -> Tensor:
        r = squared.clamp(min=0.0).sqrt_()
        decay = r.neg().exp_()
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward((1.0 + r).mul_(decay).mul_(-1.0 / 6.0))
        return torch.addcmul(r, r, r, value=1.0 / 3.0).add_(1.0).mul_(decay)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        slope: Tensor = ctx.saved_tensors[0]
        return gradient * slope


def deep_correlations(a: Located, b: Located) -> Tensor:
    """D, shape (B, n, m): correlations of the learnt features, averaged over the maps."""
    return matern52(a.deep.movedim(-2, -3), b.deep.movedim(-2, -3)).mean(-3)


class DeepKernel(nn.Module):
    """Sum of a Matern on learnt features and a Matern on the columns; its variances are those of a task's scores.

    Parameters
    ----------
    n_columns : int
        Columns d of a configuration.
    features : {"columns", "linear", "network"}
        What f_e is: the columns themselves (and no more than one map), F linear combinations of them, or a network of
        two hidden layers. The more it can learn, the more configurations it must have seen.
    """

    def __init__(self, n_columns: int, features: FeatureMap) -> None:
        super().__init__()
        self.features = features
        self.network = _feature_map(n_columns, features)
        typical = torch.full((n_columns,), math.log(TYPICAL_SCALE * math.sqrt(n_columns)))
        of_features = typical.clone()[None] if features == "columns" else torch.full((MAPS, FEATURES), 0.5)
        self.log_scale_deep = nn.Parameter(of_features)
        self.log_scale_plain = nn.Parameter(typical)
        self.log_variance_deep = nn.Parameter(torch.tensor(-0.5))
        self.log_variance_plain = nn.Parameter(torch.tensor(-1.0))
        self.log_noise = nn.Parameter(torch.tensor(-3.0))

    def locate(self, X: Tensor) -> Located:
        """Place configurations (B, n, d); what depends on one configuration alone is computed once."""
        return Located(self.network(X) / self.log_scale_deep.exp(), X / self.log_scale_plain.exp())

    def log_prior(self) -> Tensor:
        """Log prior density of the length scales of columns, up to a constant: around half the cube's diagonal."""
        scales: Tensor = self.log_scale_plain
        if self.features == "columns":
            scales = torch.cat([scales, self.log_scale_deep[0]])
        typical = math.log(TYPICAL_SCALE * math.sqrt(len(self.log_scale_plain)))
        return -0.5 * ((scales - typical) / SCALE_SPREAD).square().sum()

    def noise(self) -> Tensor:
        """Variance of the noise of one score, as records show it."""
        return self.log_noise.exp() + MIN_NOISE

    def variance(self) -> Tensor:
        """Variance of the score of any configuration, without noise."""
        return self.log_variance_deep.exp() + self.log_variance_plain.exp()

    def forward(self, a: Located, b: Located) -> Tensor:
        """Covariances of shape (B, n, m), without noise."""
        return self.weighed(deep_correlations(a, b), matern52(a.plain, b.plain))

    def weighed(self, deep: Tensor, plain: Tensor) -> Tensor:
        """The same where the correlations are at hand."""
        return self.log_variance_deep.exp() * deep + self.log_variance_plain.exp() * plain


def _feature_map(n_columns: int, features: FeatureMap) -> nn.Module:
    """Maps from (B, n, d) to (B, n, E, F)."""
    if features == "columns":
        return nn.Unflatten(-1, (1, n_columns))
    if features == "linear":
        return nn.Sequential(nn.Linear(n_columns, MAPS * FEATURES, bias=False), nn.Unflatten(-1, (MAPS, FEATURES)))
    first = nn.Linear(n_columns, MAPS * HIDDEN), nn.Unflatten(-1, (MAPS, HIDDEN)), nn.SiLU()
    return nn.Sequential(*first, _SideBySide(HIDDEN, HIDDEN), nn.SiLU(), _SideBySide(HIDDEN, FEATURES))


class _SideBySide(nn.Module):
    """A linear layer for each map, from (B, n, E, n_in) to (B, n, E, n_out)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        bound = n_in**-0.5  # as torch starts a single layer
        self.weight = nn.Parameter(torch.empty(MAPS, n_in, n_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(MAPS, n_out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("...ei,eio->...eo", x, self.weight) + self.bias
