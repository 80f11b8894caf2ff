"""What a stacked network is, and how the parameters of its lanes lie in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from metahpo.learners.lanes.recipe import State

#: Uniform noise for a layer of a width: ``noise(layer, width)``; see :meth:`Streams.noise`.
Noise = Callable[[int, int], Tensor]


class Shape(Protocol):
    """Shape of the network of one lane."""

    def joined(self, other: Any) -> Any:
        """The least shape that both can be padded to."""
        ...

    def seconds(self, batch: int) -> float:
        """Seconds of a training step of one lane of this shape, beyond what a stack of any number of lanes costs."""
        ...

    def bytes(self, batch: int) -> int:
        """Memory of one lane of this shape in training."""
        ...

    def initial(self, seed: int) -> tuple[State, State]:
        """Fresh parameters and statistics."""
        ...


class StackedNetwork(Protocol):
    """K networks of one kind as one, each padded to the largest.

    A padded entry is zero, stays zero under any gradient step, and changes nothing that the lane computes.

    Attributes
    ----------
    parameters, statistics : dict of str to tuple of int
        Padded shapes of a lane's trained parameters, and of what it gathers without a gradient.
    """

    parameters: Mapping[str, tuple[int, ...]]
    statistics: Mapping[str, tuple[int, ...]]

    def __call__(
        self,
        parameters: Mapping[str, Tensor],
        statistics: Mapping[str, Tensor],
        inputs: Sequence[Tensor],
        noise: Noise | None,
    ) -> Tensor:
        """Outputs of shape (K, b, n_outputs).

        Parameters
        ----------
        parameters, statistics : dict of str to Tensor of shape (K, ...)
        inputs : sequence of Tensor of shape (K, b, ...) or (1, b, ...)
        noise : callable or None
            None: predict; otherwise train, and update `statistics` in place.
        """
        ...


class LaneMemory:
    """The parameters (or moments, or statistics) of K lanes in one tensor of shape (K, P).

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Padded shape of every parameter of a lane.
    n_lanes : int
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], n_lanes: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._shapes = shapes
        self._sizes = [math.prod(shape) for shape in shapes.values()]
        self.flat = torch.zeros((n_lanes, sum(self._sizes)), dtype=dtype, device=device)

    def named(self, flat: Tensor | None = None) -> dict[str, Tensor]:
        """Views of shape (K, ...) into the memory, or into a tensor `flat` that is laid out like it."""
        parts = (self.flat if flat is None else flat).split(self._sizes, 1)
        return {
            name: part.view(len(part), *shape)
            for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }

    def write(self, lane: int, state: State) -> None:
        """Put the state of one lane in, padded by zeros."""
        named = self.named()
        for name, values in state.items():
            corner = named[name][(lane, *(slice(n) for n in values.shape))]
            corner.copy_(torch.as_tensor(values))

    def read(self, lane: int, like: State, flat: Tensor | None = None) -> State:
        """Take the state of one lane out, of the shapes of `like`."""
        named = self.named(flat)
        return {
            name: named[name][(lane, *(slice(n) for n in values.shape))].detach().cpu().numpy().copy()
            for name, values in like.items()
        }


def zeros_like(state: State) -> State:
    """Moments before the first step."""
    return {name: np.zeros_like(values) for name, values in state.items()}
