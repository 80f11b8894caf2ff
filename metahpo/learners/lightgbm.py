"""LightGBM, by its own estimators. The package is imported only when an estimator is made.

Ranges: as TabArena, pytabkit and FLAML tune it, in the names of its scikit-learn estimators. Ranges of trees and
learning rates match: the largest number of trees is enough for the smallest rate. There is no early stopping, because
``fit(X, y)`` of these estimators has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer, OrdinalHyperparameter

from metahpo.learners.extras import imported
from metahpo.learners.learner import Learner
from metahpo.learners.mixed_hyperparameters import add_word_or_number, rules_of
from metahpo.tasks.task import Task

#: Other names of parameters of its scikit-learn estimators. Where both are given, LightGBM takes the value of these.
OTHER_NAMES = {
    other: name
    for name, others in {
        "n_estimators": (
            "max_iter n_iter nrounds num_boost_round num_iteration num_iterations "
            "num_round num_rounds num_tree num_trees"
        ),
        "min_child_samples": "min_data min_data_in_leaf min_samples_leaf",
        "subsample": "bagging bagging_fraction sub_row",
        "subsample_freq": "bagging_freq",
        "colsample_bytree": "feature_fraction sub_feature",
        "reg_alpha": "lambda_l1",
        "reg_lambda": "lambda lambda_l2",
    }.items()
    for other in others.split()
}

#: One thread, no messages, and no timing of the first iterations that decides how histograms are summed.
QUIET = {"n_jobs": 1, "verbosity": -1, "deterministic": True, "force_col_wise": True}


def _lightgbm_space() -> ConfigurationSpace:
    space = ConfigurationSpace()
    bagging = OrdinalHyperparameter("subsample_freq", [0, 1], default_value=0)
    subsample = Float("subsample", (0.5, 0.95), default=0.8)
    space.add(
        Float("learning_rate", (1e-2, 0.5), log=True, default=0.1),
        Integer("n_estimators", (50, 400), log=True, default=100),
        Integer("num_leaves", (7, 127), log=True, default=31),
        Integer("min_child_samples", (2, 100), log=True, default=20),
        bagging,
        subsample,
        EqualsCondition(subsample, bagging, 1),
    )
    add_word_or_number(space, [1.0], Float("colsample_bytree", (0.3, 0.95), default=0.7))
    add_word_or_number(space, [0.0], Float("reg_alpha", (1e-3, 1e1), log=True, default=0.1))
    add_word_or_number(space, [0.0], Float("reg_lambda", (1e-3, 1e2), log=True, default=1.0))
    return space


def _by_own_names(parameters: Mapping[str, Any]) -> dict[str, Any]:
    others = {OTHER_NAMES[name]: value for name, value in parameters.items() if name in OTHER_NAMES}
    return {name: value for name, value in parameters.items() if name not in OTHER_NAMES} | others


def _categorical_columns(task: Task) -> dict[str, Any]:
    # The ordinal preprocessing puts the categorical columns first. The name is LightGBM's own alias: its estimators
    # ignore the parameter categorical_feature, which is an argument of fit.
    return {"categorical_column": list(range(len(task.categorical)))} if task.categorical else {}


def _make_classifier(**parameters: Any) -> Any:
    return imported("lightgbm").LGBMClassifier(**QUIET | parameters)


def _make_regressor(**parameters: Any) -> Any:
    return imported("lightgbm").LGBMRegressor(**QUIET | parameters)


def lightgbm_classifier() -> Learner:
    """LightGBM with class weighting."""
    space = _lightgbm_space()
    space.add(Categorical("class_weight", [None, "balanced"], default=None))
    return Learner(
        "lightgbm",
        "classification",
        space,
        _make_classifier,
        "ordinal",
        rules=rules_of(space),
        fixed=_categorical_columns,
        libraries=("lightgbm",),
        by_own_names=_by_own_names,
        other_names=OTHER_NAMES,
    )


def lightgbm_regressor() -> Learner:
    """LightGBM on squared error."""
    space = _lightgbm_space()
    return Learner(
        "lightgbm",
        "regression",
        space,
        _make_regressor,
        "ordinal",
        rules=rules_of(space),
        fixed=_categorical_columns,
        libraries=("lightgbm",),
        by_own_names=_by_own_names,
        other_names=OTHER_NAMES,
    )
