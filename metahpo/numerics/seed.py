"""The checks of a `random_state`, by what it is given to."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
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


def check_whole_seed(value: Any) -> None:
    """Refuse a `random_state` that is no number, where it is counted on from, or given to PyTorch.

    Raises
    ------
    DataError
        Not a whole number from 0 to 2 ** 32 - 1.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= int(value) < 2**32:
        raise DataError(f"random_state must be a whole number from 0 on, but is {value!r}.")


def generator_of(value: Any) -> np.random.Generator:
    """The generator of a `random_state` that is given to NumPy alone.

    Raises
    ------
    DataError
        Neither a whole number from 0 on nor None, nor another seed of NumPy's.
    """
    try:
        return np.random.default_rng(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"random_state must be a whole number from 0 on, or None, but is {value!r}.") from error
