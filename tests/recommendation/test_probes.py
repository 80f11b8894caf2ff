"""Probes on a real table: what is measured, in which order, and how they end."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from metahpo.recommendation.probe_worker import ProbeWorkers
from metahpo.recommendation.probes import Prober
from metahpo.surrogates.improvement import ImprovementModel, Rule, Trees
from metahpo.surrogates.improvement_on_task import ImprovementOnTask
from metahpo.tasks.modality import as_task
from metahpo.tasks.task import Task


@pytest.fixture(scope="module")
def task() -> Task:
    """A class that many neighbours tell well, and few badly: its columns are noisy."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 900)
    X = pd.DataFrame(rng.normal(size=(900, 4)) + 0.5 * y[:, None], columns=list("abcd"))
    return as_task(X, y, name="noisy")


def knn(n_neighbors: int) -> dict[str, Any]:
    return {"n_neighbors": n_neighbors, "p": 2, "weights": "uniform"}


CONFIGURATIONS = [knn(5), knn(1), knn(40)]


def on(task: Task) -> ImprovementOnTask:
    """Half of the source tasks like one neighbour, and half like forty."""
    G = np.array([[0.0, 0.3, -0.3], [0.0, 0.25, -0.25], [0.0, -0.3, 0.3], [0.0, -0.25, 0.25]])
    nothing = np.zeros((1, 1), dtype=np.int64)
    trees = Trees(nothing, nothing, nothing, np.zeros((1, 1)), np.zeros((1, 4), dtype=np.int64), 0)
    model = ImprovementModel(
        "knn", "balanced_accuracy", ("a", "b", "c", "d"), ("x", "y", "z"), 0, G, np.full(G.shape, 0.02), (), (), trees,
        Rule(), np.array([[0.2], [0.0], [1.0]]), Rule(), 0.3, 0.002, np.full(4, np.nan), None,
    )  # fmt: skip
    return ImprovementOnTask(model, task.n_rows)


def seconds_of(rows: float) -> NDArray[np.float64]:
    return np.full(3, 0.01)


def test_probes_find_what_the_table_is_like(task: Task) -> None:
    workers = ProbeWorkers(1, ["knn"], "classification")
    candidates = [("knn", c) for c in CONFIGURATIONS]
    probed = Prober(task, on(task), candidates, "balanced_accuracy", seconds_of, workers).run(60.0)
    assert not probed.notes
    assert {one.status for one in probed.probes} == {"success"}
    assert probed.probes[0].configuration == knn(5)  # the default comes first, because others are compared with it
    assert all(one.default_loss > 0.0 for one in probed.probes)
    assert probed.improvement.picks(1) == [2]
    assert probed.improvement.expected()[2] > 0.05
    assert set(probed.places) <= {0, 1, 2}
    assert (probed.noise > 0.0).all()


def test_a_probe_that_fails_is_noted_and_others_go_on(task: Task) -> None:
    workers = ProbeWorkers(1, ["knn"], "classification")
    candidates = [("knn", knn(5)), ("knn", {**knn(1), "weights": "unknown"}), ("knn", knn(40))]
    probed = Prober(task, on(task), candidates, "balanced_accuracy", seconds_of, workers).run(60.0)
    failed = [one for one in probed.probes if one.status == "failed"]
    assert len(failed) == 1
    assert "weights" in failed[0].message
    assert probed.improvement.picks(1) == [2]


def test_too_little_time_is_said_and_the_experience_answers(task: Task) -> None:
    began = time.monotonic()
    workers = ProbeWorkers(1, ["knn"], "classification")
    candidates = [("knn", c) for c in CONFIGURATIONS]
    probed = Prober(task, on(task), candidates, "balanced_accuracy", seconds_of, workers).run(0.01)
    assert "the 0.01 seconds that were left for probes were too short" in probed.notes[0]
    assert np.array_equal(probed.improvement.utility(), on(task).model.on(None).utility())
    assert time.monotonic() - began < 30.0


def test_a_probe_that_never_ends_is_stopped(task: Task) -> None:
    workers = ProbeWorkers(1, ["boosting"], "classification")
    candidates = [("knn", knn(5)), ("boosting", {"max_iter": 10**7}), ("knn", knn(40))]
    began = time.monotonic()
    probed = Prober(task, on(task), candidates, "balanced_accuracy", seconds_of, workers).run(4.0)
    assert time.monotonic() - began < 30.0
    stopped = [one.learner for one in probed.probes if one.status == "stopped"]
    assert len(stopped) <= 1  # on a busy machine the time may be over earlier
