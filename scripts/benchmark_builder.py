"""Measure what the builder costs: overhead a trial, speed-up by a second worker, and whether the plan's size matters.

Prints a table. A trial of the learner `idle` trains nothing, so all of its time is overhead, scoring included; `busy`
computes for a fixed time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace, Float
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from metahpo.building.engines.local import LocalEngine
from metahpo.building.plan import Plan
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.building.trial_batches import Pace, in_batches
from metahpo.building.trial_process import Limits
from metahpo.building.worker import Workplace, close_tools, run_batch
from metahpo.datasets.cache import write_task
from metahpo.learners.learner import Learner
from metahpo.tasks.task import TaskKind
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialStatus

PROTOCOL = Protocol(n_folds=2)
WARM = 100


class Spinning(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Computes for `seconds` of processor time, and predicts the frequencies of the classes."""

    def __init__(self, seconds: float = 0.0, x: float = 0.0) -> None:
        self.seconds, self.x = seconds, x

    def fit(self, X: Any, y: Any) -> Self:
        """Learn the frequencies, in the time given."""
        end = time.process_time() + self.seconds
        while time.process_time() < end:
            sum(range(1000))
        self.classes_, counts = np.unique(y, return_counts=True)
        self.frequencies_ = counts / len(y)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The same for every row."""
        return np.tile(self.frequencies_, (len(X), 1))


def _learner(name: str, kind: TaskKind, seconds: float) -> Learner:
    space = ConfigurationSpace()
    space.add(Float("x", (0.0, 1.0), default=0.5))
    return Learner(f"benchmark_builder:{name}", kind, space, lambda **given: Spinning(seconds, **given), "scaled")


def idle(kind: TaskKind) -> Learner:
    """A learner that trains nothing."""
    return _learner("idle", kind, 0.0)


def busy(kind: TaskKind) -> Learner:
    """A learner that computes for a tenth of a second on each of two folds."""
    return _learner("busy", kind, 0.1)


def plan_of(cache: Path, learner: str, n_tasks: int, n_configurations: int) -> Plan:
    """A plan over copies of one small dataset."""
    keys = [f"t{i}" for i in range(n_tasks)]
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((200, 8)), columns=list("abcdefgh")).assign(target=np.arange(200) % 2)
    for key in keys:
        if not (cache / f"{key}.json").exists():
            write_task(cache, key, frame, "target", {"name": key, "kind": "classification"})
    return make_plan(
        cache,
        keys=keys,
        learners=[f"benchmark_builder:{learner}"],
        n_configurations=n_configurations,
        protocol=PROTOCOL,
    )


def place_of(plan: Plan, folder: Path) -> Workplace:
    """Where the trials of a plan are run."""
    return Workplace(folder, Path(plan.cache), plan.protocol, Limits(), folder / ".drain")


def median_overhead(plan: Plan, folder: Path, n: int) -> tuple[float, float]:
    """Median seconds of a trial that trains nothing, in batches of one in this process: in all, and without scoring.

    Scoring is what the trial process itself says it took: folds, predictions and every metric.
    """
    place, seconds = place_of(plan, folder), {}
    for key in islice(plan.trials(), n + WARM):
        start = time.perf_counter()
        run_batch([key], place)
        seconds[key.identity] = time.perf_counter() - start
    close_tools()
    scored = {trial.key.identity: trial.seconds for trial in TrialStore(folder)}
    warm = list(seconds)[WARM:]
    return float(np.median([seconds[i] for i in warm])), float(np.median([seconds[i] - scored[i] for i in warm]))


def seconds_a_trial(plan: Plan, folder: Path, n: int, n_jobs: int, warm: int = WARM) -> float:
    """Seconds a trial of the next `n` pending ones, from the plan's first look at the store; the first ones warm up."""
    place, pace = place_of(plan, folder), Pace()
    pending = islice(plan.pending(TrialStore(folder).identities()), n + warm)
    start, n_timed, n_seen = time.perf_counter(), 0, 0
    for outcome in LocalEngine(n_jobs).run(in_batches(pending, pace), place):
        pace.observe(outcome.learner, outcome.n_done, outcome.seconds)
        n_seen += outcome.n_done
        if n_seen <= warm:
            start = time.perf_counter()
        else:
            n_timed += outcome.n_done
    return (time.perf_counter() - start) / n_timed


def record_all_but(plan: Plan, folder: Path, n: int) -> None:
    """Write a record for all trials of a plan but the last `n`."""
    loss = {"accuracy": [0.5, 0.5]}

    def trials() -> Iterator[Trial]:
        for key in islice(plan.trials(), plan.n_trials - n):
            yield Trial(key, TrialStatus.SUCCESS, fold_losses=loss, fit_seconds=[0.1, 0.1], predict_seconds=[0.1, 0.1])

    TrialStore(folder).append(trials())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="trials timed for each line (default: 1000)")
    options = parser.parse_args()
    # Trial processes import the learners of this file by its name.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as temporary:
        root, n = Path(temporary), options.trials
        small, large = (plan_of(root / "cache", "idle", n_tasks, 200) for n_tasks in (max(6, n // 180), 500))
        whole, beyond = median_overhead(small, root / "a", n)
        print(f"overhead a trial, median        {1e3 * beyond:8.2f} ms, and {1e3 * (whole - beyond):.2f} ms of scoring")
        print(f"a trial, {small.n_trials:7,} pending         {1e3 * seconds_a_trial(small, root / 'b', n, 1):8.2f} ms")
        print(f"a trial, {large.n_trials:7,} pending         {1e3 * seconds_a_trial(large, root / 'c', n, 1):8.2f} ms")
        record_all_but(large, root / "d", n + WARM)
        print(f"a trial, {large.n_trials - n:7,} recorded     {1e3 * seconds_a_trial(large, root / 'd', n, 1):8.2f} ms")
        work = plan_of(root / "cache", "busy", 2, 100)
        one, two = (seconds_a_trial(work, root / f"busy{jobs}", 150, jobs, warm=20) for jobs in (1, 2))
        print(f"busy trial, 1 worker            {1e3 * one:8.2f} ms")
        print(f"busy trial, 2 workers           {1e3 * two:8.2f} ms ({one / two:.2f} times as fast)")


if __name__ == "__main__":
    main()
