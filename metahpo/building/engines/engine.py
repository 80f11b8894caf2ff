"""The protocol of engines, which run batches of trials."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from metahpo.building.worker import Outcome, Workplace
from metahpo.exceptions import MetaHPOError
from metahpo.trials.trial import TrialKey


class WorkersLostError(MetaHPOError):
    """Workers ended before their work was done. Finished trials are in the store, the others are still pending."""


class Engine(Protocol):
    """Runs batches by :func:`metahpo.building.worker.run_batch`, on whatever workers it has."""

    def run(self, batches: Iterator[list[TrialKey]], place: Workplace) -> Iterator[Outcome]:
        """Run the batches and yield what became of each, in the order in which they end.

        The batches are drawn as workers come free: there may be millions of trials behind them. The store is the
        truth: an engine that loses work says so, or just ends, and the driver finds the trials that are still pending.

        Raises
        ------
        WorkersLostError
            Workers died; to go on, the driver calls `run` again.
        MissingDependencyError
            The engine's package is not installed.
        """
        ...
