"""Regimes: settings of how far a task resembles the tasks learnt from; the parameters of the mixture.

Symbols: B leading batch dimensions, T source tasks, J regimes. What each parameter does is told by the model's formula,
in :mod:`metahpo.surrogates.mixture.mixture`.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from metahpo.exceptions import UnknownNameError
from metahpo.numerics.device import SINGLE

#: Parts of the mixture that can be left out -> what is then nothing: coefficients, and logarithms of variances.
PARTS: dict[str, tuple[str, ...]] = {
    "expected function": ("mean_slope", "log_mean_slope_variance"),
    "likeness to one task": ("slope", "log_slope_variance"),
    "span of all tasks": ("log_span_variance",),
    "what records leave open": ("log_open_variance",),
    "learnt maps": ("log_mapped_variance",),
    "columns": ("log_plain_variance",),
}
#: Logarithm of a variance that is none.
NOTHING = -40.0


class Regimes(nn.Module):
    """Parameters of the hypotheses, learnt across tasks: vectors with an entry a regime, and one concentration.

    The first two are learnt from a start at tasks that are like others, and tasks that are less so. The last is fixed:
    a task unlike any other, of which even the length scales learnt elsewhere may say nothing. Meta-datasets, in which
    every task has its like, would learn to rule it out; its prior share of about a hundredth lets trials call on it.

    `log_spread`, counted and not learnt, tells of the logarithm of the standard deviation of a task's losses: the
    median over tasks, and the standard deviation of a normal distribution with the same quartiles.
    """

    log_spread: Tensor
    learnt: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_spread", torch.tensor([0.0, 1.0], dtype=SINGLE))
        self.register_buffer("learnt", torch.tensor([True, True, False]))
        self.log_share = nn.Parameter(torch.tensor([0.0, 0.0, -3.5], dtype=SINGLE))
        self.mean_slope = nn.Parameter(torch.tensor([1.0, 0.7, 0.0], dtype=SINGLE))
        self.log_mean_slope_variance = nn.Parameter(torch.tensor([-2.0, -1.0, -1.0], dtype=SINGLE))
        self.slope = nn.Parameter(torch.tensor([0.4, 0.2, 0.0], dtype=SINGLE))
        self.log_slope_variance = nn.Parameter(torch.tensor([-1.5, -1.5, -3.0], dtype=SINGLE))
        self.log_span_variance = nn.Parameter(torch.tensor([-1.5, -1.0, -3.0], dtype=SINGLE))
        self.log_open_variance = nn.Parameter(torch.tensor([0.0, 0.0, -3.0], dtype=SINGLE))
        self.log_mapped_variance = nn.Parameter(torch.tensor([-1.5, -0.5, -6.0], dtype=SINGLE))
        self.log_plain_variance = nn.Parameter(torch.tensor([-2.0, -1.0, 0.0], dtype=SINGLE))
        self.log_plain_scale = nn.Parameter(torch.tensor([0.0, -0.5, 0.0], dtype=SINGLE))
        self.log_noise = nn.Parameter(torch.tensor([-3.0, -3.0, -5.0], dtype=SINGLE))
        self.log_concentration = nn.Parameter(torch.tensor(-1.0, dtype=SINGLE))

    def leave_out(self, parts: Collection[str]) -> None:
        """Do without some of `PARTS`, whatever is learnt.

        Raises
        ------
        UnknownNameError
            No such part.
        """
        for part in parts:
            if part not in PARTS:
                raise UnknownNameError("part of the mixture", part, tuple(PARTS))
        for name in (name for part in parts for name in PARTS[part]):
            parameter: nn.Parameter = getattr(self, name)
            parameter.data.fill_(NOTHING if name.startswith("log_") else 0.0)
            parameter.requires_grad_(False)

    def keep_fixed(self) -> None:
        """Take from the gradients what belongs to the regime that is not learnt."""
        for parameter in self.parameters():
            if parameter.dim() and parameter.grad is not None:
                parameter.grad *= self.learnt

    def log_prior(self, squared_distance: Tensor) -> Tensor:
        """Log prior weight of every source task under every regime, shape (B, J, T).

        A task is the more likely to resemble the new one, the nearer its function is to the function expected of it;
        `squared_distance`, shape (B, T), is in units of its typical value, and infinite for tasks left out.
        """
        left_out = squared_distance.isinf()  # kept out of the product, whose gradient they would turn into NaN
        nearness = -self.log_concentration.exp() * squared_distance.masked_fill(left_out, 0.0)
        over_tasks = torch.log_softmax(nearness.masked_fill(left_out, -torch.inf), -1)
        return torch.log_softmax(self.log_share, 0)[:, None] + over_tasks[..., None, :]
