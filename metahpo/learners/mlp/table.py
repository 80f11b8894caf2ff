"""From a table to what a network takes: scaled numbers, and codes of categories."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Numbers are squeezed smoothly into (-3, 3), so that no outlier rules a network (Holzmüller et al., NeurIPS 2024).
LIMIT = 3.0
#: Columns of up to this many categories become indicator columns, one a category; more categories are embedded (ibid.).
MAX_INDICATORS = 9


class TableEncoder:
    """Learns the scales of numeric columns and the categories of the others from training rows.

    A number is centred by the median and divided by the spread of its middle half, then squeezed by
    ``x / sqrt(1 + (x / 3)^2)``; a missing one becomes the median, with an indicator column where the training rows
    have gaps. Of a column of few categories, each becomes an indicator column (of two, one column of -1 and 1); of
    many, a code from 1, of each column its own. A missing category is one like others if the training rows have gaps;
    whatever they have not is code 0, or zero in every indicator.

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
        self._indicated: dict[int, list[Hashable]] = {}
        self._codes: dict[int, dict[Hashable, int]] = {}
        self.n_codes = 1
        for j in self.categorical:
            seen = sorted(pd.unique(_categories(X, j)), key=lambda value: (type(value).__name__, value))
            if len(seen) <= MAX_INDICATORS:
                self._indicated[j] = seen
            else:
                self._codes[j] = {value: self.n_codes + i for i, value in enumerate(seen)}
                self.n_codes += len(seen)
        return self

    def transform(self, X: pd.DataFrame | NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Numbers and indicators (n, n_numbers), and codes (n, n_embedded_columns)."""
        numbers = (self._numbers(X) - self._centre) / self._scale
        missing = np.isnan(numbers)
        numbers = np.clip(np.where(missing, 0.0, numbers), -1e6, 1e6)
        numbers /= np.sqrt(1.0 + np.square(numbers / LIMIT))
        codes = np.zeros((len(numbers), len(self._codes)), dtype=np.int64)
        for i, (j, known) in enumerate(self._codes.items()):
            codes[:, i] = [known.get(value, 0) for value in _categories(X, j)]
        indicators = [_indicators(_categories(X, j), seen) for j, seen in self._indicated.items()]
        return np.hstack([numbers, missing[:, self._gaps], *indicators]), codes

    def _numbers(self, X: pd.DataFrame | NDArray[Any]) -> NDArray[np.float64]:
        chosen = [j for j in range(X.shape[1]) if j not in set(self.categorical)]
        if isinstance(X, np.ndarray):
            return X[:, chosen].astype(np.float64)
        return X.iloc[:, chosen].to_numpy(dtype=np.float64, na_value=np.nan)


def _categories(X: pd.DataFrame | NDArray[Any], j: int) -> NDArray[Any]:
    """A categorical column, a missing value as None."""
    values = np.array(X[:, j] if isinstance(X, np.ndarray) else X.iloc[:, j], dtype=object)
    values[pd.isna(values)] = None
    return values


def _indicators(column: NDArray[Any], seen: Sequence[Hashable]) -> NDArray[np.float64]:
    """Indicator columns of the categories `seen`; of two, their difference."""
    hits = np.column_stack([column == value for value in seen]).astype(np.float64)
    return hits[:, 1:] - hits[:, :1] if len(seen) == 2 else hits


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
