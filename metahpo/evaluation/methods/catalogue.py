"""The methods by name."""

from __future__ import annotations

from collections.abc import Callable

from metahpo.evaluation.methods.gaussian_process import ColdGaussianProcess
from metahpo.evaluation.methods.meta_learned import MetaLearned
from metahpo.evaluation.methods.method import Method
from metahpo.evaluation.methods.portfolio import GreedyPortfolio
from metahpo.evaluation.methods.random_search import RandomSearch
from metahpo.exceptions import UnknownNameError

METHODS: dict[str, Callable[[], Method]] = {
    "metahpo": MetaLearned,
    "portfolio": GreedyPortfolio,
    "gaussian_process": ColdGaussianProcess,
    "default": lambda: RandomSearch(default_first=True),
    "random_search": RandomSearch,
}


def method_named(name: str) -> Method:
    """Return the method of that name, with its default settings.

    Raises
    ------
    UnknownNameError
        There is no such method; the message lists those there are.
    """
    if name not in METHODS:
        raise UnknownNameError(
            "method", name, tuple(METHODS), "An object with `name`, `n_replays` and `learn` works as well."
        )
    return METHODS[name]()
