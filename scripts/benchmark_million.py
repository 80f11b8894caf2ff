"""Time and memory of an evaluation of a million recorded trials: `python scripts/benchmark_million.py [N_TRIALS]`.

It makes a synthetic meta-dataset (1,000 tasks of 250 families, 1,000 configurations, losses of three folds), saves it,
and measures in a process of its own, in seconds of a processor: reading, planning, replaying the greedy portfolio and
random search on held-out families, and writing the report. It ends with an error where a process takes more than 2 GB.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace, Float

from metahpo.evaluation import EvaluationSettings, assemble, make_plan
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.space.configuration import to_json
from metahpo.space.design import sobol_design

N_CONFIGURATIONS, TASKS_OF_FAMILY, N_COLUMNS, N_FOLDS = 1000, 4, 4, 3
#: Gigabytes that no process may exceed.
LIMIT = 2.0


def synthetic(n_trials: int, folder: Path) -> None:
    """Tasks whose losses are bowls around centres that their families share."""
    rng = np.random.default_rng(0)
    space = ConfigurationSpace(name="synthetic")
    space.add([Float(f"x{j}", (0.0, 1.0)) for j in range(N_COLUMNS)])
    design = sobol_design(space, N_CONFIGURATIONS)
    X = np.array([[configuration[name] for name in space] for configuration in design])
    texts = np.array([to_json(configuration) for configuration in design], dtype=object)
    n_tasks = -(-n_trials // N_CONFIGURATIONS)
    names = [f"task{i:04d}" for i in range(n_tasks)]
    families = [f"family{i // TASKS_OF_FAMILY:04d}" for i in range(n_tasks)]
    parts = []
    for i, name in enumerate(names):
        centre = np.random.default_rng(i // TASKS_OF_FAMILY).random(N_COLUMNS)
        folds = ((X - centre) ** 2).sum(axis=1)[:, None] + 0.01 * rng.standard_normal((len(X), N_FOLDS))
        own = pd.DataFrame({"task": name, "space": "synthetic", "configuration": texts, "status": "success"})
        parts.append(own.assign(seconds=0.1, **{"loss.r2": folds.mean(axis=1), "folds.r2": list(folds)}))
    about = {"family": families, "kind": "regression", "n_rows": rng.integers(100, 10000, n_tasks)}
    tasks = pd.DataFrame(about, index=pd.Index(names, name="task"))
    features = pd.DataFrame(rng.random((n_tasks, 20)), index=tasks.index, columns=[f"f{j}" for j in range(20)])
    trials = pd.concat(parts, ignore_index=True)
    MetaDataset(tasks, trials, features, {"synthetic": space}, name="synthetic").save(folder)


def evaluated(folder: Path) -> None:
    """Read, plan, replay and report."""
    started = time.process_time()
    md = MetaDataset.load(folder)
    print(f"read {len(md.trials):,} trials: {time.process_time() - started:.1f} s", flush=True)
    settings = EvaluationSettings(n_trials=5, n_folds=2, understand=True)
    plan = make_plan(md, ["portfolio", "random_search"], settings)
    print(f"planned: {time.process_time() - started:.1f} s; {plan.cost()}", flush=True)
    report = assemble(plan, plan.run(), 0.0)
    print(f"replayed: {time.process_time() - started:.1f} s", flush=True)
    report.save(folder / "report.html", beside=False)
    size = (folder / "report.html").stat().st_size / 2**20
    print(f"reported: {time.process_time() - started:.1f} s, a page of {size:.1f} MB", flush=True)


def measured(name: str, work: Callable[..., None], *arguments: object) -> float:
    """Gigabytes that a function takes at most, in a process of its own."""
    started = time.perf_counter()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(work, *arguments))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{name} failed")
    gigabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"{name}: {time.perf_counter() - started:.1f} s, at most {gigabytes:.2f} GB in a process so far", flush=True)
    return gigabytes


def _run(work: Callable[..., None], *arguments: object) -> None:
    work(*arguments)


def main(n_trials: int = 1_000_000) -> None:
    """Print times and memory."""
    with tempfile.TemporaryDirectory() as folder:
        made = measured("made", synthetic, n_trials, Path(folder) / "synthetic")
        taken = measured("evaluated", evaluated, Path(folder) / "synthetic")
    if max(made, taken) > LIMIT:
        raise SystemExit(f"a process took {max(made, taken):.2f} GB; no more than {LIMIT} are allowed.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
