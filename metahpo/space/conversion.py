"""Search spaces in the terms of other libraries: a neutral form of one hyperparameter, and the report of a conversion.

Each library has two functions of its own: one writes a :class:`Range` or :class:`Choices` in its terms, one reads it.
Everything else of a conversion is here, and the same for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from ConfigSpace import Categorical, ConfigurationSpace, Constant, Float, Integer, OrdinalHyperparameter
from ConfigSpace.hyperparameters import Hyperparameter, NumericalHyperparameter

from metahpo.exceptions import SpaceError
from metahpo.space.configuration import Configuration, builtin, same_value
from metahpo.space.domain import Domain
from metahpo.space.prior import SHAPED
from metahpo.space.values import choices_of

S = TypeVar("S")
T = TypeVar("T")

#: Key of a report for what concerns no single hyperparameter.
WHOLE_SPACE = "the space"
#: A range with a step becomes a list of its values where these are no more than this; on a log scale, of so many.
MAX_LISTED, LOG_LISTED = 1000, 64
#: How far from a value, in steps, a number may lie that stands for it.
STEP_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes
    ----------
    low, high : float or int
    integer : bool
    log : bool, default=False
    step : float or int, default=None
        Distance of the values, counted from `low`; None: any number, or any integer.
    default : float or int, default=None
        None: not said.
    """

    low: float
    high: float
    integer: bool
    log: bool = False
    step: float | None = None
    default: float | None = None

    @property
    def values(self) -> tuple[float, ...] | None:
        """The values of a range with a step; None where it has none, or more than `MAX_LISTED` of them.

        On a log scale, they are those next to `LOG_LISTED` numbers that are evenly spaced on it.
        """
        if self.step is None:
            return None
        last = math.floor((self.high - self.low) / self.step + STEP_TOLERANCE)
        places: Iterable[int] = range(last + 1)
        if self.log:
            spaced = np.geomspace(self.low, self.high, LOG_LISTED)
            places = sorted({min(round((number - self.low) / self.step), last) for number in spaced.tolist()})
        elif last >= MAX_LISTED:
            return None
        return tuple(min(self.low + i * self.step, self.high) for i in places)


@dataclass(frozen=True)
class Choices:
    """Values of which one is chosen; a single value is a constant.

    Attributes
    ----------
    values : tuple
    ordered : bool, default=False
        Whether their order means something.
    default : value, default=None
        One of the values; None: not said. A space then takes the middle one of ordered values, the first one of others.
    """

    values: tuple[Any, ...]
    ordered: bool = False
    default: Any = None


Parameter = Range | Choices


def of_one_type(choices: Choices) -> tuple[Choices, str]:
    """Choices for a library whose choices are truths, numbers or texts, all of one type; and what is different in them.

    Others become their texts. :func:`placed` and :func:`standing_for` know them.

    Raises
    ------
    NotExpressibleError
        Two of the values have the same text.
    """
    types = {type(value) for value in choices.values}
    if len(types) == 1 and types <= {bool, int, float, str}:
        return choices, ""
    texts = tuple(map(str, choices.values))
    if len(set(texts)) < len(texts):
        raise NotExpressibleError(f"its values have the same texts: {list(choices.values)}")
    note = f"its values are texts: {list(texts)}; metahpo.space.placed gives the values back"
    default = None if choices.default is None and None not in choices.values else str(choices.default)
    return Choices(texts, choices.ordered, default), note


class NotExpressibleError(Exception):
    """Raised by what writes or reads one hyperparameter; the message says why it is left out."""


