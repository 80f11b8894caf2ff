"""What users observe makes the next answer better, and is kept."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pytest

from metahpo.exceptions import ArtefactError, DataError, SpaceError, StoreError, UnknownNameError
from metahpo.recommendation.observations import FOLDER, Observation, append_observations, read_observations
from metahpo.recommendation.recommender import Recommender
from metahpo.tasks.task import Task


def own_task(seed: int = 0) -> Task:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((150, 4))
    return Task.from_arrays(X, np.where(X[:, 0] + X[:, 1] * X[:, 2] > 0, "yes", "no"), name=f"own{seed}")


@pytest.fixture
def recommender() -> Recommender:
    return Recommender("tabular_classification")


def test_the_same_task_is_answered_by_its_trials(recommender: Recommender) -> None:
    task = own_task()
    before = recommender.recommend(task, "svm", n=6)
    default = next(item for item in before.items if item.reason == "library default")
    others = [item for item in before.items if item.reason != "library default"]
    recommender.observe(task, default, 0.70)
    recommender.observe(task, others[0], 0.60)
    recommender.observe(task, others[-1], 0.85)
    after = recommender.recommend(task, "svm", n=6)
    assert after.items[0].configuration == others[-1].configuration
    # Half of the error is gone. With 150 rows, a part of that is chance.
    assert 0.2 < after.items[0].median_change < 0.5
    worse = next((item for item in after.items if item.configuration == others[0].configuration), None)
    assert worse is None or worse.median_change < 0.0
    shipped = Recommender("tabular_classification")
    assert shipped.recommend(task, "svm", n=6).configurations == before.configurations
    left_out = recommender.recommend(task, "svm", n=6, known="exclude")
    assert left_out.configurations == before.configurations


def test_a_configuration_is_completed_and_may_have_the_names_of_the_estimator(recommender: Recommender) -> None:
    task = own_task()
    recommender.observe(task, {"C": 2.0}, 0.7, learner="svm")
    recommender.observe(task, {"C": 2.0, "gamma": 0.5}, 0.7, learner="svm")
    first, second = recommender.observations
    assert first.configuration == {"C": 2.0, "class_weight": None, "kernel": "rbf", "gamma_rule": "scale"}
    assert second.configuration == {**first.configuration, "gamma_rule": "value", "gamma": 0.5}
    with pytest.raises(SpaceError, match=r"'C' = -1\.0 is not allowed"):
        recommender.observe(task, {"C": -1.0}, 0.7, learner="svm")
    with pytest.raises(DataError, match="task must be a Task"):
        recommender.observe((task.X, task.y), {"C": 2.0}, 0.7, learner="svm")  # type: ignore[arg-type]


def test_a_task_with_trials_is_a_source_task_for_others(recommender: Recommender) -> None:
    told, asked = own_task(1), own_task(2)
    before = recommender.recommend(asked, "svm", n=4)
    for item, score in zip(before.items, (0.9, 0.6, 0.7, 0.5), strict=True):
        recommender.observe(told, item, score)
    after = recommender.recommend(asked, "svm", n=20)
    assert "own1 (observed)" in after.nearest_tasks
    assert "own1 (observed)" not in before.nearest_tasks
    gain = [
        next(item.expected_change for item in rec.items if item.configuration == before.configurations[0])
        for rec in (before, after)
    ]
    assert gain[1] > gain[0]


def test_what_was_observed_is_saved(recommender: Recommender, tmp_path: Path) -> None:
    task = own_task()
    recommender.observe(task, recommender.recommend(task, "svm", n=1)[0], 0.8)
    recommender.observe(task, {"C": 1.0, "class_weight": None, "kernel": "linear"}, float("nan"), learner="svm")
    with pytest.raises(StoreError, match="ships with the package"):
        recommender.save()
    recommender.save(tmp_path / "mine")
    mine = Recommender(tmp_path / "mine")
    assert len(mine.observations) == 2
    assert mine.recommend(task, "svm", n=3).configurations == recommender.recommend(task, "svm", n=3).configurations
    mine.observe(task, {"C": 2.0, "class_weight": None, "kernel": "linear"}, 0.7, learner="svm")
    mine.save()
    mine.save()
    assert len(Recommender(tmp_path / "mine").observations) == 3


def write(folder: Path, n: int, writer: int) -> None:
    for i in range(n):
        one = Observation(f"task{writer}", "digest", "svm", {"C": float(i + 1)}, "accuracy", 0.1, {"a": 1.0})
        append_observations(folder, [one])


def test_each_observation_is_saved_once_in_a_folder(recommender: Recommender, tmp_path: Path) -> None:
    task = own_task()
    for n in (1, 2):
        recommender.observe(task, {"C": 2.0}, 0.5 + 0.1 * n, learner="svm")
        recommender.save(tmp_path / "mine")
        assert len(Recommender(tmp_path / "mine").observations) == n
    shutil.rmtree(tmp_path / "mine")
    recommender.save(tmp_path / "mine")
    assert len(Recommender(tmp_path / "mine").observations) == 2


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write, args=(tmp_path, 20, number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len({(one.task, one.configuration["C"]) for one in read_observations(tmp_path)}) == 80


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "trials-x-1-a.jsonl").write_text('{"observation": 2}\n')
    with pytest.raises(ArtefactError, match="holds a line that is no observation"):
        read_observations(tmp_path)


def test_observations_are_checked(recommender: Recommender) -> None:
    task, linear = own_task(), {"C": 1.0, "class_weight": None, "kernel": "linear"}
    with pytest.raises(DataError, match="learner must say whose"):
        recommender.observe(task, linear, 0.5)
    with pytest.raises(DataError, match="value must be a score"):
        recommender.observe(task, linear, float("inf"), learner="svm")
    with pytest.raises(SpaceError):
        recommender.observe(task, {"C": -1.0}, 0.5, learner="svm")
    with pytest.raises(UnknownNameError, match="search space"):
        recommender.observe(task, linear, 0.5, learner="nobody")
    with pytest.raises(UnknownNameError, match="metric"):
        recommender.observe(task, linear, 0.5, learner="svm", metric="speed")
    assert recommender.observations == ()
