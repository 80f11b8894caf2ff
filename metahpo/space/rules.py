"""The rules of a space: when a hyperparameter is active, and which combinations are forbidden.

Both are asked about codes (see :mod:`metahpo.space.values`), of one configuration or of arrays of n; a mask is then one
truth value or an array of n. They mean what they mean where ConfigSpace checks a configuration: a comparison with a
hyperparameter that is not active is false, and so its NotEqualsCondition is true.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from ConfigSpace import (
    EqualsCondition,
    ForbiddenAndConjunction,
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
from ConfigSpace.conditions import ConditionLike, Conjunction
from ConfigSpace.forbidden import (
    ForbiddenConjunction,
    ForbiddenGreaterThanClause,
    ForbiddenGreaterThanEqualsClause,
    ForbiddenGreaterThanEqualsRelation,
    ForbiddenLessThanClause,
    ForbiddenLessThanEqualsClause,
    ForbiddenLessThanEqualsRelation,
    ForbiddenLike,
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


def holds(condition: ConditionLike, values: Mapping[str, Values], codes: Codes, active: Activity) -> Mask:
    """Where a condition is fulfilled."""
    if isinstance(condition, Conjunction):
        parts = [holds(part, values, codes, active) for part in condition.components]
        return reduce(operator.or_ if isinstance(condition, OrConjunction) else operator.and_, parts)
    parent = condition.parent.name
    if isinstance(condition, InCondition):
        return _is_one_of(parent, condition.values, values, codes, active)
    compared = _compares(type(condition), parent, condition.value, values, codes, active)
    if isinstance(condition, NotEqualsCondition):
        return compared | (active.get(parent, False) ^ True)
    return compared


def forbids(clause: ForbiddenLike, values: Mapping[str, Values], codes: Codes, active: Activity) -> Mask:
    """Where a clause forbids the combination; it says nothing of hyperparameters that are not active.

    A combination that is forbidden stays so whatever else becomes active.
    """
    if isinstance(clause, ForbiddenConjunction):
        parts = [forbids(part, values, codes, active) for part in clause.components]
        return reduce(operator.and_ if isinstance(clause, ForbiddenAndConjunction) else operator.or_, parts)
    if isinstance(clause, ForbiddenRelation):
        left, right = clause.left.name, clause.right.name
        both = active.get(left, False) & active.get(right, False)
        if both is False:
            return False
        # Of two hyperparameters the values are compared, of ordinals as well.
        sides = (values[name].comparable(codes[name]) for name in (left, right))
        return both & COMPARISONS[type(clause)](*sides)
    name = clause.hyperparameter.name
    if isinstance(clause, ForbiddenInClause):
        return _is_one_of(name, clause.values, values, codes, active)
    value: Any = clause.value  # type: ignore[attr-defined]  # of all other kinds of clause
    return _compares(type(clause), name, value, values, codes, active)


def hyperparameters_of(clause: ForbiddenLike) -> frozenset[str]:
    """Names of the hyperparameters that a clause looks at."""
    if isinstance(clause, ForbiddenConjunction):
        return frozenset().union(*(hyperparameters_of(part) for part in clause.components))
    if isinstance(clause, ForbiddenRelation):
        return frozenset((clause.left.name, clause.right.name))
    return frozenset((clause.hyperparameter.name,))


def _compares(kind: type, name: str, value: Any, values: Mapping[str, Values], codes: Codes, active: Activity) -> Mask:
    mask = active.get(name, False)
    if mask is False:
        return False
    known = values[name]
    return mask & COMPARISONS[kind](known.rank(codes[name]), known.rank(known.code(value)))


def _is_one_of(name: str, allowed: Any, values: Mapping[str, Values], codes: Codes, active: Activity) -> Mask:
    mask = active.get(name, False)
    if mask is False:
        return False
    known = values[name]
    rank = known.rank(codes[name])
    return mask & reduce(operator.or_, [rank == known.rank(known.code(value)) for value in allowed], False)
