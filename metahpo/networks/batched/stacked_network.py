"""The protocol of stacked networks, and the memory layout of the parameters of their models."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from metahpo.networks.batched.training_configuration import State

#: Uniform noise for a layer of a width: ``noise(layer, width)``; see :meth:`Streams.noise`.
Noise = Callable[[int, int], Tensor]


class Shape(Protocol):
    """Shape of the network of one model."""

    def joined(self, other: Any) -> Any:
        """The least shape that both can be padded to."""
        ...

    @property
    def stack_seconds(self) -> float:
        """Seconds of a training step of a stack that is padded to this shape, whatever its models."""
        ...

    def model_seconds(self, batch: int) -> float:
        """Seconds that one more model of this shape adds to a training step of a stack."""
        ...

    def bytes(self, batch: int) -> int:
        """Memory of one model of this shape in training."""
        ...

    def initial(self, seed: int) -> tuple[State, State]:
        """Fresh parameters and statistics."""
        ...


class StackedNetwork(Protocol):
    """K networks of one kind as one, each padded to the largest.

    A padded entry is zero, stays zero under any gradient step, and changes nothing that the model computes.

    Attributes
    ----------
    parameters, statistics : dict of str to tuple of int
        Padded shapes of the trained parameters of a model, and of its statistics without gradient.
    """

    @property
    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        """See the class."""
        ...

    @property
    def statistics(self) -> Mapping[str, tuple[int, ...]]:
        """See the class."""
        ...

    def forward(
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

    def backward(self, parameters: Mapping[str, Tensor], to_output: Tensor, gradients: Mapping[str, Tensor]) -> None:
        """Fill the gradients of all parameters, from that at the outputs of the forward pass just made.

        Parameters
        ----------
        parameters, gradients : dict of str to Tensor of shape (K, ...)
        to_output : Tensor of shape (K, b, n_outputs)
        """
        ...


class StackedParameters:
    """The parameters (or moments, or statistics) of K models in one tensor of shape (K, P).

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Padded shape of every parameter of a model.
    n_models : int
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], n_models: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._shapes = shapes
        self._sizes = [math.prod(shape) for shape in shapes.values()]
        self.flat = torch.zeros((n_models, sum(self._sizes)), dtype=dtype, device=device)

    def named(self, flat: Tensor | None = None) -> dict[str, Tensor]:
        """Views of shape (K, ...) of the parameters, or of a tensor `flat` with the same layout."""
        parts = torch.split(self.flat if flat is None else flat, self._sizes, 1)
        return {
            name: part.view(len(part), *shape) for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }

    def write(self, model: int, state: State) -> None:
        """Write the state of one model, padded by zeros."""
        named = self.named()
        for name, values in state.items():
            named[name][_corner(model, values)].copy_(torch.as_tensor(values))

    def read(self, model: int, like: State, flat: Tensor | None = None) -> State:
        """Read the state of one model, in the shapes of `like`."""
        named = self.named(flat)
        return {
            name: named[name][_corner(model, values)].detach().cpu().numpy().copy() for name, values in like.items()
        }


def _corner(model: int, values: NDArray[Any]) -> tuple[int | slice, ...]:
    """Index of the unpadded values of a model."""
    return (model, *(slice(n) for n in values.shape))
