"""Plain names stay in their folder; all others are told from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metahpo.plain_names import is_plain


@pytest.mark.parametrize("name", ["svm", "31", "2-price", "a b", "neg_log_loss", "über", "C:D", "a..b", "x" * 200])
def test_plain(name: str) -> None:
    assert is_plain(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".x", "../x", "a/b", "/a", "a\\b", "a\0", "a\n", "\x7f", "\ud800", "x" * 201, None, 7, b"a"]
)
def test_not_plain(name: object) -> None:
    assert not is_plain(name)


@given(st.text())
def test_a_plain_name_names_a_visible_file_of_its_folder(name: str) -> None:
    if is_plain(name):
        path = Path("folder") / name
        assert path.parent == Path("folder")
        assert path.name == name
        assert not path.name.startswith(".")
