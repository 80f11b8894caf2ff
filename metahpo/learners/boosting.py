"""Histogram gradient boosting.

Ranges: leaves, leaf sizes, share of the columns and penalty as TabArena, pytabkit and FLAML tune boosted trees, in
scikit-learn's names. Ranges of trees and learning rates match: the largest number of trees is enough for the smallest
rate. Early stopping is the library's own: "auto" stops on tables of more than 10,000 rows, True on all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from metahpo.learners.learner import Learner
from metahpo.learners.mixed_hyperparameters import add_word_or_number, rules_of
from metahpo.learners.row_counts import RowCounts
from metahpo.tasks.task import Task

#: Rows from which the library's "auto" stops early, and the share of the rows that it stops by.
AUTO_ROWS, VALIDATION_SHARE = 10_000, 0.1
#: Rows that the rarest class needs, so that each part of half of the rows can have one of them.
FEWEST_OF_CLASS = 4


def _boosting_space() -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add(
        Float("learning_rate", (1e-2, 0.5), log=True, default=0.1),
        Integer("max_iter", (50, 400), log=True, default=100),
        Categorical("early_stopping", ["auto", True], default="auto"),
        Integer("max_leaf_nodes", (7, 127), log=True, default=31),
        Integer("min_samples_leaf", (2, 100), log=True, default=20),
    )
    add_word_or_number(space, [0.0], Float("l2_regularization", (1e-3, 1e2), log=True, default=1.0))
    add_word_or_number(space, [1.0], Float("max_features", (0.2, 0.95), default=0.5))
    return space


def _categorical_columns(task: Task) -> dict[str, Any]:
    # The ordinal preprocessing puts the categorical columns first.
    return {"categorical_features": list(range(len(task.categorical))) or None}


def _without_stopping(parameters: Mapping[str, Any], counts: RowCounts) -> dict[str, Any]:
    """The rows that decide when to stop must hold each class, and so must the others."""
    stops = parameters["early_stopping"]
    if stops == "auto":
        stops = counts.rows > AUTO_ROWS
    few = counts.rarest < FEWEST_OF_CLASS or math.ceil(VALIDATION_SHARE * counts.rows / 2) < counts.classes
    return {"early_stopping": False} if stops and few else {}


def boosting_classifier() -> Learner:
    """Histogram gradient boosting with class weighting."""
    space = _boosting_space()
    space.add(Categorical("class_weight", [None, "balanced"], default=None))
    return Learner(
        "boosting",
        "classification",
        space,
        HistGradientBoostingClassifier,
        "ordinal",
        rules=rules_of(space),
        fixed=_categorical_columns,
        adapted=_without_stopping,
    )


def boosting_regressor() -> Learner:
    """Histogram gradient boosting on squared error."""
    space = _boosting_space()
    return Learner(
        "boosting",
        "regression",
        space,
        HistGradientBoostingRegressor,
        "ordinal",
        rules=rules_of(space),
        fixed=_categorical_columns,
    )
