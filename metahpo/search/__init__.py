"""scikit-learn's search estimator, started from experience.

The room is lazy: a worker process that fits folds loads neither torch nor the experience.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metahpo.search.meta_search import MetaSearchCV

__all__ = ["MetaSearchCV"]


def __getattr__(name: str) -> Any:
    if name != "MetaSearchCV":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
    from metahpo.search.meta_search import MetaSearchCV

    return MetaSearchCV
