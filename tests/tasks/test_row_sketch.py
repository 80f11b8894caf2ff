"""Datasets are recognised by their rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from metahpo.tasks.row_sketch import KEPT, row_sketch, rows_in_common
from metahpo.tasks.task import Task


def table(n_rows: int = 3000, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.standard_normal((n_rows, 3)), columns=list("abc"))
    X["colour"] = rng.choice(["red", "green", "blue"], n_rows)
    X["code"] = rng.integers(0, 4, n_rows)
    X.loc[rng.random(n_rows) < 0.1, "b"] = np.nan
    return X, rng.integers(0, 2, n_rows)


def test_a_sketch_is_small_and_the_same_for_shuffled_and_renamed_data() -> None:
    X, y = table()
    sketch = row_sketch(Task.from_arrays(X, y))
    order = np.random.default_rng(1).permutation(len(X))
    other = X.iloc[order][["code", "c", "colour", "a", "b"]].set_axis(list("vwxyz"), axis=1)
    assert len(sketch) == KEPT
    np.testing.assert_array_equal(sketch, row_sketch(Task.from_arrays(other, y[order])))


@pytest.mark.parametrize("change", ["codes as text", "single precision", "part of the rows", "other labels"])
def test_a_dataset_is_found_again(change: str) -> None:
    X, y = table()
    sketches = {"known": row_sketch(Task.from_arrays(X, y)), "other": row_sketch(Task.from_arrays(*table(seed=5)))}
    share = 1.0
    if change == "codes as text":
        X = X.assign(code=X["code"].astype(str))
    elif change == "single precision":
        X = X.astype({"a": np.float32, "b": np.float32, "c": np.float32})
    elif change == "part of the rows":
        X, y, share = X.iloc[500:900], y[500:900], 400 / 3000
    else:
        y = np.where(y == 1, "yes", "no")
    found = rows_in_common(Task.from_arrays(X, y, kind="classification"), sketches)
    assert list(found) == ["known"]
    assert found["known"] == pytest.approx(share, abs=0.08)


def test_rows_of_little_information_are_not_compared() -> None:
    rng = np.random.default_rng(0)
    first, second = (Task.from_arrays(rng.integers(0, 2, (200, 6)), rng.integers(0, 2, 200)) for _ in range(2))
    assert rows_in_common(second, {"first": row_sketch(first)}) == {}


def test_rows_of_some_information_are_found_where_almost_all_of_them_agree() -> None:
    X, y = load_iris(return_X_y=True)
    known = {"iris": row_sketch(Task.from_arrays(X, y))}
    order = np.random.default_rng(0).permutation(len(X))[:120]
    assert rows_in_common(Task.from_arrays(X[order], y[order]), known)["iris"] == pytest.approx(0.8, abs=0.05)
    rng = np.random.default_rng(1)
    resampled = np.column_stack([rng.permutation(X[:, i]) for i in range(4)])
    assert rows_in_common(Task.from_arrays(resampled, y), known) == {}


def test_a_part_of_long_texts_is_found_again_and_one_of_short_words_is_not() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(300)])
    long, short = ([" ".join(rng.choice(words, n)) for _ in range(3000)] for n in (20, 1))
    y = rng.integers(0, 2, 3000)
    for texts, expected in ((long, {"known"}), (short, set())):
        sketches = {"known": row_sketch(Task.from_texts(texts, y))}
        assert set(rows_in_common(Task.from_texts(texts[:400], y[:400]), sketches)) == expected
