"""Columns that tell the target exactly, which most often is a mistake."""

from __future__ import annotations

import numpy as np

from metahpo.tasks.task import Task

#: Rows looked at, and fewest rows to judge by.
ROWS, MIN_ROWS = 500, 20
#: Correlation with a numeric target from which a column counts as the target itself.
SAME = 1.0 - 1e-9


def leaking_columns(task: Task, random_state: int = 0) -> list[str]:
    """Names of columns that hold the target: one value a class, or a linear function of a numeric target."""
    if task.modality != "table" or task.n_rows < MIN_ROWS:
        return []
    part = task.subsample(ROWS, random_state)
    if task.kind == "regression":
        return [name for name in part.numeric if _same_numbers(part.X[name].to_numpy(np.float64), part.y)]
    return [str(name) for name in part.X if _one_value_a_class(part, str(name))]


def _same_numbers(values: np.ndarray, y: np.ndarray) -> bool:
    known = ~np.isnan(values)
    a, b = values[known], y[known]
    if len(a) < MIN_ROWS or np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return False
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    return bool(abs(np.corrcoef(a, b)[0, 1]) > SAME)


def _one_value_a_class(task: Task, name: str) -> bool:
    column = task.X[name]
    values = column.cat.codes.to_numpy() if name in task.categorical else column.to_numpy(np.float64)
    known = values >= 0 if name in task.categorical else ~np.isnan(values)
    if known.sum() < MIN_ROWS:
        return False
    n_classes = len(np.unique(task.y[known]))
    if n_classes < 2 or len(np.unique(values[known])) != n_classes:
        return False
    return len(np.unique(np.stack([values[known], task.y[known]]), axis=1).T) == n_classes
