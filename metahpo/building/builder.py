"""The builder, which runs a plan on an engine until no trials are pending. It can be killed and resumed at any time."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from metahpo.building.attempts import MAX_STARTS, STARTS_TOGETHER, Attempts
from metahpo.building.claims import claims_of
from metahpo.building.draining import Draining
from metahpo.building.engines.engine import Engine, WorkersLostError
from metahpo.building.engines.local import LocalEngine
from metahpo.building.folder import check_folder
from metahpo.building.plan import PLAN_FILE, OtherProtocolError, Plan
from metahpo.building.planning import trained_together
from metahpo.building.shard import WHOLE, Shard
from metahpo.building.trial_batches import Pace, in_batches
from metahpo.building.trial_process import Limits
from metahpo.building.worker import Workplace
from metahpo.exceptions import MetaHPOError, StoreError
from metahpo.learners.extras import check_installed, missing_libraries
from metahpo.learners.registry import learner_named
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

#: How often in a row workers may be lost without a single trial finished before the build gives up.
MAX_FRUITLESS = 5
#: Seconds between two looks at trials that other drivers are running.
WAIT_SECONDS = 1.0


def run_plan(
    plan: Plan,
    folder: Path | str,
    *,
    engine: Engine | None = None,
    n_jobs: int = -1,
    limits: Limits | None = None,
    shard: Shard = WHOLE,
    workers_per_gpu: int = 1,
) -> None:
    """Run every trial of `plan`, and of its adaptive design, that is not in the store of `folder` yet.

    It can be killed at any time. When it is started again, it runs only the pending trials. Several drivers may share a
    folder: none runs what another has finished or is running.

    Parameters
    ----------
    plan : Plan
    folder : path
        Holds the plan and the trial store; created where it does not exist.
    engine : Engine, default=None
        Where trials run; None is this machine.
    n_jobs : int, default=-1
        Workers where `engine` is None; -1 takes all cores.
    limits : Limits, default=None
        What a trial may use.
    shard : Shard, default=WHOLE
        The share of the plan that this driver runs.
    workers_per_gpu : int, default=1
        Workers that share a GPU; those that find none free use the CPU, as all do on machines without.

    Raises
    ------
    OtherProtocolError
        The folder holds a build of another protocol, or of other sizes.
    StoreError
        The folder cannot be written, or holds files and no build.
    MissingDependencyError
        A learner with pending trials needs a library that is not installed. The message says how to install it.
    MetaHPOError
        Workers die again and again, and finish nothing.
    KeyboardInterrupt
        After Ctrl-C; what was finished is in the store.
    """
    engine = engine or LocalEngine(n_jobs)
    folder = Path(folder).absolute()
    check_folder(folder)
    store = TrialStore(folder)  # makes the folder
    try:
        plan = plan.with_progress_of(Plan.load(folder / PLAN_FILE))
    except OtherProtocolError:
        raise
    except StoreError:  # no plan there yet, or a damaged one, which is written anew
        _refuse_other_protocols(store, plan.protocol.name)
    plan.save(folder / PLAN_FILE)
    run_pending(folder, engine, limits or Limits(), shard, workers_per_gpu)


def run_pending(
    folder: Path,
    engine: Engine,
    limits: Limits,
    shard: Shard = WHOLE,
    workers_per_gpu: int = 1,
    *,
    drain: Path | None = None,
    wait: bool = True,
) -> None:
    """Run the pending trials of the plan in the folder of a build; see :func:`run_plan`.

    Parameters
    ----------
    drain : path, default=None
        Flag file by which other processes drain this driver. None: only its own Ctrl-C drains it.
    wait : bool, default=True
        Wait for the trials that other drivers are running, and run them if those drivers die.
    """
    plan, store = Plan.load(folder / PLAN_FILE), TrialStore(folder)
    _check_learners_of_pending(plan, store, shard)
    together = trained_together(plan)
    draining, pace = Draining(folder, drain), Pace(together)
    place = Workplace(folder, Path(plan.cache), plan.protocol, limits, draining.flag, workers_per_gpu, together)
    n_fruitless = n_failed = 0
    refused: set[str] = set()
    with draining.on_interrupt(), _progress(plan, store, shard) as progress:
        while not draining.asked:
            recorded = set(store.identities())
            pending = (key for key in plan.pending(recorded, shard) if key.task not in refused)
            first = next(pending, None)
            if first is None:
                break
            suspects = _suspects(plan, recorded, shard, folder)
            if n_convicted := _record_those_at_fault(suspects, store):
                n_failed, n_fruitless = n_failed + n_convicted, 0
                progress.update(n_convicted)
                continue
            suspect = next((key for key, n_starts in suspects if n_starts >= STARTS_TOGETHER), None)
            batches = in_batches(chain([first], pending), pace) if suspect is None else iter([[suspect]])
            n_elsewhere, lost = 0, None
            try:
                for outcome in engine.run(_until(draining, batches), place):
                    pace.observe(outcome.learner, outcome.n_done, outcome.seconds)
                    refused |= outcome.refused
                    n_elsewhere += outcome.n_elsewhere
                    n_failed += outcome.n_failed
                    progress.set_postfix({"failed": n_failed} if n_failed else None, refresh=False)
                    progress.update(outcome.n_done)
            except WorkersLostError as error:
                lost = error
            grown = len(store.identities()) > len(recorded)
            n_fruitless = n_fruitless + 1 if lost and not grown else 0
            if n_fruitless == MAX_FRUITLESS:
                raise MetaHPOError(
                    f"workers were lost {MAX_FRUITLESS} times in a row and no trial was finished; the last time: {lost}"
                ) from lost
            if n_elsewhere and wait:
                time.sleep(WAIT_SECONDS)
            elif not (lost or (grown and not n_elsewhere)):
                break


def _suspects(plan: Plan, recorded: set[str], shard: Shard, folder: Path) -> list[tuple[TrialKey, int]]:
    """Pending trials whose workers were lost while they ran, and the number of times that each started."""
    starts, claims = Attempts(folder).starts(), claims_of(folder)
    if not starts:
        return []
    found = []
    for key in plan.pending(recorded, shard):
        if key.identity in starts and claims.take(key.identity):
            claims.release(key.identity)
            found.append((key, starts[key.identity]))
    return found


def _record_those_at_fault(suspects: list[tuple[TrialKey, int]], store: TrialStore) -> int:
    """Record trials that end their worker every time as crashed; how many there are."""
    at_fault = [(key, n_starts) for key, n_starts in suspects if n_starts >= MAX_STARTS]
    message = "the worker that ran it was killed, each of the {} times"
    now = time.time()
    store.append([Trial(key, TrialStatus.CRASHED, message=message.format(n), finished=now) for key, n in at_fault])
    Attempts(store.folder).end(key for key, _ in at_fault)
    return len(at_fault)


def _check_learners_of_pending(plan: Plan, store: TrialStore, shard: Shard) -> None:
    """Raise an error if a learner with pending trials needs a library that is not installed."""
    kinds = {task.key: task.kind for task in plan.tasks}
    every = {(name, kind): learner_named(name, kind) for kind in set(kinds.values()) for name in plan.learners}
    lacking = {of: learner for of, learner in every.items() if missing_libraries(learner)}
    if lacking:
        pending = ((key.learner, kinds[key.task]) for key in plan.pending(store.identities(), shard))
        check_installed(lacking[of] for of in pending if of in lacking)


def _refuse_other_protocols(store: TrialStore, protocol: str) -> None:
    found = set(store.to_frame()["protocol"])
    if found and protocol not in found:
        raise OtherProtocolError(
            f"the store in {str(store.folder)!r} holds trials of protocol {', '.join(sorted(found))}, and this build "
            f"measures by {protocol}: trials of the two are not comparable. Start the build in another folder."
        )


def _progress(plan: Plan, store: TrialStore, shard: Shard) -> tqdm[NoReturn]:
    done = sum(map(shard.owns, store.identities()))
    return tqdm(
        total=plan.n_trials // shard.count, initial=done, unit="trial", desc="build", disable=not sys.stderr.isatty()
    )


def _until(draining: Draining, batches: Iterator[list[TrialKey]]) -> Iterator[list[TrialKey]]:
    for batch in batches:
        if draining.asked:
            return
        yield batch
