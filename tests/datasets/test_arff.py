"""ARFF files as the format's description has them, and broken in the ways that OpenML's are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metahpo.datasets import arff
from metahpo.datasets.arff import read_arff
from metahpo.exceptions import DataError


def read(folder: Path, text: str, max_cells: int | None = None) -> pd.DataFrame:
    (folder / "t.arff").write_text(text, encoding="utf-8")
    return read_arff(folder / "t.arff", max_cells)


def test_every_sort_of_attribute(tmp_path: Path) -> None:
    frame = read(
        tmp_path,
        "% about\n@RELATION 'x y'\n@attribute a numeric\n@ATTRIBUTE\t'b c'\t{x,'y z',\"w\"}\n@attribute s string\n"
        "@Attribute n integer\n@DATA\n1e3,x,'hi, \\'you\\'',7\n% in between\n\n?,'y z',?,?\n-.5,w,é,0\n",
    )
    assert list(frame.columns) == ["a", "b c", "s", "n"]
    np.testing.assert_array_equal(frame["a"], [1000, np.nan, -0.5])
    np.testing.assert_array_equal(frame["n"], [7, np.nan, 0])
    assert list(frame["b c"].cat.categories) == ["x", "y z", "w"]
    assert frame["b c"].tolist() == ["x", "y z", "w"]
    assert frame["s"].tolist() == ["hi, 'you'", None, "é"]


@pytest.mark.parametrize(
    ("declared", "written", "expected"),
    [
        ("date", "2004-02-29T13:05:07", "2004-02-29 13:05:07"),
        ('DATE "yyyy-MM-dd HH:mm:ss"', "'2004-02-29 13:05:07'", "2004-02-29 13:05:07"),
        ("date 'dd/MM/yy'", "29/02/04", "2004-02-29"),
        ("date yyyyMMdd", "20040229", "2004-02-29"),
        ("date 'd MMM yyyy, h:mm a'", "'9 Feb 2004, 1:05 PM'", "2004-02-09 13:05"),
        ("date \"HH 'o''clock' yyyy D\"", '"13 o\'clock 2004 060"', "2004-02-29 13:00"),
        ("date 'HH:mm:ss.SSS yyyy-MM-dd'", "'00:00:01.250 2004-02-29'", "2004-02-29 00:00:01.250"),
    ],
)
def test_dates_are_read_in_the_declared_pattern(tmp_path: Path, declared: str, written: str, expected: str) -> None:
    frame = read(tmp_path, f"@relation x\n@attribute when {declared}\n@attribute a real\n@data\n{written},1\n?,2\n")
    assert frame["when"].tolist() == [pd.Timestamp(expected), pd.NaT]


def test_sparse_rows(tmp_path: Path) -> None:
    frame = read(
        tmp_path,
        "@relation x\n@attribute a numeric\n@attribute b {x,y}\n@attribute c integer\n@data\n"
        "{0 1.123456789, 1 y}\n{2 5}\n{}\n{0 ?}\n{ }\n",
    )
    np.testing.assert_array_equal(frame["a"], [1.123456789, 0, 0, np.nan, 0])
    assert frame["b"].tolist() == ["y", "x", "x", "x", "x"]
    np.testing.assert_array_equal(frame["c"], [0, 5, 0, 0, 0])


def test_a_file_without_rows_is_an_empty_table(tmp_path: Path) -> None:
    frame = read(tmp_path, "@relation x\n@attribute a numeric\n@attribute d date\n@data\n")
    assert frame.shape == (0, 2)


HEAD = "@relation x\n@attribute a numeric\n@attribute b {x,y}\n@data\n"


@pytest.mark.parametrize(
    "text",
    [
        "", "<html>busy</html>", "@relation x\n@attribute a numeric\n", HEAD + "1\n", HEAD + "1,x,2\n", HEAD + "1,z\n",
        HEAD + "one,x\n", HEAD + "{7 1}\n", HEAD + "'1,x\n", HEAD.replace(" b ", " a "),
        HEAD.replace("numeric", "relational"), HEAD.replace("numeric", "date 'QQ'") + "2024,x\n",
        HEAD.replace("numeric", "date") + "yesterday,x\n", "@relation x\n@data\n1\n", "@relation\n@data\n",
        "\x00\x01\x02", HEAD + "100%\n",
    ],
)  # fmt: skip
def test_what_is_no_arff_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"is no ARFF file that can be read|declares dates as"):
        read(tmp_path, text)


def test_the_line_at_fault_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Data value z not found in nominal declaration, at line 6"):
        read(tmp_path, HEAD + "1,x\n2,z\n3,y\n")


@pytest.mark.parametrize(
    ("declared", "written", "expected"),
    [
        ("numeric % years", "1", 1.0), ("{-1,1} %{<=50K, >50K}", "-1", "-1"), ("REAL [0, 10]", "1.5", 1.5),
        ("integer (1,5)", "inf", np.inf), ("{very good,bad one}", "very good", "very good"), ("{u,v}", "'?'", None),
        ("{u,v}", '"?"', None), ("{'?',v}", "'?'", "?"), ("string", "'a, \\'?\\', b'", "a, '?', b"),
        ("{x,y,x}", "y", "y"),
        ("{ a , 'b c', \"d,e\", 'f\\'g' }", "'f\\'g'", "f'g"), ("{?,x}", "x", "x"), ("{5%,50%}", "50%", "50%"),
    ],
)  # fmt: skip
def test_declarations_as_they_are_found(tmp_path: Path, declared: str, written: str, expected: Any) -> None:
    frame = read(tmp_path, f"@relation x\n@attribute n real\n@attribute a {declared}\n@data\n1,{written}\n")
    assert frame["a"].astype(object).where(frame["a"].notna(), None).tolist() == [expected]
    assert frame["n"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("date", "date"), ("'start date'", "start date"), ("update", "update"), ('"date (real)"', "date (real)"),
        ("'it\\'s'", "it's"), ("a%b", "a%b"), ("'{x}, y'", "{x}, y"), ("@attribute", "@attribute"),
    ],
)  # fmt: skip
def test_names_as_they_are_found(tmp_path: Path, written: str, name: str) -> None:
    frame = read(tmp_path, f"@relation x\n@attribute {written} numeric\n@attribute z {{'x' , 'y'}}\n@data\n1,x\n")
    assert list(frame.columns) == [name, "z"]
    assert frame.iloc[0].tolist() == [1.0, "x"]


def test_weights_of_rows_are_left_out_and_sparse_gaps_may_stand_in_quotes(tmp_path: Path) -> None:
    frame = read(tmp_path, HEAD + "1,x,{5}\n3,y\n{0 7, 1 y}, {0.5}\n{1 '?'}\n")
    assert frame["a"].tolist() == [1, 3, 7, 0]
    assert frame["b"].tolist()[:3] == ["x", "y", "y"]
    assert frame["b"].isna().tolist() == [False, False, False, True]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.arff").write_bytes("@relation x\r\n@attribute a {Köln,Bonn}\r\n@data\r\nKöln\r\n".encode(encoding))
    assert read_arff(tmp_path / "t.arff")["a"].tolist() == ["Köln"]


@pytest.mark.parametrize("text", [HEAD + "1,x\r2\n", HEAD + "\x00,x\n", HEAD + "1," + "x" * 200_000 + "\n"])
def test_rows_that_the_parser_falls_over_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="no ARFF file that can be read"):
        read(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.arff").write_bytes(HEAD.encode() + b"1,\xff\xfe\n")
    with pytest.raises(DataError, match="no ARFF file that can be read"):
        read_arff(tmp_path / "t.arff")


def test_reading_stops_at_the_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arff, "CHUNK", 4)
    assert len(read(tmp_path, HEAD + "1,x\n" * 10, max_cells=20)) == 10
    with pytest.raises(DataError, match="more than 9 rows of 2 columns, which is over the size limit"):
        read(tmp_path, HEAD + "1,x\n" * 9 + "2,y\n", max_cells=19)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="@{},'\"%?\n\t 01axy\\", max_size=60))
def test_any_rows_are_a_table_or_refused(tmp_path: Path, text: str) -> None:
    try:
        frame = read(tmp_path, HEAD + text)
    except DataError:
        return
    assert list(frame.columns) == ["a", "b"]
