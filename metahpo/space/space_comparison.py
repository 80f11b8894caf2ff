"""Comparison of two search spaces: whether they have the same configurations with the same meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import ConfigurationSpace
from ConfigSpace.conditions import Condition, Conjunction
from ConfigSpace.forbidden import ForbiddenConjunction, ForbiddenRelation
from ConfigSpace.hyperparameters import Hyperparameter, NumericalHyperparameter

from metahpo.space.configuration import value_text
from metahpo.space.values import choices_of

#: Key of the forbidden clauses in a description.
FORBIDDEN = "what is forbidden"


def difference(first: ConfigurationSpace, second: ConfigurationSpace, *, second_may_forbid: bool = False) -> str | None:
    """First difference of two spaces, as a text; None if they have the same configurations.

    Names, bounds, scales, choices, conditions and forbidden clauses count. The order of hyperparameters, of choices and
    of clauses does not, and neither do defaults, priors, or the name of the space.

    Parameters
    ----------
    second_may_forbid : bool, default=False
        Whether the second space may forbid more than the first.
    """
    one, other = description(first), description(second)
    if second_may_forbid and _clauses(first) <= _clauses(second):
        other[FORBIDDEN] = one[FORBIDDEN]
    return first_difference(one, other)


def first_difference(one: Mapping[str, str], other: Mapping[str, str]) -> str | None:
    """First difference of two descriptions, as a text; None if they are equal."""
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            return f"{key} is {one.get(key, 'missing')} in the first, but {other.get(key, 'missing')} in the second"
    return None


def description(space: ConfigurationSpace) -> dict[str, str]:
    """Texts of each hyperparameter and of the clauses. Spaces with the same configurations have equal texts."""
    parts = {}
    for name, hyperparameter in space.items():
        conditions = sorted(_rule(condition) for condition in space.parent_conditions_of[name])
        parts[f"hyperparameter {name!r}"] = _values(hyperparameter) + "".join(f", if {rule}" for rule in conditions)
    return {**parts, FORBIDDEN: ", ".join(sorted(_clauses(space))) or "nothing"}


def _clauses(space: ConfigurationSpace) -> set[str]:
    return {_rule(clause) for clause in space.forbidden_clauses}


def _values(hyperparameter: Hyperparameter[Any, Any]) -> str:
    if isinstance(hyperparameter, NumericalHyperparameter):
        kind = "an integer" if isinstance(hyperparameter.lower, int) else "a float"
        scale = "on a log scale" if getattr(hyperparameter, "log", False) else "on a linear scale"
        return f"{kind} from {hyperparameter.lower!r} to {hyperparameter.upper!r} {scale}"
    choices, ordered = choices_of(hyperparameter)
    texts = [value_text(choice) for choice in choices]
    return f"an order of {', '.join(texts)}" if ordered else f"a choice of {', '.join(sorted(texts))}"


def _rule(rule: Any) -> str:
    """Text of a condition or clause, the parts of a conjunction in one order."""
    if isinstance(rule, (Conjunction, ForbiddenConjunction)):
        return f"{type(rule).__name__}({', '.join(sorted(_rule(part) for part in rule.components))})"
    if isinstance(rule, ForbiddenRelation):
        return f"{type(rule).__name__}({rule.left.name}, {rule.right.name})"
    name = rule.parent.name if isinstance(rule, Condition) else rule.hyperparameter.name
    values = sorted(value_text(value) for value in getattr(rule, "values", None) or [rule.value])
    return f"{type(rule).__name__}({name}, {', '.join(values)})"
