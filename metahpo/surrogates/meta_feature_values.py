"""Values of meta-features as models store and compare them: with few significant bits.

Models compare tasks by the ranks of their meta-features. Values of the source tasks and of a new task are rounded in
the same way, so that equal values stay equal, such as the number of rows. The rounding changes ranks only among values
that are closer than it. It makes files of models much smaller.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metahpo.numerics.rounding import rounded

#: Significant bits of a value; the relative error is at most 2**-11, or .05 %.
BITS = 11


def comparable(values: ArrayLike) -> NDArray[np.float64]:
    """Values of any shape, rounded to `BITS` significant bits; NaN stays. Single precision holds them exactly."""
    return rounded(values, BITS).astype(np.float64)
