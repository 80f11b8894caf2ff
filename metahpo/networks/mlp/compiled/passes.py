"""The passes through one model's network, forwards and backwards: functions that compiled code calls.

The network is that of a stack (:mod:`metahpo.networks.mlp.mlp_network`). Symbols: b rows of a batch, d numeric and q
categorical columns, e embedding size, L layers, w units, c outputs, P parameters, which lie in one array in the order
of `MLPShape.parameters`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metahpo.networks.mlp.compiled.compiler import compiled
from metahpo.networks.mlp.compiled.layer import (
    BATCH,
    NONE,
    Array,
    activate,
    activation_gradient,
    column_sums,
    normalisation_gradient,
    normalise_batch,
    normalise_layer,
)


class Net(NamedTuple):
    """Shape of a model in numbers; activation and normalisation by their place in the names of the shape module."""

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
    """Values of each layer for the backward pass: y, z, act(z), u and m (L, b, w), and 1 / deviations (L, w or b).

    Predictions have no dropout, and their m is (0, 0, 0).
    """

    hidden: Array
    z: Array
    activated: Array
    unit: Array
    mask: Array
    inverse: Array


@compiled
def weight_before(net: Net, flat: Array, layer: int) -> tuple[int, Array]:
    """Index of the end of the weight matrix of a layer (the output layer for ``depth``), and a view of the matrix."""
    n_inputs, w = net.n_categorical * net.embedding_size + net.n_numbers, net.width
    vectors = w if net.normalisation == NONE else 3 * w
    start = net.n_codes * net.embedding_size if net.n_categorical else 0
    if layer == 0:
        return start + n_inputs * w, flat[start : start + n_inputs * w].reshape((n_inputs, w))
    start += n_inputs * w + vectors + (layer - 1) * (w * w + vectors)
    columns = net.n_outputs if layer == net.depth else w
    return start + w * columns, flat[start : start + w * columns].reshape((w, columns))


@compiled
def gather(net: Net, weights: Array, rows: Rows, chosen: NDArray[np.int64], out: Array) -> None:
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
def forward(net: Net, weights: Array, running: Array, inputs: Array, tape: Tape, out: Array) -> None:
    """Outputs (b, c) of inputs (b, q e + d); with masks on the tape it is training. The tape is filled."""
    w, training = net.width, len(tape.mask) > 0
    for layer in range(net.depth):
        end, matrix = weight_before(net, weights, layer)
        unit, z, hidden = tape.unit[layer], tape.z[layer], tape.hidden[layer]
        before = inputs if layer == 0 else tape.hidden[layer - 1]
        np.dot(before, matrix, unit)
        bias = weights[end : end + w]
        for i in range(len(unit)):
            for j in range(w):
                unit[i, j] += bias[j]
        if net.normalisation == NONE:
            for i in range(len(unit)):
                for j in range(w):
                    z[i, j] = unit[i, j]
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
        activated, drops = tape.activated[layer], training and net.dropout > 0.0
        for i in range(len(unit)):
            for j in range(w):
                hidden[i, j] = activated[i, j] * tape.mask[layer, i, j] if drops else activated[i, j]
                if net.residual and layer > 0:
                    hidden[i, j] += before[i, j]
    end, matrix = weight_before(net, weights, net.depth)
    np.dot(tape.hidden[net.depth - 1], matrix, out)
    for i in range(len(out)):
        for k in range(net.n_outputs):
            out[i, k] += weights[end + k]


@compiled
def backward(
    net: Net, weights: Array, gradient: Array, inputs: Array, tape: Tape, to_output: Array, to_input: Array
) -> None:
    """Fill the gradient (P,), from that at the outputs (b, c); that at the inputs goes into `to_input`."""
    w = net.width
    end, matrix = weight_before(net, weights, net.depth)
    column_sums(to_output, gradient[end:])
    np.dot(tape.hidden[net.depth - 1].T, to_output, weight_before(net, gradient, net.depth)[1])
    to_hidden = np.dot(to_output, matrix.T)
    for layer in range(net.depth - 1, -1, -1):
        end, matrix = weight_before(net, weights, layer)
        to_x = to_hidden.copy()
        if net.dropout > 0.0:
            for i in range(len(to_x)):
                for j in range(w):
                    to_x[i, j] *= tape.mask[layer, i, j]
        activation_gradient(
            net.activation, tape.z[layer].reshape(-1), tape.activated[layer].reshape(-1), to_x.reshape(-1)
        )
        if net.normalisation != NONE:
            scales = weights[end + w : end + 3 * w].reshape((2, w))
            to_scales = gradient[end + w : end + 3 * w].reshape((2, w))
            normalisation_gradient(net.normalisation, tape.unit[layer], tape.inverse[layer], scales, to_x, to_scales)
        # Batch normalisation subtracts any bias before it. The bias is fixed there, because Adam would follow rounding
        # errors.
        if net.normalisation == BATCH:
            gradient[end : end + w] = gradient.dtype.type(0.0)
        else:
            column_sums(to_x, gradient[end : end + w])
        before = inputs if layer == 0 else tape.hidden[layer - 1]
        np.dot(before.T, to_x, weight_before(net, gradient, layer)[1])
        if layer == 0:
            if net.n_categorical:
                np.dot(to_x, matrix.T, to_input)
        elif net.residual:
            to_skip = np.dot(to_x, matrix.T)
            for i in range(len(to_hidden)):
                for j in range(w):
                    to_hidden[i, j] += to_skip[i, j]
        else:
            np.dot(to_x, matrix.T, to_hidden)


@compiled
def embedding_gradient(
    net: Net, gradient: Array, codes: NDArray[np.int64], chosen: NDArray[np.int64], to_input: Array
) -> None:
    """Add the gradient of every row to the vectors of its categories."""
    e = net.embedding_size
    gradient[: net.n_codes * e] = gradient.dtype.type(0.0)
    for i in range(len(chosen)):
        for k in range(net.n_categorical):
            start = codes[chosen[i], k] * e
            for j in range(e):
                gradient[start + j] += to_input[i, k * e + j]
