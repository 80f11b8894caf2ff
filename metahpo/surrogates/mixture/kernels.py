"""Former address of the kernel."""

from metahpo.surrogates.mixture.source_functions import matern52

__all__ = ["matern52"]
