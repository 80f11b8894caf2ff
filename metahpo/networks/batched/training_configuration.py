"""Configuration and outcome of the training of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPTIMISERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "step", "one_cycle")

#: A model's parameters or statistics: name -> array of the model's own (unpadded) shape.
State = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class TrainingConfiguration:
    """Settings of the training of a model, without the shape of its network.

    Attributes
    ----------
    optimiser : str
        One of `OPTIMISERS`. L2 is coupled to the gradient, but for "adamw", where it is decoupled.
    learning_rate : float
        Peak of the schedule.
    momentum : float
        Of "momentum" and "nesterov"; the others ignore it.
    weight_decay, l1 : float
        Penalties on every parameter.
    batch_size : int
        An epoch is ``ceil(n_rows / batch_size)`` batches of equal size; the few remaining rows are left out,
        different ones in each epoch.
    schedule : str
        One of `SCHEDULES`.
    label_smoothing : float
        Share of a class label that is spread over all classes; regression ignores it.
    epochs : int
    patience : int
        With validation rows: epochs without a better validation loss after which training stops.
    seed : int
        Of the initial weights, the order of rows, and dropout.
    """

    optimiser: str = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    l1: float = 0.0
    batch_size: int = 128
    schedule: str = "cosine"
    label_smoothing: float = 0.0
    epochs: int = 50
    patience: int = 50
    seed: int = 0


class ModelStatus(StrEnum):
    """Status of a model after training."""

    FINISHED = "finished"
    STOPPED = "stopped"  # early: the validation loss no longer fell
    DIVERGED = "diverged"


@dataclass(frozen=True)
class Progress:
    """State from which training continues: parameters, statistics, moments of the optimiser, and steps made."""

    parameters: State
    statistics: State
    first_moment: State
    second_moment: State
    steps: int
    epochs: int


@dataclass(frozen=True)
class Outcome:
    """A trained model.

    Attributes
    ----------
    status : ModelStatus
    parameters, statistics : dict of str to ndarray
        Those of the epoch with the lowest validation loss; without validation rows to stop by, the last ones.
    history : dict of str to list of float
        Per epoch: ``train_loss`` (mean over the epoch's batches, as trained on), ``validation_loss`` (cross-entropy or
        mean squared error), ``validation_metric`` (accuracy or R2), and ``seconds`` (its own; in a stack, its
        share of the stack's). The validation lists are empty without validation rows.
    best_epoch : int
        Epoch (from 1) of `parameters`.
    last : Progress
        For warm starts.
    """

    status: ModelStatus
    parameters: State
    statistics: State
    best_epoch: int
    last: Progress
    history: Mapping[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchedModel:
    """One network to be trained.

    Attributes
    ----------
    shape : Any
        Shape of the network, as the stacked network takes it.
    configuration : TrainingConfiguration
    train, validation : ndarray of int
        Training and validation rows of the pool. Without validation rows there is no early stopping.
    start : Progress or None
        Continue from this state. None starts with new weights.
    stops : bool
        Whether the validation rows stop training and select the epoch. Otherwise their loss is only recorded.
    """

    shape: Any
    configuration: TrainingConfiguration
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    start: Progress | None = None
    stops: bool = True

    @property
    def steps_and_batch(self) -> tuple[int, int]:
        """Batches of an epoch, and rows of each."""
        steps = -(-len(self.train) // max(1, self.configuration.batch_size))
        return steps, len(self.train) // steps

    def beginning(self) -> Progress:
        """State in which training starts."""
        if self.start is not None:
            return self.start
        parameters, statistics = self.shape.initial(self.configuration.seed)
        return Progress(parameters, statistics, zeros_like(parameters), zeros_like(parameters), 0, 0)


def zeros_like(state: State) -> State:
    """Moments before the first step."""
    return {name: np.zeros_like(values) for name, values in state.items()}
