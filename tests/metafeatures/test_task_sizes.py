"""A task that trains on some rows of a dataset is described as a user's table of these rows is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from metahpo.building.protocol import Protocol
from metahpo.metafeatures.extraction import extract
from metahpo.metafeatures.sample import MAX_CELLS, without_empty_columns
from metahpo.tasks.task import Task, TaskKind

N_ROWS, SIZE = 1500, 300


def sparse_table() -> pd.DataFrame:
    """Columns of which the training rows miss a category, or all that is known."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "number": rng.normal(size=N_ROWS),
            "letter": np.where(
                np.arange(N_ROWS) % 100 == 0, rng.choice(list("aq"), N_ROWS), rng.choice(["b", "c"], N_ROWS)
            ),
            "seldom": np.where(np.arange(N_ROWS) == N_ROWS - 1, 1.0, np.nan),
            "seldom named": [None] * (N_ROWS - 1) + ["x"],
            "other": rng.integers(0, 5, N_ROWS).astype(float),
        }
    )


def table(kind: TaskKind) -> tuple[Task, Callable[[Task], Task]]:
    X = sparse_table()
    y = X["number"] + X["other"]
    task = Task.from_arrays(X, y if kind == "regression" else (y > 2).map({True: "yes", False: "no"}), kind=kind)
    return task, lambda part: Task.from_arrays(part.X.astype({"letter": object}), _labels(part), kind=kind)


def images() -> tuple[Task, Callable[[Task], Task]]:
    rng = np.random.default_rng(0)
    y = np.arange(N_ROWS) % 3
    task = Task.from_images(rng.normal(size=(N_ROWS, 4, 4)) + y[:, None, None], y)
    return task, lambda part: Task.from_images(part.X.to_numpy().reshape(-1, 4, 4), _labels(part))


def texts() -> tuple[Task, Callable[[Task], Task]]:
    rng = np.random.default_rng(0)
    words = np.array([f"{a}{b}" for a in "bcdfghk" for b in "aeiou"])
    task = Task.from_texts([" ".join(rng.choice(words, 6)) for _ in range(N_ROWS)], np.arange(N_ROWS) % 2)
    return task, lambda part: Task.from_texts(part.X["text"].astype(object).tolist(), _labels(part))


def _labels(part: Task) -> np.ndarray:
    return np.asarray(part.classes)[part.y] if part.classes else part.y


@pytest.mark.parametrize(
    ("task", "as_given"),
    [table("classification"), table("regression"), images(), texts()],
    ids=["classification", "regression", "images", "texts"],
)
def test_training_rows_are_described_as_a_table_of_them(task: Task, as_given: Callable[[Task], Task]) -> None:
    train, _ = Protocol().splits(task, SIZE)[0]
    measured = task.take(train)
    found, expected = extract(measured).values, extract(as_given(measured)).values
    np.testing.assert_array_equal(list(found.values()), list(expected.values()))
    assert found["log_rows"] == np.log(SIZE)
    if task.kind == "classification":
        assert found["log_rows_per_class"] == pytest.approx(np.log(SIZE / len(task.classes)))
    if task.modality == "table":
        assert measured.X["seldom"].isna().all()
        assert found["log_columns"] == np.log(3)
        assert found["log_rows_per_column"] == np.log(SIZE / 3)


def test_a_column_that_is_known_late_is_kept() -> None:
    late = pd.DataFrame({"late": np.r_[np.full(500, np.nan), 1.0], "early": np.r_[1.0, np.full(500, np.nan)]})
    task = Task.from_arrays(late, np.arange(501) % 2)
    assert list(without_empty_columns(task).X.columns) == ["late", "early"]
    assert list(without_empty_columns(task.take(np.arange(500))).X.columns) == ["early"]
    nothing = task.take(np.arange(1, 500))
    assert without_empty_columns(nothing) is nothing


def test_categories_of_a_tall_table_are_counted_in_all_its_rows() -> None:
    n_rows = MAX_CELLS
    rare = np.where(np.arange(n_rows) == n_rows - 1, "rare", np.where(np.arange(n_rows) % 2 == 0, "a", "b"))
    X = pd.DataFrame({"named": pd.Categorical(rare), "number": np.arange(n_rows) % 7.0})
    values = extract(Task.from_arrays(X, np.arange(n_rows) % 3, kind="classification")).values
    assert values["log_cardinality_max"] == np.log(3)
    assert values["log_rows"] == np.log(n_rows)
