"""Recommendations from a meta-dataset that the builder made, trained and saved as a user would."""

from __future__ import annotations

import importlib.util
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

from metahpo.datasets.cache import read_task
from metahpo.exceptions import ArtefactError, DataError, UnknownNameError
from metahpo.learners.registry import learner_named
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.recommendation.recommender import Recommender, recommend
from metahpo.recommendation.worth import WorthByNovelty
from metahpo.space.activity import default_configuration
from metahpo.space.configuration import to_json
from metahpo.tasks.task import Task, TaskKind


@pytest.fixture(scope="module")
def recommender(trained: Path) -> Recommender:
    return Recommender(trained)


@pytest.fixture(scope="module")
def task() -> Task:
    return Task.from_arrays(*load_iris(return_X_y=True), name="iris")


def test_recommend__best_is_ready_for_the_estimator(recommender: Recommender, task: Task) -> None:
    svm = recommender.recommend(task, "svm", n=3)
    assert len(svm) == 3
    SVC().set_params(**svm.best)
    LogisticRegression().set_params(**recommender.recommend(task, "linear", n=1).best)


def test_recommend__over_all_learners_names_one(recommender: Recommender, task: Task) -> None:
    recommended = recommender.recommend(task, n=4)
    assert {item.learner for item in recommended.items} <= {"linear", "svm"}
    assert recommended.best_learner in ("linear", "svm")


def test_recommend__the_library_default_is_always_in_the_list(recommender: Recommender, task: Task) -> None:
    for learner in ("linear", "svm", None):
        reasons = [item.reason for item in recommender.recommend(task, learner, n=3).items]
        assert "library default" in reasons


def test_recommend__of_experience_without_the_default(trained: Path, task: Task, tmp_path: Path) -> None:
    md = MetaDataset.load(trained)
    default = to_json(default_configuration(md.spaces["svm"]))
    others = md.trials[md.trials["configuration"] != default]
    tasks = md.tasks.assign(modality=md.tasks["modality"].where(np.arange(len(md.tasks)) > 0))  # as after a merge
    MetaDataset(tasks, others, md.meta_features, md.spaces, name="others").save(tmp_path)
    shutil.copytree(trained / "surrogates", tmp_path / "surrogates")
    recommended = Recommender(tmp_path).recommend(task, "svm", n=3)
    assert len(recommended) == 3
    assert "library default" not in [item.reason for item in recommended.items]


def test_recommend__frame_says_what_to_expect(recommender: Recommender, task: Task) -> None:
    frame = recommender.recommend(task, "svm", n=3).to_frame()
    assert list(frame.columns) == [
        "learner", "parameters", "configuration", "expected_percentile", "lower", "upper", "expected_train_seconds",
        "p_better_than_default", "median_change", "expected_change", "reason",
    ]  # fmt: skip
    assert frame["expected_percentile"].between(frame["lower"], frame["upper"]).all()
    assert frame["expected_percentile"].between(0, 100).all()
    assert (frame["expected_train_seconds"] > 0).all()


def test_recommend__is_the_same_every_time(recommender: Recommender, task: Task) -> None:
    first, second = (recommender.recommend(task, "svm", n=3) for _ in range(2))
    assert first.configurations == second.configurations
    pd.testing.assert_frame_equal(first.to_frame(), second.to_frame())


def test_recommend__tells_nearest_tasks_novelty_and_timings(recommender: Recommender, task: Task) -> None:
    recommended = recommender.recommend(task, "svm")
    assert set(recommended.nearest_tasks) <= {"small0", "small1", "small2", "small3"}
    assert 0.0 <= recommended.novelty <= 1.0
    assert {"meta_features", "surrogate"} <= set(recommended.timings)
    assert "recommendations for 'iris'" in str(recommended)


def test_recommend__an_estimator_fits_the_task(recommender: Recommender, small_cache: Path) -> None:
    gaps = read_task(small_cache, "s1")
    recommended = recommender.recommend(gaps, "svm")
    fitted = recommended.estimator(random_state=0).fit(gaps.X, gaps.y)
    assert fitted.score(gaps.X, gaps.y) > 0.5


