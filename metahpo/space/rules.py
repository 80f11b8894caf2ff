"""The rules of a space: when a hyperparameter is active, and which combinations are forbidden.

A rule is a condition or a forbidden clause whose values are looked up once, for it is asked many times. It is asked
about codes (see :mod:`metahpo.space.values`), of one configuration or of arrays of n; a mask is then one truth value or
an array of n. Rules mean what they mean where ConfigSpace checks a configuration: a comparison with a hyperparameter
that is not active is false, and so its NotEqualsCondition is true. A clause says nothing of hyperparameters that are
not active: a combination that is forbidden stays so whatever else becomes active.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Protocol

import numpy as np
from ConfigSpace import (
    EqualsCondition,
    ForbiddenEqualsClause,
    ForbiddenEqualsRelation,
    ForbiddenGreaterThanRelation,
    ForbiddenInClause,
    ForbiddenLessThanRelation,
    GreaterThanCondition,
    InCondition,
    LessThanCondition,
    NotEqualsCondition,
    OrConjunction,
)
from ConfigSpace.conditions import Condition, ConditionLike, Conjunction
from ConfigSpace.forbidden import (
    ForbiddenConjunction,
    ForbiddenGreaterThanClause,
    ForbiddenGreaterThanEqualsClause,
    ForbiddenGreaterThanEqualsRelation,
    ForbiddenLessThanClause,
    ForbiddenLessThanEqualsClause,
    ForbiddenLessThanEqualsRelation,
    ForbiddenLike,
    ForbiddenOrConjunction,
    ForbiddenRelation,
)

from metahpo.space.values import Values

#: One truth value, or an array of n.
Mask = Any
#: Hyperparameter -> code, or codes of shape (n,); what is not active may be absent.
Codes = Mapping[str, Any]
#: Hyperparameter -> mask; absent is not active.
Activity = Mapping[str, Mask]

COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    EqualsCondition: operator.eq,
    NotEqualsCondition: operator.ne,
    LessThanCondition: operator.lt,
    GreaterThanCondition: operator.gt,
    ForbiddenEqualsClause: operator.eq,
    ForbiddenLessThanClause: operator.lt,
    ForbiddenLessThanEqualsClause: operator.le,
    ForbiddenGreaterThanClause: operator.gt,
    ForbiddenGreaterThanEqualsClause: operator.ge,
    ForbiddenEqualsRelation: operator.eq,
    ForbiddenLessThanRelation: operator.lt,
    ForbiddenLessThanEqualsRelation: operator.le,
    ForbiddenGreaterThanRelation: operator.gt,
    ForbiddenGreaterThanEqualsRelation: operator.ge,
}


class Rule(Protocol):
    """A condition or a forbidden clause of one space."""

    @property
    def names(self) -> frozenset[str]:
        """Hyperparameters whose values it looks at."""

    def __call__(self, codes: Codes, active: Activity) -> Mask:
        """Whether the condition is fulfilled, or the combination is forbidden."""


def rule_of(rule: ConditionLike | ForbiddenLike, values: Mapping[str, Values]) -> Rule:
    """Rule of a condition or clause of ConfigSpace, given the values of the hyperparameters of its space."""
    if isinstance(rule, (Conjunction, ForbiddenConjunction)):
        every = not isinstance(rule, (OrConjunction, ForbiddenOrConjunction))
        parts = tuple(rule_of(part, values) for part in rule.components)
        return _Joined(parts, operator.and_ if every else operator.or_)
    compare: Callable[[Any, Any], Any] = COMPARISONS.get(type(rule), operator.eq)
    if isinstance(rule, ForbiddenRelation):
        left, right = rule.left.name, rule.right.name
        return _Related(left, right, values[left], values[right], compare)
    name = rule.parent.name if isinstance(rule, Condition) else rule.hyperparameter.name
    known = values[name]
    of_several = isinstance(rule, (InCondition, ForbiddenInClause))
    compared: Any = rule.values if of_several else [rule.value]  # type: ignore[union-attr]  # of all other kinds
    ranks = tuple(known.rank(known.code(value)) for value in compared)
    return _Compared(name, known, compare, ranks, isinstance(rule, NotEqualsCondition))


@dataclass(frozen=True)
class _Compared:
    """The value of one hyperparameter is compared with some ranks. The result is `otherwise` if it is not active."""

    name: str
    values: Values
    compare: Callable[[Any, Any], Any]
    ranks: tuple[Any, ...]
    otherwise: bool

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset((self.name,))

    def __call__(self, codes: Codes, active: Activity) -> Mask:
        mask = active.get(self.name, False)
        if mask is False:
            return self.otherwise
        rank = self.values.rank(codes[self.name])
        compared = mask & reduce(operator.or_, [self.compare(rank, other) for other in self.ranks], False)
        return compared | (mask ^ True) if self.otherwise else compared


@dataclass(frozen=True)
class _Related:
    """The values of two hyperparameters are compared with each other.

    For ordinals, values are compared, not positions.
    """

    left: str
    right: str
    of_left: Values
    of_right: Values
    compare: Callable[[Any, Any], Any]

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset((self.left, self.right))

    def __call__(self, codes: Codes, active: Activity) -> Mask:
        both = active.get(self.left, False) & active.get(self.right, False)
        if both is False:
            return False
        sides = self.of_left.comparable(codes[self.left]), self.of_right.comparable(codes[self.right])
        return both & self.compare(*sides)


@dataclass(frozen=True)
class _Joined:
    """Rules of which all, or any, must hold."""

    parts: tuple[Rule, ...]
    join: Callable[[Any, Any], Any]

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset().union(*(part.names for part in self.parts))

    def __call__(self, codes: Codes, active: Activity) -> Mask:
        mask = self.parts[0](codes, active)
        for part in self.parts[1:]:
            if self.join is operator.and_ and not np.any(mask):
                break
            mask = self.join(mask, part(codes, active))
        return mask
