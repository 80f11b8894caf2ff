"""Learners that misbehave, one way each, by name: ``planted:hang``. The tests put this folder on PYTHONPATH."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil
import sklearn
from ConfigSpace import ConfigurationSpace, Float
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from threadpoolctl import threadpool_info

from metahpo.learners.learner import Learner
from metahpo.networks.training_record import Training
from metahpo.tasks.task import TaskKind

Deed = Callable[[float], Any]


class Planted(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Does its deed when it is fitted; predicts what the deed returned, or the frequencies of the classes."""

    def __init__(self, deed: Deed = float, amount: float = 0.0) -> None:
        self.deed, self.amount = deed, amount

    def fit(self, X: Any, y: Any) -> Self:
        self.classes_, counts = np.unique(y, return_counts=True)
        told = self.deed(self.amount)
        self.answer_ = counts / len(y) if told is None else told
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        return np.tile(self.answer_, (len(X), 1))


def planted(deed: Deed) -> Callable[[TaskKind], Learner]:
    """The learner that does `deed`, under its name."""

    def make(kind: TaskKind) -> Learner:
        space = ConfigurationSpace()
        space.add(Float("amount", (0.0, 1e4), default=0.0))
        name = f"planted:{deed.__name__}"
        return Learner(name, kind, space, lambda **given: Planted(deed, **given), "scaled")

    return make


@planted
def hang(amount: float) -> None:
    """Deaf to SIGTERM, and stuck in C without ever letting go of the interpreter."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.PyDLL(None).sleep(1000)


def hold(amount: float) -> None:
    """Take `amount` MiB in steps of 10, then hold them."""
    held = []
    for _ in range(int(amount / 10)):
        held.append(np.ones(10 << 17))
        time.sleep(0.01)
    time.sleep(1000)


@planted
def eat(amount: float) -> None:
    hold(amount)


@planted
def devour(amount: float) -> None:
    """Take `amount` MiB at once, and give them back."""
    np.ones(int(amount) << 17).sum()


@planted
def overreach(amount: float) -> None:
    """Ask for more than any machine has."""
    np.ones(1 << 50)


@planted
def segfault(amount: float) -> None:
    ctypes.string_at(0)


@planted
def abort(amount: float) -> None:
    os.abort()


@planted
def leave(amount: float) -> None:
    sys.exit(3)


@planted
def vanish(amount: float) -> None:
    os._exit(0)


@planted
def suicide(amount: float) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@planted
def doze(amount: float) -> None:
    time.sleep(1000)


@planted
def doze_once(amount: float) -> None:
    """Sleep when called for the first time, and say so in a file; nothing at all from then on."""
    dozing = Path(os.environ["PLANTED_PIDS"]).with_name("dozing")
    if not dozing.exists():
        dozing.write_text(str(os.getpid()))
        time.sleep(1000)


@planted
def count_runs(amount: float) -> None:
    """Write a line, and sleep."""
    with open(os.environ["PLANTED_PIDS"], "a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(amount)


@planted
def complain(amount: float) -> None:
    raise RuntimeError("I will not")


class Farewell(BaseException):
    """No Exception."""


@planted
def depart(amount: float) -> None:
    raise Farewell("for good")


class UnspeakableError(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@planted
def stay_silent(amount: float) -> None:
    raise UnspeakableError


@planted
def misname(amount: float) -> None:
    """Complain about a file whose name is not UTF-8."""
    raise RuntimeError("no file \udc80")


@planted
def scribble(amount: float) -> None:
    """Write on the descriptors below `amount` that are not the standard ones."""
    for descriptor in range(3, int(amount)):
        with contextlib.suppress(OSError):
            os.write(descriptor, b"nonsense" * 8)


@planted
def shut(amount: float) -> None:
    """Close the descriptors below `amount` that are not the standard ones, as daemons do."""
    os.closerange(3, int(amount))


@planted
def leave_settings(amount: float) -> None:
    """Change what makes a difference to any trial that follows in the process."""
    np.seterr(all="raise")
    sklearn.set_config(transform_output="pandas")
    os.chdir("/")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


@planted
def check_settings(amount: float) -> None:
    """Fail where the settings are those of `leave_settings`."""
    found = np.geterr()["over"], sklearn.get_config()["transform_output"], signal.alarm(0)
    if found != ("warn", "default", 0) or resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 3:
        raise RuntimeError(str(found))


@planted
def nonsense(amount: float) -> NDArray[np.float64]:
    return np.array([np.nan, np.nan])


@planted
def chatter(amount: float) -> None:
    """5 MB to each of both streams, from Python and past it."""
    for stream in (1, 2):
        os.write(stream, b"x" * 5_000_000)
    sys.stdout.write("y" * 5_000_000)


SLEEPER = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(1000)"


def daemonise(pids: str, environment: dict[str, str]) -> None:
    """Start a sleeper as daemons start: in a session of its own, and the parent ends."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve(sys.executable, [sys.executable, "-c", SLEEPER, pids], environment)
        os._exit(0)
    os.wait()


