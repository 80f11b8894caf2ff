"""Columns of every sort: what they become, and which are dropped or refused with a word of advice."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metahpo.exceptions import DataError
from metahpo.tasks.preprocessing import MAX_ONE_HOT, MAX_ORDINAL, Encoding, preprocessing
from metahpo.tasks.task import Task

N = 40
X = pd.DataFrame({"a": np.linspace(0, 1, N), "b": np.arange(N) % 3})
Y = np.arange(N) % 2


def with_column(values: Any) -> pd.DataFrame:
    return X.assign(new=values)


@pytest.mark.parametrize(
    ("values", "treatment"),
    [
        ([np.nan] * N, "all missing and was dropped"),
        ([None] * N, "all missing and was dropped"),
        ([f"sentence number {i}" for i in range(N - 1)] + [None], None),  # few rows: names, not text
        (pd.date_range("2024-01-01", periods=N), "dates and became days since 1970-01-01"),
        (pd.date_range("2024-01-01", periods=N, tz="Europe/Berlin"), "dates and became days since 1970-01-01"),
        (pd.timedelta_range("0s", periods=N, freq="12h"), "durations and became days"),
    ],
)
def test_odd_columns_are_treated_and_the_treatment_told(values: Any, treatment: str | None) -> None:
    task = Task.from_arrays(with_column(values), Y)
    if treatment is None:
        assert task.treatments == ()
        assert task.categorical == ("new",)
    else:
        assert [treatment in note and "'new'" in note for note in task.treatments] == [True]
        assert ("new" in task.X.columns) == ("dropped" not in treatment)
        assert "new" not in task.categorical


def test_dates_and_durations_become_days() -> None:
    frame = pd.DataFrame(
        {
            "date": pd.to_datetime(["1970-01-02 00:00", "NaT", "1970-01-03 12:00"]),
            "span": pd.to_timedelta(["1 day", "36 hours", None]),
        }
    )
    task = Task.from_arrays(frame, [0, 1, 0])
    np.testing.assert_array_equal(task.X["date"], [1.0, np.nan, 2.5])
    np.testing.assert_array_equal(task.X["span"], [1.0, 1.5, np.nan])


def test_free_text_is_dropped_and_a_declared_category_kept() -> None:
    text = [f"sentence number {i}" for i in range(120)]
    frame = pd.DataFrame({"a": np.arange(120.0), "text": text})
    task = Task.from_arrays(frame, np.arange(120) % 2)
    assert list(task.X.columns) == ["a"]
    assert "'text' looks like text (120 distinct values)" in task.treatments[0]
    assert Task.from_arrays(frame, np.arange(120) % 2, categorical=["text"]).categorical == ("text",)


@pytest.mark.parametrize(
    ("values", "is_category"),
    [
        (["u", "v"] * 20, True),
        (pd.Series(["u", None] * 20, dtype="string"), True),
        (pd.Categorical([1, 2] * 20), True),
        ([True, False] * 20, True),
        (pd.Series([True, None] * 20, dtype="boolean"), True),
        (pd.Series([1, None] * 20, dtype="Int64"), False),
        (pd.Series([1.5, None] * 20, dtype="Float64"), False),
        (pd.Series([1, 2.5, None, 4] * 10, dtype=object), False),
        (pd.arrays.SparseArray([0.0, 1.0] * 20), False),
        (np.arange(N, dtype=np.uint8), False),
        (np.arange(N, dtype=np.float32), False),
    ],
)
def test_kinds_of_columns(values: Any, is_category: bool) -> None:
    task = Task.from_arrays(with_column(values), Y)
    assert ("new" in task.categorical) == is_category
    missing = pd.isna(pd.Series(values))
    assert (task.X["new"].isna().to_numpy() == missing.to_numpy()).all()
    if is_category:
        assert all(isinstance(c, str) for c in task.X["new"].cat.categories)
    else:
        assert task.X["new"].dtype == np.float64


def test_numbers_in_lists_beside_strings_stay_numbers() -> None:
    task = Task.from_arrays([["red", 1.5], ["blue", None], ["red", 3]], [0, 1, 0])
    assert (task.categorical, task.numeric) == (("x0",), ("x1",))
    np.testing.assert_array_equal(task.X["x1"], [1.5, np.nan, 3.0])


DAY = dt.date(2020, 1, 1)
NOON = dt.datetime(2020, 1, 1, 12)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([10**30, 2] * 20, [1e30, 2.0]),
        ([2**63 + 2**40, 0] * 20, [2.0**63 + 2**40, 0.0]),
        ([Decimal("1.5"), None] * 20, [1.5, np.nan]),
        (np.array([2**64 - 1, 0] * 20, dtype=np.uint64), [2.0**64, 0.0]),
        (pd.array([1, None] * 20, dtype="int64[pyarrow]"), [1.0, np.nan]),
        ([DAY, None] * 20, [18262.0, np.nan]),
        ([NOON, NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=12)))] * 20, [18262.5, 18262.0]),
        ([dt.date(9999, 12, 31), dt.date(1, 1, 1)] * 20, [2932896.0, -719162.0]),
        (np.array(["1600-01-01", "NaT"] * 20, dtype="datetime64[s]"), [-135140.0, np.nan]),
        (pd.array([DAY, None] * 20, dtype="date32[pyarrow]"), [18262.0, np.nan]),
        (pd.array([NOON, None] * 20, dtype="timestamp[ns][pyarrow]"), [18262.5, np.nan]),
        (pd.PeriodIndex(["2020-01", "2020-02"] * 20, freq="M"), [18262.0, 18293.0]),
    ],
)
def test_numbers_and_dates_of_every_type_are_numbers(values: Any, expected: list[float]) -> None:
    column = Task.from_arrays(with_column(values), Y).X["new"]
    assert column.dtype == np.float64
    np.testing.assert_array_equal(column[:2], expected)


@pytest.mark.parametrize(
    "values",
    [
        ["a", 1, 2.5, None] * 10,
        [True, False, None, "x"] * 10,
        [[1], [2, 3]] * 20,
        [{}, {"a": 1}] * 20,
        [np.ones(2), None] * 20,
        [b"raw", "text"] * 20,
        [dt.time(3), dt.time(4)] * 20,
        pd.array([True, None] * 20, dtype="bool[pyarrow]"),
        pd.Categorical(pd.date_range("2020", periods=2).repeat(20)),
    ],
)
def test_what_is_no_number_is_a_category_by_its_text(values: Any) -> None:
    column = Task.from_arrays(with_column(values), Y).X["new"]
    assert isinstance(column.dtype, pd.CategoricalDtype)
    assert all(isinstance(c, str) for c in column.cat.categories)
    assert column.isna().tolist() == pd.Series(values).isna().tolist()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([10**400, 1] * 20, "column 'new' holds integers beyond the range of float64; give their logarithms"),
        ([np.inf, None] * 20, "column 'new' holds infinite values"),
        ([Decimal("Infinity"), Decimal(1)] * 20, "column 'new' holds infinite values"),
        (np.full(N, np.longdouble("1e4000")), "column 'new' holds infinite values"),
        ([1j, None] * 20, "column 'new' holds complex numbers"),
    ],
)
def test_numbers_that_float64_cannot_hold_are_refused(values: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Task.from_arrays(with_column(values), Y)


def test_text_that_is_no_unicode_is_refused() -> None:
    broken = np.array([["\ud800", "a"]] * N, dtype=object)
    with pytest.raises(DataError, match="X holds text that cannot be stored as UTF-8"):
        Task.from_arrays(broken, Y)
    with pytest.raises(DataError, match="y holds text that cannot be stored as UTF-8"):
        Task.from_arrays(X, broken[:, 0])


@pytest.mark.parametrize(("encoding", "widest"), [("scaled", MAX_ONE_HOT), ("ordinal", 1)])
def test_ten_thousand_categories_stay_one_column_and_do_not_explode(encoding: Encoding, widest: int) -> None:
    values = [f"c{i}" for i in range(10_000)] * 2
    task = Task.from_arrays(pd.DataFrame({"c": values}), np.arange(20_000) % 2, categorical=["c"])
    assert len(task.X["c"].cat.categories) == 10_000
    numbers = preprocessing(task, encoding).fit_transform(task.X)
    assert numbers.shape[1] <= widest
    assert np.nanmax(numbers) < MAX_ORDINAL


def test_a_wide_table_is_read_column_by_column() -> None:
    wide = pd.DataFrame(np.random.default_rng(0).random((4, 3000))).assign(c=["u", "v"] * 2)
    task = Task.from_arrays(wide, [0, 1, 0, 1])
    assert len(task.numeric) == 3000
    assert task.categorical == ("c",)


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=4),
    st.binary(max_size=3),
    st.dates(),
    st.datetimes(timezones=st.one_of(st.none(), st.just(dt.UTC))),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.complex_numbers(),
    st.lists(st.integers(), max_size=2),
)
columns = st.one_of(
    st.lists(anything, min_size=6, max_size=6),
    *(
        st.lists(st.one_of(st.none(), sort), min_size=6, max_size=6)
        for sort in (
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(),
            st.dates(),
            st.datetimes(),
            st.decimals(allow_nan=False),
        )
    ),
)


@settings(max_examples=150, deadline=None)
@given(column=columns, target=columns)
def test_any_table_is_a_sound_task_or_refused(column: list[Any], target: list[Any]) -> None:
    features = {"a": range(6), "new": pd.Series(column, dtype=object)}
    try:
        task = Task.from_arrays(pd.DataFrame(features), pd.Series(target, dtype=object))
    except DataError:
        return
    assert np.isfinite(task.y).all()
    assert task.y.min() < task.y.max()
    assert not np.isinf(task.X[list(task.numeric)].to_numpy(np.float64)).any()
    assert (task.X[list(task.numeric)].dtypes == np.float64).all()
    assert len(task.X) == len(task.y) <= 6
    assert task.reading is not None
    pd.testing.assert_frame_equal(task.reading.prepared(task.X), task.X)  # what is prepared stays what it is
    assert len(task.fingerprint) == 64
    if (task.X[list(task.numeric)].abs().max() < 1e100).all():  # squares of larger numbers are beyond float64
        assert np.isfinite(preprocessing(task, "scaled").fit_transform(task.X)).all()
    assert preprocessing(task, "ordinal").fit_transform(task.X).shape == task.X.shape
