"""Plateaus: regions where many configurations have exactly the same loss.

A classifier that always predicts the same class is an example: its loss is the same whatever its other hyperparameters
are. If the best loss so far is that of a plateau, the expected improvement is largest beside what was tried, and each
trial there gives the same loss again. Random configurations lead away from it. SMAC3 mixes them into every search
(Lindauer et al., JMLR 2022).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Latest trials that are looked at, and how many of them must have the best loss of all.
LATEST, EQUAL = 6, 3
#: Relative difference up to which losses are equal.
TOLERANCE = 1e-9
#: Distinct losses that must be worse. Fewer may be one loss of all successes, and penalties told for failures.
FEWEST_OTHERS = 3


def on_plateau(losses: NDArray[np.float64]) -> bool:
    """Whether half of the latest trials have exactly the best loss, so that the search no longer learns.

    Parameters
    ----------
    losses : ndarray of shape (n,)
        In the order of the trials; NaN for failures.
    """
    known = losses[np.isfinite(losses)]
    if len(losses) < LATEST or not len(known):
        return False
    best = known.min()
    bound = 0.5 * best + 0.5 * TOLERANCE * abs(best)  # halves: no sum leaves the range of floats
    equal = 0.5 * losses[-LATEST:] <= bound
    return bool(equal.sum() >= EQUAL) and len(np.unique(known[0.5 * known > bound])) >= FEWEST_OTHERS
