"""Random streams of models, for the order of rows and the noise of dropout.

The numbers of a model depend only on its seed, its rows and the place in the network. They depend neither on other
models of the stack nor on padding. A model in a stack is therefore equal to the same configuration trained alone.
Models of equal seed and rows share a stream, and with it their batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metahpo.networks.batched.training_configuration import BatchedModel

#: Noise is drawn once a stream, in blocks of this many numbers, and read from a random place each time.
BLOCK = 1 << 18
#: Distance in the noise between the rows of a batch, so that a wider layer sees the same numbers first.
STRIDE = 257
#: Layers of a network that each draw their own noise; deeper ones repeat it.
LAYERS = 64


class Stream:
    """Random numbers of one model.

    Parameters
    ----------
    model : BatchedModel
    """

    def __init__(self, model: BatchedModel) -> None:
        self._model = model
        self._noise = np.empty(0, dtype=np.float32)

    def orders(self, epoch: int) -> NDArray[np.int64]:
        """Rows of every batch of an epoch, of shape (S, b)."""
        n_steps, batch = self._model.steps_and_batch
        shuffled = self._rng(epoch, 1).permutation(self._model.train)
        return np.asarray(shuffled[: n_steps * batch].reshape(n_steps, batch))

    def offsets(self, epoch: int) -> NDArray[np.int64]:
        """Start of the noise of each layer at every step of an epoch, of shape (S, LAYERS)."""
        n_steps, _ = self._model.steps_and_batch
        return self._rng(epoch, 3).integers(0, BLOCK, (n_steps, LAYERS))

    def noise(self, width: int) -> NDArray[np.float32]:
        """Uniform numbers, enough for layers of that width: row r of a batch reads from r STRIDE on."""
        needed = BLOCK + self._model.steps_and_batch[1] * STRIDE + width
        while len(self._noise) < needed:
            block = len(self._noise) // BLOCK
            self._noise = np.concatenate([self._noise, _noise_block(self._model.configuration.seed, block)])
        return self._noise

    def _rng(self, epoch: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self._model.configuration.seed, epoch, purpose])


class Streams:
    """The streams of the models of a stack.

    Parameters
    ----------
    models : sequence of BatchedModel
        All with as many training rows, so that all take as many steps an epoch.
    """

    def __init__(self, models: Sequence[BatchedModel], device: torch.device) -> None:
        keys = [
            (model.configuration.seed, model.train.tobytes(), model.start.epochs if model.start else 0)
            for model in models
        ]
        first = dict(zip(reversed(keys), reversed(models), strict=True))
        order = {key: i for i, key in enumerate(first)}
        self._streams = [Stream(model) for model in first.values()]
        of_model = [order[key] for key in keys]
        self._model_of_stream = [of_model.index(i) for i in range(len(first))]
        self._stream_of_model = torch.tensor(of_model, device=device)
        self._noise: dict[tuple[int, int], Tensor] = {}
        self._batch, self._device = models[0].steps_and_batch[1], device

    def begin_epoch(self, epochs: NDArray[np.int64]) -> None:
        """Draw the order of the rows, where `epochs` holds the number of the epoch of every model."""
        of_streams = [int(epochs[model]) for model in self._model_of_stream]
        drawn = list(zip(self._streams, of_streams, strict=True))
        orders = np.stack([stream.orders(epoch) for stream, epoch in drawn], axis=1)
        self._orders = torch.as_tensor(orders, device=self._device)
        self._offsets = [stream.offsets(epoch) for stream, epoch in drawn]

    def rows(self, step: int) -> Tensor:
        """Rows of the batch: (K, b), or (1, b) where all models share them."""
        rows: Tensor = self._orders[step]
        return rows if len(self._streams) == 1 else rows[self._stream_of_model]

    def noise(self, step: int, layer: int, width: int) -> Tensor:
        """Uniform numbers of shape (K, b, width), or (1, b, width) where all models share them."""
        parts = []
        for i, stream in enumerate(self._streams):
            if (i, width) not in self._noise:
                self._noise[i, width] = torch.as_tensor(stream.noise(width), device=self._device)
            start = int(self._offsets[i][step, layer % LAYERS])
            parts.append(self._noise[i, width].as_strided((1, self._batch, width), (0, STRIDE, 1), start))
        return parts[0] if len(parts) == 1 else torch.cat(parts)[self._stream_of_model]


@lru_cache(maxsize=16)
def _noise_block(seed: int, block: int) -> NDArray[np.float32]:
    """Part of the noise of a seed, kept for the next model."""
    return np.random.default_rng([seed, block, 2]).random(BLOCK, dtype=np.float32)
