"""What data are taken for, and tasks of images and of texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from metahpo.exceptions import DataError
from metahpo.tasks.modality import as_task, modality_of
from metahpo.tasks.task import Task

N = 12
Y = np.arange(N) % 2
PIXELS = np.random.default_rng(0).random((N, 4, 6, 3))
SAYINGS = [f"word{i} and more" for i in range(N)]


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (PIXELS, "image"),
        (PIXELS[..., 0].tolist(), "image"),
        (PIXELS[..., 0, 0], "table"),
        (SAYINGS, "text"),
        (tuple(SAYINGS), "text"),
        (np.array(SAYINGS), "text"),
        (pd.Series([None, *SAYINGS]), "text"),
        (pd.Series(SAYINGS, dtype="category"), "text"),
        (pd.DataFrame({"said": SAYINGS}), "table"),
        (pd.DataFrame({"said": [f"{i} birds sing" for i in range(60)]}), "text"),
        (pd.DataFrame({"said": [f"{i} birds sing" for i in range(60)]}, dtype="category"), "text"),
        (pd.DataFrame({"said": [f"{i % 9} birds sing" for i in range(60)]}, dtype="category"), "table"),
        (pd.DataFrame({"said": [f"{i} birds sing" for i in range(60)], "loud": [1, 2] * 30}), "table"),
        (pd.DataFrame({"price": [f"$ {i}.50" for i in range(60)]}), "table"),
        (pd.DataFrame({"day": [f"2024-01-{i % 28 + 1:02} 10:{i:02}" for i in range(60)]}), "table"),
        (pd.DataFrame(index=range(3)), "table"),
        (pa.table({"said": [f"{i} birds sing" for i in range(60)]}), "text"),
        (pa.table({"day": pd.date_range("2024", periods=3), "size": [0.5, 1.5, 2.5]}), "table"),
        (pa.chunked_array([SAYINGS[:5], SAYINGS[5:]]), "text"),
        ([[said] for said in SAYINGS], "table"),
        (np.arange(N), "table"),
        ([np.zeros((2, 2)), np.zeros((3, 3))], "table"),
        ("one", "table"),
        (None, "table"),
    ],
)
def test_data_are_taken_for(X: Any, expected: str) -> None:
    assert modality_of(X) == expected


class _Foreign:
    """A table of a library that has no common array for dates and numbers."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def to_pandas(self) -> pd.DataFrame:
        return self.frame

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError("dates and numbers have no common type")


def test_a_table_of_another_library_is_read_as_that_of_pandas() -> None:
    frame = pd.DataFrame({"day": pd.date_range("2024", periods=N), "size": np.linspace(0.0, 1.0, N)})
    assert as_task(_Foreign(frame), Y).X.equals(as_task(frame, Y).X)
    texts = pd.DataFrame({"said": [f"{i} birds sing" for i in range(60)]})
    assert as_task(_Foreign(texts), np.arange(60) % 2).modality == "text"


def test_images_become_pixels_in_columns_and_keep_their_shape() -> None:
    task = Task.from_images(PIXELS, [None, *Y[1:].tolist()], name="pictures", family="play", data_id=3)
    assert (task.modality, task.image_shape, task.kind) == ("image", (4, 6, 3), "classification")
    assert (task.name, task.family, task.data_id) == ("pictures", "play", 3)
    np.testing.assert_array_equal(task.X, PIXELS[1:].reshape(N - 1, -1).astype(np.float32))
    flat = Task.from_images(PIXELS[1:].reshape(N - 1, -1), Y[1:], shape=(4, 6, 3))
    assert flat.fingerprint == task.fingerprint
    assert task.treatments == ("1 rows without a target were dropped",)


def test_a_pixel_that_is_missing_everywhere_keeps_its_place() -> None:
    images = PIXELS.copy()
    images[:, 1, 2] = np.nan
    assert Task.from_images(images, Y).X.shape == (N, 72)


def test_texts_keep_their_gaps_and_the_columns_that_are_text() -> None:
    alone = Task.from_texts([None, *SAYINGS[1:]], Y)
    assert (alone.modality, alone.kind, alone.categorical) == ("text", "classification", ("text",))
    assert alone.X["text"].isna().tolist() == [True] + [False] * (N - 1)
    frame = pd.DataFrame({"title": SAYINGS, "year": np.arange(N), "text": pd.Categorical(SAYINGS)})
    assert Task.from_texts(frame, Y).categorical == ("title", "text")
    assert Task.from_texts(frame, Y, columns=["title"]).categorical == ("title", "text")


def test_parts_of_a_task_stay_what_they_are() -> None:
    task = Task.from_images(PIXELS, [0, 1, 2, *Y[3:]])
    for part in (task.take(np.arange(5)), task.subsample(8), task.without_rare_classes(2)):
        assert (part.modality, part.image_shape) == ("image", (4, 6, 3))


def test_what_was_taken_for_what_is_told() -> None:
    assert as_task(PIXELS, Y).treatments == ("the rows of X are taken for images of 4 x 6 pixels and 3 channels",)
    assert as_task(SAYINGS, Y, name="mine").treatments == ("the rows of X are taken for texts",)
    table = as_task(pd.DataFrame({"said": SAYINGS}), Y)
    assert (table.modality, table.treatments) == ("table", ("y is taken for 2 classes (classification): 0, 1",))
    assert as_task(pd.DataFrame({"said": SAYINGS}), Y, kind="classification").treatments == ()
    assert as_task(PIXELS[:, 0, 0], Y + 0.5).kind == "regression"


@pytest.mark.parametrize(
    ("X", "y", "kind", "message"),
    [
        (PIXELS, Y + 0.5, None, "images are classified, but the target is a quantity"),
        (SAYINGS, Y, "regression", "texts are classified, but the target is a quantity"),
        (PIXELS.transpose(0, 3, 1, 2), Y, None, r"looks like n x c x h x w: give X\.transpose\(0, 2, 3, 1\)"),
        (PIXELS, Y[:-1], None, "X has 12 rows and y has 11"),
        (SAYINGS, np.zeros(N), None, "at least two classes"),
        (SAYINGS, [None] * N, None, "y holds no value"),
        (PIXELS * 1j, Y, None, "images must be numbers.* complex"),
        (PIXELS.astype(str).astype(object) + "px", Y, None, "images must be numbers"),
        (np.full_like(PIXELS, np.inf), Y, None, "images hold infinite values"),
        ([*SAYINGS[1:], 3], Y, None, "texts must be strings, but one is 3"),
        ([b"raw"] * N, Y, None, "texts must be strings, but one is b'raw' .* decode it"),
        (np.zeros((N, 2, 2, 2, 2)), Y, None, "but has 5 dimension"),
    ],
)
def test_what_makes_no_task_is_refused(X: Any, y: Any, kind: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_task(X, y, kind=kind)


def test_a_table_without_a_column_of_text_is_no_texts() -> None:
    with pytest.raises(DataError, match=r"there is no column of text among \['a'\]"):
        Task.from_texts(pd.DataFrame({"a": [1.0, 2.0]}), [0, 1])
