"""Source features of configurations, the inputs of the mixture of source tasks.

Symbols as in :mod:`metahpo.surrogates.mixture.mixture`: B leading batch dimensions, n configurations, T source tasks, R
reference configurations; M the source functions, mu = M alpha the function expected of the task, D = M - mu.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metahpo.surrogates.mixture.kernels import Located
from metahpo.surrogates.mixture.loss_scale import TINY
from metahpo.surrogates.mixture.source_functions import SourceValues


@dataclass(frozen=True)
class SourceFeatures:
    """Inputs of the mixture for n configurations.

    Attributes
    ----------
    place : Located
        Inputs of the kernel.
    mean : Tensor of shape (B, n, 1)
        mu, the expected function.
    deviations : Tensor of shape (B, n, T)
        D, the deviations of the source functions from it.
    recorded : Tensor of shape (B, n, R)
        r, from which the variance that the records leave open is computed.
    """

    place: Located
    mean: Tensor
    deviations: Tensor
    recorded: Tensor

    def to(self, to: torch.device | torch.dtype) -> SourceFeatures:
        """Copy on another device, or in another precision."""
        place = Located(self.place.mapped.to(to), self.place.plain.to(to))
        return SourceFeatures(place, self.mean.to(to), self.deviations.to(to), self.recorded.to(to))

    def __getitem__(self, rows: slice | Tensor) -> SourceFeatures:
        """Subset of the configurations of one task."""
        place = Located(self.place.mapped[rows], self.place.plain[rows])
        return SourceFeatures(place, self.mean[rows], self.deviations[rows], self.recorded[rows])


def source_features_at(at: SourceValues, alpha: Tensor, known: Tensor | None = None) -> SourceFeatures:
    """Compute source features of one task from weights alpha (T,). Tasks where `known` (T,) is False are left out."""
    mean = at.values @ alpha[:, None].to(at.values.dtype)
    deviations = at.values - mean
    return SourceFeatures(at.place, mean, deviations if known is None else deviations * known, at.recorded)


def stack(parts: Sequence[SourceFeatures]) -> SourceFeatures:
    """Put B tasks of n configurations each into one batch."""
    place = Located(torch.stack([p.place.mapped for p in parts]), torch.stack([p.place.plain for p in parts]))
    mean, deviations = torch.stack([p.mean for p in parts]), torch.stack([p.deviations for p in parts])
    return SourceFeatures(place, mean, deviations, torch.stack([p.recorded for p in parts]))


def squared_distances(M: Tensor, alpha: Tensor, known: Tensor | None = None) -> Tensor:
    """Squared distances of source functions M (R, T) from the expected function, divided by their mean, shape (B, T).

    `alpha` (B, T) are the weights of the expected function; where `known` (B, T) is False, the distance is infinite.
    """
    expected, n = alpha @ M.T, len(M)  # all differences at once would be B R T numbers
    squared = M.square().mean(0) - 2.0 * (expected @ M) / n + expected.square().mean(-1, keepdim=True)
    squared = squared.clamp_min(0.0)
    known = torch.ones_like(squared, dtype=torch.bool) if known is None else known
    typical = (squared * known).sum(-1, keepdim=True) / known.sum(-1, keepdim=True)
    # With a single source task, the expected function is its function: all distances are zero.
    return (squared / typical.clamp_min(TINY)).masked_fill(~known, torch.inf)
