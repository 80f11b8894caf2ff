"""Tasks from files and from scikit-learn's bundled datasets; columns made ready for learners."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metahpo.datasets.bundled import BUNDLED, bundled_task
from metahpo.datasets.table_file import read_table
from metahpo.exceptions import DataError, UnknownNameError
from metahpo.tasks.preprocessing import MAX_ONE_HOT, preprocessing
from metahpo.tasks.task import Task

SHAPES = {
    "iris": ("classification", 150, 4, 3),
    "wine": ("classification", 178, 13, 3),
    "breast_cancer": ("classification", 569, 30, 2),
    "digits": ("classification", 1797, 64, 10),
    "diabetes": ("regression", 442, 10, 0),
    "friedman1": ("regression", 8000, 10, 0),
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
        ("t.csv", b"a,b\n1,2\n1,2,3,4\n", None, r"cannot be read: .* saw 4\.$"),
        ("t.csv", b"\xff\xfea,b\n", None, "but has 1 column"),
        ("t.csv", b"\xff\xfe", None, "cannot be read"),
        ("t.csv", b"a,b,a\n1,2,3\n", None, r"column names must differ, but \['a'\] occur twice"),
        ("t.csv.gz", b"a,b\n1,2\n", None, "cannot be read"),
        ("t.csv", b"a,b\n", None, r"has the columns \['a', 'b'\], but no rows"),
        ("t.parquet", b"not parquet", None, "cannot be read"),
        ("t.xlsx", b"", None, "must end in one of .csv, .tsv, .tab, .txt, .parquet .*, not in '.xlsx'"),
        ("t", b"", None, "not in ''"),
    ],
)
def test_unusable_tables_are_named(tmp_path: Path, name: str, content: bytes, target: str | None, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(str(tmp_path / name), target)


ROWS = range(40)
ANSWER = ["no" if i % 2 else "yes" for i in ROWS]


def notes_of(path: Path, content: bytes, **options: Any) -> tuple[Task, str]:
    path.write_bytes(content)
    task = read_table(str(path), **options)
    return task, "; ".join(task.treatments)


@pytest.mark.parametrize(
    ("name", "sep", "encoding", "said"),
    [
        ("t.tsv", "\t", "utf-8", None),
        ("t.txt", "|", "utf-8", "separated by '|'"),
        ("t.csv", ";", "utf-8-sig", "separated by ';'"),
        ("t.csv", ",", "utf-16", None),
        ("t.csv", ";", "latin-1", "is no UTF-8 and is read as cp1252"),
        ("t.csv.gz", ",", "utf-8", None),
        ("t.tsv.BZ2", "\t", "utf-8", None),
        ("t.csv.xz", ",", "utf-8", None),
    ],
)
def test_text_is_read_in_any_layout(tmp_path: Path, name: str, sep: str, encoding: str, said: str | None) -> None:
    lines = [sep.join(["größe", "'b'", "answer"]), *(f"{i}{sep}ü{sep}{ANSWER[i]}" for i in ROWS)]
    packers: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    pack = packers.get(Path(name).suffix.lower())
    content = "\n".join(lines).encode(encoding)
    task, notes = notes_of(tmp_path / name, pack(content) if pack else content)
    assert task.name == "t"
    assert task.X["größe"].tolist() == list(ROWS)
    assert task.X["'b'"].unique().tolist() == ["ü"]
    assert task.classes == ("no", "yes")
    assert said in notes if said else "separated" not in notes
    assert "the last column, 'answer', is taken for the target" in notes
    assert "y is taken for 2 classes (classification): 'no', 'yes'" in notes


@pytest.mark.parametrize(
    ("header", "number"),
    [("0.5,2,no", "0.5"), ("-3,2,no", "-3"), ("0,1,2", None), ("2019,2020,growth", None), ("v1.5,b-1,c", None)],
)
def test_a_first_line_of_numbers_is_told(tmp_path: Path, header: str, number: str | None) -> None:
    lines = [header, *(f"{i},{i % 7}.5,{ANSWER[i]}" for i in ROWS)]
    _, notes = notes_of(tmp_path / "t.csv", "\n".join(lines).encode())
    expected = (
        f"the first line is taken for the names of the columns, though it holds numbers such as {number!r}: put a"
    )
    assert (expected in notes) == ("first line" in notes) == (number is not None)


def test_separator_and_encoding_may_be_said(tmp_path: Path) -> None:
    content = "a;b,c;d\nя;1,5;x\nю;2,5;y\n".encode("koi8-r")
    task, _ = notes_of(tmp_path / "t.csv", content, sep=";", encoding="koi8-r")
    assert list(task.X.columns) == ["a", "b,c"]
    assert task.X["a"].tolist() == ["я", "ю"]
    for options in ({"encoding": "ascii"}, {"encoding": "no such"}, {"sep": "::"}):
        with pytest.raises(DataError, match="cannot be read"):
            notes_of(tmp_path / "t.csv", content, **options)


def test_columns_of_text_are_read_as_what_they_say_and_that_is_said(tmp_path: Path) -> None:
    head = "price;weight;share;day;word;gap;answer\n"
    rows = (
        f"{i + 1}.234,5;{i + 1}.000;{i} %;{i % 28 + 1:02d}.03.1970;"
        f"{'?' if i % 5 == 0 else 'w'};{'?' if i == 3 else i};{ANSWER[i]}\n"
        for i in ROWS
    )
    task, notes = notes_of(tmp_path / "t.csv", (head + "".join(rows)).encode())
    assert task.X["price"].tolist() == [1000 * (i + 1) + 234.5 for i in ROWS]
    assert task.X["weight"].tolist() == [1000 * (i + 1) for i in ROWS]  # the decimal comma of "price" tells
    assert task.X["share"].tolist() == list(ROWS)
    assert task.X["day"][:2].tolist() == [59, 60]
    assert task.X["word"].isna().sum() == 8
    assert np.isnan(task.X["gap"][3])
    for said in (
        "columns 'price', 'weight' hold numbers as text (decimal comma, '.' between thousands) and became numeric",
        "column 'share' holds numbers as text (decimal comma, in percent) and became numeric",
        "column 'day' holds dates as text (%d.%m.%Y) and became days since 1970-01-01",
        "column 'word' holds categories ('?' for missing)",
        "column 'gap' holds numbers as text (decimal comma, '?' for missing) and became numeric",
    ):
        assert said in notes


def test_the_kind_is_said_and_can_be_told(tmp_path: Path) -> None:
    content = ("a,y\n" + "".join(f"{i},{i % 48}\n" for i in range(96))).encode()
    task, notes = notes_of(tmp_path / "t.csv", content)
    assert task.kind == "regression"
    assert (
        'y is taken for a quantity (regression); if its numbers are names of classes, give kind="classification"'
        in notes
    )
    task, notes = notes_of(tmp_path / "t.csv", content, kind="classification")
    assert (task.kind, len(task.classes), "y is taken" in notes) == ("classification", 48, False)
    _, notes = notes_of(tmp_path / "t.csv", ("a,y\n" + "".join(f"{i},{i % 5}\n" for i in ROWS)).encode())
    assert (
        'y is taken for 5 classes (classification): 0, 1, 2, 3, 4; if it is a quantity, give kind="regression"' in notes
    )
    assert read_table("diabetes", kind="classification").kind == "classification"
    with pytest.raises(DataError, match="a target of its own, but target is 'species'"):
        read_table("iris", "species")


def test_targets_as_text_are_read_as_what_they_say(tmp_path: Path) -> None:
    task, notes = notes_of(tmp_path / "t.csv", ("a,y\n" + "".join(f'{i},"{i},25"\n' for i in ROWS)).encode())
    assert task.y[:2].tolist() == [0.25, 1.25]
    assert "y holds numbers as text and became numeric" in notes
    task, notes = notes_of(tmp_path / "t.csv", b"a,y\n1,?\n2,u\n3,v\n")
    assert (task.classes, task.n_rows) == (("u", "v"), 2)
    assert "1 rows without a target were dropped" in notes


def test_lines_that_are_longer_than_the_header(tmp_path: Path) -> None:
    task, _ = notes_of(tmp_path / "t.csv", ("a,y\n" + "".join(f"{i},{i % 2},\n" for i in ROWS)).encode())
    assert task.X["a"].tolist() == list(ROWS)
    task, notes = notes_of(tmp_path / "t.csv", ("a,y\n" + "".join(f"r{i},{i},{i % 2}\n" for i in ROWS)).encode())
    assert task.X["a"].tolist() == list(ROWS)
    assert "the first is taken for the name of the row" in notes


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
