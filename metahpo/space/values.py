"""The values of one hyperparameter: which are legal, their canonical form, and their place in the unit cube.

A *code* stands for a value: a number is its own code, the code of a choice is its position among the choices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from ConfigSpace import CategoricalHyperparameter, Constant, OrdinalHyperparameter
from ConfigSpace.hyperparameters import (
    FloatHyperparameter,
    Hyperparameter,
    IntegerHyperparameter,
    NumericalHyperparameter,
)
from numpy.typing import NDArray

from metahpo.exceptions import SpaceError
from metahpo.space.configuration import builtin, value_text

#: How far from an integer a float may lie that stands for one; as in ConfigSpace.
INTEGER_TOLERANCE = 1e-13
#: Decimal places of a float that comparisons look at; as in ConfigSpace.
COMPARED_PLACES = 13
#: Choices that columns are named after as they are printed.
SCALARS = (str, bool, int, float, type(None))
#: Floats hold every integer up to here.
EXACT_INTEGERS = 2**53


class Values(Protocol):
    """Values of one hyperparameter: see :func:`values_of`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its k columns in the unit cube."""

    @property
    def chosen_freely(self) -> bool:
        """Whether its values have no order."""

    @property
    def size(self) -> int | None:
        """Number of its values; None where they are real numbers."""

    def code(self, value: Any) -> Any:
        """Code of a value; a SpaceError if it is not legal."""

    def value(self, code: Any) -> Any:
        """Value of a code, in its one form."""

    def code_at(self, position: int) -> Any:
        """Code of the value at a position below `size`."""

    def codes(self, values: Sequence[Any]) -> NDArray[Any]:
        """Codes (n,) of n values; a SpaceError if one is not legal."""

    def rank(self, codes: Any) -> Any:
        """Codes, one or an array of them, as conditions and clauses compare them with a value of the same kind."""

    def comparable(self, codes: Any) -> Any:
        """Convert codes, one or an array, to objects that can be compared with values of other hyperparameters."""

    def to_unit(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        """Columns (n, k) of codes (n,)."""

    def from_unit(self, columns: NDArray[np.float64]) -> NDArray[Any]:
        """Codes (n,) of the values nearest to columns (n, k) of anything in [0, 1].

        The columns of the default give exactly the code of the default.
        """


def values_of(hyperparameter: Hyperparameter[Any, Any]) -> Values:
    """Values of a hyperparameter of any kind.

    Raises
    ------
    SpaceError
        A kind of hyperparameter that this version does not know.
    """
    if isinstance(hyperparameter, (CategoricalHyperparameter, OrdinalHyperparameter, Constant)):
        return _ChoiceValues(hyperparameter)
    if isinstance(hyperparameter, (IntegerHyperparameter, FloatHyperparameter)):
        return _NumberValues(hyperparameter)
    raise SpaceError(f"hyperparameters of type {type(hyperparameter).__name__} cannot be encoded: {hyperparameter}.")


def choices_of(hyperparameter: Hyperparameter[Any, Any]) -> tuple[tuple[Any, ...], bool]:
    """Choices of a categorical, ordinal or constant hyperparameter, and whether they have an order.

    Raises
    ------
    SpaceError
        A hyperparameter of another kind.
    """
    if isinstance(hyperparameter, Constant):
        given: Sequence[Any] = [hyperparameter.value]
    elif isinstance(hyperparameter, OrdinalHyperparameter):
        given = hyperparameter.sequence
    elif isinstance(hyperparameter, CategoricalHyperparameter):
        given = hyperparameter.choices
    else:
        raise SpaceError(f"hyperparameters of type {type(hyperparameter).__name__} have no choices: {hyperparameter}.")
    return tuple(builtin(choice) for choice in given), isinstance(hyperparameter, OrdinalHyperparameter)


class _ChoiceValues:
    """Values of a categorical, ordinal or constant hyperparameter: any objects, in the order of the space."""

    def __init__(self, hyperparameter: CategoricalHyperparameter | OrdinalHyperparameter | Constant) -> None:
        self._hyperparameter = hyperparameter
        self.choices, self.ordered = choices_of(hyperparameter)
        self._one_hot = not self.ordered and len(self.choices) > 2

    @cached_property
    def columns(self) -> tuple[str, ...]:
        name = self._hyperparameter.name
        if isinstance(self._hyperparameter, Constant):
            return ()
        if self.ordered or len(self.choices) == 1:
            return (name,)
        labels = [str(c) if isinstance(c, SCALARS) else value_text(c) for c in self.choices]
        if len(set(labels)) < len(labels):  # 1 beside "1"
            labels = [value_text(choice) for choice in self.choices]
        if len(set(labels)) < len(labels):  # different objects with equal texts
            labels = [f"{label}#{i}" for i, label in enumerate(labels)]
        return tuple(f"{name}={label}" for label in (labels if self._one_hot else labels[1:]))

    @property
    def chosen_freely(self) -> bool:
        return not self.ordered

    @property
    def size(self) -> int:
        return len(self.choices)

    def code(self, value: Any) -> int:
        for key in (value, _tupled(value)):
            try:
                found = self._by_value.get(key)
            except TypeError:  # unhashable
                continue
            if found is not None:
                return found
        found = self._by_text.get(value_text(value))
        if found is None:
            raise not_allowed(self._hyperparameter, value)
        return found

    def value(self, code: Any) -> Any:
        return self.choices[int(code)]

    def code_at(self, position: int) -> int:
        return position

    def codes(self, values: Sequence[Any]) -> NDArray[np.intp]:
        return np.array([self.code(value) for value in values], dtype=np.intp)

    def rank(self, codes: Any) -> Any:
        return codes

    def comparable(self, codes: Any) -> Any:
        return self._as_array[codes]

    def to_unit(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        if not self.columns:
            return np.zeros((len(codes), 0))
        if self._one_hot:
            one_hot: NDArray[np.float64] = self._corners[codes]
            return one_hot
        return (codes / max(1, len(self.choices) - 1))[:, None]

    def from_unit(self, columns: NDArray[np.float64]) -> NDArray[np.intp]:
        if columns.shape[1] == 0:
            return np.zeros(len(columns), dtype=np.intp)
        if self._one_hot:
            return np.asarray(columns.argmax(axis=1), dtype=np.intp)
        return np.asarray(np.rint(columns[:, 0] * (len(self.choices) - 1)), dtype=np.intp)

    @cached_property
    def _by_value(self) -> dict[Any, int]:
        found: dict[Any, int] = {}
        for i, choice in enumerate(self.choices):
            try:
                found.setdefault(choice, i)
            except TypeError:  # unhashable: found by its text
                continue
        return found

    @cached_property
    def _by_text(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for i, choice in enumerate(self.choices):
            found.setdefault(value_text(choice), i)
        return found

    @cached_property
    def _corners(self) -> NDArray[np.float64]:
        return np.eye(len(self.choices))

    @cached_property
    def _as_array(self) -> NDArray[np.object_]:
        array = np.empty(len(self.choices), dtype=object)
        array[:] = self.choices
        return array


class _NumberValues:
    """Values of an integer or float hyperparameter, on a linear or a log scale, of any distribution between bounds."""

    chosen_freely = False

    def __init__(self, hyperparameter: NumericalHyperparameter[Any, Any]) -> None:
        self._hyperparameter = hyperparameter
        self.integer = isinstance(hyperparameter, IntegerHyperparameter)
        self.lower, self.upper = builtin(hyperparameter.lower), builtin(hyperparameter.upper)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self._hyperparameter.name,)

    @property
    def size(self) -> int | None:
        return int(self.upper - self.lower) + 1 if self.integer else None

    def code(self, value: Any) -> int | float:
        number = builtin(value)
        if not isinstance(number, (int, float)) or not math.isfinite(number):
            raise not_allowed(self._hyperparameter, value)
        found: int | float = round(number) if self.integer else float(number) + 0.0  # no negative zero
        if not self.lower <= found <= self.upper or abs(found - number) > INTEGER_TOLERANCE:
            raise not_allowed(self._hyperparameter, value)
        return found

    def value(self, code: Any) -> int | float:
        return int(code) if self.integer else float(code)

    def code_at(self, position: int) -> int:
        return int(self.lower) + position

    def codes(self, values: Sequence[Any]) -> NDArray[Any]:
        try:
            array = np.asarray(values)
        except ValueError:  # values of several lengths
            array = np.empty(0, dtype=object)
        if array.ndim == 1 and array.dtype.kind in "iuf" and not (np.abs(array) >= EXACT_INTEGERS).any():
            codes = np.rint(array) if self.integer else array + 0.0
            legal = (codes >= self.lower) & (codes <= self.upper) & (np.abs(codes - array) <= INTEGER_TOLERANCE)
            if not legal.all():
                raise not_allowed(self._hyperparameter, values[int(np.argmin(legal))])
            return codes.astype(np.int64 if self.integer else np.float64)
        return np.array([self.code(value) for value in values], dtype=np.int64 if self.integer else np.float64)

    def rank(self, codes: Any) -> Any:
        return codes if self.integer else np.round(codes, COMPARED_PLACES)

    def comparable(self, codes: Any) -> Any:
        return self.rank(codes)

    def to_unit(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(self._hyperparameter.to_vector(codes), dtype=np.float64).clip(0.0, 1.0)[:, None]

    def from_unit(self, columns: NDArray[np.float64]) -> NDArray[Any]:
        # The exponential of a logarithm overshoots where integers are large.
        values = self._hyperparameter.to_value(columns[:, 0])
        values = np.minimum(np.maximum(values, self.lower), self.upper)
        if self.integer:
            return np.asarray(values)
        # A float that goes to the unit cube and back may differ in its last digit; the default comes back as it is.
        default, place = self._default
        return np.where(columns[:, 0] == place, default, values)

    @cached_property
    def _default(self) -> tuple[float, float]:
        """The default, and its column."""
        default = float(builtin(self._hyperparameter.default_value))
        return default, float(self.to_unit(np.array([default]))[0, 0])


def not_allowed(hyperparameter: Hyperparameter[Any, Any], value: Any) -> SpaceError:
    """Error that tells the value and what the hyperparameter allows."""
    return SpaceError(f"{hyperparameter.name!r} = {builtin(value)!r} is not allowed: {hyperparameter}.")


def _tupled(value: Any) -> Any:
    """Convert lists to tuples, because JSON has no tuples and a list is not hashable."""
    return tuple(_tupled(item) for item in value) if isinstance(value, (list, tuple)) else value
