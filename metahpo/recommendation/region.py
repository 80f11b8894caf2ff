"""The part of a search space that a user allows: ranges, choices, and values that are fixed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import Hyperparameter, NumericalHyperparameter

from metahpo.exceptions import SpaceError
from metahpo.learners.learner import BY_VALUE
from metahpo.space.configuration import Configuration, builtin, same_value
from metahpo.space.domain import Domain
from metahpo.space.values import choices_of

#: Stands for "no value is near": None is a value of some hyperparameters.
NOTHING: Any = object()


@dataclass(frozen=True)
class Numbers:
    """Numbers from `low` to `high`, both included; whole ones where `whole`."""

    low: float
    high: float
    whole: bool = False

    def __str__(self) -> str:
        return f"from {self.low} to {self.high}"

    def allows(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return _is_number(value) and self.low <= value <= self.high and (not self.whole or value == round(value))

    def nearest(self, value: Any) -> Any:
        """The allowed value that is nearest to a number; `NOTHING` where `value` is no number."""
        if not _is_number(value):
            return NOTHING
        found = min(max(value, self.low), self.high)
        return round(found) if self.whole or (isinstance(value, int) and found == round(found)) else found

    def any_value(self) -> Any:
        """One of the values."""
        return self.nearest(self.low)


@dataclass(frozen=True)
class Choices:
    """Some values, any one of which may be taken."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return f"one of {list(self.values)}"

    def allows(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return any(same_value(value, choice) for choice in self.values)

    def nearest(self, value: Any) -> Any:
        """The value itself, or, for a number, the nearest number among them; `NOTHING` where there is none."""
        if self.allows(value):
            return value
        numbers = [choice for choice in self.values if _is_number(choice)]
        return min(numbers, key=lambda n: abs(n - value)) if _is_number(value) and numbers else NOTHING

    def any_value(self) -> Any:
        """One of the values."""
        return self.values[0]


Allowed = Numbers | Choices


@dataclass(frozen=True)
class Moved:
    """A configuration that was brought into a region.

    Attributes
    ----------
    known : dict
        In the space of the learner: what predictions are made for.
    values : dict
        What is recommended; it differs from `known` where the region lies outside of the learner's space.
    """

    known: Configuration
    values: Configuration


@dataclass(frozen=True)
class Region:
    """What is allowed, in the names of the learner's hyperparameters or of its estimator's parameters.

    Attributes
    ----------
    allowed : mapping of str to Numbers or Choices
        Of each hyperparameter that the user names.
    fixed : mapping of str to value
        Those of them that have one value.
    others_at_default : bool
        Whether hyperparameters that the user does not name stay at the library's default.
    forbidding : Domain or None
        The user's space, where it forbids combinations; its names have the prefix.
    prefix : str
    """

    allowed: Mapping[str, Allowed] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    others_at_default: bool = False
    forbidding: Domain | None = None
    prefix: str = ""

    @classmethod
    def of(
        cls, space: ConfigurationSpace | Mapping[str, Any] | None = None, fixed: Mapping[str, Any] | None = None
    ) -> Region:
        """Read what a user gives.

        Parameters
        ----------
        space : ConfigurationSpace or mapping, default=None
            Of a mapping, a pair ``(low, high)`` of numbers is a range, a list holds choices, and anything else is the
            only value.
        fixed : mapping of str to value, default=None

        Raises
        ------
        SpaceError
            An empty range or list of choices, another type, or a fixed value outside of `space`.
        """
        for what, given in (("space", space), ("fixed", fixed)):
            if given is not None and not isinstance(given, Mapping):
                raise SpaceError(
                    f"{what} must be a {'ConfigurationSpace or a ' if what == 'space' else ''}dictionary of names, but "
                    f"is {given!r}."
                )
        allowed = {str(name): _read(str(name), value) for name, value in (space or {}).items()}
        held = {str(name): builtin(value) for name, value in (fixed or {}).items()}
        for name, value in held.items():
            if name in allowed and not allowed[name].allows(value):
                raise SpaceError(f"{name!r} is fixed at {value!r}, but `space` allows {allowed[name]} only.")
        return cls(
            {**allowed, **{n: Choices((v,)) for n, v in held.items()}},
            held,
            space is not None,
            Domain(space) if isinstance(space, ConfigurationSpace) and space.forbidden_clauses else None,
        )

    def __bool__(self) -> bool:
        return bool(self.allowed) or self.others_at_default

    def without_prefix(self, prefix: str) -> Region:
        """The region in the names of the learner's own parameters, without the prefix that a pipeline gives them."""
        return replace(
            self,
            allowed={name.removeprefix(prefix): allowed for name, allowed in self.allowed.items()},
            fixed={name.removeprefix(prefix): value for name, value in self.fixed.items()},
            prefix=prefix,
        )

    def holding(self, held: Mapping[str, Any]) -> Region:
        """The part of it in which some hyperparameters have the value that the user's estimator fixes.

        Raises
        ------
        SpaceError
            Another value was asked for.
        """
        for name, value in held.items():
            if name in self.allowed and not self.allowed[name].allows(value):
                raise SpaceError(
                    f"{self.prefix + name!r} is asked to be {self.allowed[name]}, but the estimator holds {value!r}: "
                    "leave it out of `fixed` and `space`, or give another estimator."
                )
        return replace(self, allowed={**self.allowed, **{name: Choices((value,)) for name, value in held.items()}})

    def moved(
        self, configuration: Configuration, domain: Domain, rules: Mapping[str, str], *, force: bool = False
    ) -> Moved | None:
        """The configuration of the region that is nearest to a recorded one; None where none is near.

        Numbers move to the nearest number that is allowed. Another choice is not near, unless `force`.

        Parameters
        ----------
        configuration : dict
        domain : Domain
            Of the space that was recorded.
        rules : mapping of str to str
            Rule hyperparameter -> number that it speaks for, of the learner.
        force : bool, default=False
        """
        space = domain.space
        rules = {rule: number for rule, number in rules.items() if rule in space and number in space}
        values = dict(configuration)
        if self.others_at_default:
            named = {name for given in self.allowed for name in (given, *_rules_for(given, rules))}
            values = {name: value for name, value in values.items() if name in named}
        beyond: Configuration = {}
        for name, allowed in self.allowed.items():
            if name not in space:
                continue
            rule = next((r for r in _rules_for(name, rules) if r not in self.allowed), None)
            for own in [rule, name] if rule else [name]:
                if own not in values:
                    continue
                value = values[own]
                if own == rule and (value == BY_VALUE or allowed.allows(value)):
                    continue
                found = NOTHING if own == rule else allowed.nearest(value)
                if found is NOTHING and own == rule and force:
                    found = self._word(space[rule], allowed)
                elif found is NOTHING and force:
                    found = allowed.any_value()
                if found is NOTHING:
                    return None
                values[own] = found
        values = _completed(values, space, self.allowed if force else {})
        known = {name: _within(space[name], value) for name, value in values.items()}
        for name, value in values.items():
            if not same_value(known[name], value):
                beyond[name] = value
        known = _completed(known, space, {})
        try:
            known = domain.canonical(known)
        except SpaceError:
            return None
        moved = {**known, **{name: value for name, value in beyond.items() if name in known}}
        return None if self._forbids(moved) else Moved(known, moved)

    def _forbids(self, values: Configuration) -> bool:
        """Whether the user's space forbids a combination; what it does not name does not count."""
        if self.forbidding is None:
            return False
        space = self.forbidding.space
        own = {name: values.get(name.removeprefix(self.prefix), space[name].default_value) for name in space}
        try:
            self.forbidding.canonical(own)
        except SpaceError:
            return True
        return False

    @staticmethod
    def _word(rule: Hyperparameter[Any, Any], allowed: Allowed) -> Any:
        """A value of a rule that the region allows."""
        words = [word for word in choices_of(rule)[0] if word != BY_VALUE and allowed.allows(word)]
        return words[0] if words else BY_VALUE


def _read(name: str, value: Any) -> Allowed:
    if isinstance(value, NumericalHyperparameter):
        return Numbers(builtin(value.lower), builtin(value.upper), isinstance(builtin(value.lower), int))
    if isinstance(value, Hyperparameter):
        return Choices(choices_of(value)[0])
    if isinstance(value, tuple) and len(value) == 2 and all(_is_number(bound) for bound in value):
        low, high = builtin(value[0]), builtin(value[1])
        if not low <= high:
            raise SpaceError(f"the range of {name!r} must go from its smaller to its larger end, but is {value!r}.")
        return Numbers(low, high, isinstance(low, int) and isinstance(high, int))
    if isinstance(value, (list, tuple)):
        if not value:
            raise SpaceError(f"{name!r} has no value to choose from; give a range (low, high) or a list of choices.")
        return Choices(tuple(builtin(choice) for choice in value))
    if value is None or isinstance(builtin(value), (str, bool, int, float)):
        return Choices((builtin(value),))
    raise SpaceError(
        f"{name!r} must be a range (low, high), a list of choices, a value, or a hyperparameter of ConfigSpace, but is "
        f"{value!r}."
    )


def _rules_for(name: str, rules: Mapping[str, str]) -> Iterator[str]:
    """The rule that says whether a number is taken."""
    return (rule for rule, number in rules.items() if number == name)


def _completed(values: Configuration, space: ConfigurationSpace, wanted: Mapping[str, Allowed]) -> Configuration:
    """Values with those of active hyperparameters that have none yet: one that is wanted, or else the default."""
    complete: Configuration = {}
    for name, hyperparameter in space.items():
        if not all(_satisfied(condition, complete) for condition in space.parent_conditions_of[name]):
            continue
        value = values.get(name, builtin(hyperparameter.default_value))
        if name not in values and name in wanted:
            value = wanted[name].nearest(value)
            value = wanted[name].any_value() if value is NOTHING else value
        complete[name] = value
    return complete


def _satisfied(condition: Any, values: Mapping[str, Any]) -> bool:
    """Whether a condition of ConfigSpace holds; one on a hyperparameter that is not active does not."""
    parents = [part.parent.name for part in getattr(condition, "components", [condition])]
    known = {name: values[name] for name in parents if name in values}
    try:
        return len(known) == len(set(parents)) and bool(condition.satisfied_by_value(known))
    except (TypeError, ValueError):  # a value that the space does not have
        return False


def _within(hyperparameter: Hyperparameter[Any, Any], value: Any) -> Any:
    """The value of a hyperparameter that is nearest; its default, where another kind of value was asked for."""
    if isinstance(hyperparameter, NumericalHyperparameter):
        low, high = builtin(hyperparameter.lower), builtin(hyperparameter.upper)
        if not _is_number(value):
            return builtin(hyperparameter.default_value)
        found = min(max(value, low), high)
        return round(found) if isinstance(low, int) else float(found)
    choices = choices_of(hyperparameter)[0]
    return value if Choices(choices).allows(value) else builtin(hyperparameter.default_value)


def _is_number(value: Any) -> bool:
    value = builtin(value)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
