"""A hidden layer without its matrix products: normalisation, activation, dropout, and the residual connection.

Symbols: K models, b rows, w padded width; x the linear part of the layer (K, b, w), z = norm(x) gain + shift,
y = act(z) m + carries h with the dropout mask m and the layer's input h.

The gradient is written by hand. Models of a stack have different functions on slices, and automatic differentiation
would spend most of a step on bookkeeping and on arrays of zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

#: Of batch normalisation, torch's defaults; layer normalisation has the same epsilon.
EPSILON, RUNNING = 1e-5, 0.1

_aten = torch.ops.aten

#: A slice of models that share a function: (function, start, stop).
Run = tuple[str, int, int]


@dataclass(frozen=True)
class Tape:
    """Values of the forward pass for the gradient: z, act(z), normalised x, the mask, and 1 / deviations."""

    z: Tensor
    activated: Tensor
    normalised: Tensor
    dropout_mask: Tensor | None
    inverses: Sequence[Tensor]


@dataclass(frozen=True)
class HiddenLayer:
    """One hidden layer of all models of a stack.

    Attributes
    ----------
    norms, activations : sequence of Run
        Over all models, in order.
    width : Tensor of shape (K, 1, 1)
        Units of each model.
    mask : Tensor of shape (K, 1, w)
        One on the units that a model has.
    carries : Tensor of shape (K, 1, 1) or None
        One where the model adds to the layer's input, or has no such layer; None: nowhere.
    has : Tensor of shape (K, 1, 1) or None
        One where the model has this layer; None: everywhere.
    """

    norms: Sequence[Run]
    activations: Sequence[Run]
    width: Tensor
    mask: Tensor
    carries: Tensor | None
    has: Tensor | None

    def forward(
        self,
        x: Tensor,
        scales: tuple[Tensor, Tensor] | None,
        h: Tensor | None,
        dropout_mask: Tensor | None,
        statistics: Mapping[str, Tensor],
        training: bool,
    ) -> tuple[Tensor, Tape]:
        """The output y (K, b, w), and what :meth:`backward` needs.

        Parameters
        ----------
        x : Tensor of shape (K, b, w)
        scales : tuple of Tensor of shape (K, w), or None
            Gain and shift; None where no model normalises.
        h : Tensor of shape (K, b, w) or None
            The layer's input; None for the first.
        dropout_mask : Tensor of shape (K, b, w) or None
        statistics : dict of str to Tensor of shape (K, w)
            Running ``mean`` and ``variance`` of batch normalisation; a training step updates them.
        """
        z, normalised, inverses = x, x, []
        if scales is not None:
            z, normalised = torch.empty_like(x), torch.empty_like(x)
            for kind, start, stop in self.norms:
                part = x[start:stop]
                if kind == "none":
                    z[start:stop] = part
                    continue
                if kind == "layer":
                    width = self.width[start:stop]
                    centred = (part - part.sum(2, keepdim=True).div_(width)).mul_(self.mask[start:stop])
                    spread = centred.square().sum(2, keepdim=True).div_(width)
                else:
                    mean, variance = (statistics[name][start:stop, None] for name in ("mean", "variance"))
                    centred, spread = _batch_statistics(part, mean, variance) if training else (part - mean, variance)
                inverse = spread.add(EPSILON).rsqrt_()
                unit = torch.mul(centred, inverse, out=normalised[start:stop])
                gain, shift = (scale[start:stop, None] for scale in scales)
                torch.addcmul(shift, unit, gain, out=z[start:stop])
                inverses.append(inverse)
        activated = torch.empty_like(x)
        for kind, start, stop in self.activations:
            _activate(kind, z[start:stop], activated[start:stop])
        y = activated if dropout_mask is None else activated * dropout_mask
        if h is not None and self.carries is not None:
            y = torch.addcmul(y, h, self.carries)
        return y, Tape(z, activated, normalised, dropout_mask, inverses)

    def backward(
        self, tape: Tape, gradient: Tensor, gain: Tensor | None, to_scales: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor | None]:
        """From the gradient at y (K, b, w) to those at x and at h; those of gain and shift go into `to_scales`."""
        to_h = None if self.carries is None else gradient * self.carries
        to_y = gradient if tape.dropout_mask is None else gradient * tape.dropout_mask
        if self.has is not None:
            to_y = to_y * self.has
        to_x = torch.empty_like(gradient)
        for kind, start, stop in self.activations:
            _activation_gradient(
                kind, to_y[start:stop], tape.z[start:stop], tape.activated[start:stop], to_x[start:stop]
            )
        if gain is None or to_scales is None:
            return to_x, to_h
        b, inverses = gradient.shape[1], iter(tape.inverses)
        for kind, start, stop in self.norms:
            if kind == "none":
                continue
            g, unit, factor = to_x[start:stop], tape.normalised[start:stop], gain[start:stop, None]
            slope, shift = (g * unit).sum(1, keepdim=True), g.sum(1, keepdim=True)
            to_scales[0][start:stop], to_scales[1][start:stop] = slope[:, 0], shift[:, 0]
            if kind == "batch":
                g.sub_(shift.div_(b)).sub_(unit * slope.div_(b)).mul_(factor * next(inverses))
            else:
                g.mul_(factor)
                width = self.width[start:stop]
                tilt = (g * unit).sum(2, keepdim=True).div_(width)
                g.sub_(g.sum(2, keepdim=True).div_(width)).sub_(unit * tilt)
                g.mul_(self.mask[start:stop] * next(inverses))
        return to_x, to_h


def _batch_statistics(x: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Centred rows and variance of a batch (k, b, w); the running `mean` and `variance` (k, 1, w) follow it."""
    b = x.shape[1]
    centre = x.mean(dim=1, keepdim=True)
    centred = x - centre
    spread = centred.square().mean(dim=1, keepdim=True)
    mean.lerp_(centre, RUNNING)
    variance.lerp_(spread * (b / max(1, b - 1)), RUNNING)
    return centred, spread


def _activate(kind: str, z: Tensor, out: Tensor) -> None:
    if kind == "silu":
        _aten.silu.out(z, out=out)
    elif kind == "relu":
        torch.clamp_min(z, 0.0, out=out)
    else:
        torch.tanh(z, out=out)


def _activation_gradient(kind: str, gradient: Tensor, z: Tensor, activated: Tensor, out: Tensor) -> None:
    """Gradient at z of act(z), by torch's own kernels."""
    if kind == "silu":
        _aten.silu_backward.grad_input(gradient, z, grad_input=out)
    elif kind == "relu":
        _aten.threshold_backward.grad_input(gradient, z, 0.0, grad_input=out)
    else:
        _aten.tanh_backward.grad_input(gradient, activated, grad_input=out)


def runs(kinds: Sequence[str]) -> list[Run]:
    """Slices of equal neighbours."""
    edges = [0, *(i for i in range(1, len(kinds)) if kinds[i] != kinds[i - 1]), len(kinds)]
    return [(kinds[start], start, stop) for start, stop in pairwise(edges)]
