"""Acquisition functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.acquisition.expected_improvement import ExpectedImprovement, log_expected_improvement
    from metahpo.acquisition.function import AcquisitionFunction

__all__ = [
    "AcquisitionFunction",
    "ExpectedImprovement",
    "log_expected_improvement",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
