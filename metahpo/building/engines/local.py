"""The local engine: workers of joblib on this machine, or on the backend that ``joblib.parallel_config`` selects.

A trial runs on one thread, so use one worker for each core::

    metahpo build runs/mine --cache DATASETS --jobs 16
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import joblib

from metahpo.building.engines.engine import WorkersLostError
from metahpo.building.worker import Outcome, Workplace, close_tools, run_batch
from metahpo.trials.trial import TrialKey


@dataclass(frozen=True)
class LocalEngine:
    """Workers of joblib. With one worker, this process is the worker.

    Attributes
    ----------
    n_jobs : int, default=-1
        Number of workers; -1 takes one a core.
    """

    n_jobs: int = -1

    def run(self, batches: Iterator[list[TrialKey]], place: Workplace) -> Iterator[Outcome]:
        """See :class:`metahpo.building.engines.engine.Engine`."""
        parallel = joblib.Parallel(n_jobs=self.n_jobs, return_as="generator_unordered", batch_size=1)
        try:
            yield from parallel(joblib.delayed(run_batch)(batch, place) for batch in batches)
        except BrokenProcessPool as error:
            raise WorkersLostError(f"a worker process ended: {error}") from error
        finally:
            close_tools()
