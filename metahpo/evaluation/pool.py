"""A surrogate behind HPO-B's discrete protocol: the only place where the outside maximises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metahpo.acquisition.expected_improvement import ExpectedImprovement
from metahpo.acquisition.function import AcquisitionFunction
from metahpo.exceptions import DataError
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates.surrogate import Surrogate, on_task


class PoolOptimizer:
    """Picks the next configuration from those that are left of a recorded pool.

    The class HPO-B's handler expects (Pineda Arango et al., NeurIPS Datasets and Benchmarks 2021).

    Parameters
    ----------
    surrogate : Surrogate
    meta_features : mapping of str to float, default=None
        Of the task at hand.
    acquisition : AcquisitionFunction, default=None
        None: expected improvement.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        meta_features: Mapping[str, float] | None = None,
        acquisition: AcquisitionFunction | None = None,
    ) -> None:
        self._on_task = on_task(surrogate, meta_features)
        self._encoder = SpaceEncoder(surrogate.space)
        self._acquisition: AcquisitionFunction = ExpectedImprovement() if acquisition is None else acquisition

    @own_arithmetic()
    def observe_and_suggest(self, X_obs: Any, y_obs: Any, X_pen: Any) -> int:
        """Index of the pending configuration with the highest value of the acquisition function; the first of equals.

        Parameters
        ----------
        X_obs : array-like of shape (n, d), or DataFrame
            Configurations tried, in the unit cube; may be empty. A frame has the names of columns of
            :class:`metahpo.space.encoding.SpaceEncoder`, in any order; an array has the columns in its order.
        y_obs : array-like of shape (n,) or (n, 1)
            Their values, to be maximised; NaN is a failed trial.
        X_pen : array-like of shape (m, d), or DataFrame
            Configurations left to choose from.

        Raises
        ------
        DataError
            There is nothing to choose from, or the lengths of `X_obs` and `y_obs` differ.
        SpaceError
            Rows have other columns than the space of the surrogate.
        """
        values = np.asarray(y_obs, dtype=np.float64).ravel()
        if len(X_pen) == 0:
            raise DataError("X_pen must hold at least one configuration to choose from, but it is empty.")
        if len(X_obs) != len(values):
            raise DataError(f"X_obs and y_obs must be of equal length, but are {len(X_obs)} and {len(values)}.")
        pending = self._encoder.arrange(X_pen)
        observed = (self._encoder.arrange(X_obs), -values) if len(values) else None
        posterior = self._on_task.posterior(pending, observed)
        return int(np.argmax(self._acquisition.values(posterior)))
