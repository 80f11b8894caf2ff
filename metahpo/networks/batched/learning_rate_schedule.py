"""Learning-rate schedules, as factors of the peak learning rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: One-cycle: the share of training that warms up, and the factor it starts from (Smith and Topin, 2018).
WARM_UP, START = 0.2, 0.04
#: Step: training ends in three parts, each with a tenth of the learning rate of the one before.
STEPS = (0.5, 0.8)


def factors(schedule: str, progress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor of the peak learning rate at a share `progress` in [0, 1) of the training."""
    progress = np.minimum(progress, 1.0)
    if schedule == "constant":
        return np.ones_like(progress)
    if schedule == "cosine":
        return np.asarray(0.5 * (1.0 + np.cos(np.pi * progress)))
    if schedule == "step":
        return np.asarray(0.1 ** np.searchsorted(STEPS, progress, side="right").astype(np.float64))
    rising = START + (1.0 - START) * 0.5 * (1.0 - np.cos(np.pi * np.minimum(progress / WARM_UP, 1.0)))
    falling = 0.5 * (1.0 + np.cos(np.pi * np.maximum(progress - WARM_UP, 0.0) / (1.0 - WARM_UP)))
    return np.where(progress < WARM_UP, rising, falling)
