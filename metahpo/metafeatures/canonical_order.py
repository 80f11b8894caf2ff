"""A canonical order of the rows and columns of a task.

The same data in any order give the same arrays. A subsample, folds, or the order of a floating-point sum then depend
only on the content. Rows and columns are sorted by 64-bit keys, refined in turns as in colour refinement of a bipartite
graph (Weisfeiler and Lehman, 1968): a column's key is the sum of its hashed cells times the keys of their rows, and the
other way round; integer sums modulo 2^64 do not depend on their order. The names of columns are not used, so renaming a
column changes nothing.

Legend: n rows, p columns; `cells` (p, n) uint64 hashed cell values, `rows` (n,) and `columns` (p,) uint64 keys.
Equal keys belong to equal rows or columns, or to mirror images of each other where the data are as symmetric as a
full factorial design.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metahpo.tasks.task import Task

Keys = NDArray[np.uint64]

#: Steps per column range in which numbers are told apart: coarse enough to hide rounding after a change of units,
#: and irrational, so that no grid of values lies on the border between two steps.
RESOLUTION = 1e9 / np.pi
ROUNDS = 2


def canonical(task: Task) -> Task:
    """The same task with its rows and columns in an order that depends only on the content.

    Exact for any permutation of rows and columns and any positive rescaling or shift of numeric columns.
    """
    cells = np.empty(task.X.shape[::-1], np.uint64)
    categorical = set(task.categorical)
    is_category = np.array([name in categorical for name in task.X.columns])
    cells[~is_category] = _mix(_steps(unit_range(task.X[list(task.numeric)].to_numpy(np.float64)))).T
    cells[is_category] = _mix(category_codes(task).astype(np.uint64) + np.uint64(2**40)).T
    target = _mix(_steps(unit_range(task.y.astype(np.float64))))
    rows = columns = target
    for _ in range(ROUNDS):
        columns = _mix(cells @ rows)
        rows = _mix(target + columns @ cells)
    row_order, column_order = np.argsort(rows, kind="stable"), np.argsort(columns, kind="stable")
    X = task.X.iloc[row_order, column_order].reset_index(drop=True)
    return Task(X, task.y[row_order], task.kind, task.name, task.family, task.data_id, task.classes, task.treatments)


def unit_range(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column of `values` (n, p), or a vector (n,), shifted and scaled to [0, 1]; NaN stays, a constant becomes 0.

    Dividing by the largest magnitude first keeps the range of extreme columns (1e308 or 1e-308) within floats.
    """
    largest = np.fmax.reduce(np.abs(values), axis=0)
    scaled = values / np.where(largest > 0, largest, 1.0)
    scaled -= np.fmin.reduce(scaled, axis=0)
    width = np.fmax.reduce(scaled, axis=0)
    scaled /= np.where(width > 0, width, 1.0)
    return scaled


def category_codes(task: Task) -> NDArray[np.int64]:
    """Categorical columns (n, b) as the ranks of their categories among those that occur; -1 is missing."""
    codes = np.empty((task.n_rows, len(task.categorical)), np.int64)
    for j, name in enumerate(task.categorical):
        column = task.X[name].cat.codes.to_numpy()
        occurs = np.zeros(len(task.X[name].cat.categories) + 1, np.bool_)  # the last is "missing", whose code is -1
        occurs[column] = True
        ranks = np.cumsum(occurs) - 1
        ranks[-1] = -1
        codes[:, j] = ranks[column]
    return codes


def _steps(scaled: NDArray[np.float64]) -> Keys:
    """Number of the step that contains each value in [0, 1]; NaN has a separate number."""
    return np.nan_to_num(np.floor(scaled * RESOLUTION + 0.5), nan=2.0**41).astype(np.uint64)


def _mix(keys: Keys) -> Keys:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): one bit of input changes half of the output's."""
    mixed = keys + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed
