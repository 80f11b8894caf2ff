"""From a table to what a network takes: scaled numbers, and codes of categories."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Numbers are squeezed smoothly into (-3, 3), so that no outlier rules a network (Holzmüller et al., NeurIPS 2024).
LIMIT = 3.0
#: Training rows that a bin of a column needs: finer ones would learn noise.
ROWS_PER_BIN = 32


class TableEncoder:
    """Learns the scales of numeric columns and the categories of the others from training rows.

    A number is centred by the median and divided by the spread of its middle half, then squeezed by
    ``x / sqrt(1 + (x / 3)^2)``; a missing one becomes the median, with an indicator column where the training rows
    have gaps. A category becomes a code from 1, of each column its own; a missing one is a category like others
    if the training rows have gaps; whatever they have not is code 0.

    Parameters
    ----------
    categorical : sequence of int
        Positions of the categorical columns.
    bins : int, default=0
        Every number is told a second time, piecewise linearly (Gorishniy et al., NeurIPS 2022): by how much of each of
        so many bins lies below it, from -1 to 1; the bins hold equally many training rows. 0 is not at all.
    """

    def __init__(self, categorical: Sequence[int], bins: int = 0) -> None:
        self.categorical, self.bins = sorted(categorical), bins

    def fit(self, X: pd.DataFrame | NDArray[Any]) -> TableEncoder:
        """Learn from training rows (n, n_features)."""
        numbers = self._numbers(X)
        known = np.where(np.isfinite(numbers), numbers, np.nan)
        self._centre = np.zeros(numbers.shape[1])
        self._scale = np.ones(numbers.shape[1])
        for j, column in enumerate(known.T):
            values = column[~np.isnan(column)]
            if len(values):
                self._centre[j], self._scale[j] = _centre_and_scale(values)
        n_bins = min(self.bins, len(known) // ROWS_PER_BIN)
        self._edges = [_bin_edges(column[~np.isnan(column)], n_bins) for column in known.T]
        self._gaps = np.flatnonzero(np.isnan(known).any(axis=0))
        self._codes: list[dict[Hashable, int]] = []
        self.n_codes = 1
        for column in self._categories(X):
            seen = sorted(pd.unique(column), key=lambda value: (type(value).__name__, value))
            self._codes.append({value: self.n_codes + i for i, value in enumerate(seen)})
            self.n_codes += len(seen)
        return self

    @property
    def n_numbers(self) -> int:
        """Number of numeric columns, including bins and indicators."""
        return len(self._centre) + sum(max(0, len(edges) - 1) for edges in self._edges) + len(self._gaps)

    def transform(self, X: pd.DataFrame | NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Numbers of shape (n, n_numbers) and codes of shape (n, n_categorical)."""
        known = self._numbers(X)
        numbers = (known - self._centre) / self._scale
        missing = np.isnan(numbers)
        binned = [_shares(known[:, j], edges) for j, edges in enumerate(self._edges) if len(edges)]
        numbers = np.clip(np.where(missing, 0.0, numbers), -1e6, 1e6)
        numbers /= np.sqrt(1.0 + np.square(numbers / LIMIT))
        codes = np.zeros((len(numbers), len(self._codes)), dtype=np.int64)
        for j, (column, places) in enumerate(zip(self._categories(X), self._codes, strict=True)):
            codes[:, j] = [places.get(value, 0) for value in column]
        return np.hstack([numbers, *binned, missing[:, self._gaps]]), codes

    def _numbers(self, X: pd.DataFrame | NDArray[Any]) -> NDArray[np.float64]:
        chosen = [j for j in range(X.shape[1]) if j not in set(self.categorical)]
        if isinstance(X, np.ndarray):
            return X[:, chosen].astype(np.float64)
        return X.iloc[:, chosen].to_numpy(dtype=np.float64, na_value=np.nan)

    def _categories(self, X: pd.DataFrame | NDArray[Any]) -> list[NDArray[Any]]:
        """Categorical columns, a missing value as None."""
        columns = []
        for j in self.categorical:
            values = np.asarray(X[:, j] if isinstance(X, np.ndarray) else X.iloc[:, j], dtype=object)
            values = values.copy()
            values[pd.isna(values)] = None
            columns.append(values)
        return columns


def _centre_and_scale(values: NDArray[np.float64]) -> tuple[float, float]:
    """Median and spread; the spread of the middle half where there is one, else of all."""
    low, centre, high = np.quantile(values, [0.25, 0.5, 0.75])
    spread = (high - low) / 1.35  # of a normal distribution, its standard deviation
    if spread <= 0.0:
        spread = (values.max() - values.min()) / 2.0
    return float(centre), float(spread) if spread > 0.0 else 1.0


def _bin_edges(values: NDArray[np.float64], n_bins: int) -> NDArray[np.float64]:
    """Edges of bins that hold equally many values; none where they would make fewer than two."""
    if n_bins < 2 or len(values) == 0:
        return np.zeros(0)
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, n_bins + 1)))
    return edges if len(edges) > 2 else np.zeros(0)


def _shares(column: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each bin below a value, from -1 (nothing) to 1 (all), and 0 for a missing value; (n, n_bins)."""
    share = np.clip((column[:, None] - edges[:-1]) / np.diff(edges), 0.0, 1.0)
    return 2.0 * np.where(np.isnan(share), 0.5, share) - 1.0


def categorical_positions(X: pd.DataFrame | NDArray[Any], named: Sequence[int | str] | None) -> list[int]:
    """Positions of categorical columns: those named, and all of a table that hold no numbers.

    Raises
    ------
    ValueError
        A named column that is not in X.
    """
    columns: list[Hashable] = list(X.columns) if isinstance(X, pd.DataFrame) else list(range(X.shape[1]))
    positions = set()
    for column in named if named is not None else []:
        if isinstance(column, str):
            if column not in columns:
                raise ValueError(f"categorical_features names {column!r}, but X has the columns {columns[:20]}.")
            positions.add(columns.index(column))
        elif 0 <= column < len(columns):
            positions.add(int(column))
        else:
            raise ValueError(f"categorical_features names column {column}, but X has {len(columns)} columns.")
    if isinstance(X, pd.DataFrame):
        positions |= {j for j in range(X.shape[1]) if not pd.api.types.is_numeric_dtype(X.dtypes.iloc[j])}
    return sorted(positions)
