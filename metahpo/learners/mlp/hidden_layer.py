"""What a hidden layer does between two matrix products: normalisation, activation, dropout, and what it adds to.

Symbols: K lanes, b rows, w padded width; x the linear part of the layer (K, b, w), z = norm(x) gain + shift,
y = act(z) m + carries h with the dropout mask m and the layer's input h.

The gradient is written out by hand: with a mixture of functions on slices of the lanes, the general machinery would
spend most of a step on filling and adding up arrays of zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

#: Of batch normalisation, torch's defaults; layer normalisation has the same epsilon.
EPSILON, RUNNING = 1e-5, 0.1

_aten = torch.ops.aten

#: A slice of lanes that share a function: (function, start, stop).
Run = tuple[str, int, int]


@dataclass(frozen=True)
class LayerPlan:
    """What the lanes of a stack do in one layer.

    Attributes
    ----------
    norms, activations : sequence of Run
        Over all lanes, in order.
    width : Tensor of shape (K, 1, 1)
        Units of each lane, and `mask` (K, 1, w) that is one on them.
    carries : Tensor of shape (K, 1, 1) or None
        One where the lane adds to the layer's input, or has no such layer; None: nowhere.
    has : Tensor of shape (K, 1, 1) or None
        One where the lane has this layer; None: everywhere.
    """

    norms: Sequence[Run]
    activations: Sequence[Run]
    width: Tensor
    mask: Tensor
    carries: Tensor | None
    has: Tensor | None


def batch_statistics(x: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Centred rows and 1 / deviation of a batch (k, b, w); the running `mean` and `variance` (k, 1, w) follow it."""
    b = x.shape[1]
    centre = x.mean(dim=1, keepdim=True)
    centred = x - centre
    spread = centred.square().mean(dim=1, keepdim=True)
    mean.lerp_(centre, RUNNING)
    variance.lerp_(spread * (b / max(1, b - 1)), RUNNING)
    return centred, torch.rsqrt(spread + EPSILON)


class HiddenLayer(torch.autograd.Function):
    """``HiddenLayer.apply(x, gain, shift, h, dropout_mask, plan, statistics, training)`` -> y (K, b, w).

    `gain` and `shift` are (K, w), or None where no lane normalises; `statistics` are the running mean and variance
    (K, w) of batch normalisation.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gain: Tensor | None,
        shift: Tensor | None,
        h: Tensor | None,
        dropout_mask: Tensor | None,
        plan: LayerPlan,
        statistics: Mapping[str, Tensor],
        training: bool,
    ) -> Tensor:
        """See the module."""
        z, normalised, scale = x, x, []
        if gain is not None and shift is not None:
            z, normalised = torch.empty_like(x), torch.empty_like(x)
            for kind, start, stop in plan.norms:
                part = x[start:stop]
                if kind == "none":
                    z[start:stop] = part
                    continue
                if kind == "layer":
                    centred = (part - part.sum(2, keepdim=True) / plan.width[start:stop]) * plan.mask[start:stop]
                    spread = centred.square().sum(2, keepdim=True) / plan.width[start:stop]
                    inverse = torch.rsqrt(spread + EPSILON)
                else:
                    mean, variance = (statistics[name][start:stop, None] for name in ("mean", "variance"))
                    if training:
                        centred, inverse = batch_statistics(part, mean, variance)
                    else:
                        centred, inverse = part - mean, torch.rsqrt(variance + EPSILON)
                torch.mul(centred, inverse, out=normalised[start:stop])
                torch.addcmul(
                    shift[start:stop, None], normalised[start:stop], gain[start:stop, None], out=z[start:stop]
                )
                scale.append(inverse)
        y = torch.empty_like(x)
        for kind, start, stop in plan.activations:
            y[start:stop] = _activated(kind, z[start:stop])
        ctx.save_for_backward(z, y, normalised, gain, dropout_mask, *scale)
        ctx.plan = plan
        if dropout_mask is not None:
            y = y * dropout_mask
        if h is not None and plan.carries is not None:
            y = torch.addcmul(y, h, plan.carries)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """See the module."""
        z, y, normalised, gain, dropout_mask, *scale = ctx.saved_tensors
        plan: LayerPlan = ctx.plan
        to_h = gradient * plan.carries if plan.carries is not None else None
        to_y = gradient if dropout_mask is None else gradient * dropout_mask
        if plan.has is not None:
            to_y = to_y * plan.has
        to_z = torch.empty_like(z)
        for kind, start, stop in plan.activations:
            to_z[start:stop] = _activation_gradient(kind, to_y[start:stop], z[start:stop], y[start:stop])
        if gain is None:
            return to_z, None, None, to_h, None, None, None, None
        to_x, to_gain, to_shift = to_z, torch.zeros_like(gain), torch.zeros_like(gain)
        b, inverses = z.shape[1], iter(scale)
        for kind, start, stop in plan.norms:
            if kind == "none":
                continue
            g, unit, factor = to_z[start:stop], normalised[start:stop], gain[start:stop, None]
            to_shift[start:stop] = shift = g.sum(1)
            to_gain[start:stop] = slope = (g * unit).sum(1)
            if kind == "batch":
                g = g - (shift[:, None] + unit * slope[:, None]) / b
                to_x[start:stop] = g * (factor * next(inverses))
            else:
                g = g * factor
                width = plan.width[start:stop]
                level, tilt = g.sum(2, keepdim=True) / width, (g * unit).sum(2, keepdim=True) / width
                to_x[start:stop] = (g - level - unit * tilt) * plan.mask[start:stop] * next(inverses)
        return to_x, to_gain, to_shift, to_h, None, None, None, None


#: ``apply_hidden_layer(x, gain, shift, h, dropout_mask, plan, statistics, training)`` -> y, with its gradient.
apply_hidden_layer: Callable[..., Tensor] = HiddenLayer.apply


def _activated(kind: str, z: Tensor) -> Tensor:
    if kind == "silu":
        return functional.silu(z)
    return torch.relu(z) if kind == "relu" else torch.tanh(z)


def _activation_gradient(kind: str, gradient: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """Gradient at z of an activation with y = act(z), by torch's own kernels."""
    if kind == "silu":
        return _aten.silu_backward(gradient, z)  # type: ignore[no-any-return]  # operators have no types
    if kind == "relu":
        return _aten.threshold_backward(gradient, z, 0)  # type: ignore[no-any-return]
    return _aten.tanh_backward(gradient, y)  # type: ignore[no-any-return]


def runs(kinds: Sequence[str]) -> list[Run]:
    """Slices of equal neighbours."""
    edges = [0, *(i for i in range(1, len(kinds)) if kinds[i] != kinds[i - 1]), len(kinds)]
    return [(kinds[start], start, stop) for start, stop in pairwise(edges)]
