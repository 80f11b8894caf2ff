"""Nearest neighbours.

Ranges: 1 to 50 neighbours (TabArena has 3 to 50), both weightings, and the two common metrics, on standardised columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, Integer
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from metahpo.learners.learner import Learner
from metahpo.learners.row_counts import RowCounts


def _neighbour_space() -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add(
        Integer("n_neighbors", (1, 50), log=True, default=5),
        Categorical("weights", ["uniform", "distance"], default="uniform"),
        Categorical("p", [2, 1], default=2),
    )
    return space


def _few_neighbours(parameters: Mapping[str, Any], counts: RowCounts) -> dict[str, Any]:
    """There cannot be more neighbours than rows."""
    most = max(1, counts.rows // 2)
    return {"n_neighbors": most} if parameters["n_neighbors"] > most else {}


def knn_classifier() -> Learner:
    """Vote of the nearest rows."""
    return Learner("knn", "classification", _neighbour_space(), KNeighborsClassifier, "scaled", adapted=_few_neighbours)


def knn_regressor() -> Learner:
    """Mean of the nearest rows."""
    return Learner("knn", "regression", _neighbour_space(), KNeighborsRegressor, "scaled", adapted=_few_neighbours)
