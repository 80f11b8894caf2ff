"""Nearest neighbours.

Ranges: 1 to 50 neighbours (TabArena has 3 to 50), both weightings, and the two common metrics, on standardised columns.
"""

from __future__ import annotations

from ConfigSpace import Categorical, ConfigurationSpace, Integer
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from metahpo.learners.learner import Learner


def _neighbour_space() -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add(
        Integer("n_neighbors", (1, 50), log=True, default=5),
        Categorical("weights", ["uniform", "distance"], default="uniform"),
        Categorical("p", [2, 1], default=2),
    )
    return space


def knn_classifier() -> Learner:
    """Vote of the nearest rows."""
    return Learner("knn", "classification", _neighbour_space(), KNeighborsClassifier, "scaled")


def knn_regressor() -> Learner:
    """Mean of the nearest rows."""
    return Learner("knn", "regression", _neighbour_space(), KNeighborsRegressor, "scaled")
