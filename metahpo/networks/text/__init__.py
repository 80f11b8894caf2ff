"""Networks for texts: vocabulary, estimators, search space, and what is fine-tuned from a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.networks.text.text_classifier import ENCODERS, TextClassifier

__all__ = [
    "ENCODERS",
    "TextClassifier",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
