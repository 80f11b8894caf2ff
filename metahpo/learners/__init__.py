"""Learners: estimators with a search space for each kind of task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.learners.extras import check_installed, missing_libraries
    from metahpo.learners.learner import Learner
    from metahpo.learners.registry import default_learners, learner_named, learner_names

__all__ = [
    "Learner",
    "check_installed",
    "default_learners",
    "learner_named",
    "learner_names",
    "missing_libraries",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
