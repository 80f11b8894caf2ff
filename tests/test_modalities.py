"""From image and text datasets to recommendations for new ones, by way of a build, a meta-dataset and surrogates."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from metahpo import MetaDataset, MetaSearchCV, Recommender, recommend, train_surrogate
from metahpo.cli import main
from metahpo.datasets.cache import write_task
from metahpo.exceptions import DataError
from metahpo.metadata import release
from metahpo.metafeatures.extraction import DEFINITIONS
from metahpo.networks.convnet.convnet_classifier import ConvNetClassifier
from metahpo.networks.text.text_classifier import TextClassifier
from metahpo.recommendation.recommender import _shipped
from metahpo.surrogates.artefact import surrogate_path
from metahpo.surrogates.fitting.training import TrainingSettings
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import TrialStatus

Make = Callable[[int], tuple[Any, NDArray[np.int64]]]


def pictures(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Thirty images of 6 x 5 pixels, bright on the left or on the right; noise grows with the seed."""
    rng = np.random.default_rng(seed)
    y = np.arange(30) % 2
    images = (0.5 + 1.5 * seed) * rng.random((30, 6, 5, 1))
    images[y == 0, :, :2] += 1.0
    images[y == 1, :, 3:] += 1.0
    return images, y


def sayings(seed: int) -> tuple[list[str], NDArray[np.int64]]:
    """Thirty texts with a word that tells the class among others; there are more of them with every seed."""
    rng = np.random.default_rng(seed)
    y = np.arange(30) % 2
    filler = [f"word{letter}" for letter in "abcdefgh"]
    return [" ".join([*rng.choice(filler, 1 + 6 * seed), ["sun", "rain"][k]]) for k in y], y


def made(make: Make, kind: str, learner: str, cache: Path, folder: Path) -> Path:
    """Folder of a meta-dataset over three datasets, with a surrogate of the learner and one of all."""
    for seed in range(3):
        X, y = make(seed)
        about: dict[str, Any] = {"name": f"{kind}{seed}", "kind": kind, "n_rows": 30, "n_classes": 2}
        if kind == "image":
            about |= {"image_shape": X.shape[1:], "n_features": X[0].size}
            frame = pd.DataFrame(X.reshape(30, -1)).rename(columns=str)
        else:
            about |= {"categorical": ["said"], "n_features": 1}
            frame = pd.DataFrame({"said": X})
        write_task(cache, f"{kind}-{seed}", frame.assign(target=y), "target", about)
    keys = [f"{kind}-{seed}" for seed in range(3)]
    build, out = str(folder / "build"), str(folder / f"my_{kind}s")
    design = [
        "--tasks",
        *keys,
        "--learners",
        learner,
        "--configurations",
        "4",
        "--folds",
        "2",
        "--max-fits",
        "2",
        "--jobs",
        "1",
    ]
    assert main(["build", "run", build, "--cache", str(cache), *design]) == 0
    assert main(["release", build, out, "--kind", "classification", "--min-skill", "-9", "--jobs", "1"]) == 0
    md = MetaDataset.load(out)
    surrogate_path(Path(out), None, md.metrics[0]).parent.mkdir()
    for space in (learner, None):
        surrogate = train_surrogate(md, space, settings=TrainingSettings(kernel_steps=20, component_steps=20))
        surrogate.save(surrogate_path(Path(out), space, md.metrics[0]))
    return Path(out)


