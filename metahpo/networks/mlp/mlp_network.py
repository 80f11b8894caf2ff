"""The multi-layer perceptrons of K models as one network.

Symbols: K models, b rows, w the padded width, d numeric columns, q categorical columns, e the padded embedding size.

Every layer is one batched matrix product over the models. Models of like normalisation and activation had better lie
next to each other (:func:`stacking_order`): each function is applied to a slice of the models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from metahpo.networks.batched.stacked_network import Noise
from metahpo.networks.mlp.hidden_layer import HiddenLayer, Tape, runs
from metahpo.networks.mlp.mlp_shape import MLPShape


def stacking_order(shape: MLPShape) -> tuple[str, str]:
    """Key to sort the models of a stack by."""
    return shape.normalisation, shape.activation


class StackedMLP:
    """See :class:`metahpo.networks.batched.stacked_network.StackedNetwork`.

    Parameters
    ----------
    shapes : sequence of K MLPShape
        Of equal numbers of columns and outputs.
    """

    def __init__(self, shapes: Sequence[MLPShape], dtype: torch.dtype, device: torch.device) -> None:
        self._n_models = len(shapes)
        padded = reduce(MLPShape.joined, shapes)
        kinds = {shape.normalisation for shape in shapes}
        # Batch normalisation has all the parameters that layer normalisation has.
        widest = replace(padded, normalisation="batch" if "batch" in kinds else "layer" if "layer" in kinds else "none")
        self.parameters, self.statistics = widest.parameters, widest.statistics
        self._padded_width = padded.width

        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)

        biased = column([float(shape.normalisation != "batch") for shape in shapes])
        self._biased = biased[:, 0] if (biased == 0).any() else None
        self._dropout = column([shape.dropout for shape in shapes]) if any(s.dropout for s in shapes) else None
        self._boost = 1.0 / (1.0 - column([shape.dropout for shape in shapes]))
        self._running = ("mean", "variance") if self.statistics else ()
        width = column([float(shape.width) for shape in shapes])
        mask = (torch.arange(padded.width, device=device) < width).to(dtype)
        norms, activations = runs([s.normalisation for s in shapes]), runs([s.activation for s in shapes])
        self._layers: list[HiddenLayer] = []
        self._tapes: list[tuple[Tensor | None, Tape]] = []
        for layer in range(padded.depth):
            has = column([float(s.depth > layer) for s in shapes])
            carries = column([float(layer > 0 and (s.residual or s.depth <= layer)) for s in shapes])
            self._layers.append(
                HiddenLayer(
                    norms, activations, width, mask, carries if carries.any() else None, None if has.all() else has
                )
            )

    def forward(
        self,
        parameters: Mapping[str, Tensor],
        statistics: Mapping[str, Tensor],
        inputs: Sequence[Tensor],
        noise: Noise | None,
    ) -> Tensor:
        """Outputs of shape (K, b, n_outputs) for numbers (K or 1, b, d) and codes (K or 1, b, q)."""
        hidden: Tensor | None = None
        self._tapes, self._inputs = [], inputs
        for layer, plan in enumerate(self._layers):
            bias = parameters[f"bias.{layer}"][:, None]
            if hidden is None:
                linear = self._first(bias, parameters, inputs)
            else:
                linear = torch.baddbmm(bias, hidden, parameters[f"weight.{layer}"])
            value, tape = plan.forward(
                linear,
                self._scales(parameters, layer),
                hidden,
                self._dropout_mask(noise, layer),
                {name: statistics[f"{name}.{layer}"] for name in self._running},
                noise is not None,
            )
            self._tapes.append((hidden, tape))
            hidden = value
        assert hidden is not None
        self._last = hidden
        return torch.baddbmm(parameters["output.bias"][:, None], hidden, parameters["output.weight"])

    def backward(self, parameters: Mapping[str, Tensor], to_output: Tensor, gradients: Mapping[str, Tensor]) -> None:
        """Fill the gradients of all parameters, from that at the outputs of the forward pass just made."""
        gradients["output.bias"].copy_(to_output.sum(1))
        gradients["output.weight"].copy_(torch.bmm(self._last.transpose(1, 2), to_output))
        gradient = torch.bmm(to_output, parameters["output.weight"].transpose(1, 2))
        for layer in reversed(range(len(self._layers))):
            hidden, tape = self._tapes[layer]
            scales, to_scales = self._scales(parameters, layer), self._scales(gradients, layer)
            gain = None if scales is None else scales[0]
            to_linear, carried = self._layers[layer].backward(tape, gradient, gain, to_scales)
            to_bias = to_linear.sum(1)
            # Batch normalisation subtracts any bias before it. The bias is fixed there, because Adam would follow
            # rounding errors.
            gradients[f"bias.{layer}"].copy_(to_bias if self._biased is None else to_bias.mul_(self._biased))
            if hidden is None:
                self._first_backward(to_linear, parameters, gradients)
                return
            gradients[f"weight.{layer}"].copy_(torch.bmm(hidden.transpose(1, 2), to_linear))
            back = parameters[f"weight.{layer}"].transpose(1, 2)
            gradient = torch.bmm(to_linear, back) if carried is None else torch.baddbmm(carried, to_linear, back)

    def _first(self, bias: Tensor, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """Linear part of the first layer, from numbers and embedded codes."""
        numbers, codes = inputs
        linear = bias.expand(-1, numbers.shape[1], -1)
        if "numbers.weight" in parameters:
            linear = torch.baddbmm(linear, numbers.expand(self._n_models, -1, -1), parameters["numbers.weight"])
        if "embedding" in parameters:
            K, n_codes, size = parameters["embedding"].shape
            self._places = codes + n_codes * torch.arange(K, device=codes.device).view(K, 1, 1)
            table = parameters["embedding"].reshape(K * n_codes, size)
            self._embedded = table[self._places].flatten(2)
            linear = torch.baddbmm(linear, self._embedded, parameters["embedded.weight"].flatten(1, 2))
        return linear

    def _first_backward(
        self, to_linear: Tensor, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> None:
        if "numbers.weight" in parameters:
            numbers = self._inputs[0].expand(self._n_models, -1, -1)
            gradients["numbers.weight"].copy_(torch.bmm(numbers.transpose(1, 2), to_linear))
        if "embedding" in parameters:
            to_weight = torch.bmm(self._embedded.transpose(1, 2), to_linear)
            gradients["embedded.weight"].copy_(to_weight.view_as(parameters["embedded.weight"]))
            to_embedded = torch.bmm(to_linear, parameters["embedded.weight"].flatten(1, 2).transpose(1, 2))
            K, n_codes, size = parameters["embedding"].shape
            to_table = to_embedded.new_zeros((K * n_codes, size))
            to_table.index_add_(0, self._places.flatten(), to_embedded.view(-1, size))
            gradients["embedding"].copy_(to_table.view(K, n_codes, size))

    @staticmethod
    def _scales(parameters: Mapping[str, Tensor], layer: int) -> tuple[Tensor, Tensor] | None:
        """Gain and shift of a layer."""
        if f"gain.{layer}" not in parameters:
            return None
        return parameters[f"gain.{layer}"], parameters[f"shift.{layer}"]

    def _dropout_mask(self, noise: Noise | None, layer: int) -> Tensor | None:
        """Zero where a unit is dropped, 1 / (1 - dropout) where not: of shape (K, b, w)."""
        if noise is None or self._dropout is None:
            return None
        kept = noise(layer, self._padded_width) >= self._dropout
        return kept.to(self._dropout.dtype).mul_(self._boost)
