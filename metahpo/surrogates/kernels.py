"""Kernels on configurations: a Matern on the unit cube and a Matern on learnt features of it.

Symbols: B leading batch dimensions, n and m configurations, d columns, h hidden units, F learnt features.

    M(a, b)  = (1 + r + r^2 / 3) exp(-r),   r = sqrt(5) |a - b|                                (Matern 5/2)
    k(x, x') = v_deep M(f(x) / l_deep, f(x') / l_deep) + v_plain M(x / l_plain, x' / l_plain)

f is a map learnt across tasks, at most a small network (deep kernel: Wilson et al., AISTATS 2016; meta-learnt as in
FSBO: Wistuba and Grabocka, ICLR 2021). The plain part, with a length scale a column, keeps apart what f confuses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

FeatureMap = Literal["columns", "linear", "network"]
FEATURE_MAPS: tuple[FeatureMap, ...] = get_args(FeatureMap)
#: Units of each hidden layer of f, and features it yields.
HIDDEN, FEATURES = 64, 16
#: Length scale of a column before anything is learnt, in units of the cube's diagonal, and how far, as the standard
#: deviation of its logarithm, it may lie from that.
TYPICAL_SCALE, SCALE_SPREAD = 0.5, 1.5
#: Least noise: exact ties in the records must not make any kernel infinitely likely.
MIN_NOISE = 1e-3


@dataclass(frozen=True)
class Located:
    """Configurations as the kernel sees them: learnt features (B, n, F) and columns (B, n, d), over length scales."""

    deep: Tensor
    plain: Tensor


def matern52(a: Tensor, b: Tensor) -> Tensor:
    """Correlations of shape (B, n, m) between points (B, n, d) and (B, m, d), over unit length scales."""
    # |a|^2 + |b|^2 - 2 a.b is quicker than cdist here; the floor keeps the root differentiable where points coincide.
    squared = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :] - 2.0 * a @ b.transpose(-1, -2)
    r = math.sqrt(5.0) * squared.clamp_min(1e-10).sqrt()
    return (1.0 + r + r * r / 3.0) * torch.exp(-r)


class DeepKernel(nn.Module):
    """Sum of a Matern on learnt features and a Matern on the columns; its variances are those of a task's scores.

    Parameters
    ----------
    n_columns : int
        Columns d of a configuration.
    features : {"columns", "linear", "network"}
        What f is: the columns themselves, F linear combinations of them, or a network of two hidden layers. The more
        it can learn, the more configurations it must have seen.
    """

    def __init__(self, n_columns: int, features: FeatureMap) -> None:
        super().__init__()
        self.features = features
        self.network = _feature_map(n_columns, features)
        typical = torch.full((n_columns,), math.log(TYPICAL_SCALE * math.sqrt(n_columns)))
        self.log_scale_deep = nn.Parameter(typical.clone() if features == "columns" else torch.full((FEATURES,), 0.5))
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
            scales = torch.cat([scales, self.log_scale_deep])
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
        covariances: Tensor = self.log_variance_deep.exp() * matern52(a.deep, b.deep)
        return covariances + self.log_variance_plain.exp() * matern52(a.plain, b.plain)


def _feature_map(n_columns: int, features: FeatureMap) -> nn.Module:
    if features == "columns":
        return nn.Identity()
    if features == "linear":
        return nn.Linear(n_columns, FEATURES, bias=False)
    first, second = nn.Linear(n_columns, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
    return nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), nn.Linear(HIDDEN, FEATURES))
