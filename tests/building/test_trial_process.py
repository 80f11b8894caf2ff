"""Whatever a trial does - hang, crash, eat memory, print - a record comes back and the next trial runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from metahpo.building import active_clock, trial_process
from metahpo.building.protocol import Protocol
from metahpo.building.trial_process import Limits, TrialProcess
from metahpo.datasets.cache import write_task
from metahpo.exceptions import MetaHPOError
from metahpo.learners.registry import learner_named
from metahpo.space.activity import default_configuration
from metahpo.tasks.metric import metric_names
from metahpo.trials.records import TaskRefusal
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

PROTOCOL = Protocol(n_folds=2)
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
    for key, target in (("constant", ["a"] * 60), ("missing", [None] * 60)):
        frame = pd.DataFrame({"a": rng.standard_normal(60), "target": target})
        write_task(folder, key, frame, "target", {"name": key, "kind": "classification"})
    (folder / "damaged.parquet").write_bytes(b"no longer what it was")
    return folder


@pytest.fixture(scope="module")
def process(cache: Path) -> Iterator[TrialProcess]:
    process = TrialProcess(cache, PROTOCOL, GENEROUS)
    yield process
    process.close()


def key(learner: str = "linear", task: str = "small", **configuration: Any) -> TrialKey:
    return TrialKey(task, learner, configuration, PROTOCOL.name)


def measured(process: TrialProcess, key: TrialKey) -> Trial:
    trials = process.run([key])
    assert isinstance(trials, list)
    return trials[0]


def own_child(process: TrialProcess) -> int:
    """Process id of the trial process."""
    assert process._child is not None
    (child,) = psutil.Process(process._child.watcher.pid).children()
    return int(child.pid)


def test_a_finished_trial_holds_every_metric_fold_and_second(process: TrialProcess) -> None:
    default = default_configuration(learner_named("svm", "classification").space)
    trial = measured(process, key("svm", **default))
    assert (trial.status, trial.message) == (TrialStatus.SUCCESS, "")
    assert set(trial.fold_losses) == set(metric_names("classification"))
    assert all(len(folds) == 2 for folds in trial.fold_losses.values())
    assert len(trial.fit_seconds) == len(trial.predict_seconds) == 2
    assert trial.seconds >= sum(trial.fit_seconds) > 0
    assert trial.peak_memory_bytes > 1 << 20
    assert set(trial.versions) == {"scikit-learn", "numpy", "scipy"}


def test_the_process_is_reused_and_a_trial_repeats_exactly(process: TrialProcess) -> None:
    first = measured(process, key("random_forest"))
    before = own_child(process)
    assert measured(process, key("random_forest")).fold_losses == first.fold_losses
    assert own_child(process) == before


def test_what_a_learner_prints_does_not_break_the_pipe(process: TrialProcess) -> None:
    trial = measured(process, key("svm", verbose=True))  # libsvm prints to standard output from C
    assert trial.status is TrialStatus.SUCCESS
    assert measured(process, key()).status is TrialStatus.SUCCESS


@pytest.mark.parametrize(
    ("of", "status", "message"),
    [
        (key("svm", C=-1.0), TrialStatus.INVALID, "The 'C' parameter of SVC must be"),
        (key("svm", nonsense=1), TrialStatus.CRASHED, "TypeError: .*nonsense"),
        (key("oracle"), TrialStatus.CRASHED, "UnknownNameError: unknown classification learner 'oracle'"),
        (key("random_forest", "overflow"), TrialStatus.DIVERGED, "not finite"),
    ],
    ids=lambda value: str(value) if isinstance(value, TrialStatus) else "",
)
def test_a_failing_trial_is_data(process: TrialProcess, of: TrialKey, status: TrialStatus, message: str) -> None:
    trial = measured(process, of)
    assert trial.status is status
    assert trial.fold_losses == {}
    assert np.isnan(trial.loss("r2"))
    assert re.search(message, trial.message)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("damaged", "is damaged: expected SHA-256"),
        ("nowhere", "no dataset 'nowhere'"),
        ("constant", "at least two"),
        ("missing", "missing"),
    ],
)
def test_a_task_that_cannot_be_measured_is_no_trial_but_refused(process: TrialProcess, task: str, reason: str) -> None:
    refusal = process.run([key(task=task)])
    assert isinstance(refusal, TaskRefusal)
    assert refusal.task == task
    assert reason in refusal.reason
    assert measured(process, key()).status is TrialStatus.SUCCESS


def test_a_hanging_trial_is_stopped_and_the_next_one_runs(process: TrialProcess) -> None:
    measured(process, key(task="large"))  # started and warm, so that the limit meets the learner
    before = own_child(process)
    process.limits = Limits(seconds=0.3)
    start = time.perf_counter()
    trial = measured(process, key("boosting", "large", **SLOW))
    assert time.perf_counter() - start < 10.0
    process.limits = GENEROUS
    assert (trial.status, trial.message, trial.fold_losses) == (TrialStatus.TIMEOUT, "stopped after 0.3 s", {})
    assert measured(process, key()).status is TrialStatus.SUCCESS
    assert own_child(process) != before


def test_a_process_that_died_between_trials_is_replaced(process: TrialProcess) -> None:
    measured(process, key())
    child = own_child(process)
    os.kill(child, signal.SIGKILL)
    time.sleep(0.1)
    assert measured(process, key()).status is TrialStatus.SUCCESS
    assert own_child(process) != child


# --- learners that misbehave ----------------------------------------------------------------------------------------

MEMORY = 900 << 20


@pytest.fixture(scope="module")
def strict(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialProcess]:
    """A trial process with tight limits that finds the learners of planted.py."""
    folder = tmp_path_factory.mktemp("pids")
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {"PYTHONPATH": path, "PLANTED_PIDS": str(folder / "pids")}
    process = TrialProcess(cache, PROTOCOL, Limits(60.0, MEMORY), environment)
    yield process
    process.close()


@pytest.mark.parametrize(
    ("deed", "amount", "status", "message"),
    [
        ("eat", 2000, TrialStatus.OUT_OF_MEMORY, r"held \d+ MiB of memory; the limit is 900 MiB"),
        ("devour", 4000, TrialStatus.OUT_OF_MEMORY, r"held \d+ MiB of memory; the limit is 900 MiB"),
        ("fork_and_eat", 2000, TrialStatus.OUT_OF_MEMORY, r"held \d+ MiB of memory; the limit is 900 MiB"),
        ("overreach", 0, TrialStatus.OUT_OF_MEMORY, "Unable to allocate"),
        ("segfault", 0, TrialStatus.CRASHED, "the process died of SIGSEGV"),
        ("abort", 0, TrialStatus.CRASHED, "the process died of SIGABRT"),
        ("leave", 0, TrialStatus.CRASHED, "SystemExit: 3"),
        ("vanish", 0, TrialStatus.CRASHED, "the process ended with exit code 0"),
        ("suicide", 0, TrialStatus.CRASHED, "killed by SIGKILL 2 times, from outside"),
        ("complain", 0, TrialStatus.CRASHED, "RuntimeError: I will not"),
        ("depart", 0, TrialStatus.CRASHED, "^Farewell: for good$"),
        ("stay_silent", 0, TrialStatus.CRASHED, "^UnspeakableError: .*cannot be had: RuntimeError"),
        ("misname", 0, TrialStatus.CRASHED, r"^RuntimeError: no file \\udc80$"),
        ("scribble", 12, TrialStatus.SUCCESS, ""),
        ("scribble", 2000, TrialStatus.CRASHED, "wrote on a descriptor that is not its own"),
        ("shut", 12, TrialStatus.SUCCESS, ""),
        ("shut", 2000, TrialStatus.CRASHED, "the learner closed the descriptors"),
        ("leave_settings", 0, TrialStatus.SUCCESS, ""),
        ("check_settings", 0, TrialStatus.SUCCESS, ""),
        ("nonsense", 0, TrialStatus.DIVERGED, "not finite"),
        ("chatter", 0, TrialStatus.SUCCESS, ""),
        ("fork", 0, TrialStatus.SUCCESS, ""),
        ("fork_and_segfault", 0, TrialStatus.CRASHED, "the process died of SIGSEGV"),
        ("fork_and_return", 0, TrialStatus.SUCCESS, ""),
        ("orphan_oneself", 0, TrialStatus.CRASHED, "the process that watches the trial was killed by SIGKILL 2 times"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) and value.isidentifier() else "",
)
def test_a_learner_that_misbehaves__status_in_time_and_nothing_left(
    strict: TrialProcess, deed: str, amount: float, status: TrialStatus, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_process, "MAX_STARTS", 2)
    pids = Path(strict.environment["PLANTED_PIDS"])
    pids.unlink(missing_ok=True)
    assert measured(strict, key()).status is TrialStatus.SUCCESS  # warm: the limits meet the learner
    trial = measured(strict, key(f"planted:{deed}", amount=amount))
    assert trial.status is status
    assert re.search(message, trial.message) if message else trial.message == ""
    assert trial.seconds < strict.limits.seconds + 2.0
    if deed in ("eat", "devour", "fork_and_eat"):
        assert trial.peak_memory_bytes > MEMORY
    neighbour = measured(strict, key())
    assert neighbour.status is TrialStatus.SUCCESS
    assert neighbour.peak_memory_bytes < MEMORY  # its own, not that of the trial before
    left = [int(pid) for pid in pids.read_text().split()] if pids.exists() else []
    assert bool(left) == (deed in ("fork", "fork_and_segfault", "orphan_oneself"))
    assert not any(alive(pid) for pid in left)


def test_a_learner_that_hangs_in_c_and_is_deaf_to_sigterm_ends_at_its_limit(strict: TrialProcess) -> None:
    measured(strict, key())
    strict.limits = Limits(1.0, MEMORY)
    trial = measured(strict, key("planted:hang", amount=0.0))
    strict.limits = Limits(60.0, MEMORY)
    assert (trial.status, trial.message) == (TrialStatus.TIMEOUT, "stopped after 1 s")
    assert 1.0 <= trial.seconds <= 12.0  # generous: the machine may be busy
    assert measured(strict, key()).status is TrialStatus.SUCCESS


def test_no_library_takes_more_than_one_thread(strict: TrialProcess) -> None:
    trial = measured(strict, key("planted:count_threads", amount=0.0))
    assert (trial.status, trial.message) == (TrialStatus.SUCCESS, "")


def strike(process: TrialProcess, blow: signal.Signals) -> threading.Thread:
    """Send a signal to the process of the trial that is about to doze."""
    dozing = Path(process.environment["PLANTED_PIDS"]).with_name("dozing")
    dozing.unlink(missing_ok=True)

    def run() -> None:
        while not (dozing.exists() and dozing.read_text()):
            time.sleep(0.01)
        os.kill(int(dozing.read_text()), blow)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("blow", "status", "message"),
    [
        (signal.SIGBUS, TrialStatus.CRASHED, "the process died of SIGBUS"),
        (signal.SIGKILL, TrialStatus.SUCCESS, ""),  # an operator's or the cluster's: the trial ran again
        (signal.SIGTERM, TrialStatus.SUCCESS, ""),
    ],
)
def test_a_fault_of_the_process_is_a_crash_and_a_kill_from_outside_is_none(
    strict: TrialProcess, blow: signal.Signals, status: TrialStatus, message: str
) -> None:
    striker = strike(strict, blow)
    trial = measured(strict, key("planted:doze_once", amount=0.0))
    striker.join()
    assert (trial.status, trial.message) == (status, message)
    assert measured(strict, key()).status is TrialStatus.SUCCESS


def test_a_suspended_machine_is_no_slow_trial(strict: TrialProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps by an hour in the middle of a trial: it is not stopped, and runs again for its own seconds."""
    child = measured(strict, key()) and own_child(strict)
    pids = Path(strict.environment["PLANTED_PIDS"])
    pids.unlink(missing_ok=True)
    looks = iter([0.0, 0.01, 3600.0])
    last = 3600.0

    def monotonic() -> float:
        nonlocal last
        last = next(looks, last + 0.01)
        return last

    monkeypatch.setattr(active_clock, "time", SimpleNamespace(monotonic=monotonic))
    trial = measured(strict, key("planted:count_runs", amount=0.5))
    assert trial.status is TrialStatus.SUCCESS
    assert len(pids.read_text().split()) == 4  # two folds, twice
    assert own_child(strict) == child


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10.0
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_limit_below_what_the_libraries_hold_is_an_error(cache: Path) -> None:
    process = TrialProcess(cache, PROTOCOL, Limits(memory_bytes=1 << 20))
    with pytest.raises(MetaHPOError, match=r"holds \d+ MiB of memory before its first trial, .* limit is 1 MiB; allow"):
        measured(process, key())
    assert process._child is None


def test_trial_processes_end_with_a_killed_parent_even_in_a_hanging_trial(strict: TrialProcess) -> None:
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from metahpo.building.protocol import Protocol\n"
        "from metahpo.building.trial_process import Limits, TrialProcess\n"
        "from metahpo.trials.trial import TrialKey\n"
        "protocol = Protocol(n_folds=2)\n"
        "process = TrialProcess(Path(sys.argv[1]), protocol, Limits(2.0))\n"
        "process.run([TrialKey('small', 'linear', {}, protocol.name)])\n"
        "print(process._child.watcher.pid, flush=True)\n"
        "process.run([TrialKey('small', 'planted:' + sys.argv[2], {'amount': 0.0}, protocol.name)])\n"
    )
    parents = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(strict.cache), deed],
            env={**os.environ, **strict.environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        for deed in ("doze", "hang")
    ]
    found = []
    for parent in parents:
        assert parent.stdout is not None
        watcher = psutil.Process(int(parent.stdout.readline()))
        found += [watcher.pid, *(child.pid for child in watcher.children())]
        time.sleep(0.5)
        parent.kill()
        parent.communicate()
    wait_until_gone(found)
