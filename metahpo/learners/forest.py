"""Random forests and extremely randomised trees.

Ranges: share of the columns and of the rows as in TabArena, leaves as in pytabkit and in van Rijn and Hutter (KDD
2018), who found them to be most important, and the depth, which practitioners often limit. Fewer than 50 trees give
noisy predictions. More than 300 add time and hardly any accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor

from metahpo.learners.learner import Learner
from metahpo.learners.mixed_hyperparameters import add_word_or_number, rules_of


def _tree_space(bootstrap: bool, column_shares: Sequence[str | float]) -> ConfigurationSpace:
    space = ConfigurationSpace()
    bootstrapped = Categorical("bootstrap", [bootstrap, not bootstrap], default=bootstrap)
    space.add(Integer("n_estimators", (50, 300), log=True, default=100), bootstrapped)
    add_word_or_number(space, column_shares, Float("max_features", (0.1, 0.95), default=0.5))
    add_word_or_number(space, [1], Integer("min_samples_leaf", (2, 50), log=True, default=5))
    add_word_or_number(space, [None], Integer("max_depth", (4, 30), log=True, default=10))
    all_rows = add_word_or_number(space, [None], Float("max_samples", (0.3, 0.95), default=0.7))
    space.add(EqualsCondition(all_rows, bootstrapped, True))
    return space


def _classifier(name: str, estimator_class: Callable[..., BaseEstimator], bootstrap: bool) -> Learner:
    space = _tree_space(bootstrap, ["sqrt", "log2"])
    space.add(
        Categorical("criterion", ["gini", "entropy"], default="gini"),
        Categorical("class_weight", [None, "balanced"], default=None),
    )
    return Learner(name, "classification", space, estimator_class, "ordinal", rules=rules_of(space))


def _regressor(name: str, estimator_class: Callable[..., BaseEstimator], bootstrap: bool) -> Learner:
    space = _tree_space(bootstrap, [1.0, "sqrt"])
    return Learner(name, "regression", space, estimator_class, "ordinal", rules=rules_of(space))


def forest_classifier() -> Learner:
    """Random forest with class weighting."""
    return _classifier("random_forest", RandomForestClassifier, bootstrap=True)


def forest_regressor() -> Learner:
    """Random forest on squared error."""
    return _regressor("random_forest", RandomForestRegressor, bootstrap=True)


def extra_trees_classifier() -> Learner:
    """Extremely randomised trees with class weighting."""
    return _classifier("extra_trees", ExtraTreesClassifier, bootstrap=False)


def extra_trees_regressor() -> Learner:
    """Extremely randomised trees on squared error."""
    return _regressor("extra_trees", ExtraTreesRegressor, bootstrap=False)
