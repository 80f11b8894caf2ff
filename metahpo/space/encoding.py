"""The encoding of configurations as rows of the unit cube, and the decoding of rows. No other module does either.

Symbols: n configurations, d columns.  A numeric hyperparameter is one column in [0, 1], on a log scale where its space
is; an ordinal one column, equally spaced; a categorical of two choices one column, of more choices one column a choice
(one-hot); a constant none.  A conditional hyperparameter has one more column, 1 where it is active; where it is not,
its columns are 0, so that unused values cannot change a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace
from numpy.typing import ArrayLike, NDArray

from metahpo.exceptions import SpaceError
from metahpo.space.configuration import Configuration
from metahpo.space.domain import Domain
from metahpo.space.rules import Activity
from metahpo.space.values import Values

#: Times that values which are forbidden together are drawn again.
REDRAWS = 20


@dataclass(frozen=True)
class Block:
    """Columns [start, stop) of one hyperparameter; `indicator` is the column that says it is active, or None."""

    name: str
    values: Values
    start: int
    stop: int
    indicator: int | None

    @property
    def columns(self) -> slice:
        """Columns of its values."""
        return slice(self.start, self.stop)


class SpaceEncoder:
    """Encodes configurations of one space.

    Parameters
    ----------
    space : ConfigurationSpace

    Attributes
    ----------
    columns : tuple of str
        Names of the d columns: ``NAME``, ``NAME=CHOICE`` (1 where that is chosen) or ``NAME?`` (1 where active).
    blocks : tuple of Block
        One a hyperparameter, in the order of the columns.
    dependent : ndarray of shape (2, k)
        The columns of values of all conditional hyperparameters, and the indicator of each.
    domain : Domain
        Which configurations are legal.
    """

    def __init__(self, space: ConfigurationSpace) -> None:
        self.space = space
        self.domain = Domain(space)
        blocks: list[Block] = []
        columns: list[str] = []
        for name, values in self.domain.values.items():
            start = len(columns)
            columns += values.columns
            stop = len(columns)
            conditional = bool(space.parent_conditions_of[name]) and stop > start
            if conditional:
                columns.append(f"{name}?")
            blocks.append(Block(name, values, start, stop, stop if conditional else None))
        self.blocks = tuple(blocks)
        self.columns = tuple(columns)
        of_conditionals = [(c, b.indicator) for b in blocks if b.indicator is not None for c in range(b.start, b.stop)]
        self.dependent = np.array(of_conditionals, dtype=np.intp).reshape(-1, 2).T

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
        for block in self.blocks:
            if block.name == name:
                return block.columns
        raise SpaceError(f"hyperparameter {name!r} is not in the space {sorted(self.space)}.")

    def encode(self, configurations: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Rows of shape (n, d) in [0, 1]. A hyperparameter without a key is inactive.

        Raises
        ------
        SpaceError
            A hyperparameter that is not in the space, or a value that it does not allow.
        """
        rows = np.zeros((len(configurations), self.n_columns))
        for configuration in configurations:
            self.domain.check_names(configuration)
        for block in self.blocks:
            name = block.name
            active = np.array([name in c for c in configurations], dtype=bool)
            if block.stop > block.start and active.any():
                codes = block.values.codes([c[name] for c in configurations if name in c])
                rows[active, block.columns] = block.values.to_unit(codes)
            if block.indicator is not None:
                rows[:, block.indicator] = active
        return rows

    def decode(self, rows: NDArray[np.float64]) -> list[Configuration]:
        """Configurations of rows of shape (n, d).

        The conditions decide what is active, not the indicators. A row may decode to a forbidden combination: see
        :meth:`legal_rows`.
        """
        codes = self._codes(rows)
        return self.domain.configurations(codes, self.domain.activity(codes, len(rows)), len(rows))

    def legal_rows(self, rows: NDArray[np.float64], rng: np.random.Generator | None = None) -> NDArray[np.float64]:
        """Rows of the legal configurations that rows of shape (n, d) of anything in the cube decode to.

        Each is as :meth:`encode` gives it, so that equal rows are equal configurations; a float keeps its column as it
        is. Rows whose configuration is forbidden are dropped. With `rng`, the values that are forbidden together are
        first drawn again a few times: where many combinations are forbidden, hardly any random row is legal.
        """
        rows = self._checked(rows)
        offending = self._offending(rows)
        illegal = _union(offending, len(rows))
        left = np.flatnonzero(illegal)  # rows that are still illegal; `offending` and `illegal` are of earlier ones
        for _ in range(REDRAWS):
            if rng is None or len(left) == 0:
                break
            again = rows[left]
            for block in self.blocks:
                if block.name in offending:
                    mask = offending[block.name][illegal]
                    again[mask, block.columns] = rng.random((int(mask.sum()), block.stop - block.start))
            rows[left], offending = again, self._offending(again)
            illegal = _union(offending, len(left))
            left = left[illegal]
        return self._settled(np.delete(rows, left, axis=0))

    def rows_of(self, codes: Mapping[str, NDArray[Any]], active: Activity, n: int) -> NDArray[np.float64]:
        """Rows (n, d) from codes (n,) and masks of activity."""
        rows = np.zeros((n, self.n_columns))
        for block in self.blocks:
            rows[:, block.columns] = block.values.to_unit(codes[block.name])
        self._blank(rows, active)
        return rows

    def arrange(self, X: ArrayLike | pd.DataFrame) -> NDArray[np.float64]:
        """Rows of shape (n, d) in the order of the columns.

        The columns of a frame are ordered by name; an array is unchanged.

        Raises
        ------
        SpaceError
            Other columns, or another number of them.
        """
        if isinstance(X, pd.DataFrame):
            if set(X.columns) != set(self.columns) or len(X.columns) != self.n_columns:
                raise SpaceError(f"rows must have the columns {list(self.columns)}, but have {list(X.columns)}.")
            X = X[list(self.columns)]
        rows = np.asarray(X, dtype=np.float64)
        if rows.size == 0:
            return rows.reshape(-1, self.n_columns) if rows.ndim == 2 else np.empty((0, self.n_columns))
        if rows.ndim != 2 or rows.shape[1] != self.n_columns:
            raise SpaceError(
                f"rows must be of shape (n, {self.n_columns}), with the columns {list(self.columns)}, but are of shape "
                f"{rows.shape}."
            )
        return rows

    def _offending(self, rows: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
        """Masks of the values of rows (n, d) that are in forbidden combinations."""
        restricted = self.domain.restricted
        if not restricted:
            return {}
        codes = {b.name: b.values.from_unit(rows[:, b.columns]) for b in self.blocks if b.name in restricted}
        return self.domain.offending(codes, self.domain.activity(codes, len(rows), restricted))

    def _settled(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of the configurations nearest to rows (n, d)."""
        # A float without conditions is not decoded, because decoding takes most of the time of a suggestion.
        parents = self.domain.parents
        codes = {
            b.name: b.values.from_unit(rows[:, b.columns])
            for b in self.blocks
            if b.values.size is not None or b.name in parents
        }
        settled, active = rows.copy(), self.domain.activity(codes, len(rows))
        for block in self.blocks:
            if block.values.size is not None:
                settled[:, block.columns] = block.values.to_unit(codes[block.name])
        self._blank(settled, active)
        return settled

    def _blank(self, rows: NDArray[np.float64], active: Activity) -> None:
        """Write the indicators of activity into rows (n, d), and zeros into inactive columns."""
        for block in self.blocks:
            if block.indicator is not None:
                rows[:, block.indicator] = active[block.name]
        values, indicators = self.dependent
        rows[:, values] *= rows[:, indicators]

    def _codes(self, rows: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        rows = self._checked(rows)
        return {block.name: block.values.from_unit(rows[:, block.columns]) for block in self.blocks}

    def _checked(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows inside of the unit cube."""
        rows = np.asarray(rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.n_columns:
            raise SpaceError(f"rows must be of shape (n, {self.n_columns}), but are of shape {rows.shape}.")
        return rows.clip(0.0, 1.0)


def row_keys(rows: NDArray[np.float64]) -> list[bytes]:
    """Keys of rows (n, d), for use in dictionaries. Equal rows have equal keys."""
    n, d = rows.shape
    if d == 0:
        return [b""] * n
    keys: list[bytes] = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * d)))[:, 0].tolist()
    return keys


def _union(masks: Mapping[str, NDArray[np.bool_]], n: int) -> NDArray[np.bool_]:
    """Union of masks (n,)."""
    return np.asarray(np.logical_or.reduce([np.zeros(n, dtype=bool), *masks.values()]))


def unit_cube_space(n_columns: int) -> ConfigurationSpace:
    """A space of `n_columns` unit floats x0, x1, ..., for recorded benchmarks with encoded configurations.

    Numbers are padded with zeros (x00 ... x15), because a space orders its hyperparameters by name.
    """
    width = len(str(n_columns - 1))
    return ConfigurationSpace({f"x{i:0{width}d}": (0.0, 1.0) for i in range(n_columns)})
