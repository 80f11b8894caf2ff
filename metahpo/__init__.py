"""Hyperparameters recommended from experience.

The face of the package is lazy: ``import metahpo`` loads neither torch nor openml.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metahpo.evaluation.cross_validation import evaluate
    from metahpo.metadata.meta_dataset import MetaDataset
    from metahpo.optimization.optimizer import BayesianOptimizer
    from metahpo.recommendation.recommender import Recommender, recommend
    from metahpo.search import MetaSearchCV
    from metahpo.surrogates.fitting.training import train_surrogate

__version__ = "0.1.0"

_ADDRESS = {
    "recommend": "metahpo.recommendation.recommender",
    "Recommender": "metahpo.recommendation.recommender",
    "MetaSearchCV": "metahpo.search",
    "BayesianOptimizer": "metahpo.optimization.optimizer",
    "MetaDataset": "metahpo.metadata.meta_dataset",
    "train_surrogate": "metahpo.surrogates.fitting.training",
    "evaluate": "metahpo.evaluation.cross_validation",
}

#: Libraries whose imports nest deep.
_DEEP = ("ConfigSpace", "sklearn", "torch")

__all__ = [
    "BayesianOptimizer",
    "MetaDataset",
    "MetaSearchCV",
    "Recommender",
    "__version__",
    "evaluate",
    "recommend",
    "train_surrogate",
]


def __getattr__(name: str) -> Any:
    if name not in _ADDRESS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
    # From here, few calls are open above these imports, so that a low recursion limit of the caller's is enough.
    if name != "MetaDataset":  # it needs no torch
        for library in _DEEP:
            import_module(library)
    return getattr(import_module(_ADDRESS[name]), name)


def __dir__() -> list[str]:
    return __all__
