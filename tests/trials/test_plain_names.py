"""Plain names stay in their folder; all others are told from them."""

from __future__ import annotations

import pytest

from metahpo.trials.plain_names import is_plain


@pytest.mark.parametrize("name", ["svm", "31", "2-price", "a b", "neg_log_loss", "über", "C:D", "a..b", "x" * 200])
def test_plain(name: str) -> None:
    assert is_plain(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".x", "../x", "a/b", "/a", "a\\b", "a\0", "a\n", "\x7f", "\ud800", "x" * 201, None, 7, b"a"]
)
def test_not_plain(name: object) -> None:
    assert not is_plain(name)
