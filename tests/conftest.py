"""Small worlds that the tests live in: synthetic meta-datasets, and one really built by the builder."""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float
from threadpoolctl import threadpool_limits

from metahpo.building import worker
from metahpo.building.assembly import assemble
from metahpo.building.builder import run_plan
from metahpo.building.engines.local import LocalEngine
from metahpo.building.engines.options import ENGINES
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.building.trial_process import Limits, TrialProcess
from metahpo.datasets.cache import write_task
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.space.configuration import to_json
from metahpo.space.design import sobol_design
from metahpo.surrogates.artefact import surrogate_path
from metahpo.surrogates.fitting import training
from metahpo.surrogates.fitting.training import TrainingSettings, train_surrogate
from metahpo.surrogates.surrogate import TrainedSurrogate
from metahpo.trials.records import TaskRefusal
from metahpo.trials.trial import Trial, TrialKey

# Every run draws the same examples. A slow machine fails no test, and a failure prints how to repeat it.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("suite")


#: Enough to learn the small worlds; the defaults are for the real one.
QUICK = TrainingSettings(n_reference=60, kernel_steps=60, component_steps=40, batch_trials=16)


def toy_space() -> ConfigurationSpace:
    """One log float, one choice, and a float that is active under one of the choices."""
    space = ConfigurationSpace()
    mode = Categorical("mode", ["plain", "tuned", "wild"], default="plain")
    knob = Float("knob", (0.0, 1.0), default=0.5)
    space.add(mode, knob, Float("rate", (1e-3, 1e1), log=True, default=1.0), EqualsCondition(knob, mode, "tuned"))
    return space


def toy_meta_dataset(n_tasks: int = 12, n_configurations: int = 24, seed: int = 0) -> MetaDataset:
    """Tasks whose best rate follows from their meta-feature `shift`; two tasks a family, one trial in all failed."""
    rng = np.random.default_rng(seed)
    design = sobol_design(toy_space(), n_configurations, random_state=seed)
    rows, features = [], {}
    for t in range(n_tasks):
        shift, noise = rng.uniform(-1, 1), rng.uniform(-1, 1)
        features[f"task{t}"] = {"shift": shift, "noise": noise, "unknown": np.nan if t % 2 else 1.0}
        for i, configuration in enumerate(design):
            loss = (np.log10(configuration["rate"]) + 1 - shift) ** 2 + {"plain": 0.5, "tuned": 0.0, "wild": 2.0}[
                configuration["mode"]
            ]
            failed = t == 0 and i == n_configurations - 1
            folds = [] if failed else list(loss + 0.05 * rng.standard_normal(3))
            rows.append(
                {
                    "task": f"task{t}",
                    "space": "toy",
                    "configuration": to_json(configuration),
                    "status": "timeout" if failed else "success",
                    "seconds": 0.1 * (1 + t),
                    "loss.r2": np.nan if failed else float(np.mean(folds)),
                    "folds.r2": folds,
                }
            )
    index = pd.Index([f"task{t}" for t in range(n_tasks)], name="task")
    tasks = pd.DataFrame(
        {
            "family": [f"family{t // 2}" for t in range(n_tasks)],
            "kind": "regression",
            "data_id": np.arange(100, 100 + n_tasks),
            "n_rows": 100 * np.arange(1, n_tasks + 1),
            "n_features": 5,
            "n_classes": 0,
        },
        index=index,
    )
    return MetaDataset(
        tasks,
        pd.DataFrame(rows),
        pd.DataFrame.from_dict(features, orient="index").loc[index],
        {"toy": toy_space()},
        name="toy",
    )


def write_small_cache(folder: Path) -> None:
    """Six small datasets, four to classify and two to regress, with a categorical column and gaps."""
    rng = np.random.default_rng(0)
    for i in range(6):
        n = 90 + 10 * i
        a, b = rng.standard_normal((2, n))
        colour = rng.choice(["red", "green", "blue"], n)
        signal = a + 0.5 * b * (colour == "red") + 0.3 * rng.standard_normal(n)
        a[rng.random(n) < 0.1] = np.nan
        target = signal if i >= 4 else np.where(signal > 0.3 * (i - 1), "yes", "no")
        frame = pd.DataFrame({"a": a, "b": b, "colour": colour, "target": target})
        about = {
            "name": f"small{i}",
            "kind": "regression" if i >= 4 else "classification",
            "family": f"small{i}",
            "n_rows": n,
            "n_features": 3,
            "n_classes": None if i >= 4 else 2,
            "categorical": ["colour"],
        }
        write_task(folder, f"s{i}", frame, "target", about)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run on one thread each: many threads on small arrays wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """What takes its seed from the global generators is the same in every run, and in any order of the tests."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - scikit-learn draws from it where random_state is None


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a dataset cache with six small datasets, s0 to s5."""
    folder = tmp_path_factory.mktemp("cache")
    write_small_cache(folder)
    return folder