def test_recommend__an_estimator_takes_the_users_own_data(recommender: Recommender) -> None:
    rng = np.random.default_rng(0)
    rains = rng.integers(0, 2, 90).astype(bool)
    X = pd.DataFrame({"wet": np.where(rains, "1,5", "?"), "id": [f"day {i} of the year" for i in range(90)]})
    X["cloudy"] = pd.Series(rains, dtype=object).where(rng.random(90) < 0.9, None)
    y = np.where(rains, "1", "0")
    recommended = recommend(X, y, n=2, recommender=recommender)
    for index in range(2):
        model = recommended.estimator(index, random_state=0)
        assert cross_val_score(model, X, y, cv=3).mean() > 0.8
        assert set(pickle.loads(pickle.dumps(model.fit(X, y))).predict(X.head())) <= {"0", "1"}
    printed = str(recommended)
    assert "classification of 2 classes: 90 rows, 1 numeric and 1 categorical columns (cloudy)" in printed
    assert "y is taken for 2 classes (classification): '0', '1'" in printed
    assert "column 'wet' holds numbers as text (decimal comma, '?' for missing) and became numeric" in printed
    assert "column 'id' looks like text (90 distinct values) and was dropped" in printed


def test_recommend__a_scorer_is_answered_by_the_nearest_metric(recommender: Recommender, task: Task) -> None:
    recommended = recommender.recommend(task, "svm", metric="roc_auc")
    assert recommended.metric == "balanced_accuracy"
    note = "experience was not recorded by 'roc_auc': the nearest, 'balanced_accuracy', stands for it"
    assert note in recommended.notes
    assert note not in recommender.recommend(task, "svm", metric="balanced_accuracy").notes


def test_recommend__a_metric_that_does_not_exist_is_refused_before_anything_is_read() -> None:
    with pytest.raises(UnknownNameError, match="unknown metric 'speed'"):
        recommend(None, None, metric="speed")


def test_recommend__seconds_that_are_extrapolated_are_said_to_be(recommender: Recommender, small_cache: Path) -> None:
    known = read_task(small_cache, "s0").take(np.arange(60))  # no more rows than recorded trials were trained on
    assert not any("extrapolated" in note for note in recommender.recommend(known, "svm").notes)
    long = known.take(np.arange(known.n_rows).repeat(100))
    note = f"expected_train_seconds is extrapolated, and may be far too low: n_rows is {long.n_rows}, at most"
    assert any(note in said for said in recommender.recommend(long, "linear").notes)


def test_recommend__a_dataset_that_was_tuned_is_recognised(recommender: Recommender, small_cache: Path) -> None:
    known = read_task(small_cache, "s2")
    renamed = Task.from_arrays(known.X.rename(columns={"a": "z"}), known.y, kind="classification")
    assert any("was tuned before, as 'small2'" in note for note in recommender.recommend(renamed, "svm").notes)


def test_recommend__unfamiliar_data_get_a_note(recommender: Recommender) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_cauchy((400, 60)) ** 3
    strange = Task.from_arrays(X, rng.integers(0, 12, 400), kind="classification")
    recommended = recommender.recommend(strange, "svm")
    assert recommended.novelty > 0.95
    assert any("unlike" in note for note in recommended.notes)
    warm = recommender.warm_start(strange, "svm")
    assert warm.meta_features is None
    assert warm.optimizer(0).ask() == recommended.configurations[0]
    blind = recommender.surrogate("svm", "balanced_accuracy").explain()
    assert recommender.explain(recommended, "svm").to_frame().equals(blind.to_frame())


def test_warm_start__knows_a_familiar_task_by_its_meta_features(recommender: Recommender, small_cache: Path) -> None:
    familiar = read_task(small_cache, "s1")
    assert recommender.recommend(familiar, "svm").novelty <= 0.95
    assert recommender.warm_start(familiar, "svm").meta_features is not None


