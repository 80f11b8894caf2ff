"""The local engine: workers of joblib on this machine, or on the backend that ``joblib.parallel_config`` selects.

A trial runs on one thread, so use one worker for each core::

    metahpo build runs/mine --cache DATASETS --jobs 16
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import joblib
from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]

from metahpo.building.engines.engine import WorkersLostError
from metahpo.building.worker import Outcome, Workplace, close_tools, run_batch
from metahpo.processes import check_n_jobs
from metahpo.trials.trial import TrialKey


@dataclass(frozen=True)
class LocalEngine:
    """Workers of joblib. With one worker, this process is the worker, unless it is to be apart.

    Attributes
    ----------
    n_jobs : int, default=-1
        Number of workers; -1 takes one a core.
    apart : bool, default=False
        Whether a single worker is a process of its own too, so that a learner which kills its worker does not kill
        the driver.
    """

    n_jobs: int = -1
    apart: bool = False

    def __post_init__(self) -> None:
        check_n_jobs(self.n_jobs)

    def run(self, batches: Iterator[list[TrialKey]], place: Workplace) -> Iterator[Outcome]:
        """See :class:`metahpo.building.engines.engine.Engine`."""
        parallel = joblib.Parallel(n_jobs=self.n_jobs, return_as="generator_unordered", batch_size=1)
        try:
            if self.apart and joblib.effective_n_jobs(self.n_jobs) == 1:
                yield from _in_one_process(batches, place)
            else:
                yield from parallel(joblib.delayed(run_batch)(batch, place) for batch in batches)
        except BrokenProcessPool as error:
            raise WorkersLostError(f"a worker process ended: {error}") from error
        finally:
            close_tools()


def _in_one_process(batches: Iterator[list[TrialKey]], place: Workplace) -> Iterator[Outcome]:
    """Run batches in a process of their own; one more than is running waits there."""
    executor = ProcessPoolExecutor(max_workers=1)
    sent: deque[Future[Outcome]] = deque()
    try:
        for batch in batches:
            sent.append(executor.submit(run_batch, batch, place))
            if len(sent) > 1:
                yield sent.popleft().result()
        while sent:
            yield sent.popleft().result()
    finally:
        executor.shutdown(kill_workers=True)
