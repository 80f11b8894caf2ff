"""Every public object, after use, survives pickle, joblib and deepcopy: what comes back answers the same."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from ConfigSpace import ConfigurationSpace
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from metahpo import BayesianOptimizer, MetaDataset, MetaSearchCV, Recommender, evaluate
from metahpo.evaluation.pool import PoolOptimizer
from metahpo.surrogates.cost import CostModel
from metahpo.surrogates.gaussian_process import GaussianProcessSurrogate
from metahpo.surrogates.learning_curves import LearningCurves
from metahpo.surrogates.surrogate import TrainedSurrogate
from metahpo.tasks.task import Task
from tests.conftest import toy_space

X, Y = load_iris(return_X_y=True)
#: Rows of the toy space, and losses of the first of them.
ROWS = np.random.default_rng(0).random((9, 6))
LOSSES = np.array([0.3, 0.1, np.nan, 0.2])


def through_pickle(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def through_joblib(value: Any) -> Any:
    file = io.BytesIO()
    joblib.dump(value, file)
    file.seek(0)
    return joblib.load(file)


class World:
    """What the objects are made of."""

    def __init__(self, toy: MetaDataset, surrogate: TrainedSurrogate, trained: Path) -> None:
        self.toy, self.surrogate, self.trained = toy, surrogate, trained
        self.task = Task.from_arrays(X, Y, name="iris")


@pytest.fixture(scope="module")
def world(toy: MetaDataset, toy_surrogate: TrainedSurrogate, trained: Path) -> World:
    return World(toy, toy_surrogate, trained)


def searched(optimizer: BayesianOptimizer, n: int = 7) -> BayesianOptimizer:
    for i in range(n):
        configuration = optimizer.ask()
        optimizer.tell(configuration, np.nan if i == 2 else configuration["rate"] ** 2, seconds=1.0 + i)
    optimizer.ask()  # one is under way
    return optimizer


def partly_trained(world: World) -> BayesianOptimizer:
    rng = np.random.default_rng(0)
    falling = [[np.exp(-np.arange(8) * rng.random()) for _ in range(12)] for _ in range(3)]
    curves = LearningCurves.learn(falling)
    optimizer = BayesianOptimizer(toy_space(), random_state=0, learning_curves=curves)
    optimizer.tell_curve(optimizer.ask(), [1.0, 0.8, 0.7], 8)
    return searched(optimizer)


def with_costs(world: World) -> BayesianOptimizer:
    model = CostModel.of(world.toy, "toy")
    assert model is not None
    cost = model.on(world.task)
    return searched(BayesianOptimizer(toy_space(), world.surrogate, random_state=0, per_second=True, cost=cost))


def asks(optimizer: BayesianOptimizer) -> Any:
    return [copy.deepcopy(optimizer).ask(), optimizer.incumbent, optimizer.history.to_frame()]


def recommender(world: World) -> Recommender:
    used = Recommender(world.trained)
    used.recommend(world.task, "svm")
    return used


def search(world: World, warm: bool) -> MetaSearchCV:
    space: Any = "svm" if warm else ConfigurationSpace({"C": (0.1, 10.0)})
    known = Recommender(world.trained) if warm else None
    scored: dict[str, Any] = {"scoring": "balanced_accuracy", "recommender": known, "random_state": 0}
    return MetaSearchCV(SVC(), space, n_trials=6, cv=2, **scored).fit(X, Y)


def learning_curves(world: World) -> LearningCurves:
    return LearningCurves.learn([[np.exp(-np.arange(6) * rate) for rate in (0.1, 0.4, 0.9)]] * 2)


def cold_process(world: World) -> GaussianProcessSurrogate:
    process = GaussianProcessSurrogate()
    process.posterior(ROWS, (ROWS[:4], LOSSES))
    return process


def pool(world: World) -> PoolOptimizer:
    used = PoolOptimizer(world.surrogate, {"shift": 0.3})
    used.observe_and_suggest(ROWS[:4], -LOSSES, ROWS[4:])
    return used


#: Name -> how it is made and used, and what is asked of it before and after.
OBJECTS: dict[str, tuple[Callable[[World], Any], Callable[[Any], Any]]] = {
    "BayesianOptimizer, cold": (lambda w: searched(BayesianOptimizer(toy_space(), random_state=0)), asks),
    "BayesianOptimizer, warm": (
        lambda w: searched(BayesianOptimizer(toy_space(), w.surrogate, {"shift": 0.2}, random_state=0)),
        asks,
    ),
    "BayesianOptimizer, partly trained": (partly_trained, asks),
    "BayesianOptimizer, per second": (with_costs, asks),
    "MetaSearchCV, warm": (lambda w: search(w, True), lambda s: [s.predict(X), s.best_params_, s.best_score_]),
    "MetaSearchCV, cold": (lambda w: search(w, False), lambda s: [s.predict(X), s.best_params_, s.best_score_]),
    "Recommender": (recommender, lambda r: r.recommend(Task.from_arrays(X, Y), "svm", n=2).configurations),
    "Recommendations": (
        lambda w: recommender(w).recommend(w.task, "svm", n=3),
        lambda r: [r.to_frame(), r.best, str(r), r.nearest_tasks],
    ),
    "WarmStart": (
        lambda w: recommender(w).warm_start(w.task, "svm"),
        lambda s: [s.optimizer(0).ask(), s.candidates],
    ),
    "Surrogate": (
        lambda w: w.surrogate,
        lambda s: [s.posterior(ROWS, (ROWS[:4], LOSSES), {"shift": 0.1}).mixture_mean(), s.task_weights()],
    ),
    "Surrogate.on": (
        lambda w: w.surrogate.on({"shift": 0.1}),
        lambda s: s.posterior(ROWS, (ROWS[:4], LOSSES)).mixture_std(),
    ),
    "GaussianProcessSurrogate": (cold_process, lambda p: p.posterior(ROWS, (ROWS[:4], LOSSES)).mean),
    "Posterior": (lambda w: w.surrogate.posterior(ROWS), lambda p: p.quantile(0.3)),
    "Explanation": (lambda w: w.surrogate.explain(), lambda e: [str(e), e.to_frame()]),
    "PoolOptimizer": (pool, lambda p: p.observe_and_suggest(ROWS[:4], -LOSSES, ROWS[4:])),
    "LearningCurves": (learning_curves, lambda c: list(c.predict([1.0, 0.7], 6))),
    "CostModel": (lambda w: CostModel.of(w.toy, "toy"), lambda m: m.seconds(ROWS, Task.from_arrays(X, Y))),
    "MetaDataset": (
        lambda w: w.toy,
        lambda m: [m.tasks, m.trials, m.meta_features, m.spaces, m.tables("toy")[3].X],
    ),
    "EvaluationReport": (
        lambda w: evaluate(w.toy, ["portfolio", "random_search"], n_trials=3, n_folds=2),
        lambda r: [r.to_frame(), str(r)],
    ),
    "Task": (lambda w: w.task, lambda t: [t.X, t.y, t.kind, t.fingerprint]),
    "ConfigurationSpace": (lambda w: toy_space(), lambda s: str(s)),
}
WAYS: dict[str, Callable[[Any], Any]] = {"pickle": through_pickle, "joblib": through_joblib, "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("name", OBJECTS)
def test_what_comes_back_answers_the_same(world: World, name: str) -> None:
    make, answer = OBJECTS[name]
    value = make(world)
    before = answer(value)
    for way, there_and_back in WAYS.items():
        assert_equal(answer(there_and_back(value)), before, f"{name} through {way}")
    assert_equal(answer(value), before, f"{name}, which stays as it was")


def test_what_a_search_has_learnt_is_small_when_pickled(world: World) -> None:
    for optimizer in (with_costs(world), BayesianOptimizer(toy_space(), random_state=0)):
        before = len(pickle.dumps(optimizer))
        assert len(pickle.dumps(searched(optimizer, 3))) < before + 20_000


def assert_equal(found: Any, expected: Any, what: str) -> None:
    assert type(found) is type(expected), what
    if isinstance(expected, list | tuple):
        assert len(found) == len(expected), what
        for a, b in zip(found, expected, strict=True):
            assert_equal(a, b, what)
    elif isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected, obj=what)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=what) if expected.dtype.kind == "f" else (
            np.testing.assert_array_equal(found, expected, err_msg=what)
        )
    else:
        assert found == expected, what
