"""Time and memory of a trial store of a million trials: `python scripts/benchmark_store.py [N_TRIALS]`.

It writes a synthetic plan, its datasets and its trials to a temporary folder (1.3 GB for a million), and measures each
command in a process of its own, start of Python and imports included.
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
import pandas as pd

from metahpo.building.plan import PLAN_FILE, Plan, PlannedTask
from metahpo.building.planning import shared_designs
from metahpo.building.protocol import Protocol
from metahpo.datasets.cache import write_task
from metahpo.tasks.metric import metric_names
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialStatus

N_CONFIGURATIONS, N_WRITERS, N_FOLDS, N_ROWS = 250, 40, 5, 40


def synthetic_plan(n_trials: int, cache: Path) -> Plan:
    """Enough classification tasks for so many trials of all learners."""
    learners = ("linear", "svm", "random_forest", "boosting")
    n_tasks = -(-n_trials // (N_CONFIGURATIONS * len(learners)))
    tasks = tuple(PlannedTask(f"task{i:04d}", "classification", float(i)) for i in range(n_tasks))
    designs = shared_designs(["classification"], learners, N_CONFIGURATIONS, seed=0)
    return Plan(str(cache), tasks, learners, designs, Protocol(n_folds=N_FOLDS))


def synthetic_cache(cache: Path, plan: Plan, rng: np.random.Generator) -> None:
    """A small dataset for each of its tasks."""
    for task in plan.tasks:
        frame = pd.DataFrame(rng.standard_normal((N_ROWS, 2)), columns=["a", "b"])
        write_task(cache, task.key, frame.assign(y=frame["a"] > 0), "y", {"name": task.key, "kind": task.kind})


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
    """Run a command of `metahpo`; print its seconds, its seconds of CPU and its largest resident set."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "metahpo.cli", *arguments],
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
    with tempfile.TemporaryDirectory() as root:
        folder, cache = str(Path(root) / "build"), Path(root) / "cache"
        plan = synthetic_plan(n_trials, cache)
        synthetic_cache(cache, plan, rng)
        trials = synthetic_trials(plan, rng)
        for _ in range(N_WRITERS):
            store = TrialStore(folder)
            for _ in range(10):
                store.append(islice(trials, n_trials // (10 * N_WRITERS)))
        del store
        plan.save(Path(folder) / PLAN_FILE)
        size = sum(p.stat().st_size for p in Path(folder).iterdir())
        print(f"{n_trials} trials in {N_WRITERS} files, {size / 1e9:.2f} GB")
        measure("status before compact", "build", "status", folder)
        measure("compact", "build", "compact", folder)
        size = sum(p.stat().st_size for p in Path(folder).iterdir())
        print(f"compacted: {size / 1e9:.2f} GB")
        measure("status", "build", "status", folder)
        measure("status again", "build", "status", folder)
        options = ["--kind", "classification", "--min-skill", "-9", "--jobs", "1"]
        measure("release", "release", folder, str(Path(root) / "released"), *options)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
