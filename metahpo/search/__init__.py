"""scikit-learn's search estimator, started from experience."""

from metahpo.search.meta_search import MetaSearchCV

__all__ = ["MetaSearchCV"]
