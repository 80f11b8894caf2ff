"""The sample of a task that meta-features are computed on.

Its size depends on the shape of the data, not on a clock. A limit of time would give other numbers on a busy machine.
Limits of rows and columns bound the time too, and always give the same numbers. Legend: n rows and p columns used, a
numeric and b categorical columns, k classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.metafeatures.canonical_order import canonical, category_codes, unit_range
from metahpo.metafeatures.ordered import Ordered
from metahpo.tasks.task import Task, TaskKind

#: Most rows and columns for all groups but landmarking.
ROWS, COLUMNS = 2_000, 100
#: Up to this many cells a task is arranged as a whole; of a larger one rows and columns are first drawn by position.
MAX_CELLS = 500_000
#: Rows of which a column has a known cell, most often.
FEW_ROWS = 100

#: Levels that a column is cut into for information theory, besides "missing".
N_LEVELS = 10
#: Indicator columns that one categorical column may have, and all together.
MAX_INDICATORS, MAX_WIDTH = 10, 100


def draw(task: Task, random_state: int) -> Task:
    """Rows and columns of a task in canonical order, at most about `ROWS` x `COLUMNS`, stratified by class.

    Invariant to the order of rows and columns for tasks of up to `MAX_CELLS` cells; larger ones are first cut down by
    position.
    """
    rng = np.random.default_rng(random_state)
    if task.X.size > MAX_CELLS:
        task = task.subsample(ROWS, random_state)
        task = _some_columns(task, max(1, MAX_CELLS // task.n_rows), rng)
    return _some_columns(canonical(task), COLUMNS, rng).subsample(ROWS, random_state)


def without_empty_columns(task: Task) -> Task:
    """The task without columns that have no known cell. If no column would be left, it is unchanged.

    Rows that are drawn from a larger dataset can have such columns.
    """
    empty = _empty(task.X.iloc[:FEW_ROWS])
    if not empty.any():
        return task
    empty[empty] = _empty(task.X.loc[:, empty])
    return task if empty.all() or not empty.any() else replace(task, X=task.X.loc[:, ~empty])


def _empty(X: pd.DataFrame) -> NDArray[np.bool_]:
    return np.asarray(X.isna().to_numpy().all(axis=0))


def _some_columns(task: Task, n_columns: int, rng: np.random.Generator) -> Task:
    if task.X.shape[1] <= n_columns:
        return task
    return replace(task, X=task.X.iloc[:, np.sort(rng.choice(task.X.shape[1], n_columns, replace=False))])


@dataclass(frozen=True, eq=False)
class Sample:
    """A task as plain arrays, in units-free form.

    Attributes
    ----------
    kind : {"classification", "regression"}
    numeric : ndarray of shape (n, a)
        Numeric columns scaled to [0, 1]; NaN = missing.
    codes : ndarray of shape (n, b)
        Categorical columns: 0 is the most frequent category, then by falling frequency; -1 = missing.
    y : ndarray of shape (n,)
        Class indices 0..k-1 of the classes present, or the target scaled to [0, 1].
    """

    kind: TaskKind
    numeric: NDArray[np.float64]
    codes: NDArray[np.int64]
    y: NDArray[Any]

    @classmethod
    def of(cls, task: Task) -> Sample:
        """Read a (small) task."""
        numeric = task.X[list(task.numeric)].to_numpy(np.float64).reshape(task.n_rows, -1)
        codes = category_codes(task)
        for column in codes.T:
            column[:] = _by_frequency(column)
        y = unit_range(task.y) if task.kind == "regression" else np.unique(task.y, return_inverse=True)[1]
        return cls(task.kind, unit_range(numeric), codes, y)

    @property
    def n_rows(self) -> int:
        """Number of rows, n."""
        return len(self.y)

    @property
    def n_columns(self) -> int:
        """Number of columns, p = a + b."""
        return int(self.numeric.shape[1] + self.codes.shape[1])

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Mask of missing cells, (n, p), numeric columns first."""
        return np.hstack([np.isnan(self.numeric), self.codes < 0])

    @cached_property
    def ordered(self) -> Ordered:
        """Numeric columns in ascending order."""
        return Ordered(self.numeric)

    @cached_property
    def standardised(self) -> NDArray[np.float64]:
        """Numeric columns, :func:`standardise` d, (n, a)."""
        return standardise(self.numeric)

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """The sample as numbers, (n, width), the input of cheap learners.

        Standardised numeric columns (missing cells at the mean) and 0/1 indicators of the most frequent categories.
        Rounded to nine decimals, so that a change of units cannot break a tie.
        """
        per_column = max(1, min(MAX_INDICATORS, (MAX_WIDTH - self.numeric.shape[1]) // max(1, self.codes.shape[1])))
        indicators = [c[:, None] == np.arange(min(per_column, max(1, c.max()))) for c in self.codes.T]
        numbers = np.nan_to_num(self.standardised.round(9), nan=0.0)
        return np.hstack([numbers, *indicators]).astype(np.float64)

    @cached_property
    def levels(self) -> NDArray[np.int64]:
        """Every column cut into levels 0..N_LEVELS-1, missing = N_LEVELS, (n, p): numeric columns first.

        Numbers by quantile bins (ties share a bin), categories by frequency with the rarest in one level.
        """
        binned = quantile_bins(self.numeric, self.ordered, N_LEVELS)
        named = np.where(self.codes < 0, N_LEVELS, np.minimum(self.codes, N_LEVELS - 1))
        return np.hstack([binned, named])


def standardise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns (n, a) with mean 0 and standard deviation 1 over their known cells; a constant column is all NaN."""
    known = ~np.isnan(values)
    n_known = np.maximum(known.sum(axis=0), 1)
    centred = values - np.where(known, values, 0.0).sum(axis=0) / n_known
    deviation = np.sqrt(np.square(np.where(known, centred, 0.0)).sum(axis=0) / n_known)
    varies = np.fmax.reduce(values, axis=0) > np.fmin.reduce(values, axis=0)
    result: NDArray[np.float64] = centred / np.where(varies, deviation, np.nan)
    return result


def principal_variances(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variances of the principal components of a matrix (n, p), times n, largest first; (min(n, p),)."""
    centred = matrix - matrix.mean(axis=0)
    products = centred.T @ centred if len(matrix) >= matrix.shape[1] else centred @ centred.T
    variances: NDArray[np.float64] = np.maximum(np.linalg.eigvalsh(products)[::-1], 0.0)
    return variances


def quantile_bins(values: NDArray[np.float64], ordered: Ordered, n_bins: int) -> NDArray[np.int64]:
    """Bin 0..n_bins-1 of each value within its column by rank, missing = n_bins; ties share a bin; (n, a)."""
    bins = np.zeros(values.shape, np.int64)
    for edge in ordered.bin_edges(n_bins):
        bins += values >= edge
    bins[np.isnan(values)] = n_bins
    return bins


def _by_frequency(codes: NDArray[Any]) -> NDArray[np.int64]:
    counts = np.bincount(codes[codes >= 0], minlength=1)
    place = np.empty(len(counts), np.int64)
    place[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.where(codes < 0, -1, place[codes])
