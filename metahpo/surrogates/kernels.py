"""Kernels on configurations: a Matern on the unit cube and a Matern on learnt features of it.

Symbols: B leading batch dimensions, n and m configurations, d columns, h hidden units, F learnt features.

    M(a, b)  = (1 + r + r^2 / 3) exp(-r),   r = sqrt(5) |a - b|                                (Matern 5/2)
    k(x, x') = v_deep M(f(x) / l_deep, f(x') / l_deep) + v_plain M(x / l_plain, x' / l_plain)

f is a small network learnt across tasks (deep kernel: Wilson et al., AISTATS 2016; meta-learnt as in FSBO: Wistuba and
Grabocka, ICLR 2021). The plain part, with a length scale a column, keeps apart what f confuses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

#: Units of each hidden layer of f, and features it yields.
HIDDEN, FEATURES = 64, 16


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
    """

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(n_columns, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, FEATURES)
        )
        self.log_scale_deep = nn.Parameter(torch.full((FEATURES,), 0.5))
        self.log_scale_plain = nn.Parameter(torch.zeros(n_columns))
        self.log_variance_deep = nn.Parameter(torch.tensor(-0.5))
        self.log_variance_plain = nn.Parameter(torch.tensor(-1.0))
        self.log_noise = nn.Parameter(torch.tensor(-3.0))

    def locate(self, X: Tensor) -> Located:
        """Place configurations (B, n, d); what depends on one configuration alone is computed once."""
        return Located(self.network(X) / self.log_scale_deep.exp(), X / self.log_scale_plain.exp())

    def forward(self, a: Located, b: Located) -> Tensor:
        """Covariances of shape (B, n, m), without noise."""
        covariances: Tensor = self.log_variance_deep.exp() * matern52(a.deep, b.deep)
        return covariances + self.log_variance_plain.exp() * matern52(a.plain, b.plain)
