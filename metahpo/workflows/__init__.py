"""Workflows that use several rooms: adaptive design, demonstration and build estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.workflows.adaptive_design import extend_plan
    from metahpo.workflows.build_estimate import estimate
    from metahpo.workflows.demonstration import MILESTONES, demonstrate
    from metahpo.workflows.redescription import describe_again, sketch_again

__all__ = [
    "MILESTONES",
    "demonstrate",
    "describe_again",
    "estimate",
    "extend_plan",
    "sketch_again",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