def leave_processes() -> None:
    """Leave a child in the group, and three daemons whose parents are gone; one of them has no environment."""
    pids = os.environ["PLANTED_PIDS"]
    subprocess.Popen([sys.executable, "-c", SLEEPER, pids])
    outer = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}, {pids!r}])"
    subprocess.run([sys.executable, "-c", outer], start_new_session=True, check=True)
    daemonise(pids, dict(os.environ))
    daemonise(pids, {})
    wait_for_lines(4)


def wait_for_lines(n: int) -> None:
    """Wait until so many processes have written their ids."""
    pids = Path(os.environ["PLANTED_PIDS"])
    while len(pids.read_text().split() if pids.exists() else ()) < n:
        time.sleep(0.01)


@planted
def fork(amount: float) -> None:
    leave_processes()


@planted
def fork_and_segfault(amount: float) -> None:
    leave_processes()
    time.sleep(1.0)
    ctypes.string_at(0)


@planted
def orphan_oneself(amount: float) -> None:
    """Leave a daemon, and kill the parent."""
    daemonise(os.environ["PLANTED_PIDS"], dict(os.environ))
    wait_for_lines(1)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1000)


@planted
def kill_worker(amount: float) -> None:
    """Kill the process that the watcher of this one reports to."""
    worker = psutil.Process(os.getppid()).parent()
    assert worker is not None
    worker.kill()
    time.sleep(1000)


@planted
def fork_and_return(amount: float) -> None:
    """Both parent and child go on as if they were the only one."""
    os.fork()


@planted
def fork_and_eat(amount: float) -> None:
    """The child takes the memory; this process stays small."""
    if os.fork() == 0:
        hold(amount)
    time.sleep(1000)


def misbehave_together(kind: TaskKind) -> Learner:
    """Trains at once; an amount above 1 is held as MiB, 1 kills the process, and a fraction sleeps."""
    space = ConfigurationSpace()
    space.add(Float("amount", (0.0, 1e4), default=0.0))

    def do(amount: float) -> None:
        if amount == 1.0:
            ctypes.string_at(0)
        if amount > 1.0:
            hold(amount)
        if amount > 0.0:
            time.sleep(1000)

    def fit_together(estimators: Sequence[Any], X: Any, y: NDArray[Any], **options: Any) -> list[Training]:
        for estimator in estimators:
            estimator.fit(X, y)
        return [Training(0.0) for _ in estimators]

    name = "planted:misbehave_together"
    return Learner(
        name, kind, space, lambda **given: Planted(do, **given), "scaled", fit_together=fit_together, batched=True
    )


@planted
def count_threads(amount: float) -> None:
    """Fail where a numerical library would take more than one thread."""
    import torch

    found = {str(pool["filepath"]): pool["num_threads"] for pool in threadpool_info()}
    found["torch"] = torch.get_num_threads()
    if set(found.values()) != {1}:
        raise RuntimeError(str(found))


@planted
def tell_devices(amount: float) -> None:
    """Name the devices that CUDA would see."""
    raise RuntimeError(os.environ["CUDA_VISIBLE_DEVICES"])
