"""Configurations in words."""

from __future__ import annotations

from metahpo.space.configuration import in_words


def test_a_configuration_in_words_keeps_fractions_apart_from_counts() -> None:
    assert in_words({"max_features": 1.0, "n": 1, "C": 0.123456, "big": 1e6, "x": None, "low": -2.0}) == (
        "max_features=1.0, n=1, C=0.1235, big=1e+06, x=None, low=-2.0"
    )
