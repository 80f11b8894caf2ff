"""One epoch of training of one model, and its predictions: the functions that the interpreter calls.

The same loss and update as those of a stack (:mod:`metahpo.networks.batched.optimiser_step`), and the same random
numbers; equal to rounding. Symbols: S steps, the others as in :mod:`metahpo.networks.mlp.compiled.passes`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metahpo.networks.batched.optimiser_step import TINY
from metahpo.networks.batched.random_streams import LAYERS, STRIDE
from metahpo.networks.mlp.compiled.compiler import compiled, exponential
from metahpo.networks.mlp.compiled.layer import Array
from metahpo.networks.mlp.compiled.passes import Net, Rows, Tape, backward, embedding_gradient, forward, gather

#: Rows that are predicted at once.
CHUNK = 256


@compiled
def _loss(net: Net, rows: Rows, chosen: NDArray[np.int64], smoothing: float, output: Array, gradient: Array) -> float:
    """Mean loss of a batch (smoothed cross-entropy or squared error), and its gradient at the outputs (b, c)."""
    real, (b, c), total = output.dtype.type, output.shape, 0.0
    for i in range(b):
        weight = rows.weight[chosen[i]] if len(rows.weight) else real(1.0)
        each = real(0.0)
        if net.classifies:
            spread = real(smoothing / c)
            top, mass = output[i, 0], real(0.0)
            for k in range(1, c):
                top = max(top, output[i, k])
            for k in range(c):
                mass += exponential(output[i, k] - top)
            log_mass = np.log(mass) + top
            for k in range(c):
                wanted = spread + (real(1.0 - smoothing) if k == rows.classes[chosen[i]] else real(0.0))
                log_probability = output[i, k] - log_mass
                each -= wanted * log_probability
                gradient[i, k] = (exponential(log_probability) - wanted) * weight / real(b)
        else:
            for k in range(c):
                error = output[i, k] - rows.values[chosen[i], k]
                each += error * error / real(c)
                gradient[i, k] = real(2.0) * error * weight / real(b * c)
        total += float(each * weight)
    return float(total / b)


@compiled
def _update(weights: Array, gradient: Array, first: Array, second: Array, constants: Array, step: Array) -> None:
    """Update the weights of one model as :class:`metahpo.networks.batched.optimiser_step.BatchedOptimiser` does."""
    real = weights.dtype.type
    average, look_ahead, forget, decay, l1 = constants
    scale, offset, keep = step
    for i in range(weights.size):
        w = weights[i]
        sign = real(1.0) if w > real(0.0) else (real(-1.0) if w < real(0.0) else real(0.0))
        g = gradient[i] + decay * w + l1 * sign
        m = first[i] + average * (g - first[i])
        v = second[i] * forget + g * g
        first[i], second[i] = m, v
        divisor = scale * np.sqrt(v + real(TINY)) + offset
        weights[i] = w * keep - (m + look_ahead * (g - m)) / divisor


@compiled
def train_epoch(
    net: Net,
    state: tuple[Array, Array, Array, Array],
    rows: Rows,
    orders: NDArray[np.int64],
    noise: NDArray[np.float32],
    offsets: NDArray[np.int64],
    smoothing: float,
    constants: Array,
    steps: Array,
) -> float:
    """Train one epoch in place and return the mean loss of its batches.

    Parameters
    ----------
    net : Net
    state : tuple of ndarray
        Weights, first and second moments (P,), and running statistics (L, 2, w).
    rows : Rows
    orders : ndarray of shape (S, b)
        Rows of every batch.
    noise, offsets : ndarray of shape (any,) and (S, LAYERS)
        Of dropout: see :class:`metahpo.networks.batched.random_streams.Stream`.
    smoothing : float
    constants : ndarray of shape (5,)
        Average, look-ahead, forgetting, coupled decay, L1.
    steps : ndarray of shape (S, 3)
        Scale, offset and what is kept of the weights, at every step.
    """
    weights, first, second, running = state
    n_steps, b = orders.shape
    real, dtype, w = weights.dtype.type, weights.dtype, net.width
    layers = (net.depth, b, w)
    tape = Tape(
        np.empty(layers, dtype),
        np.empty(layers, dtype),
        np.empty(layers, dtype),
        np.empty(layers, dtype),
        np.empty(layers, dtype),
        np.empty((net.depth, max(b, w)), dtype),
    )
    inputs = np.empty((b, net.n_categorical * net.embedding_size + net.n_numbers), dtype)
    to_input, gradient = np.empty_like(inputs), np.empty_like(weights)
    output = np.empty((b, net.n_outputs), dtype)
    to_output = np.empty_like(output)
    dropout, boost = real(net.dropout), real(1.0 / (1.0 - net.dropout))
    total = 0.0
    for step in range(n_steps):
        chosen = orders[step]
        gather(net, weights, rows, chosen, inputs)
        if net.dropout > 0.0:
            for layer in range(net.depth):
                for i in range(b):
                    start = offsets[step, layer % LAYERS] + i * STRIDE
                    for j in range(w):
                        tape.mask[layer, i, j] = boost if noise[start + j] >= dropout else real(0.0)
        forward(net, weights, running, inputs, tape, output)
        total += _loss(net, rows, chosen, smoothing, output, to_output)
        backward(net, weights, gradient, inputs, tape, to_output, to_input)
        if net.n_categorical:
            embedding_gradient(net, gradient, rows.codes, chosen, to_input)
        _update(weights, gradient, first, second, constants, steps[step])
    return float(total / n_steps)


@compiled
def predict(net: Net, weights: Array, running: Array, rows: Rows, chosen: NDArray[np.int64]) -> Array:
    """Outputs (m, c) for chosen rows (m,)."""
    dtype, out = weights.dtype, np.empty((len(chosen), net.n_outputs), weights.dtype)
    for start in range(0, len(chosen), CHUNK):
        part = chosen[start : start + CHUNK]
        layers = (net.depth, len(part), net.width)
        hidden, unit, z = np.empty(layers, dtype), np.empty(layers, dtype), np.empty(layers, dtype)
        inverse = np.empty((net.depth, max(len(part), net.width)), dtype)
        inputs = np.empty((len(part), net.n_categorical * net.embedding_size + net.n_numbers), dtype)
        gather(net, weights, rows, part, inputs)
        tape = Tape(hidden, z, np.empty(layers, dtype), unit, np.empty((0, 0, 0), dtype), inverse)
        forward(net, weights, running, inputs, tape, out[start : start + CHUNK])
    return out
