"""Numerical foundations: the copula transform, devices, random numbers, rounding, and settings of numpy and torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.numerics.arithmetic import own_arithmetic
    from metahpo.numerics.cholesky import factor, solve
    from metahpo.numerics.copula import normal_scores
    from metahpo.numerics.device import SINGLE, device_named
    from metahpo.numerics.rounding import rounded
    from metahpo.numerics.seed import check_seed, check_whole_seed, generator_of
    from metahpo.numerics.torch_seed import torch_seeded

__all__ = [
    "SINGLE",
    "check_seed",
    "check_whole_seed",
    "device_named",
    "factor",
    "generator_of",
    "normal_scores",
    "own_arithmetic",
    "rounded",
    "solve",
    "torch_seeded",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
