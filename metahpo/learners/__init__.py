"""Learners: estimators with a search space for each kind of task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.learners.extras import check_installed, installation, missing_libraries
    from metahpo.learners.learner import BY_VALUE, Learner, Steps
    from metahpo.learners.own_parameters import changed_parameters, configuration_of
    from metahpo.learners.own_space import check_estimator_stays, learners_names, learners_values
    from metahpo.learners.place import Place, learner_in, pipeline_of_learner, without
    from metahpo.learners.registry import (
        default_learners,
        learner_named,
        learner_names,
        register_learner,
        unregister_learner,
    )
    from metahpo.learners.row_counts import RowCounts

__all__ = [
    "BY_VALUE",
    "Learner",
    "Place",
    "RowCounts",
    "Steps",
    "changed_parameters",
    "check_estimator_stays",
    "check_installed",
    "configuration_of",
    "default_learners",
    "installation",
    "learner_in",
    "learner_named",
    "learner_names",
    "learners_names",
    "learners_values",
    "missing_libraries",
    "pipeline_of_learner",
    "register_learner",
    "unregister_learner",
    "without",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
