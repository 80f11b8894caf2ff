"""The cost model across tasks, which predicts the training time of a configuration from recorded trials.

Symbols: n trials, d encoded columns x, s = (log rows, log columns, log classes) of the task.

    log seconds = b_0 + b_s s + b_x x + b_sx (s times x)        ridge regression, one closed form
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import Ridge

from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.task_cost import TaskCost
from metahpo.tasks.task import Task

#: Columns of the tasks table that the cost grows with.
SIZE_COLUMNS = ("n_rows", "n_features", "n_classes")


@dataclass(frozen=True)
class CostModel:
    """Predicts the seconds of one fit, on one core of the machine that recorded the trials.

    Attributes
    ----------
    ridge : Ridge
    deviation : float
        Standard deviation, within a task, of what it leaves unexplained of log seconds.
    """

    ridge: Ridge
    deviation: float

    @classmethod
    def of(cls, md: MetaDataset, space: str | None, column: str = "seconds") -> CostModel | None:
        """Fit on the recorded trials of a space; None where no costs or sizes were recorded.

        Parameters
        ----------
        md : MetaDataset
        space : str or None
        column : str, default="seconds"
            Of the trials table; any cost that is positive.
        """
        if not set(SIZE_COLUMNS) <= set(md.tasks.columns) or column not in md.trials.columns:
            return None
        sizes = md.tasks[list(SIZE_COLUMNS)].astype(np.float64)
        X, log_seconds = [], []
        for table, spent in zip(md.tables(space), md.seconds(space, column).values(), strict=True):
            known = np.isfinite(spent) & (spent > 0)
            X.append(_design(table.X[known], _size(sizes.loc[table.task].to_numpy())))
            log_seconds.append(np.log(spent[known]))
        if not sum(map(len, log_seconds)):
            return None
        ridge = Ridge(alpha=1.0).fit(np.concatenate(X), np.concatenate(log_seconds))
        left = [own - ridge.predict(rows) for rows, own in zip(X, log_seconds, strict=True) if len(own)]
        return cls(ridge, float(np.concatenate([own - own.mean() for own in left]).std()))

    def seconds(self, rows: NDArray[np.float64], task: Task) -> NDArray[np.float64]:
        """Expected seconds (geometric mean) of encoded configurations of shape (n, d) on a task."""
        return np.exp(self.on(task).expected(rows))

    def on(self, task: Task) -> TaskCost:
        """What is expected of a task, to be corrected by the seconds of its own trials."""
        return self.of_size(task.n_rows, task.X.shape[1], len(task.classes))

    def of_size(self, n_rows: int, n_columns: int, n_classes: int) -> TaskCost:
        """What is expected of a task of that size; a regression task has no classes."""
        return TaskCost(_LogSeconds(self.ridge, _size((n_rows, n_columns, n_classes))), self.deviation)


@dataclass(frozen=True)
class _LogSeconds:
    """What the regression expects of a task of one size; it does not hold the task's rows."""

    ridge: Ridge
    size: NDArray[np.float64]

    def __call__(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.ridge.predict(_design(rows, self.size)), dtype=np.float64)


def _size(sizes: ArrayLike) -> NDArray[np.float64]:
    return np.log1p(np.nan_to_num(np.array(sizes, dtype=np.float64)))


def _design(rows: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    sizes = np.broadcast_to(size, (len(rows), len(size)))
    crossed = (rows[:, :, None] * sizes[:, None, :]).reshape(len(rows), rows.shape[1] * len(size))
    return np.concatenate([sizes, rows, crossed], axis=1)