def test_recommend__from_arrays(recommender: Recommender) -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    assert recommend(X, y, "svm", n=1, recommender=recommender).best["C"] > 0


@pytest.mark.parametrize(
    ("learner", "n", "metric", "error", "message"),
    [
        ("forest", 1, None, UnknownNameError, "known are: linear, svm"),
        ("svm", 1, "speed", UnknownNameError, "known are: accuracy, .*balanced_accuracy"),
        ("svm", 1, "r2", UnknownNameError, "unknown classification metric 'r2'"),
        ("svm", 1, "f1_macro", UnknownNameError, "known are: balanced_accuracy.*metahpo train"),
        ("svm", 0, None, DataError, "n must be at least 1"),
    ],
)
def test_recommend__bad_arguments(
    recommender: Recommender, task: Task, learner: str, n: int, metric: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        recommender.recommend(task, learner, n, metric)


def test_recommend__of_the_other_kind(recommender: Recommender) -> None:
    rng = np.random.default_rng(0)
    regression = Task.from_arrays(rng.random((50, 2)), rng.random(50))
    with pytest.raises(DataError, match="is for classification"):
        recommender.recommend(regression)


def test_recommender__not_there() -> None:
    with pytest.raises(UnknownNameError, match=r"folder with a manifest\.json"):
        Recommender("nowhere")


def test_recommender__damaged_surrogate(trained: Path, task: Task, tmp_path: Path) -> None:
    MetaDataset.load(trained).save(tmp_path)
    (tmp_path / "surrogates").mkdir()
    whole = (trained / "surrogates" / "svm.balanced_accuracy.safetensors").read_bytes()
    (tmp_path / "surrogates" / "svm.balanced_accuracy.safetensors").write_bytes(whole[:-100])
    with pytest.raises(ArtefactError):
        Recommender(tmp_path).recommend(task, "svm")


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_experience_with_networks_ships_and_is_found_by_the_learner(kind: TaskKind) -> None:
    X = np.random.default_rng(0).standard_normal((150, 4))
    y = X[:, 0] if kind == "regression" else np.where(X[:, 0] > 0.0, "yes", "no")
    rec = recommend(X, y, learner="mlp", n=3)
    assert {item.learner for item in rec.items} == {"mlp"}
    estimator: Any = learner_named("mlp", kind).estimator(rec.items[0].configuration, 0)
    assert estimator.learning_rate == rec.best["learning_rate"]
    with pytest.raises(UnknownNameError, match=r"'mpl'; known are: linear, .*boosting, .*mlp"):
        recommend(X, y, learner="mpl")
    if kind == "classification":  # a learner of texts
        with pytest.raises(DataError, match="no experience with the learner 'text_linear' ships for classification"):
            recommend(X, y, learner="text_linear")
    of_its_own = Recommender(f"networks_{kind}")
    assert recommend(X, y, n=3, recommender=of_its_own).best == rec.best  # the only learner need not be named


def test_learners_whose_library_is_not_installed_are_left_out_unless_they_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "lightgbm" else found(name, *a))
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    every = recommend(X, y, n=40)
    assert "lightgbm" not in {item.learner for item in every.items}
    assert any("metahpo[lightgbm]" in note for note in every.notes)
    assert recommend(X, y, "lightgbm", n=1).best_learner == "lightgbm"


def test_experience_without_recorded_improvements_cannot_be_probed(recommender: Recommender, task: Task) -> None:
    with pytest.raises(DataError, match="holds no default, or no seconds, to compare probes with"):
        recommender.warm_start(task, "svm", seconds=5.0)
    with pytest.raises(DataError, match="probes are fits on rows of a task"):
        recommender.warm_start(None, "svm", seconds=5.0)


def test_worth__says_where_no_recorded_task_is_as_far() -> None:
    far = WorthByNovelty(np.linspace(0.1, 1.0, 40), np.linspace(-0.1, 0.3, 40), np.full(40, 0.01))
    assert far.at(1.5).beyond
    assert far.at(1.5) == replace(far.at(1.0), beyond=True)
    assert not far.at(0.5).beyond
