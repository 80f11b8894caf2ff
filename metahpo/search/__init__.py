"""scikit-learn's search estimator, started from experience.

Names are loaded when they are used: a worker process that fits folds loads neither torch nor the experience.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.search.arguments import check_arguments
    from metahpo.search.distributions import TAIL, space_of
    from metahpo.search.engines import register_search_engine, search_engine_names, unregister_search_engine
    from metahpo.search.meta_search import MetaSearchCV

__all__ = [
    "TAIL",
    "MetaSearchCV",
    "check_arguments",
    "register_search_engine",
    "search_engine_names",
    "space_of",
    "unregister_search_engine",
]
__getattr__, __dir__ = lazy_exports(__name__, __all__)
