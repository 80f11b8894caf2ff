"""The unit of work: a batch of trials of one learner on one task, run in this process's trial process."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from metahpo.building.attempts import Attempts
from metahpo.building.claims import claims_of
from metahpo.building.device_slots import DeviceSlot, take_slot, visible_devices
from metahpo.building.protocol import Protocol
from metahpo.building.trial_process import Limits, TrialProcess
from metahpo.trials.records import TaskRefusal
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import TrialKey


@dataclass(frozen=True)
class Workplace:
    """Settings of a build that a worker needs besides its trials.

    Attributes
    ----------
    folder : path
        Folder of the build, which every worker sees under this path.
    cache : path
        Dataset cache, likewise.
    protocol : Protocol
    limits : Limits
    drain : path
        Flag file: where it exists, no further trial begins.
    workers_per_gpu : int
        Workers that share a GPU, on machines that have one.
    together : frozenset of str
        Learners that train the trials of a batch at once; those of all others run one by one.
    driver : (str, int)
        Host and process id of the driver.
    """

    folder: Path
    cache: Path
    protocol: Protocol
    limits: Limits
    drain: Path
    workers_per_gpu: int = 1
    together: frozenset[str] = frozenset()
    driver: tuple[str, int] = field(default_factory=lambda: (socket.gethostname(), os.getpid()))


@dataclass(frozen=True)
class Outcome:
    """Outcome of a batch.

    Attributes
    ----------
    learner : str
    n_done, n_failed : int
        Trials run, and those of them that failed.
    n_elsewhere : int
        Trials left alone because another worker was running them.
    seconds : float
        Wall-clock seconds of the batch.
    refused : set of str
        The batch's task, where it cannot be measured; the reason is in the store.
    """

    learner: str
    n_done: int
    n_failed: int
    n_elsewhere: int
    seconds: float
    refused: frozenset[str] = frozenset()


def run_batch(batch: Sequence[TrialKey], place: Workplace) -> Outcome:
    """Run a batch and append every trial to the store when it is finished. Trials that train at once finish at once.

    Trials that another worker runs or has recorded are skipped. The store is read after the trials are claimed, because
    a worker records a trial before it releases its claim. A task that cannot be measured is recorded with its reason,
    and the rest of the batch is skipped.

    Raises
    ------
    StoreError
        The store cannot be read or written.
    """
    start = time.perf_counter()
    if (socket.gethostname(), os.getpid()) != place.driver:
        ignore_interrupts()
    if (socket.gethostname(), os.getppid()) == place.driver:
        end_with(os.getppid())
    tools = _tools_of_this_worker(place)
    store = tools.store
    claims, attempts = claims_of(place.folder), Attempts(place.folder)
    n_done, n_failed, refused = 0, 0, frozenset[str]()
    claimed = {key.identity: key for key in batch if claims.take(key.identity)}
    n_elsewhere = len(batch) - len(claimed)
    try:
        recorded: Container[str] = store.identities() if claimed else ()
        while claimed:
            at_once = len(claimed) if batch[0].learner in place.together else 1
            identities = list(islice(claimed, at_once))
            pending = [claimed[identity] for identity in identities if identity not in recorded]
            if pending and not place.drain.exists():
                tools.process.start()
                attempts.begin(pending)
                try:
                    records = tools.process.run(pending)
                    store.append([records] if isinstance(records, TaskRefusal) else records)
                finally:  # this worker has survived the trials
                    attempts.end(pending)
                if isinstance(records, TaskRefusal):
                    refused = frozenset([pending[0].task])
                    break
                n_done += len(records)
                n_failed += sum(not record.fold_losses for record in records)
            for identity in identities:
                claims.release(identity)
                del claimed[identity]
    finally:
        for identity in claimed:
            claims.release(identity)
    return Outcome(batch[0].learner, n_done, n_failed, n_elsewhere, time.perf_counter() - start, refused)


def close_tools() -> None:
    """End the trial process of this thread, if it has one."""
    while _local.tools:
        _, tools = _local.tools.popitem()
        tools.process.close()
        tools.slot.release()


def ignore_interrupts() -> None:
    """Ignore Ctrl-C. A terminal sends it to the children of the driver too, but only the driver reacts to it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@cache
def end_with(driver: int) -> None:
    """End this process when its parent has ended. A worker of loky would otherwise wait and hold memory for minutes."""

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(1.0)
        os._exit(1)  # the trial process sees its pipe closed and ends as well

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class _Tools:
    slot: DeviceSlot
    process: TrialProcess
    store: TrialStore


class _Local(threading.local):
    """Tools of this thread: an engine keeps its workers, and Dask may run several in one process."""

    def __init__(self) -> None:
        self.tools: dict[tuple[Any, ...], _Tools] = {}


_local = _Local()


def _tools_of_this_worker(place: Workplace) -> _Tools:
    # Not by driver and flag: two drivers of one build may have the same worker in turn.
    key = (place.folder, place.cache, place.protocol, place.limits, place.workers_per_gpu)
    if key not in _local.tools:
        close_tools()  # of an earlier build
        slot = take_slot(visible_devices(), place.workers_per_gpu)
        process = TrialProcess(place.cache, place.protocol, place.limits, slot.environment)
        _local.tools[key] = _Tools(slot, process, TrialStore(place.folder))
    return _local.tools[key]
