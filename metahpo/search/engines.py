"""Engines of a search: what asks for the next configuration, by name.

An engine has the methods ``ask()`` and ``tell(configuration, loss, seconds=)`` of
:class:`metahpo.optimization.optimizer.BayesianOptimizer` and its ``history``; one of another package needs no history.
Losses are minimised; NaN is a failure. ``ask`` raises a :class:`metahpo.exceptions.SpaceError` where nothing is left.
"""

from __future__ import annotations

import math
import operator
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial, reduce
from typing import Any, Protocol

import numpy as np
from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import Hyperparameter, NumericalHyperparameter
from numpy.typing import NDArray

from metahpo.exceptions import SpaceError
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.registry import Registry
from metahpo.search.engine_history import EngineWithHistory
from metahpo.search.optuna_engine import SAMPLERS, OptunaEngine
from metahpo.space.configuration import Configuration
from metahpo.space.domain import Domain
from metahpo.space.values import Values
from metahpo.trials.history import TrialHistory

#: Values of each range on a grid.
GRID_POINTS = 5
#: Configurations of a grid, at most: of a larger grid, so many are drawn.
MAX_GRID = 100_000
#: Configurations that are drawn together.
BLOCK = 64
#: So many blocks are drawn of a finite space before the rest of it is listed.
RANDOM_BLOCKS = 4
#: How often in a row an engine of another package may ask for what was tried.
MAX_REPEATED = 100


class SearchEngine(Protocol):
    """The protocol of search engines: they propose configurations and receive losses."""

    @property
    def history(self) -> TrialHistory:
        """History of all reported trials."""
        ...

    @property
    def incumbent(self) -> tuple[Configuration, float] | None:
        """Best configuration so far and its loss; None while nothing has succeeded."""
        ...

    def ask(self) -> Configuration:
        """A configuration that was not tried before."""
        ...

    def tell(self, configuration: Mapping[str, Any], value: float, *, seconds: float | None = None) -> None:
        """Record the loss of a configuration, asked for or not."""
        ...


class ListedEngine(EngineWithHistory):
    """Configurations in an order that does not depend on what is told.

    Parameters
    ----------
    space : ConfigurationSpace
    block : callable
        Number of a block, from 0 on -> its configurations, some of them perhaps not new. The list ends with an empty
        block.
    """

    def __init__(self, space: ConfigurationSpace, block: Callable[[int], Sequence[Mapping[str, Any]]]) -> None:
        super().__init__(space)
        self._block = block
        self._n_blocks = 0
        self._listed: deque[Mapping[str, Any]] = deque()

    def ask(self) -> Configuration:
        """Next of the list.

        Raises
        ------
        SpaceError
            The list has come to its end.
        """
        while True:
            if not self._listed:
                self._listed.extend(self._block(self._n_blocks))
                self._n_blocks += 1
            if not self._listed:
                raise SpaceError("every configuration has been suggested.")
            configuration = self._domain.canonical(self._listed.popleft())
            if self._is_new(configuration):
                return configuration


class OtherEngine(EngineWithHistory):
    """An engine of another package, of which only ``ask()`` and ``tell(configuration, loss)`` are expected.

    Parameters
    ----------
    space : ConfigurationSpace
    engine : object
        It may ask for the same configuration again, but not for ever.
    """

    def __init__(self, space: ConfigurationSpace, engine: Any) -> None:
        super().__init__(space)
        self.engine = engine

    def ask(self) -> Configuration:
        """What the engine asks for, where it was not asked for before.

        Raises
        ------
        SpaceError
            It asks for nothing new, or for what the space does not have.
        """
        for _ in range(MAX_REPEATED):
            configuration = self._domain.canonical(self.engine.ask())
            if self._is_new(configuration):
                return configuration
        raise SpaceError(f"the engine has asked {MAX_REPEATED} times for what was tried.")

    def tell(self, configuration: Mapping[str, Any], value: float, *, seconds: float | None = None) -> None:
        """Tell the engine, and write the loss down."""
        super().tell(configuration, value, seconds=seconds)
        self.engine.tell(self._domain.canonical(configuration), value)


def random_search(space: ConfigurationSpace, random_state: int | None) -> ListedEngine:
    """Configurations drawn independently, and all of a finite space at last."""
    seed = int(np.random.default_rng(random_state).integers(2**31))
    return ListedEngine(space, partial(_drawn, space, seed))


def grid_search(space: ConfigurationSpace, random_state: int | None) -> ListedEngine:
    """Every choice, and `GRID_POINTS` values of each range, in all combinations, in a random order."""
    seed = int(np.random.default_rng(random_state).integers(2**31))
    return ListedEngine(space, partial(_grid, space, seed))


