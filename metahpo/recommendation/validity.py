"""Configurations that make no sense on a dataset of few rows or columns.

Symbols: n rows that a fit trains on in five-fold cross-validation, p columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from metahpo.space.configuration import Configuration
from metahpo.tasks.task import Task

#: Share of the rows that a fit trains on.
TRAINING_SHARE = 0.8


def _leaves(value: Any, n: float, p: int) -> bool:
    """Two leaves of so many rows must be possible, or the tree makes no split."""
    return bool(2 * value <= n)


def _neighbours(value: Any, n: float, p: int) -> bool:
    return bool(value < n)


def _columns(value: Any, n: float, p: int) -> bool:
    """A share of the columns must be one column at least; a number of them must be there."""
    return not isinstance(value, (int, float)) or (value * p >= 1 if isinstance(value, float) else value <= p)


def _rows(value: Any, n: float, p: int) -> bool:
    return not isinstance(value, float) or value * n >= 2


#: Hyperparameter -> whether a value makes sense for n and p.
RULES: Mapping[str, Callable[[Any, float, int], bool]] = {
    "min_samples_leaf": _leaves,
    "min_child_samples": _leaves,
    "n_neighbors": _neighbours,
    "max_features": _columns,
    "colsample_bytree": _columns,
    "max_samples": _rows,
    "subsample": _rows,
}


def senseless(configuration: Configuration, task: Task) -> list[str]:
    """Hyperparameters of a configuration whose values make no sense on a task."""
    n, p = TRAINING_SHARE * task.n_rows, task.X.shape[1]
    return [name for name, value in configuration.items() if name in RULES and not RULES[name](value, n, p)]
