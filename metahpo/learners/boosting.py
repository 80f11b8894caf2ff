"""Histogram gradient boosting.

Ranges: learning rate, iterations, leaves and leaf sizes as FLAML and auto-sklearn tune boosted trees, in scikit-learn's
names; at most 200 iterations, for the cost of recording them.
"""

from __future__ import annotations

from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from metahpo.learners.learner import Learner
from metahpo.tasks.task import Task


def _boosting_space() -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add(
        Float("learning_rate", (1e-3, 1.0), log=True, default=0.1),
        Integer("max_iter", (5, 200), log=True, default=100),
        Integer("max_leaf_nodes", (3, 127), log=True, default=31),
        Integer("min_samples_leaf", (1, 200), log=True, default=20),
        Float("l2_regularization", (0.0, 10.0), default=0.0),
        Float("max_features", (0.1, 1.0), default=1.0),
    )
    return space


def _categorical_columns(task: Task) -> dict[str, Any]:
    # The ordinal preprocessing puts the categorical columns first.
    return {"categorical_features": list(range(len(task.categorical))) or None}


def boosting_classifier() -> Learner:
    """Histogram gradient boosting with class weighting."""
    space = _boosting_space()
    space.add(Categorical("class_weight", [None, "balanced"], default=None))
    return Learner(
        "boosting", "classification", space, HistGradientBoostingClassifier, "ordinal", fixed=_categorical_columns
    )


def boosting_regressor() -> Learner:
    """Histogram gradient boosting on squared error."""
    return Learner(
        "boosting",
        "regression",
        _boosting_space(),
        HistGradientBoostingRegressor,
        "ordinal",
        fixed=_categorical_columns,
    )
