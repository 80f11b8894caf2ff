"""What is written down of one network while it trains, and when it is done."""

from __future__ import annotations

from typing import Self

import numpy as np

from metahpo.networks.batched.training_configuration import Lane, LaneStatus, Recipe


class Account:
    """Epochs, learning curve, best epoch and, in the end, status of one network.

    Parameters
    ----------
    recipe : Recipe
    held_out : bool
        Whether there are rows held out, whose loss and metric are noted.
    stops : bool
        Whether they stop training and choose its best epoch.
    """

    def __init__(self, recipe: Recipe, held_out: bool, stops: bool) -> None:
        self.recipe = recipe
        self.held_out, self.stops = held_out, stops
        self.epochs = 0
        self.history: dict[str, list[float]] = {
            name: [] for name in ("train_loss", "validation_loss", "validation_metric", "seconds")
        }
        self.best_loss, self.best_epoch = np.inf, 0
        self.status: LaneStatus | None = None

    @classmethod
    def of(cls, lane: Lane) -> Self:
        """Account of a lane."""
        return cls(lane.recipe, len(lane.validation) > 0, lane.stops)

    def note(self, train_loss: float, validation_loss: float, metric: float, seconds: float) -> bool:
        """Write an epoch down; whether it is the best so far. A network that is done heeds no more of them."""
        if self.status is not None:
            return False
        self.epochs += 1
        self.history["train_loss"].append(float(train_loss))
        self.history["seconds"].append(seconds)
        if self.held_out:
            self.history["validation_loss"].append(float(validation_loss))
            self.history["validation_metric"].append(float(metric))
        judged = float(validation_loss) if self.held_out and self.stops else -float(self.epochs)
        if not np.isfinite(train_loss) or (self.held_out and not np.isfinite(validation_loss)):
            self.status = LaneStatus.DIVERGED
            return False
        improved = judged < self.best_loss
        if improved:
            self.best_loss, self.best_epoch = judged, self.epochs
        if self.epochs >= self.recipe.epochs:
            self.status = LaneStatus.FINISHED
        elif self.epochs - self.best_epoch >= self.recipe.patience:
            self.status = LaneStatus.STOPPED
        return improved
