"""One epoch of training of one lane, and its predictions: the functions that the interpreter calls.

The same network, loss and update as those of a stack (:mod:`metahpo.learners.mlp.network`,
:mod:`metahpo.learners.lanes.optimiser`), and the same random numbers; equal to rounding. Symbols: n rows of the pool,
S steps, b rows of a batch, d numeric and q categorical columns, e embedding size, L layers, w units, c outputs, P
parameters, which lie in one array in the order of `MLPShape.parameters`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metahpo.learners.lanes.optimiser import TINY
from metahpo.learners.lanes.streams import LAYERS, STRIDE
from metahpo.learners.mlp.compiled.compiler import compiled, exponential
from metahpo.learners.mlp.compiled.layer import (
    BATCH,
    NONE,
    Array,
    activate,
    activation_gradient,
    normalisation_gradient,
    normalise_batch,
    normalise_layer,
)

#: Rows that are predicted at once.
CHUNK = 256


class Net(NamedTuple):
    """Shape of a lane in numbers; activation and normalisation by their place in the names of the shape module."""

    n_numbers: int
    n_categorical: int
    n_codes: int
    n_outputs: int
    depth: int
    width: int
    embedding_size: int
    activation: int
    normalisation: int
    residual: bool
    dropout: float
    classifies: bool


class Rows(NamedTuple):
    """The pool: numbers (n, d), codes (n, q), classes (n,) or values (n, c), weights (n,) or none (0,)."""

    numbers: Array
    codes: NDArray[np.int64]
    classes: NDArray[np.int64]
    values: Array
    weight: Array


class Tape(NamedTuple):
    """What a backward pass needs of each layer: y, z, act(z), u and m (L, b, w), and 1 / deviations (L, w or b)."""

    hidden: Array
    z: Array
    activated: Array
    unit: Array
    mask: Array
    inverse: Array


@compiled
def _weight(net: Net, flat: Array, layer: int) -> tuple[int, Array]:
    """Matrix before a layer, the output for ``depth``, as a view into parameters, and where it ends."""
    n_inputs, w = net.n_categorical * net.embedding_size + net.n_numbers, net.width
    vectors = w if net.normalisation == NONE else 3 * w
    start = net.n_codes * net.embedding_size if net.n_categorical else 0
    if layer == 0:
        return start + n_inputs * w, flat[start : start + n_inputs * w].reshape((n_inputs, w))
    start += n_inputs * w + vectors + (layer - 1) * (w * w + vectors)
    columns = net.n_outputs if layer == net.depth else w
    return start + w * columns, flat[start : start + w * columns].reshape((w, columns))


@compiled
def _gather(net: Net, weights: Array, rows: Rows, chosen: NDArray[np.int64], out: Array) -> None:
    """Embedded and numeric columns of rows (b,) into `out` (b, q e + d)."""
    e = net.embedding_size
    for i in range(len(chosen)):
        for k in range(net.n_categorical):
            start = rows.codes[chosen[i], k] * e
            for j in range(e):
                out[i, k * e + j] = weights[start + j]
        for j in range(net.n_numbers):
            out[i, net.n_categorical * e + j] = rows.numbers[chosen[i], j]


@compiled
def _forward(net: Net, weights: Array, running: Array, inputs: Array, tape: Tape, training: bool, out: Array) -> None:
    """Outputs (b, c) of inputs (b, q e + d); in training with the masks on the tape, which is filled."""
    w = net.width
    for layer in range(net.depth):
        end, matrix = _weight(net, weights, layer)
        unit, z, hidden = tape.unit[layer], tape.z[layer], tape.hidden[layer]
        before = inputs if layer == 0 else tape.hidden[layer - 1]
        np.dot(before, matrix, unit)
        bias = weights[end : end + w]
        for i in range(len(unit)):
            for j in range(w):
                unit[i, j] += bias[j]
        if net.normalisation == NONE:
            z[:] = unit
        else:
            if net.normalisation == BATCH:
                normalise_batch(unit, tape.inverse[layer], running[layer], training)
            else:
                normalise_layer(unit, tape.inverse[layer])
            gain, shift = weights[end + w : end + 2 * w], weights[end + 2 * w : end + 3 * w]
            for i in range(len(unit)):
                for j in range(w):
                    z[i, j] = unit[i, j] * gain[j] + shift[j]
        activate(net.activation, z.reshape(-1), tape.activated[layer].reshape(-1))
        hidden[:] = tape.activated[layer]
        if training and net.dropout > 0.0:
            hidden *= tape.mask[layer]
        if net.residual and layer > 0:
            hidden += before
    end, matrix = _weight(net, weights, net.depth)
    np.dot(tape.hidden[net.depth - 1], matrix, out)
    out += weights[end : end + net.n_outputs]


@compiled
def _backward(
    net: Net, weights: Array, gradient: Array, inputs: Array, tape: Tape, to_output: Array, to_input: Array
) -> None:
    """Fill the gradient (P,), from that at the outputs (b, c); that at the inputs goes into `to_input`."""
    w = net.width
    end, matrix = _weight(net, weights, net.depth)
    gradient[end:] = to_output.sum(axis=0)
    np.dot(tape.hidden[net.depth - 1].T, to_output, _weight(net, gradient, net.depth)[1])
    to_hidden = np.dot(to_output, matrix.T)
    for layer in range(net.depth - 1, -1, -1):
        end, matrix = _weight(net, weights, layer)
        to_x = to_hidden * tape.mask[layer] if net.dropout > 0.0 else to_hidden.copy()
        activation_gradient(
            net.activation, tape.z[layer].reshape(-1), tape.activated[layer].reshape(-1), to_x.reshape(-1)
        )
        if net.normalisation != NONE:
            scales = weights[end + w : end + 3 * w].reshape((2, w))
            to_scales = gradient[end + w : end + 3 * w].reshape((2, w))
            normalisation_gradient(net.normalisation, tape.unit[layer], tape.inverse[layer], scales, to_x, to_scales)
        # Batch normalisation subtracts any bias before it: there it stays, or Adam would walk on rounding errors.
        gradient[end : end + w] = to_x.sum(axis=0) if net.normalisation != BATCH else np.zeros_like(to_x[0])
        before = inputs if layer == 0 else tape.hidden[layer - 1]
        np.dot(before.T, to_x, _weight(net, gradient, layer)[1])
        if layer == 0:
            if net.n_categorical:
                np.dot(to_x, matrix.T, to_input)
        elif net.residual:
            to_hidden += np.dot(to_x, matrix.T)
        else:
            np.dot(to_x, matrix.T, to_hidden)


@compiled
def _embedding_gradient(
    net: Net, gradient: Array, codes: NDArray[np.int64], chosen: NDArray[np.int64], to_input: Array
) -> None:
    """Add up what every row says of the vectors of its categories."""
    e = net.embedding_size
    gradient[: net.n_codes * e] = gradient.dtype.type(0.0)
    for i in range(len(chosen)):
        for k in range(net.n_categorical):
            start = codes[chosen[i], k] * e
            for j in range(e):
                gradient[start + j] += to_input[i, k * e + j]


@compiled
def _loss(net: Net, rows: Rows, chosen: NDArray[np.int64], smoothing: float, output: Array, gradient: Array) -> float:
    """Mean loss of a batch (smoothed cross-entropy or squared error), and its gradient at the outputs (b, c)."""
    real, (b, c), total = output.dtype.type, output.shape, 0.0
    for i in range(b):
        weight = rows.weight[chosen[i]] if len(rows.weight) else real(1.0)
        each = real(0.0)
        if net.classifies:
            spread = real(smoothing / c)
            top = output[i].max()
            mass = real(0.0)
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
    """One step of :class:`metahpo.learners.lanes.optimiser.LaneOptimiser`, of whose terms these are one lane's."""
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
    """Train one epoch in place; the mean loss of its batches.

    Parameters
    ----------
    net : Net
    state : tuple of ndarray
        Weights, first and second moments (P,), and running statistics (L, 2, w).
    rows : Rows
    orders : ndarray of shape (S, b)
        Rows of every batch.
    noise, offsets : ndarray of shape (any,) and (S, LAYERS)
        Of dropout: see :class:`metahpo.learners.lanes.streams.Stream`.
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
        _gather(net, weights, rows, chosen, inputs)
        if net.dropout > 0.0:
            for layer in range(net.depth):
                for i in range(b):
                    start = offsets[step, layer % LAYERS] + i * STRIDE
                    for j in range(w):
                        tape.mask[layer, i, j] = boost if noise[start + j] >= dropout else real(0.0)
        _forward(net, weights, running, inputs, tape, True, output)
        total += _loss(net, rows, chosen, smoothing, output, to_output)
        _backward(net, weights, gradient, inputs, tape, to_output, to_input)
        if net.n_categorical:
            _embedding_gradient(net, gradient, rows.codes, chosen, to_input)
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
        _gather(net, weights, rows, part, inputs)
        tape = Tape(hidden, z, np.empty(layers, dtype), unit, unit, inverse)
        _forward(net, weights, running, inputs, tape, False, out[start : start + CHUNK])
    return out
