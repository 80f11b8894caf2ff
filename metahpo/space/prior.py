"""Priors of a search space: the distributions and weights of its hyperparameters.

A search samples from them first. They also express where the user expects the optimum.
"""

from __future__ import annotations

import numpy as np
from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace
from ConfigSpace.hyperparameters import (
    BetaFloatHyperparameter,
    BetaIntegerHyperparameter,
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
)
from numpy.typing import NDArray

from metahpo.space.configuration import value_text
from metahpo.space.encoding import SpaceEncoder
from metahpo.space.values import choices_of

#: Numbers that are not drawn uniformly.
SHAPED = (
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
    BetaFloatHyperparameter,
    BetaIntegerHyperparameter,
)
#: Values drawn to know the quantiles of a distribution.
N_DRAWN = 4096
#: Values at which a density is known; it is interpolated between them.
N_GRID = 513
#: Least density, relative to the highest one.
LEAST_DENSITY = 1e-9


class SpacePrior:
    """Turns uniform rows into rows that follow the priors of a space.

    A space without priors leaves rows as they are.

    Parameters
    ----------
    encoder : SpaceEncoder
    space : ConfigurationSpace, default=None
        The space whose distributions and weights count, with the hyperparameters of that of the encoder, in any order.
        None: that of the encoder.
    """

    def __init__(self, encoder: SpaceEncoder, space: ConfigurationSpace | None = None) -> None:
        self.encoder = encoder
        #: Columns of numbers -> values that they take, in order, each as likely as the others.
        self._quantiles: list[tuple[slice, NDArray[np.float64]]] = []
        #: Columns of choices -> the probabilities of these.
        self._probabilities: list[tuple[slice, NDArray[np.float64]]] = []
        #: Columns of numbers -> values in order, and the logarithm of the density there, 0 at its highest.
        self._densities: list[tuple[slice, NDArray[np.float64], NDArray[np.float64]]] = []
        for name, hyperparameter in (encoder.space if space is None else space).items():
            columns = encoder.columns_of(name)
            if isinstance(hyperparameter, SHAPED):
                drawn = hyperparameter.sample_vector(N_DRAWN, seed=np.random.RandomState(0))
                self._quantiles.append((columns, np.sort(drawn)))
                at, size = np.linspace(0.0, 1.0, N_GRID), encoder.domain.values[name].size
                if size is not None:
                    legal = np.unique(np.linspace(hyperparameter.lower, hyperparameter.upper, N_GRID).round())
                    at = np.asarray(hyperparameter.to_vector(legal.astype(np.int64)), dtype=np.float64)
                self._densities.append((columns, at, _relative_log(hyperparameter.pdf_vector(at))))
            elif isinstance(hyperparameter, CategoricalHyperparameter) and hyperparameter.weights is not None:
                of_choice = dict(
                    zip(map(value_text, choices_of(hyperparameter)[0]), hyperparameter.probabilities, strict=True)
                )
                ordered = [of_choice[value_text(choice)] for choice in choices_of(encoder.space[name])[0]]
                self._probabilities.append((columns, np.asarray(ordered, dtype=np.float64)))

    @property
    def uniform(self) -> bool:
        """Whether the space comes without distributions and weights."""
        return not self._quantiles and not self._probabilities

    def log_density(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of the prior density of legal rows (n, d), less that of the most probable row, shape (n,).

        Hyperparameters that are not active do not count.
        """
        value = np.zeros(len(rows))
        active = {
            (block.start, block.stop): rows[:, block.indicator] for block in self.encoder.blocks if block.indicator
        }
        for columns, at, log_density in self._densities:
            found = np.interp(rows[:, columns.start], at, log_density)
            value += found * active.get((columns.start, columns.stop), 1.0)
        for columns, p in self._probabilities:
            log_p, at_choice = _relative_log(p), rows[:, columns]
            found = at_choice @ log_p if len(p) > 2 else log_p[np.rint(at_choice[:, 0]).astype(int)]
            value += found * active.get((columns.start, columns.stop), 1.0)
        return value

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


def _relative_log(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms of densities relative to the highest one, bounded below."""
    return np.asarray(np.log(np.maximum(density / density.max(), LEAST_DENSITY)))