def _drawn(space: ConfigurationSpace, seed: int, block: int) -> list[Mapping[str, Any]]:
    """Configurations of a block; all there are, of a finite space after `RANDOM_BLOCKS`."""
    domain = Domain(space)
    if domain.finite and block >= RANDOM_BLOCKS:
        return list(domain.enumerate(np.random.default_rng(seed))) if block == RANDOM_BLOCKS else []
    source = deepcopy(space)  # to draw from a space changes it
    source.seed(int(np.random.default_rng([seed, block]).integers(2**31)))
    return [dict(configuration) for configuration in source.sample_configuration(BLOCK)]


def _grid(space: ConfigurationSpace, seed: int, block: int) -> list[Configuration]:
    """Configurations of a block of the grid; those that differ in nothing that is active come more than once."""
    domain, rng = Domain(space), np.random.default_rng(seed)
    points = [_on_grid(space[name], known) for name, known in domain.values.items()]
    shape = [len(own) for own in points]
    n = min(math.prod(shape), MAX_GRID)
    if n < MAX_GRID:
        places = list(np.unravel_index(rng.permutation(n), shape)) if shape else []
    else:
        places = [rng.integers(size, size=n) for size in shape]
    codes = {name: own[at] for name, own, at in zip(domain.values, points, places, strict=True)}
    active = domain.activity(codes, n)
    forbidden = reduce(operator.or_, domain.offending(codes, active).values(), np.zeros(n, dtype=bool))
    rows = np.flatnonzero(~forbidden)[block * BLOCK : (block + 1) * BLOCK]
    return domain.configurations(
        {name: own[rows] for name, own in codes.items()}, {name: own[rows] for name, own in active.items()}, len(rows)
    )


def _on_grid(hyperparameter: Hyperparameter[Any, Any], known: Values) -> NDArray[Any]:
    """Codes of every choice, or of `GRID_POINTS` values of a range, evenly spaced on its scale."""
    if known.size is None or (isinstance(hyperparameter, NumericalHyperparameter) and known.size > GRID_POINTS):
        return np.unique(known.from_unit(np.linspace(0.0, 1.0, GRID_POINTS)[:, None]))
    return np.array([known.code_at(position) for position in range(known.size)])


def _bayesian(space: ConfigurationSpace, random_state: int | None) -> BayesianOptimizer:
    return BayesianOptimizer(space, random_state=random_state)


_OWN: Mapping[str, Callable[[ConfigurationSpace, int | None], SearchEngine]] = {
    "metahpo": _bayesian,
    "random": random_search,
    "grid": grid_search,
    **{name: partial(OptunaEngine, name) for name in SAMPLERS},
    "population": random_search,  # what its members begin with; the rest is in metahpo.search.population
}

_ENGINES: Registry[Callable[[ConfigurationSpace, int | None], Any]] = Registry(
    "search engine",
    "metahpo.search_engines",
    _OWN,
    expected="a function of the space and the random state that returns an object with the methods ask and tell",
    accepts=callable,
    hint="One of your own is written module:function, or is registered by register_search_engine.",
)


def search_engine(name: str, space: ConfigurationSpace, random_state: int | None) -> SearchEngine:
    """Make an engine by its name.

    Raises
    ------
    UnknownNameError
        No such engine; the message lists those that exist.
    MissingDependencyError
        The library of the engine is not installed; the message names the extra that brings it.
    """
    made: SearchEngine = _ENGINES.get(name)(space, random_state)
    return made if name in _OWN else OtherEngine(space, made)


def check_search_engine(name: str) -> None:
    """Refuse a name that no engine has by an UnknownNameError."""
    _ENGINES.get(name)


def search_engine_names() -> list[str]:
    """Names of the engines."""
    return _ENGINES.names()


def register_search_engine(name: str, make: Callable[[ConfigurationSpace, int | None], Any]) -> None:
    """Add an engine, for this process; :func:`unregister_search_engine` takes it away.

    A package offers an engine to every process by an entry point of the group ``metahpo.search_engines``.

    Parameters
    ----------
    name : str
    make : callable
        Function of the space and the random state that returns an object with the methods ``ask()`` and
        ``tell(configuration, loss)``.

    Raises
    ------
    DataError
        The name is taken or not plain, or `make` cannot be called.
    """
    _ENGINES.register(name, make)


def unregister_search_engine(name: str) -> None:
    """Remove an engine that :func:`register_search_engine` added."""
    _ENGINES.unregister(name)
