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
    """Runs batches with :func:`metahpo.building.worker.run_batch` on its workers."""

    def run(self, batches: Iterator[list[TrialKey]], place: Workplace) -> Iterator[Outcome]:
        """Run the batches and yield the outcome of each, in the order in which they end.

        Draw a batch when a worker is free, because there may be millions of trials. An engine may lose batches. The
        driver reads from the store which trials are still pending.

        Raises
        ------
        WorkersLostError
            Workers died; to go on, the driver calls `run` again.
        MissingDependencyError
            The engine's package is not installed.
        """
        ...
