"""The engines on the command line. Nothing is imported here that an engine needs, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from metahpo.building.shard import WHOLE, Shard
from metahpo.exceptions import DataError

if TYPE_CHECKING:
    from metahpo.building.engines.engine import Engine

ENGINES = ("local", "dask", "ray", "slurm")


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say where trials run; :func:`engine_from` and :func:`shard_from` read them."""
    group = parser.add_argument_group("where trials run")
    group.add_argument("--engine", choices=ENGINES, default="local", help="default: local")
    group.add_argument(
        "--jobs", type=_jobs, default=-1, help="workers, or elements of the job array (default: one a core; slurm: 8)"
    )
    group.add_argument("--shard", metavar="I/N", help="run share I of N only, counted from 1: on any scheduler")
    group.add_argument(
        "--workers-per-gpu", type=positive, default=1, metavar="K", help="workers that share a GPU (default: 1)"
    )
    group.add_argument("--address", help="dask, ray: of a running cluster (default: workers on this machine)")
    group.add_argument("--scheduler-file", type=Path, help="dask: file that the scheduler wrote its address to")
    group.add_argument("--partition", help="slurm: default is the cluster's")
    group.add_argument("--minutes", type=positive, default=60, help="slurm: of an element, then requeued (default: 60)")
    group.add_argument("--cpus-per-task", type=positive, default=1, help="slurm: cores and workers of an element")
    group.add_argument("--gpus-per-task", type=int, default=0, help="slurm: GPUs of an element")
    group.add_argument("--memory-per-task", type=float, metavar="GB", help="slurm: of an element, all its workers")
    group.add_argument(
        "--sbatch", nargs="+", default=[], metavar="KEY=VALUE", help="slurm: more options, such as account=lab"
    )


def positive(text: str) -> int:
    """Integer above 0, for an option of the command line.

    Raises
    ------
    ValueError
        No integer, or not above 0.
    """
    if (number := int(text)) < 1:
        raise ValueError
    return number


def _jobs(text: str) -> int:
    if (number := int(text)) == 0:
        raise argparse.ArgumentTypeError("0 workers run nothing; give 1 or more, or -1 for one a core")
    return number


def engine_from(options: argparse.Namespace) -> Engine:
    """The engine that the options name.

    Raises
    ------
    DataError
        An option of `sbatch` that is no KEY=VALUE, or a shard for a job array.
    """
    if options.engine == "slurm" and options.shard is not None:
        raise DataError("the elements of a job array share the plan out by themselves: leave out --shard.")
    workers = options.jobs if options.jobs > 0 else None
    if options.engine == "dask":
        from metahpo.building.engines.dask import DaskEngine

        return DaskEngine(options.address, options.scheduler_file, workers)
    if options.engine == "ray":
        from metahpo.building.engines.ray import RayEngine

        return RayEngine(options.address, workers)
    if options.engine == "slurm":
        from metahpo.building.engines.slurm import SlurmEngine

        more = [option.partition("=") for option in options.sbatch]
        if not all(key and equals for key, equals, _ in more):
            raise DataError(f"options of sbatch are KEY=VALUE, such as account=lab; got {options.sbatch}.")
        return SlurmEngine(
            workers or SlurmEngine.n_elements,
            options.partition,
            options.minutes,
            options.cpus_per_task,
            options.memory_per_task,
            options.gpus_per_task,
            {key: value for key, _, value in more},
        )
    from metahpo.building.engines.local import LocalEngine

    return LocalEngine(options.jobs)


def shard_from(options: argparse.Namespace) -> Shard:
    """The share of the plan that the options name; all of it where they name none.

    Raises
    ------
    DataError
        Not ``i/n``.
    """
    return WHOLE if options.shard is None else Shard.parse(options.shard)
