"""Cholesky factors of small matrices by LAPACK, without the checks of scipy, which take longer than the work itself.

The values are those of :func:`scipy.linalg.cholesky` and :func:`scipy.linalg.cho_solve`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import dpotrf, dpotrs

Array = NDArray[np.float64]


def factor(K: Array) -> Array:
    """Lower factor L (n, n) with ``L L' = K``; the upper part is zero.

    Raises
    ------
    scipy.linalg.LinAlgError
        K is not positive definite, or not finite.
    """
    L, failed_at = dpotrf(K, lower=1)
    if failed_at or not np.isfinite(np.diagonal(L).sum()):
        raise LinAlgError(f"a matrix of {len(K)} rows is not positive definite, or holds numbers that are not finite.")
    return np.asarray(L)


def solve(L: Array, right: Array) -> Array:
    """Solution of ``L L' x = right``, of the shape of `right`: (n,) or (n, k)."""
    return np.asarray(dpotrs(L, right, lower=1)[0])
