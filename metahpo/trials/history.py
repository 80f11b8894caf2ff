"""The history of one optimisation run: its trials in order, and the best so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.space.configuration import Configuration


class TrialHistory:
    """Configurations, their losses and seconds in the order in which they were tried; a NaN loss is a failed trial."""

    def __init__(self) -> None:
        self.configurations: list[Configuration] = []
        self._losses: list[float] = []
        self._seconds: list[float] = []

    def __len__(self) -> int:
        return len(self._losses)

    def append(self, configuration: Mapping[str, Any], loss: float, seconds: float = float("nan")) -> None:
        """Record one trial; any loss that is not finite counts as a failure. NaN: its seconds are not known."""
        self.configurations.append(dict(configuration))
        self._losses.append(float(loss) if np.isfinite(loss) else float("nan"))
        self._seconds.append(float(seconds))

    @property
    def losses(self) -> NDArray[np.float64]:
        """Losses of shape (n,), NaN where the trial failed."""
        return np.array(self._losses, dtype=np.float64)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """What each trial took, of shape (n,), NaN where that is not known."""
        return np.array(self._seconds, dtype=np.float64)

    @property
    def incumbent(self) -> tuple[Configuration, float] | None:
        """Best configuration so far and its loss; None while nothing has succeeded."""
        losses = self.losses
        if not np.isfinite(losses).any():
            return None
        best = int(np.nanargmin(losses))
        return self.configurations[best], float(losses[best])

    def best_so_far(self) -> NDArray[np.float64]:
        """Lowest loss after each trial, of shape (n,); infinite until the first success."""
        return np.minimum.accumulate(np.where(np.isnan(self.losses), np.inf, self.losses))

    def to_frame(self) -> pd.DataFrame:
        """One row a trial: hyperparameters, loss, best so far, and seconds where those of any are known."""
        frame = pd.DataFrame(self.configurations)
        frame = frame.assign(loss=self.losses, best_so_far=self.best_so_far())
        return frame.assign(seconds=self.seconds) if np.isfinite(self.seconds).any() else frame
