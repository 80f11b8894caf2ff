"""Training of one model on a CPU core, with each epoch compiled to one function without the interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.networks.mlp.compiled.compiled_training import compile_ahead, train_on_cpu

__all__ = [
    "compile_ahead",
    "train_on_cpu",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
