"""The training history of one model: learning curves, best epoch and final status."""

from __future__ import annotations

from typing import Self

import numpy as np

from metahpo.networks.batched.training_configuration import BatchedModel, ModelStatus, TrainingConfiguration


class TrainingHistory:
    """Number of epochs, learning curves, best epoch and final status of one model.

    Parameters
    ----------
    configuration : TrainingConfiguration
    held_out : bool
        Whether there are held-out rows, whose loss and metric are recorded.
    stops : bool
        Whether the held-out rows stop training and select its best epoch.
    """

    def __init__(self, configuration: TrainingConfiguration, held_out: bool, stops: bool) -> None:
        self.configuration = configuration
        self.held_out, self.stops = held_out, stops
        self.epochs = 0
        self.curves: dict[str, list[float]] = {
            name: [] for name in ("train_loss", "validation_loss", "validation_metric", "seconds")
        }
        self.best_loss, self.best_epoch = np.inf, 0
        self.status: ModelStatus | None = None

    @classmethod
    def of(cls, model: BatchedModel) -> Self:
        """Empty history of a model."""
        return cls(model.configuration, len(model.validation) > 0, model.stops)

    def note(self, train_loss: float, validation_loss: float, metric: float, seconds: float) -> bool:
        """Record an epoch and return whether it is the best so far. A finished model ignores further epochs."""
        if self.status is not None:
            return False
        self.epochs += 1
        self.curves["train_loss"].append(float(train_loss))
        self.curves["seconds"].append(seconds)
        if self.held_out:
            self.curves["validation_loss"].append(float(validation_loss))
            self.curves["validation_metric"].append(float(metric))
        judged = float(validation_loss) if self.held_out and self.stops else -float(self.epochs)
        if not np.isfinite(train_loss) or (self.held_out and not np.isfinite(validation_loss)):
            self.status = ModelStatus.DIVERGED
            return False
        improved = judged < self.best_loss
        if improved:
            self.best_loss, self.best_epoch = judged, self.epochs
        if self.epochs >= self.configuration.epochs:
            self.status = ModelStatus.FINISHED
        elif self.epochs - self.best_epoch >= self.configuration.patience:
            self.status = ModelStatus.STOPPED
        return improved
