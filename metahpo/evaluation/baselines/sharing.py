"""Surrogates that several methods share: the same training is made once.

    with shared_training():
        ...  # methods learn from the same tables, with the same settings and seed

A training depends on nothing but its tables, settings and seed, and a surrogate is immutable; so the methods learn what
they would have learnt alone. The time of a training that was made before still counts as time of each method.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from metahpo.metadata.task_table import TaskTable, digest_of_tables
from metahpo.surrogates.fitting.training import TrainingSettings, train_on_tables
from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate


@runtime_checkable
class SharesTraining(Protocol):
    """A method whose training others may share."""

    @property
    def training(self) -> Hashable:
        """What its training depends on, beside tables and seed: equal where methods can share one."""
        ...


@dataclass
class Trainings:
    """Trainings made so far.

    Attributes
    ----------
    made : dict
        Surrogate and seconds of each.
    seconds_saved : float
        Seconds of trainings that were not repeated.
    """

    made: dict[Hashable, tuple[MetaLearnedSurrogate, float]] = field(default_factory=dict)
    seconds_saved: float = 0.0


_TRAININGS: ContextVar[Trainings | None] = ContextVar("trainings", default=None)


@contextmanager
def shared_training() -> Iterator[Trainings]:
    """Share trainings within the context; nothing is kept after it."""
    trainings = Trainings()
    token = _TRAININGS.set(trainings)
    try:
        yield trainings
    finally:
        _TRAININGS.reset(token)


def seconds_saved() -> float:
    """Seconds of the trainings that were not repeated so far, within :func:`shared_training`; else 0."""
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
