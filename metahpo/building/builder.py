"""Runs a plan: joblib workers, each with a trial process and a store file of its own. Started again, it goes on."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import cache
from pathlib import Path

import joblib
from tqdm import tqdm

from metahpo.building.measurement import Protocol
from metahpo.building.plan import Plan
from metahpo.building.trial_process import Limits, TrialProcess
from metahpo.trials.records import TaskRefusal
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import TrialKey

PLAN_FILE = "plan.json"


def run_plan(plan: Plan, folder: Path | str, *, n_jobs: int = -1, limits: Limits | None = None) -> None:
    """Run every trial of `plan` that is not in the store of `folder` yet.

    Killed at any moment and started again, it runs only what is still owed.

    Parameters
    ----------
    plan : Plan
    folder : path
        Holds the plan and the trial store; created where it does not exist.
    n_jobs : int, default=-1
        joblib workers; -1 takes all cores. Inside ``joblib.parallel_config(backend="dask")`` they are Dask's.
    limits : Limits, default=None
        What a trial may use.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    folder = Path(folder)
    store = TrialStore(folder)
    plan.save(folder / PLAN_FILE)
    batches = plan.owed(store.identities())
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
    work = (joblib.delayed(run_batch)(batch, plan, folder, limits or Limits(), os.getpid()) for batch in batches)
    total = sum(len(batch) for batch in batches)
    try:
        with tqdm(total=total, unit="trial", disable=not sys.stderr.isatty(), desc="build") as progress:
            for n_failed, n_done in parallel(work):
                progress.update(n_done)
                if n_failed:
                    progress.set_postfix(failed=n_failed)
    finally:
        while _tools:  # where this process itself was the worker
            _tools.popitem()[1][0].close()


def run_batch(batch: list[TrialKey], plan: Plan, folder: Path, limits: Limits, driver: int) -> tuple[int, int]:
    """Run a batch in this worker and append every trial as soon as it is finished; number failed, number done.

    Trials that another driver has recorded by now are passed over. A task that cannot be measured is recorded with its
    reason, and left. `driver` is the process id of the one that runs the plan.
    """
    if os.getppid() == driver:
        _end_with(driver)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's business
    process, store = _tools_of_this_worker(plan, folder, limits)
    n_failed = n_done = 0
    recorded = store.identities()
    for key in batch:
        if key.identity in recorded:
            continue
        outcome = process.run(key)
        store.append([outcome])
        if isinstance(outcome, TaskRefusal):
            break
        n_failed += not outcome.fold_losses
        n_done += 1
    return n_failed, n_done


@cache
def _end_with(driver: int) -> None:
    """End this worker when its parent is gone: loky's would wait for work, and hold memory, for minutes."""

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(1.0)
        os._exit(1)  # the trial process sees its pipe closed and ends as well

    threading.Thread(target=watch, daemon=True).start()


_tools: dict[tuple[str, str, Protocol, Limits], tuple[TrialProcess, TrialStore]] = {}


def _tools_of_this_worker(plan: Plan, folder: Path, limits: Limits) -> tuple[TrialProcess, TrialStore]:
    # joblib keeps its workers: one trial process and one store file each, for as long as the worker lives.
    key = (str(folder), plan.cache, plan.protocol, limits)
    if key not in _tools:
        _tools[key] = (TrialProcess(Path(plan.cache), plan.protocol, limits), TrialStore(folder))
    return _tools[key]
