"""Random forests.

Ranges: leaf and split sizes, feature share and bootstrapping as in van Rijn and Hutter (KDD 2018), where
min_samples_leaf and max_features matter most.
"""

from __future__ import annotations

from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from metahpo.learners.learner import BY_VALUE, Learner


def _tree_space() -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add(
        Integer("min_samples_leaf", (1, 30), log=True, default=1),
        Integer("min_samples_split", (2, 20), log=True, default=2),
        Categorical("bootstrap", [True, False], default=True),
    )
    return space


def forest_classifier() -> Learner:
    """Random forest of 100 trees with class weighting."""
    space = _tree_space()
    rule = Categorical("max_features_rule", ["sqrt", "log2", BY_VALUE], default="sqrt")
    share = Float("max_features", (0.05, 1.0), default=0.5)
    space.add(
        rule,
        share,
        Categorical("criterion", ["gini", "entropy"], default="gini"),
        Categorical("class_weight", [None, "balanced"], default=None),
        EqualsCondition(share, rule, BY_VALUE),
    )
    return Learner(
        "random_forest",
        "classification",
        space,
        RandomForestClassifier,
        "ordinal",
        rules={"max_features_rule": "max_features"},
    )


def forest_regressor() -> Learner:
    """Random forest of 100 trees."""
    space = _tree_space()
    space.add(
        Float("max_features", (0.05, 1.0), default=1.0),
        Categorical("criterion", ["squared_error", "friedman_mse"], default="squared_error"),
    )
    return Learner(
        "random_forest",
        "regression",
        space,
        RandomForestRegressor,
        "ordinal",
        # scikit-learn 1.9 takes them for the same, warns in the constructor, and refuses the old word in `set_params`.
        words={"criterion": {"friedman_mse": "squared_error"}},
    )
