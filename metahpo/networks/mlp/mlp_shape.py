"""Shape of a multi-layer perceptron for a table, its first weights, and what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from metahpo.networks.batched.training_configuration import State

Activation = Literal["relu", "silu", "tanh"]
Normalisation = Literal["none", "batch", "layer"]

ACTIVATIONS: tuple[Activation, ...] = ("relu", "silu", "tanh")
NORMALISATIONS: tuple[Normalisation, ...] = ("none", "batch", "layer")

#: Variance of the first weights times their number of inputs, so that signals keep their size (He et al., 2015; 1 for
#: tanh, after LeCun).
GAINS = {"relu": 2.0, "silu": 2.0, "tanh": 1.0}

#: Cost model of a training step on one CPU core, fitted to measured steps: seconds a step, and a layer, whatever the
#: models (dispatch of operations); multiply-adds a second; seconds a weight (optimiser); seconds a unit (activation).
STEP_SECONDS, LAYER_SECONDS = 0.2e-3, 0.35e-3
PRODUCTS_PER_SECOND, WEIGHT_SECONDS, UNIT_SECONDS = 3.5e10, 2.8e-9, 12e-9


@dataclass(frozen=True)
class MLPShape:
    """Sizes of the arrays of a model, and the functions that it applies to them.

    Attributes
    ----------
    n_numbers, n_categorical, n_codes, n_outputs : int
        Numeric columns, categorical columns, codes of all categorical columns together (code 0 is "unseen"), outputs.
    depth, width : int
        Hidden layers and their units.
    embedding_size : int
        Length of the vector that stands for a category.
    activation, normalisation : str
    residual : bool
        Every hidden layer but the first adds to its input.
    dropout : float
        Share of the hidden units that are dropped.
    """

    n_numbers: int
    n_categorical: int
    n_codes: int
    n_outputs: int
    depth: int = 2
    width: int = 64
    embedding_size: int = 4
    activation: Activation = "relu"
    normalisation: Normalisation = "none"
    residual: bool = False
    dropout: float = 0.0

    def joined(self, other: MLPShape) -> MLPShape:
        """The least shape that both can be padded to."""
        return replace(
            self,
            n_codes=max(self.n_codes, other.n_codes),
            depth=max(self.depth, other.depth),
            width=max(self.width, other.width),
            embedding_size=max(self.embedding_size, other.embedding_size),
        )

    @property
    def n_embedded(self) -> int:
        """Columns that the categorical columns become."""
        return self.n_categorical * self.embedding_size

    @property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the trained parameters."""
        shapes: dict[str, tuple[int, ...]] = {}
        if self.n_categorical:
            shapes["embedding"] = (self.n_codes, self.embedding_size)
            shapes["embedded.weight"] = (self.n_categorical, self.embedding_size, self.width)
        if self.n_numbers:
            shapes["numbers.weight"] = (self.n_numbers, self.width)
        for layer in range(self.depth):
            if layer:
                shapes[f"weight.{layer}"] = (self.width, self.width)
            names = ("bias",) if self.normalisation == "none" else ("bias", "gain", "shift")
            shapes |= {f"{name}.{layer}": (self.width,) for name in names}
        return shapes | {"output.weight": (self.width, self.n_outputs), "output.bias": (self.n_outputs,)}

    @property
    def statistics(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the running mean and variance of batch normalisation."""
        if self.normalisation != "batch":
            return {}
        return {f"{name}.{layer}": (self.width,) for layer in range(self.depth) for name in ("mean", "variance")}

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""
        return sum(math.prod(shape) for shape in self.parameters.values())

    def products(self, batch: int) -> int:
        """Multiply-adds of a training step: the forward pass, and twice as many backward."""
        inputs = self.n_numbers + self.n_embedded
        return 3 * batch * self.width * (inputs + (self.depth - 1) * self.width + self.n_outputs)

    def model_seconds(self, batch: int) -> float:
        """Seconds that one more model of this shape adds to a training step of a stack."""
        units = batch * self.width * self.depth
        return self.products(batch) / PRODUCTS_PER_SECOND + self.n_parameters * WEIGHT_SECONDS + units * UNIT_SECONDS

    @property
    def stack_seconds(self) -> float:
        """Seconds of a training step of a stack that is padded to this shape, whatever its models."""
        return STEP_SECONDS + self.depth * LAYER_SECONDS

    def bytes(self, batch: int) -> int:
        """Memory in training: weights, gradient, moments, best weights and scratch; activations and their gradients."""
        return 4 * (8 * self.n_parameters + 10 * batch * (self.width * self.depth + self.n_numbers + self.n_embedded))

    def initial(self, seed: int) -> tuple[State, State]:
        """Fresh parameters and statistics, the same for the same seed and shape."""
        rng = np.random.default_rng([seed, 0])
        gain = GAINS[self.activation]
        n_inputs = self.n_numbers + self.n_embedded
        variances = {
            "embedding": 1.0 / self.embedding_size,
            "embedded.weight": gain / n_inputs,
            "numbers.weight": gain / n_inputs,
            "weight": gain / self.width,
            "output.weight": 1.0 / self.width,
        }
        parameters: State = {}
        for name, shape in self.parameters.items():
            kind = name if name in variances else name.split(".")[0]
            if kind in variances:
                parameters[name] = math.sqrt(variances[kind]) * rng.standard_normal(shape)
            else:
                parameters[name] = np.ones(shape) if kind == "gain" else np.zeros(shape)
        if self.n_categorical:
            parameters["embedding"][0] = 0.0  # an unseen category has the zero vector
        statistics = {
            name: np.ones(shape) if name.startswith("variance") else np.zeros(shape)
            for name, shape in self.statistics.items()
        }
        return parameters, statistics
