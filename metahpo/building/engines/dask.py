"""The Dask engine. It uses a running cluster, by the address or file of its scheduler, or starts one on this machine.

On a cluster, start scheduler and workers as the cluster's manual says (``dask worker`` under Slurm, dask-jobqueue,
Kubernetes), with one thread a worker and its nanny's memory limit off, since trials have limits of their own; then::

    dask scheduler --scheduler-file ~/scheduler.json
    dask worker --scheduler-file ~/scheduler.json --nthreads 1 --nworkers 16 --memory-limit 0
    metahpo build runs/mine --cache DATASETS --engine dask --scheduler-file ~/scheduler.json

Every worker sees the build's folder and the dataset cache under the same paths. Workers may join and leave during the
build.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from metahpo.building.engines.engine import WorkersLostError
from metahpo.building.worker import Outcome, Workplace, ignore_interrupts, run_batch
from metahpo.exceptions import MetaHPOError, MissingDependencyError
from metahpo.trials.trial import TrialKey

if TYPE_CHECKING:
    from distributed import Client, Future, as_completed

#: Seconds to wait for a scheduler, and for its first worker.
CONNECT_SECONDS = 60.0
#: Seconds without any worker after which work in progress is given up: a nanny gives up a worker killed at its birth.
DESERTED_SECONDS = 15.0
#: Seconds between two looks at what has ended.
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class DaskEngine:
    """Workers of Dask.

    Attributes
    ----------
    address : str, default=None
        Of a running scheduler, such as ``tcp://node1:8786``.
    scheduler_file : path, default=None
        File that a running scheduler wrote its address to.
    n_workers : int, default=None
        Workers of a cluster on this machine, where neither address nor file is given; None takes one a core.
    """

    address: str | None = None
    scheduler_file: Path | None = None
    n_workers: int | None = None

    def run(self, batches: Iterator[list[TrialKey]], place: Workplace) -> Iterator[Outcome]:
        """See :class:`metahpo.building.engines.engine.Engine`.

        Each worker thread has two batches at any time: one that runs, and the next one.
        """
        try:
            from distributed import CancelledError, KilledWorker, as_completed
            from distributed.comm.core import CommClosedError
        except ImportError as error:
            raise MissingDependencyError("the engine `dask` needs Dask: pip install 'metahpo[dask]'.") from error
        lost: BaseException | None = None
        with self._client() as client:
            try:
                client.wait_for_workers(1, timeout=CONNECT_SECONDS)
                running = as_completed(loop=client.loop)

                def send() -> None:
                    free = 2 * sum(client.nthreads().values()) - running.count()
                    for batch in islice(batches, max(free, int(running.is_empty()))):
                        # Not a pure function: its result is what it writes.
                        running.add(client.submit(run_batch, batch, place, pure=False))

                send()
                while not running.is_empty():
                    _wait(running, client)
                    try:
                        yield _result(next(running), client)
                    except KilledWorker as error:  # Dask has given the batch to several workers, and all died
                        lost = error
                    send()
            except (CancelledError, CommClosedError, TimeoutError) as error:
                raise WorkersLostError(f"the Dask scheduler or its workers are gone: {error!r}") from error
        if lost is not None:
            raise WorkersLostError(f"Dask workers died: {lost}") from lost

    @contextlib.contextmanager
    def _client(self) -> Iterator[Client]:
        from distributed import Client, LocalCluster

        if self.address is not None or self.scheduler_file is not None:
            where = self.address or str(self.scheduler_file)
            file = None if self.scheduler_file is None else str(self.scheduler_file)
            try:
                client = Client(self.address, scheduler_file=file, timeout=CONNECT_SECONDS, set_as_default=False)
            except (OSError, TimeoutError, ValueError) as error:
                raise MetaHPOError(f"no Dask scheduler answers at {where!r} ({error}); start one first.") from error
            with client:
                yield client
            return
        with (
            LocalCluster(
                n_workers=self.n_workers,
                threads_per_worker=1,
                memory_limit=None,
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            client.run(ignore_interrupts)  # only the driver reacts to Ctrl-C of a terminal
            yield client


def _wait(running: as_completed, client: Client) -> None:
    """Wait until a batch has ended."""
    seen = time.monotonic()
    while not running.has_ready():
        time.sleep(POLL_SECONDS)
        if time.monotonic() > seen + DESERTED_SECONDS:
            _check_for_workers(client)
            seen = time.monotonic()


def _result(ended: Future, client: Client) -> Outcome:
    """Outcome of a batch that has ended. If its worker dies before the outcome is fetched, the batch runs again."""
    while True:
        try:
            outcome: Outcome = ended.result(timeout=DESERTED_SECONDS)
        except TimeoutError:
            _check_for_workers(client)
        else:
            return outcome


def _check_for_workers(client: Client) -> None:
    """Raise an error if the cluster has no workers, because the build would wait for ever."""
    if not client.nthreads():
        raise WorkersLostError(f"the Dask cluster has had no worker for {DESERTED_SECONDS:g} seconds.")
