"""The measurement protocol, version 2: which rows a trial trains on, which it is tested on, and how often it is fitted.

A dataset is measured as several tasks of one family. Each task has a *size*, the number of rows that it trains on:
300, 1,200, 5,000 or 20,000 rows, as far as the dataset has them. A dataset that is too small for the smallest size is
measured as it is. A task of size s on a dataset of n rows is split in one of two ways:

- *hold-out*, where at least min(s, 1000) rows are left over: each fit trains on s rows and is tested on others, at
  most 5,000. The training rows of a smaller size are among those of a larger size, and so are their test rows.
- *repeated cross-validation*, where fewer rows are left over: four stratified folds, a new shuffle for each repeat.
  Training rows beyond s are left out.

A trial makes the fits of one *repeat*: two of hold-out, or the four folds of a cross-validation. Repeats are added
until the ranks of the configurations are reliable, or until the task has 12 fits: see
:mod:`metahpo.building.reliability`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metahpo.exceptions import DataError
from metahpo.tasks.task import Task

#: Raised when a change makes recorded trials incomparable with new ones.
PROTOCOL_VERSION = 2
#: Rows that a task trains on.
SIZES = (300, 1200, 5000, 20000)
#: A test set of so many rows is large enough for hold-out, whatever the size.
ENOUGH_TEST_ROWS = 1000
#: Rows of each class that a training set holds at least, and rows that a test set holds at least.
MIN_TRAIN_ROWS_OF_CLASS, MIN_TEST_ROWS_OF_CLASS = 2, 1

#: Rows to train on, and rows to test on.
Split = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Protocol:
    """The measurement protocol of the trials of a meta-dataset.

    Attributes
    ----------
    n_folds : int, default=4
        Folds of a repeated cross-validation. Classes with fewer rows are dropped from every task.
    max_test_rows : int, default=5000
        Rows of a test set at most.
    n_holdouts : int, default=2
        Fits of a repeat by hold-out.
    max_fits : int, default=12
        Fits of a configuration on a task at most.
    min_reliability : float, default=.9
        No repeat is added to a task whose ranks are that reliable.
    metrics : tuple of str, default=()
        Metrics of other packages that are recorded beside those of the package: names of installed packages' metrics,
        or ``module:attribute``, which every worker must be able to import.
    """

    n_folds: int = 4
    max_test_rows: int = 5000
    n_holdouts: int = 2
    max_fits: int = 12
    min_reliability: float = 0.9
    metrics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", tuple(self.metrics))
        if self.n_folds < 2:
            raise DataError(f"cross-validation needs at least 2 folds, but n_folds = {self.n_folds}.")

    @property
    def name(self) -> str:
        """Name of the protocol. It is part of the identity of a trial. Trials with the same name can be compared."""
        name = f"v{PROTOCOL_VERSION}-cv{self.n_folds}-holdout{self.n_holdouts}x{self.max_test_rows}"
        return "+".join([name, *sorted(self.metrics)])

    def sizes(self, n_rows: int, among: Sequence[int] = SIZES) -> tuple[int | None, ...]:
        """Sizes of the tasks that a dataset of `n_rows` makes.

        ``(None,)``, the dataset as it is, where it is too small for the smallest size and that is at most 300 rows;
        empty where it is too small for larger ones.
        """
        sizes = tuple(s for s in sorted(among) if self._by_holdout(n_rows, s) or n_rows >= s * self._rows_per_trained)
        return sizes or ((None,) if min(among) <= SIZES[0] else ())

    def prepare(self, task: Task) -> Task:
        """The task without classes that have fewer rows than a cross-validation has folds.

        Raises
        ------
        DataError
            Fewer than two classes are left.
        """
        return task.without_rare_classes(self.n_folds)

    def fits_of_repeat(self, n_rows: int, size: int | None) -> int:
        """Fits that one repeat makes on a task of this size of a dataset of `n_rows`."""
        return self.n_holdouts if self._by_holdout(n_rows, size) else self.n_folds

    def described_rows(self, task: Task, size: int | None) -> tuple[Task, int]:
        """Rows of a task that its meta-features describe, and the number of its test rows, both of its first fit.

        Parameters
        ----------
        task : Task
            A dataset, not prepared yet.
        size : int or None
            See :meth:`splits`.
        """
        prepared = self.prepare(task)
        train, test = self.splits(prepared, size)[0]
        return prepared.take(train), len(test)

    def splits(self, task: Task, size: int | None, repeat: int = 0) -> list[Split]:
        """Rows of each fit of one repeat: equal arguments give equal rows.

        Parameters
        ----------
        task : Task
            A dataset, prepared by :meth:`prepare`.
        size : int or None
            Rows to train on; None takes all that cross-validation leaves.
        repeat : int, default=0
            Number of the repeat.

        Returns
        -------
        list of (train, test)
            Row numbers, sorted.

        Raises
        ------
        DataError
            A class has fewer rows than a split needs, or the classes are too many for the size.
        """
        if size is not None and task.kind == "classification":
            needed = MIN_TRAIN_ROWS_OF_CLASS * len(task.classes)
            if needed > size:
                raise DataError(
                    f"a training set of {size} rows is too small for the {len(task.classes)} classes of task "
                    f"{task.name!r}: it must hold {MIN_TRAIN_ROWS_OF_CLASS} rows of each, {needed} in all."
                )
        if self._by_holdout(task.n_rows, size):
            assert size is not None
            return [self._holdout(task, size, self.n_holdouts * repeat + i) for i in range(self.n_holdouts)]
        # Workers hold a protocol and split nothing: they start in half the time without scikit-learn.
        from sklearn.model_selection import KFold, StratifiedKFold

        splitter = (KFold if task.kind == "regression" else StratifiedKFold)(
            self.n_folds, shuffle=True, random_state=repeat
        )
        order = np.empty(task.n_rows, dtype=np.intp)
        order[stratified_order(task, repeat)] = np.arange(task.n_rows)
        splits = []
        for train, test in splitter.split(task.X, task.y):
            train = train[np.argsort(order[train])][:size]
            test = test[np.argsort(order[test])][-self.max_test_rows :]
            splits.append((np.sort(train), np.sort(test)))
        return splits

    def _holdout(self, task: Task, size: int, fit: int) -> Split:
        order = stratified_order(task, fit)
        n_test = min(self.max_test_rows, task.n_rows - size)
        return np.sort(order[:size]), np.sort(order[task.n_rows - n_test :])

    def _by_holdout(self, n_rows: int, size: int | None) -> bool:
        return size is not None and n_rows - size >= min(size, ENOUGH_TEST_ROWS)

    @property
    def _rows_per_trained(self) -> float:
        """Rows of a dataset for each row that a fold of cross-validation trains on."""
        return self.n_folds / (self.n_folds - 1)


def stratified_order(task: Task, random_state: int) -> NDArray[np.intp]:
    """A random order of the rows such that every first part and every last part of it is stratified.

    The first rows are two of each class and the last row of each class is at the end, so that no training set and no
    test set lacks a class.
    """
    rng = np.random.default_rng(random_state)
    shuffled = rng.permutation(task.n_rows)
    if task.kind == "regression":
        return shuffled
    y = np.asarray(task.y)[shuffled]
    count = np.bincount(y, minlength=len(task.classes))[y]
    rank = np.empty(task.n_rows, dtype=np.intp)
    by_class = np.argsort(y, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(y, minlength=len(task.classes)))[:-1]])
    rank[by_class] = np.arange(task.n_rows) - starts[y[by_class]]
    place = (rank + rng.random(task.n_rows)) / count
    place[rank < MIN_TRAIN_ROWS_OF_CLASS] -= 1.0
    place[rank >= count - MIN_TEST_ROWS_OF_CLASS] += 1.0
    return np.asarray(shuffled[np.argsort(place, kind="stable")])


def task_key(dataset: str, size: int | None) -> str:
    """Key of a task: that of its dataset, with the size where it has one, as in ``31@1200``."""
    return dataset if size is None else f"{dataset}@{size}"


def dataset_and_size(key: str) -> tuple[str, int | None]:
    """Inverse of :func:`task_key`."""
    dataset, at, size = key.rpartition("@")
    return (dataset, int(size)) if at else (key, None)
