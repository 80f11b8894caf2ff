"""The cost model across tasks, which predicts the training time of a configuration from recorded trials.

Symbols: n trials, d encoded columns x, s = (log rows, log columns, log classes) of the task.

    log seconds = b_0 + b_s s + b_x x + b_sx (s times x)        ridge regression, one closed form
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metahpo.exceptions import ArtefactError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.task_cost import TaskCost
from metahpo.tasks.task import Task

#: Columns of the tasks table that the cost grows with.
SIZE_COLUMNS = ("n_rows", "n_features", "n_classes")
#: Name of this kind of model in the header of its artefact.
KIND = "seconds of a fit"


@dataclass(frozen=True, eq=False)
class CostModel:
    """Predicts the seconds of one fit, on one core of the machine that recorded the trials.

    Attributes
    ----------
    coefficients : ndarray of shape (3 + d + 3 d,)
    intercept : float
    deviation : float
        Standard deviation of the residuals of log seconds within a task.
    """

    coefficients: NDArray[np.float64]
    intercept: float
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
        from sklearn.linear_model import Ridge  # a model that was stored needs none

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
        deviation = float(np.concatenate([own - own.mean() for own in left]).std())
        return cls(np.asarray(ridge.coef_, dtype=np.float64), float(ridge.intercept_), deviation)

    def save(self, path: Path, tables: str) -> None:
        """Write it to one file.

        Parameters
        ----------
        path : path
            See :func:`cost_path`.
        tables : str
            Checksum of the tables that it was fitted on: :func:`metahpo.metadata.release.tables_checksum`.

        Raises
        ------
        StoreError
            The file cannot be written.
        """
        import torch  # loaded only where files are read or written

        from metahpo.surrogates import tensor_file

        numbers = np.concatenate([[self.intercept, self.deviation], self.coefficients])
        tensor_file.write(path, KIND, {"numbers": torch.from_numpy(numbers)}, {"tables": tables})

    @classmethod
    def load(cls, path: Path, tables: str) -> CostModel | None:
        """Read what :meth:`save` wrote; None where that was fitted on other tables.

        Raises
        ------
        ArtefactError
            Damaged, or not such a file.
        """
        from metahpo.surrogates import tensor_file

        tensors, header = tensor_file.read(path)
        if header["kind"] != KIND:
            raise ArtefactError(f"{str(path)!r} holds a {header['kind']!r}, expected {KIND!r}. Train it anew.")
        if header.get("tables") != tables:
            return None
        numbers = np.asarray(tensors.get("numbers", ()), dtype=np.float64)
        if numbers.ndim != 1 or len(numbers) < 2 + len(SIZE_COLUMNS) or not np.isfinite(numbers).all():
            raise ArtefactError(f"{str(path)!r} must hold finite numbers of one model. Train it anew.")
        return cls(numbers[2:], float(numbers[0]), float(numbers[1]))

    def seconds(self, rows: NDArray[np.float64], task: Task) -> NDArray[np.float64]:
        """Expected seconds (geometric mean) of encoded configurations of shape (n, d) on a task."""
        return np.exp(self.on(task).expected(rows))

    def on(self, task: Task) -> TaskCost:
        """Expected seconds on a task, which the seconds of its trials can correct."""
        return self.of_size(task.n_rows, task.X.shape[1], len(task.classes))

    def of_size(self, n_rows: int, n_columns: int, n_classes: int) -> TaskCost:
        """Expected seconds on a task of that size. A regression task has no classes."""
        return TaskCost(_LogSeconds(self, _size((n_rows, n_columns, n_classes))), self.deviation)


@dataclass(frozen=True)
class _LogSeconds:
    """Expected seconds on a task of one size. It does not hold the rows of the task."""

    model: CostModel
    size: NDArray[np.float64]

    def __call__(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(_design(rows, self.size) @ self.model.coefficients + self.model.intercept, dtype=np.float64)


def cost_path(folder: Path, space: str | None) -> Path:
    """File, inside a meta-dataset's folder, of the model for a space (None: all together).

    Raises
    ------
    ArtefactError
        A name that is not plain: its file would lie in another folder.
    """
    from metahpo.surrogates import tensor_file

    return tensor_file.path_in(folder, "costs", space, "seconds", "file")


def _size(sizes: ArrayLike) -> NDArray[np.float64]:
    return np.log1p(np.nan_to_num(np.array(sizes, dtype=np.float64)))


def _design(rows: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    sizes = np.broadcast_to(size, (len(rows), len(size)))
    crossed = (rows[:, :, None] * sizes[:, None, :]).reshape(len(rows), rows.shape[1] * len(size))
    return np.concatenate([sizes, rows, crossed], axis=1)
