"""Numbers in single precision with fewer significant bits, which take less room when they are compressed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Significant bits of a float32.
BITS_OF_SINGLE = 24


def rounded(values: ArrayLike, bits: int) -> NDArray[np.float32]:
    """Values rounded to the nearest number with so many significant bits.

    The relative error is at most 2**-bits. Equal values stay equal, and the order stays, except that values may become
    equal. NaN and infinite values stay, and numbers beyond the range of single precision become infinite.

    Parameters
    ----------
    values : array-like
        Of any shape.
    bits : int
        From 1 to 24, as many as a float32 has.

    Returns
    -------
    ndarray of float32
        Of the shape of `values`.
    """
    with np.errstate(over="ignore"):  # numbers beyond the range of single precision become infinite
        exact = np.array(values, dtype=np.float32)
    cleared = BITS_OF_SINGLE - bits
    if not cleared:
        return exact
    half = np.uint32(1 << (cleared - 1))
    near = ((exact.view(np.uint32) + half) >> cleared << cleared).astype(np.uint32).view(np.float32)
    return np.where(np.isfinite(exact) & np.isfinite(near), near, exact)
