"""The spread of losses, and substitutes for the losses of failed trials."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Relative differences between losses below this are rounding errors.
ROUNDING = 1e-12
#: Least distance of a failed trial from the worst loss, relative to the size of losses that are all equal.
WORSE = 1e-3


def power_of_two(losses: NDArray[np.float64]) -> float:
    """Power of two near the largest of finite losses. In this unit, squares of losses do not overflow or underflow.

    Division by it is exact.
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
    """Replace the loss of each failed trial (NaN) by one that is a standard deviation worse than the worst loss.

    If the measured losses do not differ, `typical_spread` replaces their standard deviation. It is at least `WORSE`
    times the size of the losses. If no loss is measured, the result is zero for all trials.
    """
    measured = np.isfinite(loss)
    if not measured.any():
        return np.zeros_like(loss)
    worst = float(loss[measured].max())
    spread = spread_of(loss) or max(typical_spread, WORSE * float(np.abs(loss[measured]).max()))
    return np.where(measured, loss, min(worst + spread, np.finfo(np.float64).max))
