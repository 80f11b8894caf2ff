"""Tasks from files and from scikit-learn's bundled datasets; columns made ready for learners."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metahpo.exceptions import DataError, UnknownNameError
from metahpo.tasks.bundled import BUNDLED, bundled_task
from metahpo.tasks.preprocessing import MAX_ONE_HOT, preprocessing
from metahpo.tasks.table import read_table
from metahpo.tasks.task import Task

SHAPES = {
    "iris": ("classification", 150, 4, 3),
    "wine": ("classification", 178, 13, 3),
    "breast_cancer": ("classification", 569, 30, 2),
    "digits": ("classification", 1797, 64, 10),
    "diabetes": ("regression", 442, 10, 0),
}


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_datasets(name: str) -> None:
    task = bundled_task(name)
    kind, n_rows, n_features, n_classes = SHAPES[name]
    assert (task.kind, task.n_rows, len(task.classes)) == (kind, n_rows, n_classes)
    assert task.X.shape[1] == n_features
    assert task.name == name
    assert task.fingerprint == read_table(name).fingerprint


def test_a_bundled_dataset_knows_its_relatives_and_a_wrong_name_the_right_ones() -> None:
    assert bundled_task("breast_cancer").family == "breast_wisconsin"
    with pytest.raises(UnknownNameError, match="unknown bundled dataset 'titanic'; known are: iris, wine"):
        bundled_task("titanic")


FRAME = pd.DataFrame({"a": [1.0, 2.0, np.nan, 4.0], "label": ["x", "y", "x", "y"], "b": [0.5, 1.5, 2.5, 3.5]})


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_tables_are_read_whatever_their_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"my table{suffix}"
    if suffix == ".parquet":
        FRAME.to_parquet(path)
    else:
        FRAME.to_csv(path, index=False)
    task = read_table(str(path), "label")
    assert (task.kind, list(task.X.columns), task.name) == ("classification", ["a", "b"], "my table")
    assert np.isnan(task.X["a"][2])
    assert read_table(str(path)).kind == "regression"  # the last column, b


@pytest.mark.parametrize(
    ("name", "content", "target", "message"),
    [
        ("t.csv", b"a,b\n1,2\n", "price", r"no column 'price'; its columns are \['a', 'b'\]"),
        ("t.csv", b"a\n1\n2\n", None, r"at least one feature, but has 1 column"),
        ("t.csv", b"", None, "cannot be read"),
        ("t.csv", b"a,b\n1,2\n1,2,3,4\n", None, "cannot be read"),
        ("t.csv", b"\xff\xfea,b\n", None, "but has 1 column"),
        ("t.csv", b"\xff\xfe", None, "cannot be read"),
        ("t.csv", b"a,b,a\n1,2,3\n", None, r"column names must differ, but \['a'\] occur twice"),
        ("t.csv.gz", b"a,b\n1,2\n", None, "cannot be read"),
        ("t.csv", b"a,b\n", None, "at least one row"),
        ("t.parquet", b"not parquet", None, "cannot be read"),
        ("t.xlsx", b"", None, "must end in one of .csv, .tsv, .tab, .txt, .parquet .*, not in '.xlsx'"),
        ("t", b"", None, "not in ''"),
    ],
)
def test_unusable_tables_are_named(tmp_path: Path, name: str, content: bytes, target: str | None, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(str(tmp_path / name), target)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for source in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match=r"neither a file nor one of the bundled datasets \['iris'"):
            read_table(str(source))


def test_scaled_columns_are_imputed_standardised_and_one_hot() -> None:
    X = pd.DataFrame({"n": [1.0, 2.0, np.nan, 3.0], "c": ["u", "v", None, "u"], "k": [5.0] * 4})
    task = Task.from_arrays(X, [0, 1, 0, 1])
    transformer = preprocessing(task, "scaled")
    values = transformer.fit_transform(task.X)
    names = list(transformer.get_feature_names_out())
    assert np.isfinite(values).all()
    assert names[:2] == ["c_u", "c_v"]
    n = values[:, names.index("n")]
    assert n == pytest.approx((np.array([1, 2, 2, 3]) - 2) / np.std([1, 2, 2, 3]))
    assert (values[:, names.index("k")] == 0).all()
    unseen = transformer.transform(pd.DataFrame({"n": [np.nan], "c": ["new"], "k": [5.0]}))
    assert np.isfinite(unseen).all()


def test_ordinal_columns_put_categories_first_and_keep_what_is_missing() -> None:
    X = pd.DataFrame({"n": [1.0, 2.0, np.nan, 3.0], "c": ["v", "u", None, "u"]})
    task = Task.from_arrays(X, [0, 1, 0, 1])
    transformer = preprocessing(task, "ordinal")
    np.testing.assert_array_equal(transformer.fit_transform(task.X), [[1, 1], [0, 2], [np.nan, np.nan], [0, 3]])
    np.testing.assert_array_equal(
        transformer.transform(pd.DataFrame({"n": [7.0], "c": pd.Categorical(["new"])})), [[np.nan, 7.0]]
    )


def test_many_categories_do_not_explode_the_width() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"c": [f"c{i}" for i in rng.zipf(1.3, 500) % 200]})
    task = Task.from_arrays(X, np.arange(500) % 2, categorical=["c"])
    assert preprocessing(task, "scaled").fit_transform(task.X).shape[1] <= MAX_ONE_HOT
    assert np.nanmax(preprocessing(task, "ordinal").fit_transform(task.X)) < 255


def test_a_fold_in_which_a_column_is_all_missing_still_works() -> None:
    X = pd.DataFrame({"n": [np.nan, np.nan, 1.0, 2.0], "c": [None, None, "u", "v"]})
    task = Task.from_arrays(X, [0, 1, 0, 1])
    for encoding in ("scaled", "ordinal"):
        transformer = preprocessing(task, encoding).fit(task.X.iloc[:2])
        assert transformer.transform(task.X).shape[0] == 4
