"""The legal configurations of a space. All checks of configurations use this module."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray

from metahpo.exceptions import SpaceError
from metahpo.space.configuration import Configuration
from metahpo.space.rules import Activity, Codes, Rule, rule_of
from metahpo.space.values import values_of

#: Values looked at, at most, by one enumeration; forbidden combinations can hide what is left in any number of others.
MAX_ENUMERATED = 200_000


class Domain:
    """Legal configurations of one space, one at a time or many as arrays of codes (see :mod:`metahpo.space.values`).

    Parameters
    ----------
    space : ConfigurationSpace
        It must not change afterwards.

    Raises
    ------
    SpaceError
        Something else, or a space with a hyperparameter of a kind that is not known.

    Attributes
    ----------
    values : dict of str to Values
        Values of each hyperparameter, in the order of the space, in which parents come before their children.
    parents : frozenset of str
        Hyperparameters whose values occur in conditions.
    restricted : frozenset of str
        Hyperparameters whose values decide whether a configuration is forbidden: those of forbidden clauses, and their
        parents.
    """

    def __init__(self, space: ConfigurationSpace) -> None:
        if not isinstance(space, ConfigurationSpace):
            raise SpaceError(
                f"a search space must be a ConfigurationSpace, but is {space!r}; ConfigurationSpace({{...}}) makes one "
                "of a dictionary of ranges and choices."
            )
        self.space = space
        self.values = {name: values_of(hyperparameter) for name, hyperparameter in space.items()}
        self._conditions = {
            name: tuple(rule_of(condition, self.values) for condition in space.parent_conditions_of[name])
            for name in space
        }
        self._clauses = [rule_of(clause, self.values) for clause in space.forbidden_clauses]
        looked_at = {name: _names_of(conditions) for name, conditions in self._conditions.items()}
        self.parents = frozenset().union(*looked_at.values())
        restricted = set(_names_of(self._clauses))
        for name in reversed(self.values):  # parents come before their children
            if name in restricted:
                restricted |= looked_at[name]
        self.restricted = frozenset(restricted)

    def canonical(self, values: Mapping[str, Any]) -> Configuration:
        """The active part of `values`, checked: see :func:`metahpo.space.activity.canonical`."""
        self.check_names(values)
        configuration: Configuration = {}
        codes: dict[str, Any] = {}
        active: dict[str, bool] = {}
        for name, known in self.values.items():
            if not self.is_active(name, codes, active):
                continue
            if name in values:
                codes[name] = known.code(values[name])
            elif known.size == 1:  # a constant
                codes[name] = known.code_at(0)
            else:
                raise SpaceError(f"hyperparameter {name!r} is active but has no value; it is {self.space[name]}.")
            active[name] = True
            configuration[name] = known.value(codes[name])
        for clause, said in zip(self._clauses, self.space.forbidden_clauses, strict=True):
            if clause(codes, active):
                raise SpaceError(f"the combination is forbidden by the space: {said}.")
        return configuration

    @cached_property
    def default(self) -> Configuration:
        """Default configuration of the space."""
        return self.canonical(dict(self.space.get_default_configuration()))

    def check_names(self, names: Mapping[str, Any]) -> None:
        """Raise SpaceError for what is no configuration, and for names that the space does not have."""
        if not isinstance(names, Mapping):
            raise SpaceError(f"a configuration must be a mapping of {sorted(self.values)} to values, but is {names!r}.")
        if not names.keys() <= self.values.keys():
            unknown = sorted(names.keys() - self.values.keys())
            raise SpaceError(f"hyperparameters {unknown} are not in the space, which has {sorted(self.values)}.")

    def is_active(self, name: str, codes: Codes, active: Activity) -> bool:
        """Whether `name` is active in one configuration, given those before it in the space's order."""
        return all(condition(codes, active) for condition in self._conditions[name])

    def activity(
        self, codes: Mapping[str, NDArray[Any]], n: int, names: Collection[str] | None = None
    ) -> dict[str, NDArray[np.bool_]]:
        """Masks (n,) of where each hyperparameter is active.

        `codes` (n,) are those of all hyperparameters in the rules of the space. `names` limits the result to some
        hyperparameters; their parents must be among them.
        """
        everywhere = np.ones(n, dtype=bool)
        active: dict[str, NDArray[np.bool_]] = {}
        for name, conditions in self._conditions.items():
            if names is None or name in names:
                active[name] = everywhere
                for condition in conditions:
                    active[name] = active[name] & condition(codes, active)
        return active

    def configurations(self, codes: Mapping[str, NDArray[Any]], active: Activity, n: int) -> list[Configuration]:
        """Configurations of codes (n,)."""
        columns = [(name, active[name].tolist(), codes[name].tolist(), known) for name, known in self.values.items()]
        return [{name: known.value(code[i]) for name, mask, code, known in columns if mask[i]} for i in range(n)]

    def offending(self, codes: Mapping[str, NDArray[Any]], active: Activity) -> dict[str, NDArray[np.bool_]]:
        """Masks (n,) of where each hyperparameter is part of a forbidden combination.

        Hyperparameters without clauses are left out.
        """
        masks: dict[str, NDArray[np.bool_]] = {}
        for clause in self._clauses:
            forbidden = np.asarray(clause(codes, active), dtype=bool)
            if forbidden.any():
                for name in clause.names:
                    masks[name] = masks[name] | forbidden if name in masks else forbidden
        return masks

    @property
    def finite(self) -> bool:
        """Whether the space has finitely many configurations."""
        return all(known.size is not None for known in self.values.values())

    def enumerate(self, rng: np.random.Generator) -> Iterator[Configuration]:
        """Legal configurations of a finite space, each once.

        The values of each hyperparameter begin at a random one. The search backtracks at a forbidden combination, and
        ends early after `MAX_ENUMERATED` values.
        """
        names, left = list(self.values), itertools.count(MAX_ENUMERATED, -1)
        codes: dict[str, Any] = {}
        active: dict[str, bool] = {}
        levels: list[Iterator[Any]] = []
        while next(left) > 0:
            if len(levels) == len(names):
                yield {name: self.values[name].value(codes[name]) for name in names if active[name]}
            else:
                levels.append(self._options(names[len(levels)], codes, active, rng))
            while levels and not self._advance(names[len(levels) - 1], levels[-1], codes, active, left):
                levels.pop()
            if not levels:
                return

    def _options(self, name: str, codes: Codes, active: Activity, rng: np.random.Generator) -> Iterator[Any]:
        """Codes of a hyperparameter; None alone where it is not active."""
        if not self.is_active(name, codes, active):
            return iter((None,))
        known = self.values[name]
        size = known.size
        if size is None:
            raise SpaceError(f"{name!r} has infinitely many values, which cannot be enumerated.")
        first = int(rng.integers(size))
        return (known.code_at((first + i) % size) for i in range(size))

    def _advance(
        self,
        name: str,
        options: Iterator[Any],
        codes: dict[str, Any],
        active: dict[str, bool],
        left: Iterator[int],
    ) -> bool:
        """Take the next value of the last hyperparameter that is not forbidden. Returns False if none is left."""
        for code in options:
            if next(left) <= 0:
                break
            codes[name], active[name] = code, code is not None
            if not any(clause(codes, active) for clause in self._clauses if name in clause.names):
                return True
        codes.pop(name, None)
        active.pop(name, None)
        return False


def _names_of(rules: Iterable[Rule]) -> frozenset[str]:
    return frozenset().union(*(rule.names for rule in rules))
