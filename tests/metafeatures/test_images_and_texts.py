"""Meta-features of images and of texts, by hand where they can be, and of sizes that would take for ever."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import mutual_info_score

from metahpo.metafeatures.extraction import DEFINITIONS, META_FEATURES, extract
from metahpo.metafeatures.image_features import CELLS, PIXELS, SIDE
from metahpo.metafeatures.text_features import FEW, LENGTH
from metahpo.tasks.task import Task

TEXTS = ["The sun, the SUN", "rain 12", "rain", "", "the snow falls", "rain"]
WEATHER = ["fine", "bad", "bad", "bad", "fine", "bad"]
STRIPES = np.random.default_rng(0).random((60, 6, 5)), np.arange(60) % 3


def image_meta_features(X: Any, y: Any) -> dict[str, float]:
    return dict(extract(Task.from_images(X, y)).values)


def text_meta_features(X: Any, y: Any) -> dict[str, float]:
    return dict(extract(Task.from_texts(X, y)).values)


def test_sizes_and_pixels_by_hand() -> None:
    images = np.zeros((6, 4, 2, 3))
    images[3:, :, :, 0] = 2.0
    found = image_meta_features(images, [0, 0, 0, 1, 1, 1])
    assert list(found) == [feature.name for feature in DEFINITIONS["image"]]
    by_hand = {
        "log_rows": np.log(6),
        "log_height": np.log(4),
        "log_width": np.log(2),
        "log_channels": np.log(3),
        "log_classes": np.log(2),
        "class_share_min": 0.5,
        "class_imbalance": 0.0,
        "pixel_mean": 1 / 6,
        "pixel_spread": np.sqrt(5) / 6,
        "share_missing_pixels": 0.0,
        "background_share": 5 / 6,
        "neighbour_correlation": 1.0,
        "edge_density": 0.0,
        "class_variance_mean": 1.0,
        "nearest_centroid": 1.0,
    }
    for name, expected in by_hand.items():
        assert found[name] == pytest.approx(expected, abs=1e-6), name
    assert np.isnan(found["channel_correlation"])  # two channels are constant


def test_the_unit_of_pixels_does_not_matter_and_missing_ones_are_counted() -> None:
    X, y = load_digits(return_X_y=True)
    found, scaled = image_meta_features(X[:300], y[:300]), image_meta_features(X[:300] * 16 + 3, y[:300])
    for name, value in found.items():
        assert scaled[name] == pytest.approx(value, abs=1e-4, nan_ok=True), name
    assert 0.5 < found["nearest_centroid"] < 1.0
    X = X[:300].copy()
    X[:, :16] = np.nan
    assert image_meta_features(X, y[:300])["share_missing_pixels"] == pytest.approx(0.25)


def test_images_without_anything_on_them_have_what_can_be_told() -> None:
    found = image_meta_features(np.zeros((4, 3, 3)), ["a", "b", "a", "b"])
    assert (found["pixel_spread"], found["background_share"]) == (0.0, 1.0)
    assert np.isnan(found["neighbour_correlation"])


def test_lengths_and_words_by_hand() -> None:
    found = text_meta_features(TEXTS, WEATHER)
    assert list(found) == [feature.name for feature in DEFINITIONS["text"]]
    lengths = np.log1p([5, 2, 1, 0, 3, 1])
    by_hand = {
        "log_rows": np.log(6),
        "class_share_min": 1 / 3,
        "class_imbalance": np.log(2),
        "share_empty": 1 / 6,
        "share_repeated": 1 / 3,
        "log_words_mean": lengths.mean(),
        "log_words_spread": lengths.std(),
        "log_words_max": np.log(6),
        "log_vocabulary": np.log(7),  # the, rain, sun, comma, <2 digits>, snow, falls
        "type_token_ratio": 7 / 12,
        "share_once": 4 / 7,
        "share_numbers": 1 / 12,
        "share_marks": 1 / 12,
        "share_upper": 4 / 36,
        "word_information_max": mutual_info_score(WEATHER, [1, 0, 0, 0, 1, 0]),
    }
    for name, expected in by_hand.items():
        assert found[name] == pytest.approx(expected, abs=1e-9), name
    assert found["zipf_slope"] < 0


def test_information_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    texts = [" ".join(word for word in "abc" if rng.random() < (0.8 if "abc"[k] == word else 0.4)) for k in y]
    expected = [mutual_info_score(y, [word in text.split() for text in texts]) for word in "abc"]
    found = text_meta_features(texts, y)
    assert found["word_information_mean"] == pytest.approx(np.mean(expected))
    assert found["word_information_max"] == pytest.approx(max(expected))


def test_texts_without_a_word_have_what_can_be_told() -> None:
    found = text_meta_features(["", " ", None, ""], ["a", "b", "a", "b"])
    assert found["share_empty"] == 1.0
    assert np.isnan([found["log_vocabulary"], found["naive_bayes"]]).all()


def test_classes_are_told_as_those_of_a_table_are() -> None:
    X, y = load_digits(return_X_y=True)
    kept = y < 9
    table, images = (extract(make(X[kept], y[kept])).values for make in (Task.from_arrays, Task.from_images))
    shared = {"log_rows", "log_classes", "class_share_min", "class_imbalance"}
    shared |= {"log_rows_smallest_class", "log_rows_per_class", "target_mode_share"}
    assert shared == table.keys() & images.keys()
    assert {name: images[name] for name in shared} == {name: table[name] for name in shared}
    names = {modality: [feature.name for feature in features] for modality, features in DEFINITIONS.items()}
    assert all(len(set(of_one)) == len(of_one) for of_one in names.values())
    assert set(names["image"]) & set(names["text"]) == shared
    assert DEFINITIONS["table"] == META_FEATURES


def large_images() -> Task:
    """More and larger images than are looked at: blobs on the left or on the right."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    images = rng.random((200, 150, 150, 3))
    images[y == 0, :, :75] += 0.5
    return Task.from_images(images, y)


