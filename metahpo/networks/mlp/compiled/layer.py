"""A hidden layer of one model without its matrix products, forward and backward.

The same as :class:`metahpo.networks.mlp.hidden_layer.HiddenLayer` does for a stack. Symbols: b rows, w units; x the
linear part, u = norm(x), z = u gain + shift, y = act(z) m + h with the dropout mask m and, if it is residual, the
layer's input h. Loops stand where expressions of whole arrays would be shorter, because these take several times as
long to compile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metahpo.networks.mlp.compiled.compiler import compiled, exponential
from metahpo.networks.mlp.hidden_layer import EPSILON, RUNNING
from metahpo.networks.mlp.mlp_shape import ACTIVATIONS, NORMALISATIONS

Array = NDArray[np.floating]

RELU, SILU, TANH = (ACTIVATIONS.index(name) for name in ("relu", "silu", "tanh"))
NONE, BATCH, LAYER = (NORMALISATIONS.index(name) for name in ("none", "batch", "layer"))


@compiled
def activate(kind: int, z: Array, out: Array) -> None:
    """act(z), of any one-dimensional z."""
    one = z.dtype.type(1.0)
    if kind == RELU:
        for i in range(z.size):
            out[i] = max(z[i], one - one)
    elif kind == SILU:
        for i in range(z.size):
            out[i] = z[i] / (one + exponential(-z[i]))
    else:
        for i in range(z.size):
            out[i] = one - (one + one) / (one + exponential(z[i] + z[i]))


@compiled
def activation_gradient(kind: int, z: Array, activated: Array, gradient: Array) -> None:
    """From the gradient at act(z) to that at z, in place."""
    one = z.dtype.type(1.0)
    if kind == RELU:
        for i in range(z.size):
            gradient[i] = gradient[i] if z[i] > one - one else one - one
    elif kind == SILU:
        for i in range(z.size):
            share = one / (one + exponential(-z[i]))
            gradient[i] *= share * (one + z[i] * (one - share))
    else:
        for i in range(z.size):
            gradient[i] *= one - activated[i] * activated[i]


@compiled
def column_sums(x: Array, out: Array) -> None:
    """Sums over the rows of x (b, w), into `out` (w,)."""
    for j in range(x.shape[1]):
        out[j] = x[0, j]
    for i in range(1, x.shape[0]):
        for j in range(x.shape[1]):
            out[j] += x[i, j]


@compiled
def normalise_batch(x: Array, inverse: Array, running: Array, training: bool) -> None:
    """Turn x (b, w) into u in place; `inverse` (w,) becomes 1 / deviations, `running` (2, w) follows in training."""
    real, (b, w) = x.dtype.type, x.shape
    mean, variance = running[0].copy(), running[1].copy()
    if training:
        column_sums(x, mean)
        for j in range(w):
            mean[j] /= real(b)
            variance[j] = real(0.0)
        for i in range(b):
            for j in range(w):
                variance[j] += (x[i, j] - mean[j]) * (x[i, j] - mean[j])
        share, unbiased = real(RUNNING), real(b / max(1, b - 1))
        for j in range(w):
            variance[j] /= real(b)
            running[0, j] += share * (mean[j] - running[0, j])
            running[1, j] += share * (variance[j] * unbiased - running[1, j])
    for j in range(w):
        inverse[j] = real(1.0) / np.sqrt(variance[j] + real(EPSILON))
    for i in range(b):
        for j in range(w):
            x[i, j] = (x[i, j] - mean[j]) * inverse[j]


@compiled
def normalise_layer(x: Array, inverse: Array) -> None:
    """Turn x (b, w) into u in place; `inverse` (b,) becomes 1 / deviations."""
    real, (b, w) = x.dtype.type, x.shape
    for i in range(b):
        total, squares = real(0.0), real(0.0)
        for j in range(w):
            total += x[i, j]
        mean = total / real(w)
        for j in range(w):
            x[i, j] -= mean
            squares += x[i, j] * x[i, j]
        inverse[i] = real(1.0) / np.sqrt(squares / real(w) + real(EPSILON))
        for j in range(w):
            x[i, j] *= inverse[i]


@compiled
def normalisation_gradient(kind: int, unit: Array, inverse: Array, scales: Array, gradient: Array, out: Array) -> None:
    """From the gradient at z (b, w) to that at x, in place; that at gain and shift goes into `out` (2, w)."""
    real, (b, w) = unit.dtype.type, unit.shape
    out[:] = real(0.0)
    for i in range(b):
        for j in range(w):
            out[0, j] += gradient[i, j] * unit[i, j]
            out[1, j] += gradient[i, j]
    if kind == BATCH:
        for i in range(b):
            for j in range(w):
                centred = gradient[i, j] - out[1, j] / real(b) - unit[i, j] * (out[0, j] / real(b))
                gradient[i, j] = centred * scales[0, j] * inverse[j]
        return
    for i in range(b):
        total, tilt = real(0.0), real(0.0)
        for j in range(w):
            gradient[i, j] *= scales[0, j]
            total += gradient[i, j]
            tilt += gradient[i, j] * unit[i, j]
        total, tilt = total / real(w), tilt / real(w)
        for j in range(w):
            gradient[i, j] = (gradient[i, j] - total - unit[i, j] * tilt) * inverse[i]
