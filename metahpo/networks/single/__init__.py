"""Networks trained one at a time: one loop for any torch module, and the classifier around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.networks.single.network_classifier import ModuleClassifier, fit_each
    from metahpo.networks.single.single_training import Augment

__all__ = [
    "Augment",
    "ModuleClassifier",
    "fit_each",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
