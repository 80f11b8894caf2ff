"""Runs a plan: joblib workers, each with a trial process and a store file of its own. Started again, it goes on."""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import cache
from pathlib import Path

import joblib
import pandas as pd
from tqdm import tqdm

from metahpo.building.measurement import Protocol
from metahpo.building.plan import Plan
from metahpo.building.trial_process import Limits, TrialProcess
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

    `driver` is the process id of the one that runs the plan.
    """
    if os.getppid() == driver:
        _end_with(driver)
    process, store = _tools_of_this_worker(plan, folder, limits)
    n_failed = 0
    for key in batch:
        trial = process.run(key)
        n_failed += not trial.fold_losses
        store.append([trial])
    return n_failed, len(batch)


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


def status(folder: Path | str) -> pd.DataFrame:
    """Trials of a build: one row a learner, columns planned, done, owed, success and each kind of failure.

    Raises
    ------
    StoreError
        No build in that folder.
    """
    folder = Path(folder)
    plan = Plan.load(folder / PLAN_FILE)
    planned = pd.DataFrame([(k.identity, k.learner) for k in plan.trials()], columns=["identity", "learner"])
    done = pd.DataFrame([(t.key.identity, str(t.status)) for t in TrialStore(folder)], columns=["identity", "status"])
    joined = planned.merge(done, on="identity", how="left")
    counts = joined.groupby("learner", sort=False)["identity"].count().to_frame("planned")
    counts["done"] = joined[joined["status"].notna()].groupby("learner")["identity"].count()
    by_status = joined.pivot_table(index="learner", columns="status", values="identity", aggfunc="count")
    table = counts.join(by_status).fillna(0).astype(int)
    table.insert(2, "owed", table["planned"] - table["done"])
    table.loc["all"] = table.sum()
    return table
