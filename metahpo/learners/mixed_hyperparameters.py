"""Hyperparameters that are a word or a number: ``gamma="scale"`` or ``gamma=0.1``, no penalty or a penalty of 0.1.

Each is two hyperparameters of a space: the rule, whose values are the words and "value", and the number, which is
active where the rule is "value". The default of a library can therefore be a word instead of the end of a range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ConfigSpace import ConfigurationSpace, EqualsCondition
from ConfigSpace.hyperparameters import CategoricalHyperparameter, FloatHyperparameter, IntegerHyperparameter

from metahpo.learners.learner import BY_VALUE

_SUFFIX = "_rule"


def add_word_or_number(
    space: ConfigurationSpace, words: Sequence[Any], number: FloatHyperparameter | IntegerHyperparameter
) -> CategoricalHyperparameter:
    """Add a number, and the rule that says whether it is used. The first word is the default of the rule.

    Returns
    -------
    CategoricalHyperparameter
        The rule, for conditions on other hyperparameters.
    """
    rule = CategoricalHyperparameter(f"{number.name}{_SUFFIX}", [*words, BY_VALUE], default_value=words[0])
    space.add(rule, number, EqualsCondition(number, rule, BY_VALUE))
    return rule


def rules_of(space: ConfigurationSpace) -> dict[str, str]:
    """Rule -> the number that it is of, for every rule of a space."""
    return {name: name.removesuffix(_SUFFIX) for name in space if name.endswith(_SUFFIX)}