@pytest.fixture(scope="module")
def cache(workers_of_the_tests: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the datasets of both builds, so that one trial process serves both."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def images(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(pictures, "image", "convnet", cache, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def texts(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(sayings, "text", "text", cache, tmp_path_factory.mktemp("texts"))


def test_builds__record_a_curve_that_ends_at_what_was_measured(images: Path, texts: Path) -> None:
    for folder in (images, texts):
        trials = list(TrialStore(folder.parent / "build"))
        assert len(trials) == 12
        for trial in trials:
            assert trial.status is TrialStatus.SUCCESS
            assert len(trial.learning_curve["accuracy"]) == trial.key.configuration.get("epochs", 20)
            assert trial.learning_curve["accuracy"][-1] == pytest.approx(trial.loss("accuracy"), abs=1e-4)
            assert "torch" in trial.versions


def test_images__are_recommended_for(images: Path) -> None:
    md = MetaDataset.load(images)
    assert md.tasks["modality"].tolist() == ["image"] * 3
    assert md.trials["status"].tolist() == ["success"] * 12
    assert md.meta_features is not None
    assert list(md.meta_features.columns) == [feature.name for feature in DEFINITIONS["image"]]
    assert md.meta_features["log_width"].tolist() == [np.log(5)] * 3

    X, y = pictures(5)
    recommended = recommend(X, y, "convnet", n=2, recommender=Recommender(images))
    assert set(recommended.nearest_tasks) <= {f"image{seed}" for seed in range(3)}
    assert "the rows of X are taken for images of 6 x 5 pixels and 1 channel" in recommended.notes
    assert all(0 <= item.expected_percentile <= 100 and item.expected_train_seconds > 0 for item in recommended.items)
    assert recommended.task is not None
    bare = ConvNetClassifier(**recommended.parameters(1)).set_params(epochs=1).fit(X, y)
    whole = recommended.estimator(1).set_params(learner__epochs=1).fit(recommended.task.X, recommended.task.y)
    assert bare.predict(X).shape == whole.predict(recommended.task.X).shape == (30,)


def test_texts__are_recommended_for(texts: Path) -> None:
    md = MetaDataset.load(texts)
    assert md.tasks["modality"].tolist() == ["text"] * 3
    assert md.trials["status"].tolist() == ["success"] * 12
    assert md.meta_features is not None
    assert list(md.meta_features.columns) == [feature.name for feature in DEFINITIONS["text"]]

    X, y = sayings(5)
    recommended = recommend(X, np.array(["fine", "wet"])[y], n=2, recommender=Recommender(texts))
    assert recommended.best_learner == "text"
    assert "the rows of X are taken for texts" in recommended.notes
    assert recommended.task is not None
    whole = recommended.estimator(0).set_params(learner__epochs=1).fit(recommended.task.X, recommended.task.y)
    assert whole.predict(recommended.task.X).shape == (30,)
    assert TextClassifier(**recommended.best).set_params(epochs=1).fit(X, y).predict(X).shape == (30,)


def test_a_dataset_that_was_tuned_is_recognised(images: Path, texts: Path) -> None:
    for make, folder, name in ((pictures, images, "image2"), (sayings, texts, "text2")):
        X, y = make(2)
        notes = recommend(X, y, n=1, recommender=Recommender(folder)).notes
        assert any(f"was tuned before, as {name!r}" in note for note in notes)


def test_a_search_of_images_starts_from_experience(images: Path) -> None:
    X, y = pictures(5)
    recommender = Recommender(images)
    model = ConvNetClassifier(random_state=0)
    search = MetaSearchCV(
        model, "convnet", n_trials=1, cv=2, scoring="balanced_accuracy", recommender=recommender, random_state=0
    ).fit(X, y)
    assert search.best_params_ == recommend(X, y, "convnet", n=1, recommender=recommender).best


def test_experience_with_another_thing_is_refused(images: Path) -> None:
    with pytest.raises(DataError, match="'my_images' is experience with images, but the rows of the task are texts"):
        recommend(*sayings(0), recommender=Recommender(images))
    with pytest.raises(DataError, match=r"with images, .* are tables.*Leave the recommender out"):
        recommend(pictures(0)[0].reshape(30, -1), pictures(0)[1], recommender=Recommender(images))
    with pytest.raises(DataError, match=r"is experience with tables, .* are images.*Leave the recommender out"):
        recommend(*pictures(0), recommender=Recommender("tabular_classification"))


def test_shipped_experience_recommends_for_images() -> None:
    X, y = pictures(4)
    recommended = recommend(X, y, n=3)
    assert recommended.best_learner == "convnet"
    assert set(recommended.best) <= set(ConvNetClassifier().get_params())
    assert recommended.estimator().set_params(learner__epochs=1).fit(X, y).predict(X[:2]).shape == (2,)


def test_a_folder_of_the_same_name_does_not_stand_for_what_ships(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(texts, "texts")
    assert release.shipped_folder("texts") != Path("texts") == release.locate("texts")
    _shipped.cache_clear()
    assert recommend(*sayings(4), n=1).best_learner == "text_linear"


def test_shipped_experience_recommends_for_texts_of_any_container() -> None:
    X, y = sayings(4)
    recommended = recommend(X, y, n=2)
    assert recommended.best_learner == "text_linear"
    assert recommended.estimator().fit(X, y).predict(["rain word sun"]).shape == (1,)
    said, told = [f"{i} {text}" for i, text in enumerate(X * 2)], np.tile(y, 2)
    frame = pd.DataFrame({"said": said})
    assert recommend(frame, told, n=2).best == recommend(said, told, n=2).best


def test_a_learner_without_shipped_experience_is_refused() -> None:
    with pytest.raises(DataError, match=r"'text' ships for classification of texts, only with text_linear.*build"):
        recommend(*sayings(0), learner="text")
