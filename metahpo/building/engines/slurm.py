"""The Slurm engine: a job array. Each element runs its own share of the plan first, then pending trials of others.

Started on a login node, in a terminal multiplexer or not at all for long: elements need no driver, and a driver that is
started again finds its array in the queue and goes on watching it::

    metahpo build runs/mine --cache /shared/DATASETS --engine slurm --jobs 64 --partition cpu --minutes 240 --memory 8
    metahpo build runs/mine --cache /shared/DATASETS --engine slurm --jobs 8 --partition gpu --gpus-per-task 1

The folder of the build, the dataset cache and the Python environment must be visible to all nodes under the same paths.
An element that reaches its time limit, is preempted or loses its node is requeued and resumes from the store. An
element that is cancelled or fails is replaced while trials are pending. Return values of jobs are not used; the store
has all results.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from metahpo.building.builder import run_pending
from metahpo.building.engines.engine import WorkersLostError
from metahpo.building.engines.local import LocalEngine
from metahpo.building.shard import WHOLE, Shard
from metahpo.building.trial_process import Limits
from metahpo.building.worker import Outcome, Workplace
from metahpo.exceptions import MetaHPOError, MissingDependencyError
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import TrialKey

if TYPE_CHECKING:
    from submitit.core.utils import DelayedSubmission

#: Seconds between two looks at the queue and the store: at first, and at most; each wait is twice the one before.
FIRST_POLL_SECONDS, LAST_POLL_SECONDS = 0.5, 8.0
#: Seconds between two submissions of elements in the place of lost ones.
REPLACE_SECONDS = 30.0
#: How long Slurm may give no answer before the driver gives up; the array itself goes on.
SILENCE_SECONDS = 600.0
#: Folder of the arrays' logs and scripts, within that of the build.
LOGS = "slurm"


@dataclass(frozen=True)
class ArrayElement:
    """The job of an element of the array.

    Attributes
    ----------
    folder : path
        Of the build.
    limits : Limits
    shard : Shard
        Its share of the plan.
    n_jobs : int
        Its workers: one a core.
    workers_per_gpu : int
    """

    folder: Path
    limits: Limits
    shard: Shard
    n_jobs: int
    workers_per_gpu: int

    def __call__(self) -> None:
        """Run the own share, then unclaimed trials of other shares."""
        engine, flag = LocalEngine(self.n_jobs, apart=True), _flag(self.folder)
        for shard in (self.shard, WHOLE):
            run_pending(self.folder, engine, self.limits, shard, self.workers_per_gpu, drain=flag, wait=False)

    def checkpoint(self) -> DelayedSubmission:
        """The same job again. submitit calls this before a time limit or a preemption ends the element."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass(frozen=True)
class SlurmEngine:
    """A job array of Slurm.

    Attributes
    ----------
    n_elements : int, default=8
        Elements of the array.
    partition : str, default=None
        None is the cluster's default.
    minutes : int, default=60
        Time limit of an element, which is requeued when it reaches it.
    cpus : int, default=1
        Cores of an element, and so its workers.
    memory_gb : float, default=None
        Memory of an element: the trial limit, times `cpus`, and a little; None is the cluster's default.
    gpus : int, default=0
        GPUs of an element (``--gpus-per-task``).
    options : dict of str to str
        Further options of ``sbatch``, such as ``{"account": "lab"}``.
    """

    n_elements: int = 8
    partition: str | None = None
    minutes: int = 60
    cpus: int = 1
    memory_gb: float | None = None
    gpus: int = 0
    options: Mapping[str, str] = field(default_factory=dict)

    def run(self, batches: Iterator[list[TrialKey]], place: Workplace) -> Iterator[Outcome]:
        """See :class:`metahpo.building.engines.engine.Engine`; elements find the pending trials themselves."""
        n_pending = sum(map(len, batches))
        name, flag, store = job_name(place.folder), _flag(place.folder), TrialStore(place.folder)
        before = len(store.identities())
        n_done, pause, submitted = 0, FIRST_POLL_SECONDS, 0.0
        if not _queued(name, patience=0.0):  # raises an error at once if there is no Slurm
            flag.unlink(missing_ok=True)
            self._submit(self.n_elements, name, place)
            submitted = time.monotonic()
        try:
            while n_done < n_pending and (n_queued := _queued(name)):
                if place.drain.exists() and not flag.exists():
                    flag.touch()
                    _cancel(name, "--state=PENDING")
                n_lost = min(self.n_elements - n_queued, n_pending - n_done - n_queued)
                if n_lost > 0 and time.monotonic() > submitted + REPLACE_SECONDS and not flag.exists():
                    self._submit(n_lost, name, place)
                    submitted = time.monotonic()
                time.sleep(pause)
                pause = min(2.0 * pause, LAST_POLL_SECONDS)
                n_new = len(store.identities()) - before - n_done
                n_done += n_new
                yield Outcome(name, n_new, 0, 0, 0.0)
        except KeyboardInterrupt:
            _cancel(name)
            raise
        if n_done >= n_pending:
            _cancel(name, "--state=PENDING")  # such as requeued ones, which Slurm makes wait for two minutes
        elif not n_done and not flag.exists():
            raise WorkersLostError(
                f"the job array ended and left no trial; its logs in {str(place.folder / LOGS)!r} say why."
            )

    def _submit(self, n_elements: int, name: str, place: Workplace) -> None:
        try:
            from submitit import SlurmExecutor
            from submitit.core.utils import FailedSubmissionError
        except ImportError as error:
            raise MissingDependencyError("the engine `slurm` needs submitit: pip install 'metahpo[slurm]'.") from error
        executor = SlurmExecutor(place.folder / LOGS, max_num_timeout=1000)
        executor.update_parameters(
            job_name=name,
            time=self.minutes,
            cpus_per_task=self.cpus,
            stderr_to_stdout=True,
            additional_parameters={"requeue": True, **self.options},
            **({"partition": self.partition} if self.partition else {}),
            **({"mem": f"{round(self.memory_gb * 1024)}M"} if self.memory_gb else {}),
            **({"gpus_per_task": self.gpus} if self.gpus else {}),
        )
        try:
            with executor.batch():
                for i in range(1, n_elements + 1):
                    shard = Shard(i, n_elements)
                    element = ArrayElement(place.folder, place.limits, shard, self.cpus, place.workers_per_gpu)
                    executor.submit(element)
        except FailedSubmissionError as error:
            raise MetaHPOError(f"sbatch refused the job array: {error}") from error


def job_name(folder: Path) -> str:
    """Name of the array. It depends on the build only, so a restarted driver finds its array."""
    return f"metahpo-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"


def _flag(folder: Path) -> Path:
    return folder / ".drain-slurm"


def _queued(name: str, patience: float = SILENCE_SECONDS) -> int:
    """Number of elements that are pending or running.

    If Slurm does not answer, the query is repeated for some seconds.
    """
    command = ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", f"--name={name}", "--format=%i"]
    end = time.monotonic() + patience
    while True:
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=60.0, check=True)
            return len(answer.stdout.split())
        except FileNotFoundError as error:
            raise MetaHPOError("there is no `squeue` here: start this on a node that submits to Slurm.") from error
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            if time.monotonic() > end:
                raise MetaHPOError(
                    f"Slurm does not answer ({str(error.stderr or error).strip()}). Elements of the job array {name!r} "
                    "that were submitted go on by themselves; start the same command again when it does."
                ) from error
            time.sleep(LAST_POLL_SECONDS)


def _cancel(name: str, *options: str) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ["scancel", f"--user={getpass.getuser()}", f"--name={name}", *options], timeout=60.0, check=False
        )
