"""From a table to what a network takes: scaled numbers, and codes of categories."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Numbers are squeezed smoothly into (-3, 3), so that no outlier rules a network (Holzmüller et al., NeurIPS 2024).
LIMIT = 3.0


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
    """

    def __init__(self, categorical: Sequence[int]) -> None:
        self.categorical = sorted(categorical)

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
        """Columns of numbers, indicators included."""
        return len(self._centre) + len(self._gaps)

    def transform(self, X: pd.DataFrame | NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Numbers of shape (n, n_numbers) and codes of shape (n, n_categorical)."""
        numbers = (self._numbers(X) - self._centre) / self._scale
        missing = np.isnan(numbers)
        numbers = np.clip(np.where(missing, 0.0, numbers), -1e6, 1e6)
        numbers /= np.sqrt(1.0 + np.square(numbers / LIMIT))
        codes = np.zeros((len(numbers), len(self._codes)), dtype=np.int64)
        for j, (column, known) in enumerate(zip(self._categories(X), self._codes, strict=True)):
            codes[:, j] = [known.get(value, 0) for value in column]
        return np.hstack([numbers, missing[:, self._gaps]]), codes

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
