"""Configurations as rows of the unit cube, and back: the only door between the two.

Symbols: n configurations, d columns.  A numeric hyperparameter is one column in [0, 1], on a log scale where its space
is; an ordinal one column, equally spaced; a categorical of two choices one column, of more choices one column a
choice (one-hot); a constant none.  A conditional hyperparameter has one more column, 1 where it is active; where it is
not, its columns are 0, so that values nobody uses cannot move a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, Constant, OrdinalHyperparameter
from ConfigSpace.hyperparameters import Hyperparameter, NumericalHyperparameter
from numpy.typing import NDArray

from metahpo.exceptions import SpaceError
from metahpo.space.activity import is_active
from metahpo.space.configuration import Configuration, builtin


@dataclass(frozen=True)
class _Block:
    """Columns [start, stop) of one hyperparameter; `indicator` is the column that says it is active, or None."""

    hyperparameter: Hyperparameter[Any, Any]
    start: int
    stop: int
    indicator: int | None


class SpaceEncoder:
    """Encodes configurations of one space.

    Parameters
    ----------
    space : ConfigurationSpace

    Attributes
    ----------
    columns : tuple of str
        Names of the d columns: ``NAME``, ``NAME=CHOICE`` or ``NAME?`` (active).
    """

    def __init__(self, space: ConfigurationSpace) -> None:
        self.space = space
        self._blocks: list[_Block] = []
        columns: list[str] = []
        for name, hyperparameter in space.items():
            start = len(columns)
            columns += _value_columns(hyperparameter)
            stop = len(columns)
            conditional = bool(space.parent_conditions_of[name])
            if conditional and stop > start:
                columns.append(f"{name}?")
            self._blocks.append(_Block(hyperparameter, start, stop, stop if conditional and stop > start else None))
        self.columns = tuple(columns)

    @property
    def n_columns(self) -> int:
        """Number of columns d."""
        return len(self.columns)

    def columns_of(self, name: str) -> slice:
        """Columns of the values of a hyperparameter; none for a constant.

        Raises
        ------
        SpaceError
            It is not in the space.
        """
        for block in self._blocks:
            if block.hyperparameter.name == name:
                return slice(block.start, block.stop)
        raise SpaceError(f"hyperparameter {name!r} is not in the space {sorted(self.space)}.")

    def encode(self, configurations: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Rows of shape (n, d) in [0, 1]; a key that is absent is inactive.

        Raises
        ------
        SpaceError
            A hyperparameter that is not in the space, or a value that it does not allow.
        """
        rows = np.zeros((len(configurations), self.n_columns))
        known = set(self.space)
        for configuration in configurations:
            if not configuration.keys() <= known:
                raise SpaceError(
                    f"hyperparameters {sorted(configuration.keys() - known)} are not in the space {sorted(known)}."
                )
        for block in self._blocks:
            name = block.hyperparameter.name
            active = np.array([name in c for c in configurations], dtype=bool)
            if block.stop > block.start and active.any():
                rows[active, block.start : block.stop] = _to_unit(
                    block.hyperparameter, [builtin(c[name]) for c in configurations if name in c]
                )
            if block.indicator is not None:
                rows[:, block.indicator] = active
        return rows

    def decode(self, rows: NDArray[np.float64]) -> list[Configuration]:
        """Configurations of rows of shape (n, d); what is active follows from the conditions, not the indicators."""
        rows = np.asarray(rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.n_columns:
            raise SpaceError(f"rows must be of shape (n, {self.n_columns}), but are of shape {rows.shape}.")
        values = {b.hyperparameter.name: _from_unit(b.hyperparameter, rows[:, b.start : b.stop]) for b in self._blocks}
        decoded = []
        for i in range(len(rows)):
            configuration: Configuration = {}
            for name in self.space:
                if is_active(self.space, name, configuration):
                    configuration[name] = values[name][i]
            decoded.append(configuration)
        return decoded


def unit_cube_space(n_columns: int) -> ConfigurationSpace:
    """A space of `n_columns` unit floats x0, x1, ...: for recorded benchmarks that come encoded."""
    return ConfigurationSpace({f"x{i}": (0.0, 1.0) for i in range(n_columns)})


def _value_columns(hyperparameter: Hyperparameter[Any, Any]) -> list[str]:
    if isinstance(hyperparameter, Constant):
        return []
    if isinstance(hyperparameter, CategoricalHyperparameter) and len(hyperparameter.choices) > 2:
        return [f"{hyperparameter.name}={choice}" for choice in hyperparameter.choices]
    if isinstance(hyperparameter, (CategoricalHyperparameter, OrdinalHyperparameter, NumericalHyperparameter)):
        return [hyperparameter.name]
    raise SpaceError(f"hyperparameters of type {type(hyperparameter).__name__} cannot be encoded: {hyperparameter}.")


def _to_unit(hyperparameter: Hyperparameter[Any, Any], values: list[Any]) -> NDArray[np.float64]:
    """Values (n,) -> columns (n, k)."""
    legal = hyperparameter.legal_value(np.array(values, dtype=object))
    if not np.all(legal):
        value = values[int(np.argmin(legal))]
        raise SpaceError(f"{hyperparameter.name!r} = {value!r} is not allowed: {hyperparameter}.")
    if isinstance(hyperparameter, (CategoricalHyperparameter, OrdinalHyperparameter)):
        choices = _choices(hyperparameter)
        index = np.array([choices.index(v) for v in values])
        if isinstance(hyperparameter, CategoricalHyperparameter) and len(choices) > 2:
            one_hot: NDArray[np.float64] = np.eye(len(choices))[index]
            return one_hot
        return (index / max(1, len(choices) - 1))[:, None]
    return np.asarray(hyperparameter.to_vector(np.array(values)), dtype=np.float64).clip(0.0, 1.0)[:, None]


def _from_unit(hyperparameter: Hyperparameter[Any, Any], columns: NDArray[np.float64]) -> list[Any]:
    """Columns (n, k) -> values (n,); anything in the cube is taken to the nearest legal value."""
    if isinstance(hyperparameter, Constant):
        return [builtin(hyperparameter.value)] * len(columns)
    if isinstance(hyperparameter, (CategoricalHyperparameter, OrdinalHyperparameter)):
        choices = _choices(hyperparameter)
        if columns.shape[1] > 1:
            return [choices[i] for i in columns.argmax(axis=1)]
        return [choices[round(u * (len(choices) - 1))] for u in columns[:, 0].clip(0.0, 1.0)]
    return [builtin(v) for v in hyperparameter.to_value(columns[:, 0].clip(0.0, 1.0))]


def _choices(hyperparameter: CategoricalHyperparameter | OrdinalHyperparameter) -> list[Any]:
    sequence = (
        hyperparameter.choices if isinstance(hyperparameter, CategoricalHyperparameter) else hyperparameter.sequence
    )
    return [builtin(c) for c in sequence]
