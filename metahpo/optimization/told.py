"""Checks of the report of a trial: its loss, seconds, rows, status and constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from metahpo.exceptions import DataError, UnknownNameError
from metahpo.trials.history import FAILED, SUCCESS
from metahpo.trials.trial import TrialStatus

#: What a status may be: how trials end, and "failed" where no more is known.
STATUSES = (FAILED, *(status.value for status in TrialStatus))


@dataclass(frozen=True)
class Told:
    """The checked report of a trial.

    Attributes
    ----------
    loss : float
        NaN for a trial that failed.
    seconds : float
        NaN where they are not known.
    rows : int or None
    status : str
    constraints : tuple of float
    """

    loss: float
    seconds: float
    rows: int | None
    status: str
    constraints: tuple[float, ...]


def checked(loss: Any, *, seconds: Any = None, rows: Any = None, status: Any = None, constraints: Any = None) -> Told:
    """Check what is told of a trial: see :meth:`metahpo.BayesianOptimizer.tell`.

    Raises
    ------
    DataError
        `loss` or a constraint is not a real number within the range of floats, `seconds` is not a positive number, or
        `rows` is not a positive integer.
    UnknownNameError
        There is no such status.
    """
    if status is not None and str(status) not in STATUSES:
        raise UnknownNameError("status of a trial", status, STATUSES)
    if loss is None and status is not None and status != SUCCESS:
        loss = np.nan
    number = number_of(loss, "loss must be a number within the range of floats, NaN for a failed trial")
    if status is not None and status != SUCCESS:
        number = np.nan
    if seconds is not None:
        seconds = number_of(seconds, "seconds must be positive and finite, or None where not known")
        if not 0.0 < seconds < np.inf:
            raise DataError(f"seconds must be positive and finite, or None where not known, but is {seconds!r}.")
    ended = str(status) if status is not None and status != SUCCESS else SUCCESS if np.isfinite(number) else FAILED
    return Told(
        loss=number if np.isfinite(number) else np.nan,
        seconds=np.nan if seconds is None else seconds,
        rows=None if rows is None else counted(rows, "rows", "a trial on all rows"),
        status=ended,
        constraints=_constraints(constraints),
    )


def counted(value: Any, name: str, what_none_is: str) -> int:
    """Check a positive integer.

    Raises
    ------
    DataError
        It is anything else.
    """
    return _integer(value, 1, f"{name} must be a positive integer, or None for {what_none_is}")


def whole_number(value: Any, name: str) -> int:
    """Check an integer from 0 on.

    Raises
    ------
    DataError
        It is anything else.
    """
    return _integer(value, 0, f"{name} must be a whole number from 0 on")


def _integer(value: Any, least: int, expected: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise DataError(f"{expected}, but is {value!r}.")
    return int(value)


def number_of(value: Any, expected: str) -> float:
    """Convert to a float.

    Raises
    ------
    DataError
        It is a text, an array or a complex number, or beyond the range of floats. The message begins with `expected`.
    """
    try:
        if isinstance(value, (str, bytes, bytearray, np.complexfloating)) or getattr(value, "ndim", False):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{expected}, but is {value!r}.") from None


def _constraints(values: Any) -> tuple[float, ...]:
    if values is None:
        return ()
    expected = "constraints must be a sequence of numbers, each at most 0 where the constraint holds"
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)) or np.ndim(values) != 1:
        raise DataError(f"{expected}, but is {values!r}.")
    largest = float(np.finfo(np.float64).max)  # JSON knows no infinity
    return tuple(float(np.clip(number_of(value, expected), -largest, largest)) for value in values)
