"""Where the randomness of lanes comes from: the order of rows and the noise of dropout.

What a lane draws depends on its own seed, rows and place in the network only, never on the lanes beside it nor on how
far it is padded: that makes a lane equal to the same configuration alone. Lanes of equal seed and rows share a stream,
and with it their batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metahpo.learners.lanes.recipe import Lane

#: Noise is drawn once a stream, in blocks of this many numbers, and read from a random place each time.
BLOCK = 1 << 18
#: Distance in the noise between the rows of a batch, so that a wider layer sees the same numbers first.
STRIDE = 257
#: Layers of a network that each draw their own noise; deeper ones repeat it.
LAYERS = 64


class Streams:
    """The streams of the lanes of a stack.

    Parameters
    ----------
    lanes : sequence of Lane
        All with as many training rows, so that all take as many steps an epoch.
    """

    def __init__(self, lanes: Sequence[Lane], device: torch.device) -> None:
        keys = [(lane.recipe.seed, lane.train.tobytes(), lane.start.epochs if lane.start else 0) for lane in lanes]
        first = dict(zip(reversed(keys), reversed(lanes), strict=True))
        order = {key: i for i, key in enumerate(first)}
        self._lanes, self._device = list(first.values()), device
        self._stream_of_lane = torch.tensor([order[key] for key in keys], device=device)
        self._noise: list[Tensor] = [torch.empty(0, device=device)] * len(first)

    def begin_epoch(self, epochs: NDArray[np.int64], n_steps: int, batch: int) -> None:
        """Draw the order of the rows, where `epochs` holds the number of the epoch of every lane."""
        orders, offsets = [], []
        stream_of_lane = self._stream_of_lane.tolist()
        for i, lane in enumerate(self._lanes):
            rng = np.random.default_rng([lane.recipe.seed, int(epochs[stream_of_lane.index(i)]), 1])
            orders.append(rng.permutation(lane.train)[: n_steps * batch].reshape(n_steps, batch))
            offsets.append(rng.integers(0, BLOCK, (n_steps, LAYERS)))
        self._orders = torch.as_tensor(np.stack(orders, axis=1), device=self._device)
        self._offsets = np.stack(offsets)
        self._batch = batch

    def rows(self, step: int) -> Tensor:
        """Rows of the batch: (K, b), or (1, b) where all lanes share them."""
        rows: Tensor = self._orders[step]
        return rows if len(self._lanes) == 1 else rows[self._stream_of_lane]

    def noise(self, step: int, layer: int, width: int) -> Tensor:
        """Uniform numbers of shape (K, b, width), or (1, b, width) where all lanes share them."""
        parts = []
        for i, lane in enumerate(self._lanes):
            start = int(self._offsets[i, step, layer % LAYERS])
            self._reach(i, lane.recipe.seed, start + self._batch * STRIDE + width)
            parts.append(self._noise[i].as_strided((1, self._batch, width), (0, STRIDE, 1), start))
        return parts[0] if len(parts) == 1 else torch.cat(parts)[self._stream_of_lane]

    def _reach(self, stream: int, seed: int, length: int) -> None:
        while len(self._noise[stream]) < length:
            block = len(self._noise[stream]) // BLOCK
            numbers = torch.as_tensor(_noise_block(seed, block), device=self._device)
            self._noise[stream] = numbers if block == 0 else torch.cat([self._noise[stream], numbers])


@lru_cache(maxsize=16)
def _noise_block(seed: int, block: int) -> NDArray[np.float32]:
    """Part of the noise of a seed, kept for the next stack."""
    return np.random.default_rng([seed, block, 2]).random(BLOCK, dtype=np.float32)
