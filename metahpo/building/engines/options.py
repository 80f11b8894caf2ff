"""The options of engines on the command line. Libraries of engines are imported later, so ``--help`` is quick."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from metahpo.building.shard import WHOLE, Shard
from metahpo.exceptions import DataError, PluginError
from metahpo.processes import jobs
from metahpo.registry import Registry

if TYPE_CHECKING:
    from metahpo.building.engines.engine import Engine


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say where trials run; :func:`engine_from` and :func:`shard_from` read them."""
    group = parser.add_argument_group("where trials run")
    group.add_argument(
        "--engine",
        default="local",
        metavar="NAME",
        help="local, dask, ray, slurm, or one of another package, by its name or as module:function (default: local)",
    )
    group.add_argument(
        "--engine-options",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="for an engine of another package",
    )
    group.add_argument(
        "--jobs", type=jobs, default=-1, help="workers, or elements of the job array (default: one a core; slurm: 8)"
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
        "--sbatch",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="slurm: more options, such as account=lab",
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


def _local(options: argparse.Namespace) -> Engine:
    from metahpo.building.engines.local import LocalEngine

    return LocalEngine(options.jobs, apart=True)


def _dask(options: argparse.Namespace) -> Engine:
    from metahpo.building.engines.dask import DaskEngine

    return DaskEngine(options.address, options.scheduler_file, _workers(options))


def _ray(options: argparse.Namespace) -> Engine:
    from metahpo.building.engines.ray import RayEngine

    return RayEngine(options.address, _workers(options))


def _slurm(options: argparse.Namespace) -> Engine:
    from metahpo.building.engines.slurm import SlurmEngine

    if options.shard is not None:
        raise DataError("the elements of a job array share the plan out by themselves: leave out --shard.")
    return SlurmEngine(
        _workers(options) or SlurmEngine.n_elements,
        options.partition,
        options.minutes,
        options.cpus_per_task,
        options.memory_per_task,
        options.gpus_per_task,
        _pairs(options.sbatch, "sbatch", "account=lab"),
    )


def _workers(options: argparse.Namespace) -> int | None:
    return options.jobs if options.jobs > 0 else None


def _pairs(texts: list[str], what: str, example: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if not all(key and equals for key, equals, _ in pairs):
        raise DataError(f"options of {what} are KEY=VALUE, such as {example}; got {texts}.")
    return {key: value for key, _, value in pairs}


#: Engines of the package: options of the command line -> engine.
ENGINES: Mapping[str, Callable[[argparse.Namespace], Engine]] = {
    "local": _local,
    "dask": _dask,
    "ray": _ray,
    "slurm": _slurm,
}
_ENGINES: Registry[Callable[[argparse.Namespace], Engine]] = Registry(
    "engine",
    "metahpo.engines",
    ENGINES,
    expected="a function of the options of the command line that returns an Engine",
    accepts=callable,
    hint="From Python, run_plan takes any object with the method `run` of Engine.",
)


def register_engine(name: str, make: Callable[[argparse.Namespace], Engine]) -> None:
    """Add an engine, for this process; a package offers one by an entry point of the group ``metahpo.engines``.

    Parameters
    ----------
    name : str
    make : callable
        Of the options of :func:`add_engine_arguments`: ``jobs`` (number of workers, -1 for one a core), ``address``,
        ..., and ``engine_options``, a dictionary of what was given as ``--engine-options KEY=VALUE``. It returns an
        :class:`~metahpo.building.engines.engine.Engine`.

    Raises
    ------
    DataError
        The name is taken or is not plain, or `make` is not callable.
    """
    _ENGINES.register(name, make)


def unregister_engine(name: str) -> None:
    """Remove an engine that :func:`register_engine` added.

    Raises
    ------
    UnknownNameError
        Nothing was registered under the name.
    """
    _ENGINES.unregister(name)


def engine_from(options: argparse.Namespace) -> Engine:
    """The engine that the options name.

    Raises
    ------
    UnknownNameError
        No such engine; the message lists those that exist.
    PluginError
        The engine of another package cannot be loaded, or what it makes is no engine.
    DataError
        An option of `sbatch` or of the engine that is no KEY=VALUE, a shard for a job array, or options for an engine
        of the package.
    """
    if options.engine_options and options.engine in ENGINES:
        raise DataError(f"--engine-options are for engines of other packages; {options.engine} has options of its own.")
    pairs = _pairs(options.engine_options, "the engine", "queue=long")
    engine = _ENGINES.get(options.engine)(argparse.Namespace(**{**vars(options), "engine_options": pairs}))
    if not callable(getattr(engine, "run", None)):
        raise PluginError(f"the engine {options.engine!r} is {engine!r}, which has no method `run`; see Engine.")
    return engine


def shard_from(options: argparse.Namespace) -> Shard:
    """The share of the plan that the options name; all of it where they name none.

    Raises
    ------
    DataError
        Not ``i/n``.
    """
    return WHOLE if options.shard is None else Shard.parse(options.shard)
