"""Columns that most often are a mistake: they tell the target exactly, or number the rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metahpo.metafeatures.canonical_order import category_codes
from metahpo.tasks.task import Task

Array = NDArray[np.float64]

#: Rows looked at, rows by which columns are sorted out first, and fewest rows to judge by.
ROWS, FIRST_ROWS, MIN_ROWS = 500, 60, 20
#: Correlation with a numeric target from which a column counts as the target itself.
SAME = 1.0 - 1e-9


def leaking_columns(task: Task, random_state: int = 0) -> list[str]:
    """Names of columns that hold the target: one value a class, or a linear function of a numeric target."""
    if task.modality != "table" or task.n_rows < MIN_ROWS:
        return []
    part = task.subsample(ROWS, random_state)
    numbers = part.X[list(part.numeric)].to_numpy(np.float64)
    if task.kind == "regression":
        return [str(name) for name, column in zip(part.numeric, numbers.T, strict=True) if _is_target(column, part.y)]
    codes = category_codes(part).astype(np.float64)
    values = np.hstack([numbers, np.where(codes < 0, np.nan, codes)])
    names = [*part.numeric, *part.categorical]
    n_classes = len(np.unique(part.y))
    head = np.sort(values[:FIRST_ROWS], axis=0)  # NaN come last
    distinct = 1 + (np.diff(head, axis=0) > 0.0).sum(axis=0)
    return [str(names[i]) for i in np.flatnonzero(distinct <= n_classes) if _one_value_a_class(values[:, i], part.y)]


def numbering_columns(task: Task) -> list[str]:
    """Names of numeric columns that count the rows, as an index does that was saved with a table."""
    if task.modality != "table" or task.n_rows < MIN_ROWS:
        return []
    numeric = list(task.numeric)
    head = task.X[numeric].iloc[:MIN_ROWS].to_numpy(np.float64)
    maybe = [numeric[i] for i in np.flatnonzero((np.diff(head, axis=0) == 1.0).all(axis=0))]
    return [name for name in maybe if bool((np.diff(task.X[name].to_numpy(np.float64)) == 1.0).all())]


def _is_target(values: Array, y: Array) -> bool:
    known = ~np.isnan(values)
    a, b = values[known], y[known]
    if len(a) < MIN_ROWS:
        return False
    a, b = a - a.mean(), b - b.mean()
    a, b = a / max(np.abs(a).max(), 1e-300), b / max(np.abs(b).max(), 1e-300)
    size = np.sqrt((a @ a) * (b @ b))
    return bool(size > 0.0 and abs(a @ b) > SAME * size)


def _one_value_a_class(values: Array, y: NDArray[np.int64]) -> bool:
    known = ~np.isnan(values)
    if known.sum() < MIN_ROWS:
        return False
    n_classes = len(np.unique(y[known]))
    if n_classes < 2 or len(np.unique(values[known])) != n_classes:
        return False
    return len(np.unique(np.stack([values[known], y[known]]), axis=1).T) == n_classes
