"""The check of a `random_state`, which goes to scikit-learn as well as to NumPy."""

from __future__ import annotations

from typing import Any

from sklearn.utils import check_random_state

from metahpo.exceptions import DataError


def check_seed(value: Any) -> None:
    """Refuse a `random_state` that scikit-learn refuses, because its estimators and splitters are given it.

    Raises
    ------
    DataError
        Neither a whole number from 0 to 2 ** 32 - 1 nor a RandomState nor None.
    """
    try:
        check_random_state(value)
    except ValueError as error:
        raise DataError(f"random_state must be a whole number from 0 on, or None, but is {value!r}.") from error
