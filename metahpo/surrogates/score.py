"""The score z: losses of one task on the scale that is the same on every task.

z is the normal quantile of a loss's rank within its task, ties averaged (Gaussian copula; Salinas et al., ICML 2020):
0 is the median configuration, lower is better, and a failed trial ties with the worst.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata


def normal_scores(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of shape (n,) of the losses of one task, shape (n,); NaN is a failed trial."""
    return np.asarray(ndtri((rankdata(failed_as_worst(loss)) - 0.5) / len(loss)), dtype=np.float64)


def failed_as_worst(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses with each failed trial (NaN) at the worst loss that was measured; zeros where none was."""
    measured = np.isfinite(loss)
    worst = loss[measured].max() if measured.any() else 0.0
    return np.where(measured, loss, worst)
