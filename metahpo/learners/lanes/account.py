"""What is written down of one lane while it trains, and when it is done."""

from __future__ import annotations

import numpy as np

from metahpo.learners.lanes.recipe import Lane, LaneStatus


class Account:
    """Epochs, learning curve, best epoch and, in the end, status of a lane.

    Parameters
    ----------
    lane : Lane
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.epochs = 0
        self.history: dict[str, list[float]] = {
            name: [] for name in ("train_loss", "validation_loss", "validation_metric", "seconds")
        }
        self.best_loss, self.best_epoch = np.inf, 0
        self.status: LaneStatus | None = None

    def note(self, train_loss: float, validation_loss: float, metric: float, seconds: float) -> bool:
        """Write an epoch down; whether it is the lane's best so far. A lane that is done heeds no more of them."""
        if self.status is not None:
            return False
        self.epochs += 1
        held_out = len(self.lane.validation) > 0
        self.history["train_loss"].append(float(train_loss))
        self.history["seconds"].append(seconds)
        if held_out:
            self.history["validation_loss"].append(float(validation_loss))
            self.history["validation_metric"].append(float(metric))
        judged = float(validation_loss) if held_out and self.lane.stops else -float(self.epochs)
        if not np.isfinite(train_loss) or (held_out and not np.isfinite(validation_loss)):
            self.status = LaneStatus.DIVERGED
            return False
        improved = judged < self.best_loss
        if improved:
            self.best_loss, self.best_epoch = judged, self.epochs
        if self.epochs >= self.lane.recipe.epochs:
            self.status = LaneStatus.FINISHED
        elif self.epochs - self.best_epoch >= self.lane.recipe.patience:
            self.status = LaneStatus.STOPPED
        return improved
