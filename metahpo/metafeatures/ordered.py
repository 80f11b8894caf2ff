"""Columns in ascending order. One sort gives quantiles, ranks and counts of values.

Legend: n rows, p columns, q known cells of a column; a run is a longest series of equal known cells in ascending order.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray


class Ordered:
    """The known cells of columns (n, p) in ascending order, where NaN is missing.

    Attributes
    ----------
    values : ndarray of shape (p, n)
        Each column in ascending order, missing cells last.
    n_known : ndarray of shape (p,)
        q of each column.
    """

    def __init__(self, columns: NDArray[np.float64]) -> None:
        self.values = np.sort(columns.T, axis=1)
        self.n_known = columns.shape[0] - np.isnan(self.values).sum(axis=1)

    @cached_property
    def n_distinct(self) -> NDArray[np.int64]:
        """Number of distinct known values of each column, (p,)."""
        count: NDArray[np.int64] = self._starts.sum(axis=1)
        return count

    @cached_property
    def mode_share(self) -> NDArray[np.float64]:
        """Share of the most frequent value among the known cells of each column, (p,); NaN where none is known."""
        first, after = self._runs
        longest = np.where(self._starts, after - first, 0).max(axis=1, initial=0)
        return np.asarray(longest / np.where(self.n_known > 0, self.n_known, np.nan))

    def quantile(self, share: float) -> NDArray[np.float64]:
        """Quantile of the known cells of each column, interpolated linearly, (p,); NaN where none is known."""
        position = share * np.maximum(self.n_known - 1, 0)
        below = np.floor(position).astype(np.int64)
        above = np.minimum(below + 1, np.maximum(self.n_known - 1, 0))
        low, high = (np.take_along_axis(self.values, at[:, None], axis=1)[:, 0] for at in (below, above))
        return np.asarray(low + (high - low) * (position - below))

    def bin_edges(self, n_bins: int) -> NDArray[np.float64]:
        """Least value of each bin but the first, by mean rank, (n_bins - 1, p); infinite where no cell is that high."""
        first, after = self._runs
        share = 0.5 * (first + after) / np.maximum(self.n_known, 1)[:, None]
        known = np.arange(self.values.shape[1]) < self.n_known[:, None]
        edges = np.full((n_bins - 1, len(self.values)), np.inf)
        bins = np.where(known, np.minimum((share * n_bins).astype(np.int64), n_bins - 1), n_bins)
        for b in range(1, n_bins):
            n_below = (bins < b).sum(axis=1)
            reached = np.flatnonzero(n_below < self.n_known)
            edges[b - 1, reached] = self.values[reached, n_below[reached]]
        return edges

    @cached_property
    def _starts(self) -> NDArray[np.bool_]:
        """Mask of the starts of runs, (p, n)."""
        starts = ~np.isnan(self.values)
        starts[:, 1:] &= self.values[:, 1:] != self.values[:, :-1]
        return starts

    @cached_property
    def _runs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Start of the run of each known cell, and start of the next run; each (p, n)."""
        places = np.arange(self.values.shape[1])
        first = np.maximum.accumulate(np.where(self._starts, places, 0), axis=1)
        after = np.broadcast_to(self.n_known[:, None], first.shape).copy()
        np.copyto(after[:, :-1], places[1:], where=self._starts[:, 1:])
        after = np.minimum.accumulate(after[:, ::-1], axis=1)[:, ::-1]
        return first, after
