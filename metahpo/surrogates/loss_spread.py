"""The spread of losses, and what stands for the losses of failed trials."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Losses that differ by less than this share of their size differ by rounding.
ROUNDING = 1e-12
#: How much worse a failed trial is, at least, as a share of the size of losses that are all equal.
WORSE = 1e-3


def power_of_two(losses: NDArray[np.float64]) -> float:
    """Power of two near the largest of finite losses: in this unit their squares stay within the range of floats.

    To divide by it is exact.
    """
    largest = float(np.abs(losses).max(initial=0.0))
    return float(np.ldexp(1.0, np.frexp(largest)[1] - 1)) if largest > 0.0 else 1.0


def spread_of(loss: NDArray[np.float64]) -> float:
    """Standard deviation of the finite ones among losses of shape (n,); 0 where they differ by rounding only."""
    measured = loss[np.isfinite(loss)]
    unit = power_of_two(measured)
    spread = float((measured / unit).std()) if len(measured) else 0.0
    return spread * unit if spread > ROUNDING else 0.0


def failed_as_worse(loss: NDArray[np.float64], typical_spread: float) -> NDArray[np.float64]:
    """Losses with each failed trial (NaN) one standard deviation worse than all that were measured.

    Where the losses measured do not differ, `typical_spread` takes the place of their standard deviation, or, where
    that is lost beside their size, `WORSE` of their size. Zeros where nothing was measured, because then nothing is
    known but that all failed alike.
    """
    measured = np.isfinite(loss)
    if not measured.any():
        return np.zeros_like(loss)
    worst = float(loss[measured].max())
    spread = spread_of(loss) or max(typical_spread, WORSE * float(np.abs(loss[measured]).max()))
    return np.where(measured, loss, min(worst + spread, np.finfo(np.float64).max))
