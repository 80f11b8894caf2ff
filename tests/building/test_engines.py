"""The same plan runs on every engine and gives the same store; what an engine needs and has not is said."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from metahpo.building.builder import run_plan
from metahpo.building.engines.dask import DaskEngine
from metahpo.building.engines.engine import Engine
from metahpo.building.engines.local import LocalEngine
from metahpo.building.engines.options import add_engine_arguments, engine_from, shard_from
from metahpo.building.engines.ray import RayEngine
from metahpo.building.engines.slurm import SlurmEngine
from metahpo.building.plan import Plan
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.building.shard import WHOLE, Shard
from metahpo.exceptions import DataError, MetaHPOError, MissingDependencyError
from metahpo.trials.store import TrialStore


def small_plan(cache: Path) -> Plan:
    return make_plan(cache, keys=["s0", "s5"], learners=["linear"], n_configurations=6, protocol=Protocol(n_folds=2))


def losses(folder: Path) -> dict[str, dict[str, list[float]]]:
    return {t.key.identity: {m: list(f) for m, f in t.fold_losses.items()} for t in TrialStore(folder)}


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray here")
def test_ray_gives_the_same_store(built: Path, small_cache: Path, tmp_path: Path) -> None:
    """As the others do, even when their processes are killed: see test_faults.py."""
    plan = small_plan(small_cache)
    run_plan(plan, tmp_path, engine=RayEngine(n_workers=2))
    expected = losses(built)  # the same design over more tasks and learners, run in one process
    assert losses(tmp_path) == {key.identity: expected[key.identity] for key in plan.trials()}


def test_a_worker_starts_without_the_libraries_that_only_its_trials_need() -> None:
    code = "import sys, metahpo.building.worker; print([m for m in ('sklearn', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("package", "engine"), [("distributed", DaskEngine()), ("ray", RayEngine())])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    package: str, engine: Engine, small_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # import fails, as where it is not installed
    with pytest.raises(MissingDependencyError, match=r"pip install 'metahpo\[(dask|ray)\]'"):
        run_plan(small_plan(small_cache), tmp_path, engine=engine)


def test_a_machine_without_slurm_is_told_so(small_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MetaHPOError, match="no `squeue` here"):
        run_plan(small_plan(small_cache), tmp_path / "build", engine=SlurmEngine())


def engine_of(*arguments: str) -> Engine:
    return engine_from(options_of(*arguments))


def options_of(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_engine_arguments(parser)
    return parser.parse_args(arguments)


def test_options_make_engines() -> None:
    assert engine_of() == LocalEngine(-1, apart=True)
    assert engine_of("--jobs", "3") == LocalEngine(3, apart=True)
    assert engine_of("--engine", "dask", "--jobs", "3") == DaskEngine(n_workers=3)
    assert engine_of("--engine", "dask", "--address", "tcp://a:1") == DaskEngine("tcp://a:1")
    assert engine_of("--engine", "dask", "--scheduler-file", "f") == DaskEngine(None, Path("f"))
    assert engine_of("--engine", "ray", "--address", "auto") == RayEngine("auto")
    assert engine_of("--engine", "slurm") == SlurmEngine()
    slurm = ["--engine", "slurm", "--jobs", "64", "--partition", "gpu", "--minutes", "240", "--cpus-per-task", "4"]
    slurm += ["--memory-per-task", "16", "--gpus-per-task", "1", "--sbatch", "account=lab", "constraint=a=b"]
    more = {"account": "lab", "constraint": "a=b"}
    assert engine_of(*slurm) == SlurmEngine(64, "gpu", 240, 4, 16.0, 1, more)
    with pytest.raises(DataError, match="are KEY=VALUE"):
        engine_of("--engine", "slurm", "--sbatch", "account")


def test_options_make_shards() -> None:
    assert shard_from(options_of()) == WHOLE
    assert shard_from(options_of("--shard", "2/3")) == Shard(2, 3)
    with pytest.raises(DataError, match="leave out --shard"):
        engine_of("--engine", "slurm", "--shard", "1/2")