@dataclass(frozen=True)
class Conversion(Generic[S]):
    """A search space in other terms, and a report of what differs.

    Attributes
    ----------
    space
        The result.
    changed : dict of str to str
        Hyperparameter -> what is different there.
    left_out : dict of str to str
        Hyperparameter, or "the space" -> what is not there at all, and why.
    """

    space: S
    changed: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether nothing was changed or left out."""
        return not self.changed and not self.left_out

    def __str__(self) -> str:
        lines = [f"changed: {name}: {text}" for name, text in self.changed.items()]
        lines += [f"left out: {name}: {text}" for name, text in self.left_out.items()]
        return "\n".join(lines) or "converted without loss"


#: Writes a hyperparameter in the terms of a library -> the result, and what is different in it ("" where nothing is).
Write = Callable[[str, Parameter], tuple[T, str]]
#: Reads a hyperparameter of a library -> the neutral form, and what is different in it.
Read = Callable[[str, Any], tuple[Parameter, str]]


def parameter_of(hyperparameter: Hyperparameter[Any, Any]) -> Parameter:
    """Neutral form of a hyperparameter of any kind."""
    if isinstance(hyperparameter, NumericalHyperparameter):
        low, high, default = (
            builtin(number) for number in (hyperparameter.lower, hyperparameter.upper, hyperparameter.default_value)
        )
        return Range(low, high, isinstance(low, int), bool(getattr(hyperparameter, "log", False)), None, default)
    values, ordered = choices_of(hyperparameter)
    return Choices(values, ordered, builtin(hyperparameter.default_value))


def convert(space: ConfigurationSpace, write: Write[T], *, conditions: bool = False) -> Conversion[dict[str, T]]:
    """Write a space in the terms of a library, hyperparameter by hyperparameter.

    Parameters
    ----------
    write : callable
        Writes one; raises :class:`NotExpressibleError` where that cannot be done.
    conditions : bool, default=False
        Whether `write` says conditions by itself; otherwise the report says that they are lost.
    """
    written: dict[str, T] = {}
    changed: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for name, hyperparameter in space.items():
        notes = []
        if space.parent_conditions_of[name] and not conditions:
            notes.append("always active; its value is ignored where the condition does not hold")
        if isinstance(hyperparameter, SHAPED) or getattr(hyperparameter, "weights", None) is not None:
            notes.append("uniform; its prior is lost")
        try:
            written[name], note = write(name, parameter_of(hyperparameter))
        except (NotExpressibleError, TypeError, ValueError) as error:
            left_out[name] = str(error)
            continue
        notes += [note] if note else []
        if notes:
            changed[name] = "; ".join(notes)
    if space.forbidden_clauses:
        left_out[WHOLE_SPACE] = f"what is forbidden: {', '.join(str(clause) for clause in space.forbidden_clauses)}"
    return Conversion(written, changed, left_out)


def revert(named: Mapping[str, Any], read: Read) -> Conversion[ConfigurationSpace]:
    """Read a space from the terms of a library, hyperparameter by hyperparameter.

    Parameters
    ----------
    named : mapping of str to anything
        Hyperparameters as the library has them.
    read : callable
        Reads one; raises :class:`NotExpressibleError` where that cannot be done.
    """
    space = ConfigurationSpace()
    changed: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for name, given in named.items():
        try:
            parameter, note = read(name, given)
            hyperparameter, more = hyperparameter_of(name, parameter)
            space.add(hyperparameter)
        except (NotExpressibleError, ArithmeticError, TypeError, ValueError) as error:
            left_out[name] = str(error)
            continue
        if note or more:
            changed[name] = "; ".join(text for text in (note, more) if text)
    return Conversion(space, changed, left_out)


def hyperparameter_of(name: str, parameter: Parameter) -> tuple[Hyperparameter[Any, Any], str]:
    """Hyperparameter of a neutral form, and what is different in it.

    Raises
    ------
    ValueError
        The form is none of a hyperparameter: an empty range, choices that are equal.
    """
    if isinstance(parameter, Choices):
        return _choice(name, parameter), ""
    numbers = [parameter.low, parameter.high]
    if not all(math.isfinite(number) for number in numbers) or parameter.low > parameter.high:
        raise ValueError(f"a range needs finite bounds, the lower one first, but they are {numbers}")
    if parameter.low == parameter.high:
        return Constant(name, parameter.low), ""
    listed, step = parameter.values, parameter.step
    if listed is not None and step is not None and not (parameter.integer and step == 1):
        default = None if parameter.default is None else nearest(listed, parameter.default)
        count = round((listed[-1] - listed[0]) / step) + 1
        lost = f"{len(listed)} of its values, spaced evenly on the log scale" if len(listed) < count else ""
        return _choice(name, Choices(listed, True, default)), lost
    steps = step is not None and not (parameter.integer and step == 1)
    lost = f"any value; its step of {step} is lost" if steps else ""
    if parameter.integer:
        integers = int(parameter.low), int(parameter.high)
        first = None if parameter.default is None else int(parameter.default)
        return Integer(name, integers, log=parameter.log, default=first), lost
    floats = float(parameter.low), float(parameter.high)
    return Float(name, floats, log=parameter.log, default=parameter.default), lost


def _choice(name: str, choices: Choices) -> Hyperparameter[Any, Any]:
    if not choices.values:
        raise ValueError("there is nothing to choose from")
    if len(choices.values) == 1:
        return Constant(name, choices.values[0])
    if choices.ordered:
        middle = choices.values[len(choices.values) // 2]
        default = middle if choices.default is None else choices.default
        return OrdinalHyperparameter(name, list(choices.values), default_value=default)
    default = choices.values[0] if choices.default is None else choices.default
    return Categorical(name, list(choices.values), default=default)


def multiples(known: Range, step: float | None) -> Range:
    """The range of the multiples of a step that a range holds; the range itself where there is no step."""
    if step is None:
        return known
    first, last = math.ceil(known.low / step - STEP_TOLERANCE), math.floor(known.high / step + STEP_TOLERANCE)
    return Range(first * step, last * step, known.integer, known.log, step)


def nearest(values: Iterable[float], number: float) -> float:
    """The value that is nearest to a number."""
    return min(values, key=lambda value: abs(value - number))


def evenly_spaced(choices: Choices) -> Range | None:
    """The range with a step that has the very values of ordered choices; None where they are none."""
    values = choices.values
    if not choices.ordered or len(values) < 3 or any(type(value) not in (int, float) for value in values):
        return None
    step = (values[-1] - values[0]) / (len(values) - 1)
    if step <= 0 or any(abs(values[0] + i * step - value) > STEP_TOLERANCE * step for i, value in enumerate(values)):
        return None
    integer = all(type(value) is int for value in values)
    return Range(values[0], values[-1], integer, step=round(step) if integer else step, default=choices.default)


def completed(space: ConfigurationSpace, configuration: Mapping[str, Any]) -> Configuration:
    """A configuration with a value for each hyperparameter: the inactive ones at their defaults.

    Raises
    ------
    SpaceError
        The configuration is not of the space.
    """
    active = Domain(space).canonical(configuration)
    return {name: active.get(name, builtin(known.default_value)) for name, known in space.items()}


def placed(space: ConfigurationSpace, values: Mapping[str, Any]) -> Configuration:
    """The configuration of a space that values of another library stand for.

    Names that the space does not have are dropped, and hyperparameters without a value have their default. Numbers
    that differ from a legal one in their last digits only become that one, and texts of choices become the choices.

    Raises
    ------
    SpaceError
        A value is outside the space.
    """
    known = {name: _legal(space[name], values[name]) for name in space if name in values}
    missing = {
        name: builtin(hyperparameter.default_value) for name, hyperparameter in space.items() if name not in known
    }
    return Domain(space).canonical({**missing, **known})


def _legal(hyperparameter: Hyperparameter[Any, Any], value: Any) -> Any:
    if isinstance(value, str) and not isinstance(hyperparameter, NumericalHyperparameter):
        choices = choices_of(hyperparameter)[0]
        named = [choice for choice in choices if str(choice) == value]
        return named[0] if len(named) == 1 else value
    number = builtin(value)
    if type(number) not in (int, float) or not math.isfinite(number):
        return value
    if isinstance(hyperparameter, NumericalHyperparameter):
        low, high = builtin(hyperparameter.lower), builtin(hyperparameter.upper)
        slack = STEP_TOLERANCE * (high - low)
        return min(max(number, low), high) if low - slack <= number <= high + slack else value
    if isinstance(hyperparameter, OrdinalHyperparameter):
        numbers = [choice for choice in choices_of(hyperparameter)[0] if type(choice) in (int, float)]
        if len(numbers) > 1:
            closest = nearest(numbers, number)
            step = min(abs(closest - other) for other in numbers if other != closest)
            return closest if abs(closest - number) <= STEP_TOLERANCE * step else value
    return value


def standing_for(choices: Iterable[Any], value: Any) -> list[Any]:
    """The one of a library's choices that is a value, or else the text of it; none where there is no such choice."""
    given = list(choices)
    same = [choice for choice in given if same_value(choice, value)]
    return same or [choice for choice in given if type(choice) is str and choice == str(value)]


def common_names(space: ConfigurationSpace, names: Iterable[str], where: str) -> set[str]:
    """Hyperparameters of a space that have a name among others.

    Raises
    ------
    SpaceError
        There is none, or there are no other names.
    """
    others = set(names)
    if not others:
        raise SpaceError(f"there is nothing to search: {where} has no hyperparameters.")
    common = others & space.keys()
    if not common:
        raise SpaceError(
            f"the space has nothing in common with {where}: it has {sorted(space)}, but there are {sorted(others)}; "
            "name hyperparameters as the space does, or give no space."
        )
    return common
