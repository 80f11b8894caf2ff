"""Copula z-scores: losses of one task on the scale that is the same on every task.

z is the normal quantile of a loss's rank within its task, ties averaged (Gaussian copula; Salinas et al., ICML 2020):
0 is the median configuration and lower is better. Failed trials tie with one another, behind all that succeeded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata


def normal_scores(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of the losses of a task, shape (n,), or of B tasks, (B, n), each in its own row.

    A loss that is not finite is a failed trial.
    """
    ranks = rankdata(np.where(np.isfinite(loss), loss, np.inf), axis=-1)
    return np.asarray(ndtri((ranks - 0.5) / loss.shape[-1]), dtype=np.float64)
