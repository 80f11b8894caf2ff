"""What may be given as a task, what is done to it, and what is refused with a word of advice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from metahpo.exceptions import DataError
from metahpo.tasks import containers
from metahpo.tasks import task as task_module
from metahpo.tasks.task import Task, infer_kind

N = 40
X = pd.DataFrame({"a": np.linspace(0, 1, N), "b": np.arange(N) % 3})
Y = np.arange(N) % 2


def with_column(values: Any) -> pd.DataFrame:
    return X.assign(new=values)


@pytest.mark.parametrize(
    ("features", "target", "options", "message"),
    [
        (pd.DataFrame(), [], {}, r"at least one row and one column, but its shape is \(0, 0\)"),
        (np.empty((0, 3)), [], {}, r"its shape is \(0, 3\)"),
        (np.empty((3, 0)), [0, 1, 0], {}, r"its shape is \(3, 0\)"),
        (np.zeros((N, 2, 2)), Y, {}, "has 3 dimension"),
        (None, Y, {}, "of type NoneType; convert it"),
        ([[1], [1, 2]], [0, 1], {}, "X must be rectangular"),
        (X, [[1], [1, 2]], {}, "y must be rectangular"),
        (X, Y[:-1], {}, "X has 40 rows and y has 39"),
        (X, 3, {}, r"y must be of shape \(n_rows,\)"),
        (X, "price", {}, r"is the text 'price'. If that is a column .* y=table\['price'\]"),
        ("prices.csv", [0, 1], {}, "but is 'prices.csv'. If that is a file, read it first"),
        (X, X, {}, "multi-output"),
        (X, X.to_numpy(), {}, r"its shape is \(40, 2\)"),
        (X, np.zeros(N, dtype=int), {}, r"at least two classes, but y holds only \[.*0.*\]"),
        (X, ["one"] * N, {}, "at least two classes"),
        (X, np.full(N, 2.5), {}, "y is constant"),
        (X, np.zeros(N), {"kind": "regression"}, "y is constant"),
        (X, np.full(N, np.nan), {}, "every row's target is missing"),
        (X, [None] * N, {"kind": "regression"}, "every row's target is missing"),
        (X, np.r_[np.inf, np.linspace(0, 1, N - 1)], {}, "y holds infinite values"),
        (X, np.r_[-np.inf, np.linspace(0, 1, N - 1)], {"kind": "regression"}, "y holds infinite values"),
        (X, ["low", "high"] * 20, {"kind": "regression"}, "must be numeric, but y holds 'low'"),
        (X, ["1", "inf"] * 20, {"kind": "regression"}, "must be finite, but y holds text such as 'inf'"),
        (X, pd.Series([np.inf, None] * 20, dtype=object), {}, "y holds infinite values"),
        (X, [10**400, 1] * 20, {}, "y holds integers beyond the range of float64"),
        (X, pd.date_range("2024-01-01", periods=N), {}, "y holds values of type datetime64; give numbers"),
        (X, pd.date_range("2024-01-01", periods=N).date, {}, "y holds values of type date; give numbers"),
        (X, pd.timedelta_range("0s", periods=N), {}, "y holds values of type timedelta64; give numbers"),
        (X, np.arange(N) * 1j, {}, "y holds values of type complex; give numbers"),
        (X, Y, {"kind": "clustering"}, r"\['classification', 'regression'\], but is 'clustering'"),
        (X, Y, {"categorical": ["colour"]}, r"\['colour'\] are not in X, whose columns are \['a', 'b'\]"),
        (with_column(np.r_[np.inf, np.zeros(N - 1)]), Y, {}, "'new' holds infinite values; replace them by NaN"),
        (with_column(1j), Y, {}, "'new' holds complex numbers"),
        (pd.concat([X, X], axis=1), Y, {}, r"column names must differ, but \['a', 'b'\] occur twice"),
        (pd.DataFrame(np.ones((N, 2)), columns=["1", 1]), Y, {}, r"\['1'\] occur twice"),
        (pd.DataFrame({"a": [np.nan] * N}), Y, {}, "no usable column is left: column 'a' is all missing"),
        (pd.DataFrame({"id": [f"row {i}" for i in range(N * 3)]}), np.arange(N * 3) % 2, {}, "looks like text"),
        (3, Y, {}, "of type int; convert it"),
        ({"a": [1], "b": [1, 2]}, [0, 1], {}, "X must be a table, but: All arrays must be of the same length"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_what_came(features: Any, target: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Task.from_arrays(features, target, **options)


def test_rows_without_a_target_are_dropped_with_their_features() -> None:
    y = np.r_[np.nan, np.linspace(0, 1, N - 2), np.nan]
    task = Task.from_arrays(X, y)
    assert task.n_rows == N - 2
    np.testing.assert_array_equal(task.X["a"], X["a"][1:-1])
    assert task.treatments == ("2 rows without a target were dropped",)


@pytest.mark.parametrize(
    "y",
    [
        ["yes", "no", np.nan, "yes"],
        ["yes", "no", None, "yes"],
        np.array(["yes", "no", None, "yes"], dtype=object),
        pd.Series(["yes", "no", None, "yes"], dtype="string"),
        pd.Series(["yes", "no", None, "yes"], dtype="category"),
        pd.Categorical(["yes", "no", None, "yes"]),
    ],
)
def test_a_missing_label_is_no_class(y: Any) -> None:
    task = Task.from_arrays(X[:4], y)
    assert task.classes == ("no", "yes")
    assert task.y.tolist() == [1, 0, 1]
    assert task.y.dtype == np.int64


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix, lambda a: a.tolist(), pd.DataFrame])
def test_every_container_gives_the_same_task(convert: Any) -> None:
    array = np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]])
    task = Task.from_arrays(convert(array), [1, 0, 1])
    np.testing.assert_array_equal(task.X, array)
    assert task.fingerprint == Task.from_arrays(array, [1, 0, 1]).fingerprint


def test_the_index_of_y_does_not_matter_and_input_is_not_changed() -> None:
    frame, target = with_column(["u", "v"] * 20), pd.Series(Y, index=range(100, 100 + N))
    before = frame.copy()
    task = Task.from_arrays(frame.set_index(pd.Index(range(7, 7 + N))), target)
    np.testing.assert_array_equal(task.y, Y)
    task.X.iloc[0, 0] = -1.0
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (np.arange(N) % 2, "classification"),
        (np.arange(N) % 20, "classification"),
        ((np.arange(N) % 2).astype(float), "classification"),
        ((np.arange(N) % 2).astype(bool), "classification"),
        (["a", "b"] * 20, "classification"),
        (pd.Categorical([1, 2] * 20), "classification"),
        (np.linspace(0, 1, N), "regression"),
        (np.arange(N), "regression"),  # more than 20 distinct numbers, more than 5 % of the rows
        (np.arange(N) * 3.0, "regression"),
        (np.linspace(-1.0, 1.0, N) * 1e308, "regression"),  # their span is beyond float64
        (np.where(Y, 2**62, 2**62 + 1024), "classification"),
        (np.arange(1000) % 30, "classification"),  # 30 values, 3 % of the rows
        (pd.Series([1.5, None, 2.5, 3.0] * 10, dtype="Float64"), "regression"),
    ],
)
def test_kind_is_inferred_from_the_target(y: Any, kind: str) -> None:
    assert infer_kind(pd.Series(y).dropna()) == kind
    assert Task.from_arrays(np.arange(len(y))[:, None], y).kind == kind


def test_labels_of_every_type_come_back_in_order() -> None:
    assert Task.from_arrays(X, np.where(Y, 10, -5)).classes == (-5, 10)
    assert Task.from_arrays(X, np.where(Y, "b", "a")).classes == ("a", "b")
    assert Task.from_arrays(X, Y.astype(bool)).classes == (False, True)
    assert Task.from_arrays(X, Y.reshape(-1, 1)).y.shape == (N,)


mixed = st.integers(0, 10**6).map(
    lambda seed: pd.DataFrame(
        {
            "n": np.random.default_rng(seed).standard_normal(12),
            "m": np.where(np.random.default_rng(seed).random(12) < 0.3, np.nan, 1.0 + seed % 7),
            "c": np.random.default_rng(seed).choice(list("xyz"), 12),
        }
    )
)


@settings(max_examples=25, deadline=None)
@given(frame=mixed, order=st.permutations(["n", "m", "c"]), names=st.permutations(["u", "v", "w"]))
def test_fingerprint_knows_the_values_only(frame: pd.DataFrame, order: list[str], names: list[str]) -> None:
    target = np.arange(12) % 2
    print_of = Task.from_arrays(frame, target).fingerprint
    assert Task.from_arrays(frame[order].set_axis(names, axis=1), target).fingerprint == print_of
    assert Task.from_arrays(frame, target.astype(str), name="other", data_id=3).fingerprint == print_of
    assert Task.from_arrays(frame, 1 - target).fingerprint != print_of
    assert Task.from_arrays(frame.assign(n=frame["n"] + 1e-9), target).fingerprint != print_of
    assert Task.from_arrays(frame[::-1], target).fingerprint != print_of
    assert Task.from_arrays(frame, target, kind="regression").fingerprint != print_of


def imbalanced(counts: list[int]) -> Task:
    y = np.repeat(np.arange(len(counts)), counts)
    return Task.from_arrays(np.arange(len(y), dtype=float)[:, None], y, kind="classification")


def test_splits_are_stratified_cover_every_row_once_and_repeat() -> None:
    task = imbalanced([60, 30, 9])
    splits = task.splits(3, random_state=1)
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(99))
    for train, test in splits:
        assert not set(train) & set(test)
        assert np.bincount(task.y[test]).tolist() == [20, 10, 3]
    again = imbalanced([60, 30, 9]).splits(3, random_state=1)
    assert all((a[1] == b[1]).all() for a, b in zip(splits, again, strict=True))
    assert any((a[1] != b[1]).any() for a, b in zip(splits, task.splits(3, random_state=2), strict=True))


def test_regression_splits_are_shuffled() -> None:
    task = Task.from_arrays(X, np.linspace(0, 1, N))
    tests = [test for _, test in task.splits(4)]
    assert sorted(np.concatenate(tests)) == list(range(N))
    assert tests[0].tolist() != list(range(10))


@pytest.mark.parametrize(
    ("task", "n_folds", "message"),
    [
        (imbalanced([5, 5]), 1, "at least 2 folds, but n_folds = 1"),
        (imbalanced([3, 3]), 7, "at least 7 rows, but task 'task' has 6"),
        (
            imbalanced([9, 2]),
            3,
            r"smallest class of task 'task' has 2; use fewer folds, or `without_rare_classes\(3\)`",
        ),
    ],
)
def test_impossible_splits_are_refused(task: Task, n_folds: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        task.splits(n_folds)


def test_rare_classes_leave_with_their_labels() -> None:
    task = Task.from_arrays(np.arange(9.0)[:, None], list("aaaabcccc"), name="letters", data_id=5)
    kept = task.without_rare_classes(3)
    assert kept.classes == ("a", "c")
    assert kept.y.tolist() == [0] * 4 + [1] * 4
    assert kept.X["x0"].tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert (kept.name, kept.data_id) == ("letters", 5)
    assert kept.treatments == ("classes with fewer than 3 rows were dropped: ['b']",)
    assert task.without_rare_classes(1) is task
    with pytest.raises(DataError, match="fewer than two classes of at least 5 rows"):
        task.without_rare_classes(5)
    regression = Task.from_arrays(X, np.linspace(0, 1, N))
    assert regression.without_rare_classes(10) is regression


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(1, 300), min_size=2, max_size=8),
    max_rows=st.integers(10, 200),
    seed=st.integers(0, 3),
)
def test_subsample_keeps_every_class_and_its_share(counts: list[int], max_rows: int, seed: int) -> None:
    task = imbalanced(counts)
    sample = task.subsample(max_rows, seed)
    kept = np.bincount(sample.y, minlength=len(counts))
    if task.n_rows <= max_rows:
        assert sample is task
        return
    for count, left in zip(counts, kept, strict=True):
        assert abs(left - max(min(2, count), count * max_rows / task.n_rows)) <= 1
    assert sample.n_rows <= max_rows + 2 * len(counts)
    assert sample.X["x0"].is_monotonic_increasing  # rows keep their order, none twice
    assert sample.X["x0"].is_unique
    pd.testing.assert_frame_equal(sample.X, task.subsample(max_rows, seed).X)


def test_regression_subsample_has_exactly_so_many_rows() -> None:
    task = Task.from_arrays(X, np.linspace(0, 1, N))
    sample = task.subsample(15)
    assert sample.n_rows == 15
    np.testing.assert_allclose(sample.y, sample.X["a"])


def test_one_column_of_any_container_is_a_table() -> None:
    for column in (pd.Series(np.arange(N), name="a"), np.arange(N), np.arange(N).tolist(), {"a": np.arange(N)}):
        task = Task.from_arrays(column, Y)
        assert task.X.shape == (N, 1)
    assert list(Task.from_arrays(pd.Series(np.arange(N), name=3), Y).X.columns) == ["3"]


def test_masked_values_are_missing() -> None:
    masked = np.arange(N) % 3 == 0
    X = np.ma.masked_array(np.arange(2 * N).reshape(N, 2) * 1.0, mask=np.stack([masked, ~masked], axis=1))
    task = Task.from_arrays(X, np.ma.masked_array(Y, mask=np.arange(N) % 10 == 9))
    assert task.n_rows == N - 4
    kept = np.arange(N) % 10 != 9
    np.testing.assert_array_equal(task.X.isna(), np.stack([masked, ~masked], axis=1)[kept])
    assert task.classes == (0, 1)


def test_of_a_large_sparse_matrix_rows_are_drawn_before_it_is_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = sparse.random(400, 50, 0.1, format="coo", random_state=0)
    y = np.where(np.arange(400) < 8, "rare", "usual")
    whole = Task.from_arrays(wide, y)
    assert (whole.n_rows, whole.treatments) == (400, ())
    np.testing.assert_array_equal(whole.X, wide.toarray())
    monkeypatch.setattr(task_module, "MAX_SPARSE_CELLS", 100 * 50)
    drawn = Task.from_arrays(wide, y)
    assert drawn.n_rows == 100
    assert np.bincount(drawn.y).tolist() == [2, 98]
    assert drawn.treatments == ("X is sparse and large: 100 of its 400 rows were drawn",)
    monkeypatch.setattr(containers, "MAX_DENSE_CELLS", 100 * 50)
    assert drawn.reading is not None
    with pytest.raises(DataError, match=r"X is sparse, and its 400 rows of 50 columns would take .* GB"):
        drawn.reading.prepared(wide)


def test_labels_that_differ_stay_apart_and_numbers_as_text_may_be_a_quantity() -> None:
    assert Task.from_arrays(X, ["True", True] * 20).classes == (True, "True")
    assert Task.from_arrays(X, [[1], [2]] * 20).classes == (1, 2)
    assert Task.from_arrays(X, [(1, 2), (0, 3)] * 20).classes == ((0, 3), (1, 2))
    labels = Task.from_arrays(X, [str(i) for i in range(N)])
    assert (labels.kind, len(labels.classes)) == ("classification", N)
    quantity = Task.from_arrays(X, [f"{i},5" for i in range(N)])
    assert quantity.kind == "regression"
    np.testing.assert_array_equal(quantity.y, np.arange(N) + 0.5)
    assert quantity.treatments == ("y holds numbers as text and became numeric",)


def test_columns_that_are_treated_alike_are_told_together() -> None:
    gaps = pd.DataFrame({f"g{i}": [np.nan] * N for i in range(25)}).assign(a=np.arange(N))
    (note,) = Task.from_arrays(gaps, Y).treatments
    assert note.startswith("columns 'g0', 'g1', ")
    assert note.endswith("'g19' and 5 more are all missing and were dropped")
