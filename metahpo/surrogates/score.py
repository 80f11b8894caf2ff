"""The score z: losses of one task on the scale that is the same on every task.

z is the normal quantile of a loss's rank within its task, ties averaged (Gaussian copula; Salinas et al., ICML 2020):
0 is the median configuration and lower is better; failed trials tie with one another, behind all that succeeded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata


def normal_scores(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of the losses of a task, shape (n,), or of B tasks, (B, n), each in its own row; NaN is a failed trial."""
    ranks = rankdata(np.where(np.isnan(loss), np.inf, loss), axis=-1)
    return np.asarray(ndtri((ranks - 0.5) / loss.shape[-1]), dtype=np.float64)


def failed_as_worse(loss: NDArray[np.float64], typical_spread: float) -> NDArray[np.float64]:
    """Losses with each failed trial (NaN) one standard deviation worse than all that were measured.

    Where the losses measured do not differ, `typical_spread` takes the place of their standard deviation. Zeros where
    nothing was measured, because then nothing is known but that all failed alike.
    """
    measured = np.isfinite(loss)
    if not measured.any():
        return np.zeros_like(loss)
    spread = float(loss[measured].std()) or typical_spread
    return np.where(measured, loss, loss[measured].max() + spread)
