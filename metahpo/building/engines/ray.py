"""The Ray engine. It uses a running cluster, by its address, or starts one on this machine.

On a cluster that ``ray up``, KubeRay or ``ray start`` has made, from any of its nodes::

    metahpo build runs/mine --cache DATASETS --engine ray --address auto

A trial takes one CPU of Ray's. GPUs are shared out by :mod:`metahpo.building.device_slots`, as on every engine, and not
by Ray. Every worker sees the build's folder and the dataset cache under the same paths.

Ray ends the calling process when the raylet of its node dies. Ray is therefore called in a separate process, and the
driver of the build survives.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from metahpo.building.engines.engine import WorkersLostError
from metahpo.building.worker import Outcome, Workplace, end_with, ignore_interrupts, run_batch
from metahpo.exceptions import MetaHPOError, MissingDependencyError
from metahpo.trials.trial import TrialKey

#: How often Ray gives the batch of a worker that died to another, before the driver hears of it.
MAX_RETRIES = 3
#: Seconds that the process which calls Ray may take to end, once nothing is wanted of it.
SHUTDOWN_SECONDS = 5.0
#: What that process runs.
CALLER = "import sys; from metahpo.building.engines.ray import call_ray; call_ray(*map(int, sys.argv[1:]))"

Batch = list[TrialKey]


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

    def run(self, batches: Iterator[Batch], place: Workplace) -> Iterator[Outcome]:
        """See :class:`metahpo.building.engines.engine.Engine`; two batches a CPU are on their way at any time."""
        if sys.modules.get("ray", ...) is None or importlib.util.find_spec("ray") is None:
            raise MissingDependencyError("the engine `ray` needs Ray: pip install 'metahpo[ray]'.")
        ours, theirs = Pipe()
        caller = subprocess.Popen(
            [sys.executable, "-P", "-c", CALLER, str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        try:
            ours.send_bytes(pickle.dumps((self, place)))
            while (message := ours.recv()) is not None:
                if isinstance(message, int):
                    ours.send(list(islice(batches, message)))
                elif isinstance(message, Exception):
                    raise message
                else:
                    yield message
        except (EOFError, ConnectionError) as error:
            code = caller.wait()
            raise WorkersLostError(
                f"the process that calls Ray ended with exit code {code}; Ray ends it when its raylet dies, which the "
                "kernel kills first where memory runs out."
            ) from error
        finally:
            ours.close()
            try:
                caller.wait(SHUTDOWN_SECONDS)
            except subprocess.TimeoutExpired:
                caller.kill()
                caller.wait()


def call_ray(descriptor: int, driver: int) -> None:
    """Run batches on Ray: request them from the driver, send their outcomes or an exception, and None at the end.

    Parameters
    ----------
    descriptor : int
        Of the connection to the driver.
    driver : int
        Process id of the driver, the parent of this process.
    """
    ignore_interrupts()
    end_with(driver)
    pipe = Connection(descriptor)
    engine, place = pickle.loads(pipe.recv_bytes())

    def more(number: int) -> list[Batch]:
        pipe.send(number)
        batches: list[Batch] = pipe.recv()
        return batches

    with contextlib.suppress(EOFError, ConnectionError):  # the driver wants no more
        try:
            for outcome in _outcomes(engine, place, more):
                pipe.send(outcome)
            pipe.send(None)
        except MetaHPOError as error:
            pipe.send(error)


def _outcomes(engine: RayEngine, place: Workplace, more: Callable[[int], list[Batch]]) -> Iterator[Outcome]:
    import ray

    here: dict[str, Any] = {} if engine.address else {"num_cpus": engine.n_workers, "include_dashboard": False}
    try:
        ray.init(engine.address or "local", logging_level=logging.ERROR, log_to_driver=False, **here)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if engine.address is None:
            raise MetaHPOError(f"Ray cannot start a cluster on this machine: {error}") from error
        raise MetaHPOError(f"no Ray cluster answers at {engine.address!r} ({error}); start one first.") from error
    lost: Exception | None = None
    try:
        remote, sent_place = ray.remote(max_retries=MAX_RETRIES)(run_batch), ray.put(place)
        running: list[Any] = []
        while True:
            free = 2 * int(ray.cluster_resources().get("CPU", 1)) - len(running)
            if (wanted := max(free, int(not running))) > 0:
                running += [remote.remote(batch, sent_place) for batch in more(wanted)]
            if not running:
                break
            (ended, *_), running = ray.wait(running)
            try:
                outcome = ray.get(ended)
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
                lost = error
            else:
                yield outcome
    except ray.exceptions.RayTaskError as error:  # run_batch itself has raised something
        raise (error.cause if isinstance(error.cause, MetaHPOError) else MetaHPOError(str(error))) from error
    except (ray.exceptions.RayError, TimeoutError) as error:
        lost = error  # a node or the cluster's head is gone
    finally:
        ray.shutdown()
    if lost is not None:
        raise WorkersLostError(f"Ray workers, or the cluster itself, died: {lost}") from lost
