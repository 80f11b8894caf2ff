"""The multi-layer perceptrons of K lanes as one network.

Symbols: K lanes, b rows, w the padded width, d numeric columns, q categorical columns, e the padded embedding size.

Every layer is one batched matrix product over the lanes. Lanes of like normalisation and activation had better lie
next to each other (:func:`lane_order`): each function is applied to a slice of the lanes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

from metahpo.learners.lanes.network import Noise
from metahpo.learners.mlp.hidden_layer import LayerPlan, apply_hidden_layer, runs
from metahpo.learners.mlp.shape import MLPShape


def lane_order(shape: MLPShape) -> tuple[str, str]:
    """Key to sort the lanes of a stack by."""
    return shape.normalisation, shape.activation


class StackedMLP:
    """See :class:`metahpo.learners.lanes.network.StackedNetwork`.

    Parameters
    ----------
    shapes : sequence of K MLPShape
        Of equal numbers of columns and outputs.
    """

    def __init__(self, shapes: Sequence[MLPShape], dtype: torch.dtype, device: torch.device) -> None:
        self._n_lanes = len(shapes)
        padded = reduce(MLPShape.joined, shapes)
        kinds = {shape.normalisation for shape in shapes}
        # Batch normalisation has all the parameters that layer normalisation has.
        widest = replace(padded, normalisation="batch" if "batch" in kinds else "layer" if "layer" in kinds else "none")
        self.parameters, self.statistics = widest.parameters, widest.statistics
        self._depth, self._padded_width = padded.depth, padded.width

        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)

        # Batch normalisation subtracts any bias before it: that of its lanes is fixed, or Adam would walk on rounding.
        biased = column([float(shape.normalisation != "batch") for shape in shapes])
        self._biased = biased if (biased == 0).any() else None
        self._dropout = column([shape.dropout for shape in shapes]) if any(s.dropout for s in shapes) else None
        width = column([float(shape.width) for shape in shapes])
        mask = (torch.arange(padded.width, device=device) < width).to(dtype)
        norms, activations = runs([s.normalisation for s in shapes]), runs([s.activation for s in shapes])
        self._plans = []
        for layer in range(padded.depth):
            has = column([float(s.depth > layer) for s in shapes])
            carries = column([float(layer > 0 and (s.residual or s.depth <= layer)) for s in shapes])
            self._plans.append(
                LayerPlan(
                    norms, activations, width, mask, carries if carries.any() else None, None if has.all() else has
                )
            )

    def __call__(
        self,
        parameters: Mapping[str, Tensor],
        statistics: Mapping[str, Tensor],
        inputs: Sequence[Tensor],
        noise: Noise | None,
    ) -> Tensor:
        """Outputs of shape (K, b, n_outputs) for numbers (K or 1, b, d) and codes (K or 1, b, q)."""
        hidden: Tensor | None = None
        for layer, plan in enumerate(self._plans):
            bias = parameters[f"bias.{layer}"][:, None]
            if self._biased is not None:
                bias = bias * self._biased
            if hidden is None:
                linear = self._first(bias, parameters, inputs)
            else:
                linear = torch.baddbmm(bias, hidden, parameters[f"weight.{layer}"])
            own = {
                name: statistics[f"{name}.{layer}"] for name in ("mean", "variance") if f"{name}.{layer}" in statistics
            }
            hidden = apply_hidden_layer(
                linear,
                parameters.get(f"gain.{layer}"),
                parameters.get(f"shift.{layer}"),
                hidden,
                self._dropout_mask(noise, layer),
                plan,
                own,
                noise is not None,
            )
        assert hidden is not None
        return torch.baddbmm(parameters["output.bias"][:, None], hidden, parameters["output.weight"])

    def _first(self, bias: Tensor, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """Linear part of the first layer, from numbers and embedded codes."""
        numbers, codes = inputs
        linear = bias.expand(-1, numbers.shape[1], -1)
        if "numbers.weight" in parameters:
            linear = torch.baddbmm(linear, numbers.expand(self._n_lanes, -1, -1), parameters["numbers.weight"])
        if "embedding" in parameters:
            embedded = _embed(parameters["embedding"], codes)
            linear = torch.baddbmm(linear, embedded, parameters["embedded.weight"].flatten(1, 2))
        return linear

    def _dropout_mask(self, noise: Noise | None, layer: int) -> Tensor | None:
        """Zero where a unit is dropped, 1 / (1 - dropout) where not: of shape (K, b, w)."""
        if noise is None or self._dropout is None:
            return None
        kept = noise(layer, self._padded_width) >= self._dropout
        return kept.to(self._dropout.dtype).div_(1.0 - self._dropout)


def _embed(embedding: Tensor, codes: Tensor) -> Tensor:
    """Vectors (K, b, q e) of codes (K or 1, b, q) in tables (K, codes, e)."""
    K, n_codes, size = embedding.shape
    places = codes + n_codes * torch.arange(K, device=codes.device).view(K, 1, 1)
    return functional.embedding(places, embedding.reshape(K * n_codes, size)).flatten(2)
