"""Losses of the fits of recorded configurations as arrays: all of them, means of two halves, and standard errors."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def as_rows(lists: Iterable[object]) -> NDArray[np.float64]:
    """Lists of losses, one for each configuration, as rows of shape (n, F). Missing entries are NaN."""
    values = [list(losses) if isinstance(losses, Iterable) else [] for losses in lists]
    width = max(map(len, values), default=0)
    padded = [losses + [np.nan] * (width - len(losses)) for losses in values]
    return np.array(padded, dtype=np.float64).reshape(len(values), width)


def half_means(losses: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean losses (n,) by the even fits and by the odd fits, from losses (n, F).

    Configurations may differ in their number of fits. NaN where a half has none, and where the configuration failed.
    """
    return mean_of_known(losses[:, ::2]), mean_of_known(losses[:, 1::2])


def mean_of_known(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean loss of each configuration (n,) over its known fits, from losses (n, F); NaN where none is known."""
    known = np.isfinite(losses)
    n_known = known.sum(axis=1)
    total = np.where(known, losses, 0.0).sum(axis=1)
    return np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan)


def standard_errors(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard error of the mean loss of each configuration (n,), from losses (n, F).

    It is the standard deviation over the fits, divided by the root of their number. NaN where fewer than two fits are
    known.
    """
    known = np.isfinite(losses)
    n_known = known.sum(axis=1)
    total = np.where(known, losses, 0.0).sum(axis=1)
    mean = total / np.maximum(n_known, 1)
    squares = np.where(known, (losses - mean[:, None]) ** 2, 0.0).sum(axis=1)
    degrees = np.maximum(n_known - 1, 1)
    return np.where(n_known > 1, np.sqrt(squares / degrees / np.maximum(n_known, 1)), np.nan)
