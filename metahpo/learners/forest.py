"""Random forests.

Ranges: leaf and split sizes, feature share and bootstrapping as in van Rijn and Hutter (KDD 2018), trees and their
depth as in FLAML's default space, a little wider: min_samples_leaf and max_features matter most, and too few or too
shallow trees are what a search must learn to avoid.
"""

from __future__ import annotations

from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from metahpo.learners.learner import BY_VALUE, Learner


def _tree_space() -> ConfigurationSpace:
    space = ConfigurationSpace()
    depth_rule = Categorical("max_depth_rule", [None, BY_VALUE], default=None)
    depth = Integer("max_depth", (1, 20), log=True, default=10)
    space.add(
        Integer("n_estimators", (4, 128), log=True, default=100),
        depth_rule,
        depth,
        Integer("min_samples_leaf", (1, 64), log=True, default=1),
        Integer("min_samples_split", (2, 64), log=True, default=2),
        Categorical("bootstrap", [True, False], default=True),
        EqualsCondition(depth, depth_rule, BY_VALUE),
    )
    return space


def forest_classifier() -> Learner:
    """Random forest with class weighting."""
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
        rules={"max_features_rule": "max_features", "max_depth_rule": "max_depth"},
    )


def forest_regressor() -> Learner:
    """Random forest on squared error."""
    space = _tree_space()
    space.add(Float("max_features", (0.05, 1.0), default=1.0))
    return Learner(
        "random_forest",
        "regression",
        space,
        RandomForestRegressor,
        "ordinal",
        rules={"max_depth_rule": "max_depth"},
    )
