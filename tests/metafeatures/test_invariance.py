"""The same data, however arranged, named or measured, have the same meta-features (for units: up to rounding)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metahpo.metafeatures.canonical_order import canonical, unit_range
from metahpo.metafeatures.extraction import extract
from metahpo.metafeatures.sample import ROWS, Sample
from metahpo.tasks.task import Task


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """Small tasks of both kinds with tied and missing numbers, categories, and columns that may be constant."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows = draw(st.integers(8, 60))
    X = pd.DataFrame(index=range(n_rows))
    for j in range(draw(st.integers(1, 5))):
        match draw(st.sampled_from(["normal", "tied", "heavy", "named", "constant"])):
            case "normal":
                X[f"c{j}"] = rng.normal(size=n_rows)
            case "tied":
                X[f"c{j}"] = rng.integers(0, 4, n_rows).astype(float)
            case "heavy":
                X[f"c{j}"] = rng.standard_cauchy(n_rows)
            case "named":
                X[f"c{j}"] = rng.choice(list("abcde"), n_rows)
            case _:
                X[f"c{j}"] = 3.0
    if draw(st.booleans()):
        X = X.mask((rng.random(X.shape) < 0.1) & (np.arange(n_rows) > 0)[:, None])
    if draw(st.booleans()):
        y = rng.integers(0, draw(st.integers(2, 4)), n_rows)
        y[:2] = 0, 1
        return Task.from_arrays(X, y, kind="classification")
    return Task.from_arrays(X, rng.normal(size=n_rows), kind="regression")


def rearranged(task: Task, rows: np.ndarray, columns: np.ndarray) -> Task:
    X = task.X.iloc[rows, columns].reset_index(drop=True)
    X.columns = pd.Index([f"renamed{j}" for j in range(X.shape[1])])
    return Task(X, task.y[rows], task.kind, classes=task.classes)


def values_of(task: Task) -> np.ndarray:
    return np.array(list(extract(task).values.values()))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(task=tasks(), seed=st.integers(0, 1000))
def test_order_and_names_of_rows_and_columns_do_not_matter(task: Task, seed: int) -> None:
    rng = np.random.default_rng(seed)
    other = rearranged(task, rng.permutation(task.n_rows), rng.permutation(task.X.shape[1]))
    np.testing.assert_array_equal(values_of(other), values_of(task))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(task=tasks(), factor=st.sampled_from([0.0254, 1000.0, 3.7e-6]), shift=st.sampled_from([0.0, 32.0, -273.15]))
def test_units_of_columns_do_not_matter(task: Task, factor: float, shift: float) -> None:
    X = task.X.copy()
    X[list(task.numeric)] = X[list(task.numeric)] * factor + shift * factor
    other = Task(X, task.y, task.kind, classes=task.classes)
    np.testing.assert_allclose(values_of(other), values_of(task), rtol=1e-6, atol=1e-6)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(task=tasks().filter(lambda task: task.kind == "regression"), factor=st.sampled_from([0.0254, 1000.0]))
def test_units_of_the_target_do_not_matter(task: Task, factor: float) -> None:
    other = Task(task.X, task.y * factor + 32.0, task.kind)
    np.testing.assert_allclose(values_of(other), values_of(task), rtol=1e-6, atol=1e-6)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(task=tasks())
def test_information_depends_on_the_order_of_numbers_only(task: Task) -> None:
    X = task.X.copy()
    X[list(task.numeric)] = np.arcsinh(X[list(task.numeric)])
    straight, bent = Sample.of(task), Sample.of(Task(X, task.y, task.kind, classes=task.classes))
    np.testing.assert_array_equal(straight.levels, bent.levels)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_task_that_must_be_subsampled_is_invariant_too(kind: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2 * ROWS, 3))
    X[:, 2] = X[:, 2].round()
    y = (X[:, 0] > 0).astype(int) if kind == "classification" else X[:, 0] + rng.normal(size=len(X))
    task = Task.from_arrays(X, y)
    assert task.kind == kind
    other = rearranged(task, rng.permutation(task.n_rows), np.array([2, 0, 1]))
    np.testing.assert_array_equal(values_of(other), values_of(task))


def test_canonical_order_keeps_rows_whole() -> None:
    rng = np.random.default_rng(1)
    task = Task.from_arrays(pd.DataFrame({"a": np.arange(20.0), "b": list("xy") * 10}), rng.normal(size=20))
    arranged = canonical(task)
    assert set(arranged.X.columns) == {"a", "b"}
    rows = arranged.X["a"].to_numpy().astype(int)
    assert sorted(rows) == list(range(20))
    np.testing.assert_array_equal(arranged.y, task.y[rows])
    np.testing.assert_array_equal(arranged.X["b"].to_numpy(), task.X["b"].to_numpy()[rows])


def test_unit_range_of_extreme_columns() -> None:
    values = np.array([[1e308, 5e-324, 7.0, np.nan], [-1e308, 0.0, 7.0, np.nan], [0.0, np.nan, 7.0, np.nan]])
    expected = np.array([[1.0, 1.0, 0.0, np.nan], [0.0, 0.0, 0.0, np.nan], [0.5, np.nan, 0.0, np.nan]])
    np.testing.assert_array_equal(unit_range(values), expected)
