"""Meta-features of images and of texts, by hand where they can be, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import mutual_info_score

from metahpo.exceptions import DataError
from metahpo.metafeatures.images import IMAGE_META_FEATURES, image_meta_features
from metahpo.metafeatures.texts import TEXT_META_FEATURES, text_meta_features

TEXTS = ["The sun, the SUN", "rain 12", "rain", "", "the snow falls", "rain"]
WEATHER = ["fine", "bad", "bad", "bad", "fine", "bad"]


def test_sizes_and_pixels_by_hand() -> None:
    images = np.zeros((6, 4, 2, 3))
    images[3:, :, :, 0] = 2.0
    found = image_meta_features(images, [0, 0, 0, 1, 1, 1])
    assert list(found) == [feature.name for feature in IMAGE_META_FEATURES]
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
    assert list(found) == [feature.name for feature in TEXT_META_FEATURES]
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


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1], "there are 3 rows, but y is of shape"),
        ([0, None, 1], "y holds missing labels"),
        ([1, 1, 1], "y has one class"),
    ],
)
def test_labels_that_are_none_are_refused(y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        text_meta_features(["a", "b", "c"], y)
    with pytest.raises(DataError, match=message):
        image_meta_features(np.zeros((3, 2, 2)), y)
