"""Processes of a build are killed again and again, its driver too: no trial is lost, none is repeated, none changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import psutil
import pytest

from metahpo.building.builder import run_plan
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.trials.store import TrialStore

TASKS = ["s0", "s1"]
#: Hardly a machine is so busy that a build of cheap trials stands still for so long.
PATIENCE_SECONDS = 150.0

Losses = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Ordeal:
    """What is killed in one build, at random: workers, watchers and trial processes alike, and drivers."""

    n_configurations: int
    n_killed: int
    n_drivers: int


#: Of a build in which nothing is killed at random.
NONE = Ordeal(n_configurations=24, n_killed=0, n_drivers=0)
SHORT = Ordeal(n_configurations=40, n_killed=5, n_drivers=1)
LONG = Ordeal(n_configurations=160, n_killed=30, n_drivers=5)

Undisturbed = Callable[[Ordeal], Losses]


def losses(folder: Path) -> Losses:
    return {t.key.identity: {m: list(f) for m, f in t.fold_losses.items()} for t in TrialStore(folder)}


def n_lines(folder: Path) -> int:
    return sum(p.read_bytes().count(b"\n") for p in folder.glob("trials-*.jsonl"))


@pytest.fixture(scope="module")
def undisturbed(small_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """What a build finds that nobody disturbs."""

    @cache
    def found(ordeal: Ordeal) -> Losses:
        folder = tmp_path_factory.mktemp("undisturbed")
        n_configurations, protocol = ordeal.n_configurations, Protocol(n_folds=2)
        plan = make_plan(
            small_cache, keys=TASKS, learners=["linear"], n_configurations=n_configurations, protocol=protocol
        )
        run_plan(plan, folder, n_jobs=1)
        measured = losses(folder)
        assert len(measured) == len(TASKS) * n_configurations
        return measured

    return found


class Driver:
    """A build in a process of its own, which can be killed and started again."""

    def __init__(self, cache: Path, folder: Path, ordeal: Ordeal, *options: str) -> None:
        self.folder = folder
        self._command = [sys.executable, "-c", "from metahpo.cli import main; raise SystemExit(main())"]
        self._command += ["build", str(folder), "--cache", str(cache), "--tasks", *TASKS, "--learners", "linear"]
        self._command += ["--configurations", str(ordeal.n_configurations), "--folds", "2", "--max-fits", "2", *options]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Kill the driver, and start it again when no process works on for the dead one."""
        left = self.descendants()
        self.kill()
        _, alive = psutil.wait_procs(left, timeout=PATIENCE_SECONDS)
        assert alive == []
        self.start()

    def descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def wait_for_trials(self, n: int) -> bool:
        """Wait until `n` more trials are in the store; False where the build has ended before."""
        wanted, end = n_lines(self.folder) + n, time.monotonic() + PATIENCE_SECONDS
        while n_lines(self.folder) < wanted:
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < end, "the build stands still"
            time.sleep(0.01)
        return True


@pytest.fixture
def driver(small_cache: Path, tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    """Starts a build of the tasks with the options given."""
    started: list[Driver] = []

    def start(ordeal: Ordeal, *options: str) -> Driver:
        started.append(Driver(small_cache, tmp_path / "build", ordeal, *options))
        return started[-1]

    yield start
    for one in started:
        left = one.descendants()
        one.kill()
        for process in left:
            process.kill()


def kill(processes: list[psutil.Process]) -> int:
    n_killed = 0
    for process in processes:
        try:
            process.kill()
            n_killed += 1
        except psutil.NoSuchProcess:  # ended by itself a moment ago
            pass
    return n_killed


def go_through(ordeal: Ordeal, build: Driver) -> None:
    """Kill what the ordeal names while the build runs, and wait for its end."""
    rng = np.random.default_rng(0)
    n_killed = n_drivers = 0
    while (n_killed < ordeal.n_killed or n_drivers < ordeal.n_drivers) and build.wait_for_trials(
        int(rng.integers(1, 9))
    ):
        if n_drivers < ordeal.n_drivers and rng.random() < 1 / 3:
            build.restart()
            n_drivers += 1
        else:
            victims = build.descendants()
            chosen = rng.choice(len(victims), size=min(5, len(victims)), replace=False)
            n_killed += kill([victims[i] for i in chosen])
    assert build.process.wait(PATIENCE_SECONDS) == 0
    assert (n_killed >= ordeal.n_killed, n_drivers) == (True, ordeal.n_drivers)


@pytest.mark.parametrize(
    ("engine", "ordeal"),
    [
        pytest.param("dask", SHORT, id="dask-short"),
        pytest.param("local", LONG, id="local-long", marks=pytest.mark.slow),
        pytest.param("dask", LONG, id="dask-long", marks=pytest.mark.slow),
    ],
)
def test_killed_workers_and_drivers_lose_and_repeat_nothing(
    engine: str, ordeal: Ordeal, driver: Callable[..., Driver], undisturbed: Undisturbed
) -> None:
    if engine == "dask":
        pytest.importorskip("distributed")
    build = driver(ordeal, "--engine", engine, "--jobs", "2")
    go_through(ordeal, build)
    assert losses(build.folder) == undisturbed(ordeal)
    assert n_lines(build.folder) == len(undisturbed(ordeal))  # none ran twice


def test_an_interrupted_build_drains_and_goes_on_whatever_is_killed_then(
    driver: Callable[..., Driver], undisturbed: Undisturbed
) -> None:
    build = driver(SHORT, "--jobs", "2")
    assert build.wait_for_trials(5)
    workers = build.descendants()
    os.kill(build.process.pid, signal.SIGINT)
    for worker in workers:  # as a terminal does it: to the whole group
        if worker.is_running() and "trial_worker" not in " ".join(worker.cmdline()):
            worker.send_signal(signal.SIGINT)
    assert build.process.wait(PATIENCE_SECONDS) == 130
    lines = [line for p in build.folder.glob("trials-*.jsonl") for line in p.read_bytes().splitlines(keepends=True)]
    assert all(line.endswith(b"}\n") for line in lines)
    assert 5 <= len(lines) < len(undisturbed(SHORT))
    assert not list(build.folder.glob(".drain-*"))
    build.start()
    go_through(SHORT, build)
    assert losses(build.folder) == undisturbed(SHORT)
    assert n_lines(build.folder) == len(undisturbed(SHORT))  # none ran twice


def test_two_drivers_on_one_folder_share_the_work(driver: Callable[..., Driver], undisturbed: Undisturbed) -> None:
    first, second = driver(NONE, "--jobs", "1"), driver(NONE, "--jobs", "1")
    assert first.process.wait(PATIENCE_SECONDS) == second.process.wait(PATIENCE_SECONDS) == 0
    assert losses(first.folder) == undisturbed(NONE)
    assert n_lines(first.folder) == len(undisturbed(NONE))
    written = [n for n in (p.read_bytes().count(b"\n") for p in first.folder.glob("trials-*.jsonl")) if n]
    assert len(written) == 2
