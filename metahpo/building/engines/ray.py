"""Workers of a Ray cluster: a running one, by its address, or one on this machine.

On a cluster that ``ray up``, KubeRay or ``ray start`` has made, from any of its nodes::

    metahpo build runs/mine --cache DATASETS --engine ray --address auto

A trial takes one CPU of Ray's. GPUs are shared out by :mod:`metahpo.building.device_slots`, as on every engine, and not
by Ray. Every worker sees the build's folder and the dataset cache under the same paths.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from metahpo.building.engines.engine import WorkersLostError
from metahpo.building.worker import Outcome, Workplace, run_batch
from metahpo.exceptions import MetaHPOError, MissingDependencyError
from metahpo.trials.trial import TrialKey

#: How often Ray gives the batch of a worker that died to another, before the driver hears of it.
MAX_RETRIES = 3


@dataclass(frozen=True)
class RayEngine:
    """Workers of Ray.

    Attributes
    ----------
    address : str, default=None
        Of a running cluster, such as ``ray://head:10001``, or ``auto`` on one of its nodes.
    n_workers : int, default=None
        Workers of a cluster on this machine, where no address is given; None takes one a core.
    """

    address: str | None = None
    n_workers: int | None = None

    def run(self, batches: Iterator[list[TrialKey]], place: Workplace) -> Iterator[Outcome]:
        """See :class:`metahpo.building.engines.engine.Engine`; two batches a CPU are on their way at any time."""
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError("the engine `ray` needs Ray: pip install 'metahpo[ray]'.") from error
        here: dict[str, Any] = {"num_cpus": self.n_workers, "include_dashboard": False} if self.address is None else {}
        try:
            ray.init(self.address or "local", logging_level=logging.ERROR, log_to_driver=False, **here)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            if self.address is None:
                raise MetaHPOError(f"Ray cannot start a cluster on this machine: {error}") from error
            raise MetaHPOError(f"no Ray cluster answers at {self.address!r} ({error}); start one first.") from error
        lost: Exception | None = None
        try:
            remote, sent_place = ray.remote(max_retries=MAX_RETRIES)(run_batch), ray.put(place)
            running: list[Any] = []
            while True:
                free = 2 * int(ray.cluster_resources().get("CPU", 1)) - len(running)
                running += [remote.remote(batch, sent_place) for batch in islice(batches, max(free, not running))]
                if not running:
                    break
                (ended, *_), running = ray.wait(running)
                try:
                    outcome = ray.get(ended)
                except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
                    lost = error
                else:
                    yield outcome
        except ray.exceptions.RayTaskError:  # run_batch itself has raised something
            raise
        except (ray.exceptions.RayError, ConnectionError, TimeoutError) as error:
            lost = error  # a node or the cluster's head is gone
        finally:
            ray.shutdown()
        if lost is not None:
            raise WorkersLostError(f"Ray workers, or the cluster itself, died: {lost}") from lost
