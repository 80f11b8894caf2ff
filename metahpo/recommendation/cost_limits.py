"""Limits of what a recommended configuration may cost, and by how much a configuration exceeds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from metahpo.exceptions import DataError


@dataclass(frozen=True)
class Limits:
    """Most that a configuration may cost; infinite where there is no limit.

    Attributes
    ----------
    max_train_seconds : float
        Seconds of one fit on one core.
    max_predict_seconds : float
        Seconds of the prediction of as many rows as were tested at a time when experience was recorded.
    max_memory : float
        Bytes of one fit.
    """

    max_train_seconds: float = math.inf
    max_predict_seconds: float = math.inf
    max_memory: float = math.inf

    def __post_init__(self) -> None:
        for name, limit in self.given.items():
            if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit > 0.0:
                raise DataError(f"{name} must be a positive number, but is {limit!r}.")

    @property
    def given(self) -> dict[str, float]:
        """Limits that are not infinite, by name."""
        limits = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: limit for name, limit in limits.items() if limit != math.inf}

    def excess(self, costs: Mapping[str, NDArray[np.float64]], n: int) -> NDArray[np.float64]:
        """Logarithm of the factor by which each of n configurations exceeds the limits; at most 0: it keeps them.

        Parameters
        ----------
        costs : mapping of str to ndarray of shape (n,)
            What is expected, by the name of the limit. A limit without it is not looked at.
        """
        over = [np.log(costs[name] / limit) for name, limit in self.given.items() if name in costs]
        return np.max(over, axis=0) if over else np.full(n, -np.inf)
