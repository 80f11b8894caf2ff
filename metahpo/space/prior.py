"""Priors of a search space: the distributions and weights of its hyperparameters."""

from __future__ import annotations

import numpy as np
from ConfigSpace import CategoricalHyperparameter
from ConfigSpace.hyperparameters import (
    BetaFloatHyperparameter,
    BetaIntegerHyperparameter,
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
)
from numpy.typing import NDArray

from metahpo.space.encoding import SpaceEncoder

#: Numbers that are not drawn uniformly.
SHAPED = (
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
    BetaFloatHyperparameter,
    BetaIntegerHyperparameter,
)
#: Values drawn to know the quantiles of a distribution.
N_DRAWN = 4096


class SpacePrior:
    """Turns uniform rows into rows that follow the priors of a space.

    A space without priors leaves rows as they are.

    Parameters
    ----------
    encoder : SpaceEncoder
    """

    def __init__(self, encoder: SpaceEncoder) -> None:
        self.encoder = encoder
        #: Columns of numbers -> values that they take, in order, each as likely as the others.
        self._quantiles: list[tuple[slice, NDArray[np.float64]]] = []
        #: Columns of choices -> the probabilities of these.
        self._probabilities: list[tuple[slice, NDArray[np.float64]]] = []
        for name, hyperparameter in encoder.space.items():
            columns = encoder.columns_of(name)
            if isinstance(hyperparameter, SHAPED):
                drawn = hyperparameter.sample_vector(N_DRAWN, seed=np.random.RandomState(0))
                self._quantiles.append((columns, np.sort(drawn)))
            elif isinstance(hyperparameter, CategoricalHyperparameter) and hyperparameter.weights is not None:
                self._probabilities.append((columns, np.asarray(hyperparameter.probabilities, dtype=np.float64)))

    def rows(self, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows (n, d) of the unit cube, from rows whose entries are uniform and independent."""
        rows = uniform.copy()
        for columns, values in self._quantiles:
            rows[:, columns] = np.quantile(values, uniform[:, columns])
        for columns, p in self._probabilities:
            if len(p) == 2:
                rows[:, columns] = uniform[:, columns] < p[1]
            elif len(p) > 2:
                # The least of exponential waiting times, each at the rate of its choice: with equal rates, the choice
                # whose coordinate is the largest.
                with np.errstate(divide="ignore"):
                    waiting = -np.log(uniform[:, columns]) / p
                rows[:, columns] = np.eye(len(p))[np.argmin(waiting, axis=1)]
        return rows

    def possible(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows (n, d) in which choices of probability zero are replaced by a neighbouring choice."""
        rows = rows.copy()
        for columns, p in self._probabilities:
            if len(p) == 2:
                rows[:, columns] = np.where(p.min() > 0.0, rows[:, columns], p.argmax())
            elif len(p) > 2:
                rows[:, columns] = np.where(p > 0.0, 0.5 * (1.0 + rows[:, columns]), 0.0)
        return rows
