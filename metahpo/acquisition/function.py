"""The protocol of acquisition functions: one method, which returns one value for each configuration."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from metahpo.surrogates.posterior import Posterior


class AcquisitionFunction(Protocol):
    """Says how much is to be gained by trying each configuration next. Threads may share it."""

    def values(self, posterior: Posterior, log_seconds: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Value of each of m configurations, shape (m,); the configuration with the highest value is tried next.

        Parameters
        ----------
        posterior : Posterior
            Of the m configurations.
        log_seconds : ndarray of shape (m,), default=None
            Natural logarithm of the seconds that a trial of each takes, where the budget is time; None: it is a
            number of trials.
        """
        ...
