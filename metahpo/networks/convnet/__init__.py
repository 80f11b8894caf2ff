"""Convolutional networks for images: estimator, search space, and the small residual network behind both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.networks.convnet.convnet_classifier import POOLINGS, ConvNetClassifier

__all__ = [
    "POOLINGS",
    "ConvNetClassifier",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