def long_texts() -> Task:
    """More and longer texts than are looked at."""
    rng = np.random.default_rng(0)
    words = np.array([f"{a}{b}" for a in "bcdfgh" for b in "aeiou"])
    return Task.from_texts([" ".join(rng.choice(words, 4000)) for _ in range(240)], np.arange(240) % 2)


def test_large_images_are_drawn_and_shrunk() -> None:
    found = extract(large_images())
    assert found.n_rows_used == CELLS // (150 * 150 * 3)
    assert (found.values["log_rows"], found.values["log_height"]) == (np.log(200), np.log(150))
    assert 0.0 < found.values["effective_rank"] < 1.0
    assert found.values["nearest_centroid"] == 1.0
    # A block of 5 x 5 random pixels varies a fifth as much as a pixel does.
    assert found.values["pixel_spread"] == pytest.approx(np.hypot(np.sqrt(3 / 64), np.sqrt(1 / 12) / 5) / 1.5, rel=0.02)
    assert SIDE >= 150 // 5


def test_long_texts_are_drawn_and_cut() -> None:
    found = extract(long_texts())
    assert found.n_rows_used == FEW
    assert found.values["log_words_max"] == pytest.approx(np.log(LENGTH / 3), abs=1e-3)  # of two letters and a space
    assert found.values["log_rows"] == np.log(240)


@pytest.mark.parametrize("task", [Task.from_images(*STRIPES), Task.from_texts(TEXTS, WEATHER)], ids=["image", "text"])
def test_they_are_the_same_every_time_and_leave_the_task_alone(task: Task) -> None:
    before = task.X.copy()
    first, second = (extract(task).values for _ in range(2))
    np.testing.assert_array_equal(list(first.values()), list(second.values()))
    pd.testing.assert_frame_equal(task.X, before)


@pytest.mark.parametrize("modality", ["image", "text"])
def test_landmarks_of_two_sizes_and_their_noise(modality: str) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    if modality == "image":
        key, task = "nearest_centroid", Task.from_images(rng.normal(size=(400, 8, 8)) + 0.25 * y[:, None, None], y)
    else:
        words = np.array([f"{a}{b}" for a in "bcdfghklmn" for b in "aeiou"])
        own = [words, np.roll(words, 25)[:40]]
        key, task = "naive_bayes", Task.from_texts([" ".join(rng.choice(own[label], 6)) for label in y], y)
    found = extract(task).values
    assert found[f"{key}_gain_of_rows"] == found[key] - found[f"{key}_quarter"] > 0.02
    assert found[f"{key}_noise"] == pytest.approx(np.sqrt(found[key] * (1 - found[key]) / 400), rel=0.1)
    assert found["log_rows_per_class"] == np.log(200)


def test_pixels_of_some_images_stand_for_all_although_classes_alternate() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((2 * PIXELS // 1024 // 2 * 2, 32, 32))
    images[1::2] += 1.0
    found = image_meta_features(images, np.arange(len(images)) % 2)
    assert found["pixel_mean"] == pytest.approx(0.5, abs=0.02)
    assert found["log_rows"] == np.log(len(images))
