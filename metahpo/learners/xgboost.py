"""XGBoost, by its own estimators. The package is imported only when an estimator is made.

Ranges: as TabArena, pytabkit and FLAML tune it, in the names of its scikit-learn estimators. Ranges of trees and
learning rates match: the largest number of trees is enough for the smallest rate. There is no early stopping, because
``fit(X, y)`` of these estimators has none.
"""

from __future__ import annotations

from typing import Any

from ConfigSpace import ConfigurationSpace, Float, Integer

from metahpo.learners.extras import imported
from metahpo.learners.learner import Learner
from metahpo.learners.mixed_hyperparameters import add_word_or_number, rules_of
from metahpo.tasks.task import Task, TaskKind

#: One thread, and no messages.
QUIET = {"n_jobs": 1, "verbosity": 0}


def _xgboost_space() -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add(
        Float("learning_rate", (1e-2, 1.0), log=True, default=0.3),
        Integer("n_estimators", (50, 400), log=True, default=100),
        Integer("max_depth", (3, 10), default=6),
        Float("min_child_weight", (1e-2, 1e2), log=True, default=1.0),
        Float("reg_lambda", (1e-3, 1e2), log=True, default=1.0),
    )
    add_word_or_number(space, [0.0], Float("reg_alpha", (1e-3, 1e1), log=True, default=0.1))
    add_word_or_number(space, [1.0], Float("subsample", (0.5, 0.95), default=0.8))
    add_word_or_number(space, [1.0], Float("colsample_bytree", (0.3, 0.95), default=0.7))
    return space


def _categorical_columns(task: Task) -> dict[str, Any]:
    # The ordinal preprocessing puts the categorical columns first.
    if not task.categorical:
        return {}
    return {"enable_categorical": True, "feature_types": ["c"] * len(task.categorical) + ["q"] * len(task.numeric)}


def _make_classifier(**parameters: Any) -> Any:
    return imported("xgboost").XGBClassifier(**QUIET | parameters)


def _make_regressor(**parameters: Any) -> Any:
    return imported("xgboost").XGBRegressor(**QUIET | parameters)


def _learner(kind: TaskKind) -> Learner:
    space = _xgboost_space()
    return Learner(
        "xgboost",
        kind,
        space,
        _make_classifier if kind == "classification" else _make_regressor,
        "ordinal",
        rules=rules_of(space),
        fixed=_categorical_columns,
        libraries=("xgboost",),
    )


def xgboost_classifier() -> Learner:
    """XGBoost on log loss; it has no weights of classes."""
    return _learner("classification")


def xgboost_regressor() -> Learner:
    """XGBoost on squared error."""
    return _learner("regression")
