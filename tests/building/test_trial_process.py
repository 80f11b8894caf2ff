"""Whatever a trial does - hang, crash, eat memory, print - a record comes back and the next trial runs."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metahpo.building.measurement import Protocol
from metahpo.building.trial_process import Limits, TrialProcess
from metahpo.exceptions import StoreError
from metahpo.learners.registry import learner_named
from metahpo.space.configuration import default_configuration
from metahpo.tasks.cache import write_task
from metahpo.tasks.metric import metric_names
from metahpo.trials.trial import TrialKey, TrialStatus

PROTOCOL = Protocol(n_folds=2, max_rows=4000)
GENEROUS = Limits(seconds=120.0)
SLOW = {"learning_rate": 0.01, "max_iter": 200, "max_leaf_nodes": 64, "min_samples_leaf": 2}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset, a larger one, one whose squared errors overflow, and one that will be damaged."""
    folder = tmp_path_factory.mktemp("cache")
    rng = np.random.default_rng(0)
    for key, n, scale in (("small", 60, 1.0), ("large", 4000, 1.0), ("overflow", 60, 1e200), ("damaged", 60, 1.0)):
        frame = pd.DataFrame(rng.standard_normal((n, 4)), columns=list("abcd"))
        frame["target"] = (frame["a"] + 0.1 * rng.standard_normal(n)) * scale
        kind = "regression"
        if key != "overflow":
            kind, frame["target"] = "classification", frame["target"] > 0
        write_task(folder, key, frame, "target", {"name": key, "kind": kind})
    (folder / "damaged.parquet").write_bytes(b"no longer what it was")
    return folder


@pytest.fixture(scope="module")
def process(cache: Path) -> Iterator[TrialProcess]:
    process = TrialProcess(cache, PROTOCOL, GENEROUS)
    yield process
    process.close()


def key(learner: str = "linear", task: str = "small", **configuration: Any) -> TrialKey:
    return TrialKey(task, learner, configuration, PROTOCOL.name)


def children() -> list[int]:
    """Process ids of the children of this process."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(pid) for pid in (task / "children").read_text().split()]
    return found


def own_child(process: TrialProcess) -> int:
    """Process id of its child; other tests of this process may have children of their own."""
    assert process._process is not None
    return process._process.pid


def test_a_finished_trial_holds_every_metric_fold_and_second(process: TrialProcess) -> None:
    default = default_configuration(learner_named("svm", "classification").space)
    trial = process.run(key("svm", **default))
    assert (trial.status, trial.message) == (TrialStatus.SUCCESS, "")
    assert set(trial.fold_losses) == set(metric_names("classification"))
    assert all(len(folds) == 2 for folds in trial.fold_losses.values())
    assert len(trial.fit_seconds) == len(trial.predict_seconds) == 2
    assert trial.seconds >= sum(trial.fit_seconds) > 0
    assert trial.peak_memory_bytes > 1 << 20
    assert set(trial.versions) == {"scikit-learn", "numpy", "scipy"}


def test_the_process_is_reused_and_a_trial_repeats_exactly(process: TrialProcess) -> None:
    first = process.run(key("random_forest"))
    before = children()
    assert process.run(key("random_forest")).fold_losses == first.fold_losses
    assert children() == before


def test_what_a_learner_prints_does_not_break_the_pipe(process: TrialProcess) -> None:
    trial = process.run(key("svm", verbose=True))  # libsvm prints to standard output from C
    assert trial.status is TrialStatus.SUCCESS
    assert process.run(key()).status is TrialStatus.SUCCESS


@pytest.mark.parametrize(
    ("of", "status", "message"),
    [
        (key("svm", C=-1.0), TrialStatus.INVALID, "The 'C' parameter of SVC must be"),
        (key("svm", nonsense=1), TrialStatus.CRASHED, "TypeError: .*nonsense"),
        (key("xgboost"), TrialStatus.CRASHED, "UnknownNameError: unknown classification learner 'xgboost'"),
        (key("random_forest", "overflow"), TrialStatus.DIVERGED, "not finite"),
    ],
    ids=lambda value: str(value) if isinstance(value, TrialStatus) else "",
)
def test_a_failing_trial_is_data(process: TrialProcess, of: TrialKey, status: TrialStatus, message: str) -> None:
    trial = process.run(of)
    assert trial.status is status
    assert trial.fold_losses == {}
    assert np.isnan(trial.loss("r2"))
    assert re.search(message, trial.message)


def test_a_dataset_that_cannot_be_read_is_an_error_and_no_trial(process: TrialProcess) -> None:
    for task, message in (("damaged", "is damaged"), ("nowhere", "no dataset 'nowhere'")):
        with pytest.raises(StoreError, match=message):
            process.run(key(task=task))
    assert process.run(key()).status is TrialStatus.SUCCESS


def test_a_hanging_trial_is_stopped_and_the_next_one_runs(process: TrialProcess) -> None:
    process.run(key(task="large"))  # started and warm, so that the limit meets the learner
    before = own_child(process)
    process.limits = Limits(seconds=0.3)
    start = time.perf_counter()
    trial = process.run(key("boosting", "large", **SLOW))
    assert time.perf_counter() - start < 10.0
    process.limits = GENEROUS
    assert (trial.status, trial.message, trial.fold_losses) == (TrialStatus.TIMEOUT, "stopped after 0.3 s", {})
    assert process.run(key()).status is TrialStatus.SUCCESS
    assert own_child(process) != before


@pytest.mark.parametrize(
    ("blow", "status"), [(signal.SIGSEGV, TrialStatus.CRASHED), (signal.SIGKILL, TrialStatus.OUT_OF_MEMORY)]
)
def test_a_process_that_dies_is_recorded_and_replaced(
    process: TrialProcess, blow: signal.Signals, status: TrialStatus
) -> None:
    process.run(key(task="large"))
    child = own_child(process)
    timer = threading.Timer(0.3, os.kill, (child, blow))
    timer.start()
    trial = process.run(key("boosting", "large", **SLOW))
    timer.join()
    assert (trial.status, trial.message) == (status, f"the process ended with exit code {-blow}")
    assert process.run(key()).status is TrialStatus.SUCCESS


def test_a_process_that_died_between_trials_is_replaced(process: TrialProcess) -> None:
    process.run(key())
    child = own_child(process)
    os.kill(child, signal.SIGKILL)
    time.sleep(0.1)
    assert process.run(key()).status is TrialStatus.SUCCESS
    assert own_child(process) != child


def test_a_trial_that_eats_memory_is_recorded_and_the_process_lives_on(cache: Path) -> None:
    wide = pd.DataFrame({f"x{i}": np.zeros(300_000) for i in range(20)} | {"target": np.arange(300_000) % 2})
    write_task(cache, "wide", wide, "target", {"name": "wide", "kind": "classification"})
    small = TrialProcess(cache, PROTOCOL, Limits(seconds=120.0, memory_bytes=64 << 20))
    try:
        trial = small.run(key(task="wide"))
        assert (trial.status, trial.fold_losses) == (TrialStatus.OUT_OF_MEMORY, {})
        assert "failed" in trial.message or "memory" in trial.message or "allocate" in trial.message
        assert small.run(key()).status is TrialStatus.SUCCESS
    finally:
        small.close()
