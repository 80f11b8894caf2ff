"""The mixture components, which hold the learnt parameters of the mixture.

A component is a setting of how closely a task resembles the source tasks. The formula in
:mod:`metahpo.surrogates.mixture.mixture` defines each parameter.

Symbols: B leading batch dimensions, T source tasks, J components.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from metahpo.exceptions import UnknownNameError
from metahpo.numerics.device import SINGLE

#: Parts of the mixture that can be left out -> their coefficients and logarithms of variances, which become zero.
PARTS: dict[str, tuple[str, ...]] = {
    "expected function": ("mean_slope", "log_mean_slope_variance"),
    "likeness to one task": ("slope", "log_slope_variance"),
    "span of all tasks": ("log_span_variance",),
    "what records leave open": ("log_open_variance",),
    "learnt maps": ("log_mapped_variance",),
    "columns": ("log_plain_variance",),
}
#: Logarithm of a variance that is practically zero.
LOG_OF_NO_VARIANCE = -40.0


class MixtureComponents(nn.Module):
    """Parameters of the J = 3 components, vectors with one entry for each component, and one concentration.

    The first two components are learnt. The first starts at tasks that resemble other tasks, the second at tasks that
    resemble them less. The third component is fixed. It models a task that resembles no source task and has other
    length scales. Learning would give this component no weight, because the tasks of a meta-dataset resemble each
    other. Its fixed prior weight of about 0.01 keeps it available, so that trials can select it.

    `log_spread` is computed and not learnt. It describes the logarithm of the standard deviation of a task's losses:
    the median over tasks, and the standard deviation of a normal distribution with the same quartiles.
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
        """Leave some of `PARTS` out of the model, before and after learning.

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
            parameter.data.fill_(LOG_OF_NO_VARIANCE if name.startswith("log_") else 0.0)
            parameter.requires_grad_(False)

    def keep_fixed(self) -> None:
        """Set the gradients of the fixed component to zero."""
        for parameter in self.parameters():
            if parameter.dim() and parameter.grad is not None:
                parameter.grad *= self.learnt

    def log_prior(self, squared_distance: Tensor) -> Tensor:
        """Log prior weight of every source task under every component, shape (B, J, T).

        The weight of a source task decreases with the distance of its function from the expected function of the new
        task. `squared_distance`, shape (B, T), is in units of its typical value. It is infinite for tasks that are left
        out.
        """
        left_out = (
            squared_distance.isinf()
        )  # masked before the product, because an infinite factor makes its gradient NaN
        nearness = -self.log_concentration.exp() * squared_distance.masked_fill(left_out, 0.0)
        over_tasks = torch.log_softmax(nearness.masked_fill(left_out, -torch.inf), -1)
        return torch.log_softmax(self.log_share, 0)[:, None] + over_tasks[..., None, :]