class SharedProcess:
    """A trial process that several builds use in turn; :meth:`close` leaves it running."""

    def __init__(self, process: TrialProcess, limits: Limits) -> None:
        self._process, self._limits = process, limits

    def start(self) -> None:
        self._process.limits = self._limits
        self._process.start()

    def run(self, keys: Sequence[TrialKey]) -> list[Trial] | TaskRefusal:
        self._process.limits = self._limits
        return self._process.run(keys)

    def close(self) -> None: ...


@pytest.fixture(scope="session", autouse=True)
def shared_trial_processes() -> Iterator[None]:
    """Builds by the process of the tests share trial processes, which take seconds of work to start.

    Builds with the same cache, protocol and environment share one, and the last two are kept. Builds by other
    processes start trial processes as usual.
    """
    started: dict[object, TrialProcess] = {}

    def shared(cache: Path, protocol: Protocol, limits: Limits, environment: Mapping[str, str]) -> SharedProcess:
        inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        key = (str(cache), protocol, *sorted((inherited | dict(environment)).items()))
        while key not in started and len(started) > 1:
            started.pop(next(iter(started))).close()
        known = started.pop(key) if key in started else None
        started[key] = known or TrialProcess(cache, protocol, limits, environment)
        return SharedProcess(started[key], limits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "TrialProcess", shared)
        yield
    for process in started.values():
        process.close()


@pytest.fixture(scope="module")
def workers_of_the_tests(shared_trial_processes: None) -> Iterator[None]:
    """Builds by the command line with one worker run it in the process of the tests, with a shared trial process.

    Without this fixture the worker is a process of its own, with a trial process of its own: seconds of work to start.
    """

    def local(options: argparse.Namespace) -> LocalEngine:
        return LocalEngine(options.jobs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENGINES, "local", local)
        yield


@pytest.fixture
def quick_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training without settings takes the few steps of `QUICK`, also from the command line."""
    quick = partial(TrainingSettings, n_reference=60, kernel_steps=60, component_steps=40, batch_trials=16)
    monkeypatch.setattr(training, "TrainingSettings", quick)


@pytest.fixture(scope="session")
def built(small_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished build over the small datasets: two learners, six configurations each."""
    folder = tmp_path_factory.mktemp("build")
    plan = make_plan(
        small_cache,
        keys=[f"s{i}" for i in range(6)],
        learners=["linear", "svm"],
        n_configurations=6,
        protocol=Protocol(n_folds=2),
    )
    run_plan(plan, folder, n_jobs=1)
    return folder


@pytest.fixture(scope="session")
def built_meta_dataset(built: Path) -> MetaDataset:
    """Meta-dataset of the four small classification tasks."""
    return assemble(built, "classification", name="small", n_jobs=1)


@pytest.fixture(scope="session")
def toy() -> MetaDataset:
    """See :func:`toy_meta_dataset`."""
    return toy_meta_dataset()


@pytest.fixture(scope="session")
def toy_surrogate(toy: MetaDataset) -> TrainedSurrogate:
    """Surrogate trained on the toy meta-dataset."""
    settings = replace(QUICK, kernel_steps=120, component_steps=60)  # searches with it have to find the best
    return train_surrogate(toy, space="toy", random_state=0, settings=settings)


@pytest.fixture(scope="session")
def trained(built_meta_dataset: MetaDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the small meta-dataset with its surrogates for the default metric: of each learner, and of both."""
    folder = tmp_path_factory.mktemp("trained") / "small"
    built_meta_dataset.save(folder)
    metric = built_meta_dataset.metrics[0]
    (folder / "surrogates").mkdir()
    for space in (*built_meta_dataset.spaces, None):
        surrogate = train_surrogate(built_meta_dataset, space, random_state=0, settings=QUICK)
        surrogate.save(surrogate_path(folder, space, metric))
    return folder
