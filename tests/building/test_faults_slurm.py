"""The same on a real Slurm: elements of the array are killed, cancelled and requeued, its node's daemon is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable

import numpy as np
import psutil
import pytest

from metahpo.building.engines.slurm import job_name
from tests.building.test_faults import (
    LONG,
    PATIENCE_SECONDS,
    Driver,
    Undisturbed,
    driver,
    kill,
    losses,
    n_lines,
    undisturbed,
)

__all__ = ["driver", "undisturbed"]  # fixtures


def slurm_answers() -> bool:
    if shutil.which("sbatch") is None or shutil.which("squeue") is None:
        return False
    return subprocess.run(["squeue"], capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not slurm_answers(), reason="no Slurm answers here (SLURM_CONF names one's configuration)"),
]


def elements(build: Driver) -> list[psutil.Process]:
    """Processes of the array, which runs on this machine: elements and their trial processes."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "submitit.core._submit" in command and str(build.folder / "slurm") in command:
            found += [process, *process.children(recursive=True)]
    return found


def running(build: Driver) -> list[str]:
    """Ids of the array's running elements."""
    command = ["squeue", "--noheader", "--array", "--states=RUNNING", "--format=%i", f"--name={job_name(build.folder)}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def cancel_one(build: Driver) -> None:
    """As an operator would; an element that does not end by itself is killed half a minute later."""
    for job in running(build)[:1]:
        subprocess.run(["scancel", job], check=True)


def requeue_one(build: Driver) -> None:
    """As a preemption does; Slurm starts the element again two minutes later."""
    for job in running(build)[:1]:
        subprocess.run(["scontrol", "requeue", job], check=True)


def restart_daemon(build: Driver) -> None:
    """Kill the node's daemon, where it runs here and may be killed, and start it again."""
    daemon = next((p for p in psutil.process_iter(["name"]) if p.info["name"] == "slurmd"), None)
    if daemon is not None and os.geteuid() == 0:
        command = daemon.cmdline()
        daemon.kill()
        subprocess.run(command, check=True)


def test_a_job_array_that_is_killed_cancelled_and_requeued_loses_and_repeats_nothing(
    driver: Callable[..., Driver], undisturbed: Undisturbed
) -> None:
    pytest.importorskip("submitit")
    rng = np.random.default_rng(0)
    build = driver(LONG, "--engine", "slurm", "--jobs", "2", "--minutes", "10")
    deeds = [cancel_one, requeue_one, restart_daemon, *[Driver.restart] * LONG.n_drivers]
    rng.shuffle(deeds)
    n_killed = 0
    try:
        while (n_killed < LONG.n_killed or deeds) and build.wait_for_trials(int(rng.integers(1, 12))):
            if deeds and rng.random() < 0.5:
                deeds.pop()(build)
            else:
                n_killed += kill(elements(build))
        assert build.process.wait(PATIENCE_SECONDS) == 0
        assert (n_killed >= LONG.n_killed, deeds) == (True, [])
        assert losses(build.folder) == undisturbed(LONG)
        assert n_lines(build.folder) == len(undisturbed(LONG))
    finally:
        subprocess.run(["scancel", f"--name={job_name(build.folder)}"], check=True)
