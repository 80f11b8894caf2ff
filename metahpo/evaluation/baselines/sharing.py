"""Work that several units of an evaluation share: the same training, and the same fit, is made once.

    with shared_training():
        ...  # methods learn from the same tables, with the same settings and seed

A training depends on nothing but its tables, settings and seed, and a surrogate is immutable; so the methods learn what
they would have learnt alone. A fit of a cold surrogate depends on nothing but the trials and the hyperparameters it
begins at: searches that pick the same, such as those of a method that draws no random numbers with several seeds, fit
once. The time of what was made before still counts as time of each method.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from metahpo.metadata.task_table import TaskTable, digest_of_tables
from metahpo.surrogates.cold_surrogate import ColdSurrogate, FittedProcess
from metahpo.surrogates.fitting.training import TrainingSettings, train_on_tables
from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate


@runtime_checkable
class SharesTraining(Protocol):
    """A method whose training others may share."""

    @property
    def training(self) -> Hashable:
        """What its training depends on, beside tables and seed: equal where methods can share one."""
        ...


@runtime_checkable
class SharesFits(Protocol):
    """A method whose searches with other seeds repeat most of its fits.

    Attributes
    ----------
    shares_fits : bool
        Whether units of it that differ in the seed only are to be carried out together.
    """

    @property
    def shares_fits(self) -> bool:
        """See the class."""
        ...


@dataclass
class Trainings:
    """Trainings and fits made so far.

    Attributes
    ----------
    made : dict
        Surrogate and seconds of each training.
    fits : dict
        Process, hyperparameters and seconds of each fit.
    seconds_saved : float
        Seconds of trainings and fits that were not repeated.
    """

    made: dict[Hashable, tuple[MetaLearnedSurrogate, float]] = field(default_factory=dict)
    fits: dict[bytes, tuple[FittedProcess | None, NDArray[np.float64] | None, float]] = field(default_factory=dict)
    seconds_saved: float = 0.0


_TRAININGS: ContextVar[Trainings | None] = ContextVar("trainings", default=None)


@contextmanager
def shared_training() -> Iterator[Trainings]:
    """Share trainings and fits within the context; nothing is kept after it."""
    trainings = Trainings()
    token = _TRAININGS.set(trainings)
    try:
        yield trainings
    finally:
        _TRAININGS.reset(token)


def seconds_saved() -> float:
    """Seconds of the trainings and fits that were not repeated so far, within :func:`shared_training`; else 0."""
    trainings = _TRAININGS.get()
    return 0.0 if trainings is None else trainings.seconds_saved


def trained(
    tables: Sequence[TaskTable], space_name: str, random_state: int, settings: TrainingSettings | None
) -> MetaLearnedSurrogate:
    """Surrogate of tables; within :func:`shared_training` each is trained once.

    Raises
    ------
    DataError
        See :func:`~metahpo.surrogates.fitting.training.train_surrogate`.
    """
    trainings = _TRAININGS.get()
    if trainings is None:
        return train_on_tables(tables, space_name=space_name, random_state=random_state, settings=settings)
    key = (digest_of_tables(tables), space_name, random_state, settings)
    if key in trainings.made:
        surrogate, seconds = trainings.made[key]
        trainings.seconds_saved += seconds
        return surrogate
    started = time.perf_counter()
    surrogate = train_on_tables(tables, space_name=space_name, random_state=random_state, settings=settings)
    trainings.made[key] = (surrogate, time.perf_counter() - started)
    return surrogate


class SharedColdSurrogate(ColdSurrogate):
    """A cold surrogate that takes a fit from :func:`shared_training` where the same was made there before."""

    def fit(
        self,
        X: NDArray[np.float64],
        losses: NDArray[np.float64],
        extra: NDArray[np.float64],
        under_way: NDArray[np.float64],
    ) -> FittedProcess | None:
        """See :meth:`metahpo.surrogates.cold_surrogate.ColdSurrogate.fit`."""
        trainings = _TRAININGS.get()
        if trainings is None:
            return super().fit(X, losses, extra, under_way)
        start = np.empty(0) if self.hyperparameters is None else self.hyperparameters
        key = hashlib.sha256(repr(X.shape).encode())
        for part in (start, X, losses, extra, under_way):
            key.update(part.tobytes())
        if key.digest() in trainings.fits:
            fitted, self.hyperparameters, seconds = trainings.fits[key.digest()]
            trainings.seconds_saved += seconds
            return fitted
        started = time.perf_counter()
        fitted = super().fit(X, losses, extra, under_way)
        trainings.fits[key.digest()] = fitted, self.hyperparameters, time.perf_counter() - started
        return fitted
