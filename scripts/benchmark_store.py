"""Time and memory of a trial store of a million trials: `python scripts/benchmark_store.py [N_TRIALS]`.

It writes a synthetic plan and its trials to a temporary folder (1.3 GB for a million), and measures each command in a
process of its own, start of Python and imports included.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from metahpo.building.measurement import Protocol
from metahpo.building.plan import PLAN_FILE, Plan, PlannedTask
from metahpo.tasks.metric import metric_names
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialStatus

N_CONFIGURATIONS, N_WRITERS, N_FOLDS = 250, 40, 5


def synthetic_plan(n_trials: int) -> Plan:
    """Enough classification tasks for so many trials of all learners."""
    learners = ("linear", "svm", "random_forest", "boosting")
    n_tasks = -(-n_trials // (N_CONFIGURATIONS * len(learners)))
    tasks = tuple(PlannedTask(f"task{i:04d}", "classification", float(i)) for i in range(n_tasks))
    return Plan("cache", tasks, learners, N_CONFIGURATIONS, Protocol(n_folds=N_FOLDS))


def synthetic_trials(plan: Plan, rng: np.random.Generator) -> Iterator[Trial]:
    """Its trials, one in ten failed."""
    metrics = metric_names("classification")
    versions = {"scikit-learn": "1.9.1", "numpy": "2.4.6", "scipy": "1.17.1"}
    for i, key in enumerate(plan.trials()):
        failed = i % 10 == 9
        values = rng.random((len(metrics) + 2, N_FOLDS)).tolist()
        yield Trial(
            key,
            TrialStatus.TIMEOUT if failed else TrialStatus.SUCCESS,
            fold_losses={} if failed else dict(zip(metrics, values, strict=False)),
            fit_seconds=[] if failed else values[-2],
            predict_seconds=[] if failed else values[-1],
            message="stopped after 60 s" if failed else "",
            seconds=float(sum(values[-1])),
            peak_memory_bytes=300 << 20,
            versions=versions,
            finished=1.7e9 + i,
        )


def measure(name: str, *arguments: str) -> None:
    """Run a command of `metahpo build`; print its seconds, its seconds of CPU and its largest resident set."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "metahpo.cli", "build", *arguments],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, code, used = os.wait4(pid, 0)
    seconds, cpu = time.perf_counter() - start, used.ru_utime + used.ru_stime
    failed = f"  exit {os.waitstatus_to_exitcode(code)}" if code else ""
    print(f"{name:<22} {seconds:7.2f} s {cpu:7.2f} s of CPU {used.ru_maxrss / 2**10:7.0f} MiB{failed}", flush=True)


def main(n_trials: int) -> None:
    """Make the store, then measure."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        plan = synthetic_plan(n_trials)
        plan.save(Path(folder) / PLAN_FILE)
        trials = synthetic_trials(plan, rng)
        for _ in range(N_WRITERS):
            store = TrialStore(folder)
            for _ in range(10):
                store.append(islice(trials, n_trials // (10 * N_WRITERS)))
        del store
        size = sum(p.stat().st_size for p in Path(folder).iterdir())
        print(f"{n_trials} trials in {N_WRITERS} files, {size / 1e9:.2f} GB")
        measure("status before compact", "status", folder)
        measure("compact", "compact", folder)
        size = sum(p.stat().st_size for p in Path(folder).iterdir())
        print(f"compacted: {size / 1e9:.2f} GB")
        measure("status", "status", folder)
        measure("status again", "status", folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
