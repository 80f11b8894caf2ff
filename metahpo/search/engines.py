"""Engines of a search: what asks for the next configuration, by name.

An engine has the methods ``ask()`` and ``tell(configuration, loss, seconds=)`` of
:class:`metahpo.optimization.optimizer.BayesianOptimizer` and its ``history``; one of another package needs no history.
Losses are minimised; NaN is a failure. ``ask`` raises a :class:`metahpo.exceptions.SpaceError` where nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from typing import Any, Protocol

import numpy as np
from ConfigSpace import ConfigurationSpace
from ConfigSpace.util import generate_grid

from metahpo.exceptions import SpaceError
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.registry import Registry
from metahpo.search.optuna_engine import SAMPLERS, OptunaEngine
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.domain import Domain
from metahpo.trials.history import TrialHistory

#: Values of each range on a grid.
GRID_POINTS = 5
#: Configurations that are drawn together.
BLOCK = 64
#: How often in a row an engine of another package may ask for what was tried.
MAX_REPEATED = 100


class SearchEngine(Protocol):
    """What asks for configurations and is told their losses."""

    @property
    def history(self) -> TrialHistory:
        """What was told so far."""
        ...

    def ask(self) -> Configuration:
        """A configuration that was not tried before."""
        ...

    def tell(self, configuration: Mapping[str, Any], value: float, *, seconds: float | None = None) -> None:
        """Record the loss of a configuration, asked for or not."""
        ...


class ListedEngine:
    """Configurations of a list that does not depend on what is told.

    Parameters
    ----------
    space : ConfigurationSpace
    listed : iterator of mapping
        Configurations of the space, some of them perhaps more than once.
    """

    def __init__(self, space: ConfigurationSpace, listed: Iterator[Mapping[str, Any]]) -> None:
        self.space = space
        self.history = TrialHistory()
        self._domain = Domain(space)
        self._listed = listed
        self._known: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the list, of which no more is asked for: an engine is stored when its search has ended."""
        return {**vars(self), "_listed": iter(())}

    @property
    def incumbent(self) -> tuple[Configuration, float] | None:
        """Best configuration so far and its loss; None while nothing has succeeded."""
        return self.history.incumbent

    def ask(self) -> Configuration:
        """Next of the list.

        Raises
        ------
        SpaceError
            The list has come to its end.
        """
        for given in self._listed:
            configuration = self._domain.canonical(given)
            text = to_json(configuration)
            if text not in self._known:
                self._known.add(text)
                return configuration
        raise SpaceError("every configuration has been suggested.")

    def tell(self, configuration: Mapping[str, Any], value: float, *, seconds: float | None = None) -> None:
        """Write the loss down."""
        checked = self._domain.canonical(configuration)
        self._known.add(to_json(checked))
        self.history.append(checked, value, np.nan if seconds is None else seconds)


class OtherEngine:
    """An engine of another package, of which only ``ask()`` and ``tell(configuration, loss)`` are expected.

    Parameters
    ----------
    space : ConfigurationSpace
    engine : object
        It may ask for the same configuration again, but not for ever.
    """

    def __init__(self, space: ConfigurationSpace, engine: Any) -> None:
        self.space = space
        self.history = TrialHistory()
        self.engine = engine
        self._domain = Domain(space)
        self._known: set[str] = set()

    @property
    def incumbent(self) -> tuple[Configuration, float] | None:
        """Best configuration so far and its loss; None while nothing has succeeded."""
        return self.history.incumbent

    def ask(self) -> Configuration:
        """What the engine asks for, where it was not asked for before.

        Raises
        ------
        SpaceError
            It asks for nothing new, or for what the space does not have.
        """
        for _ in range(MAX_REPEATED):
            configuration = self._domain.canonical(self.engine.ask())
            text = to_json(configuration)
            if text not in self._known:
                self._known.add(text)
                return configuration
        raise SpaceError(f"the engine has asked {MAX_REPEATED} times for what was tried.")

    def tell(self, configuration: Mapping[str, Any], value: float, *, seconds: float | None = None) -> None:
        """Tell the engine, and write the loss down."""
        checked = self._domain.canonical(configuration)
        self._known.add(to_json(checked))
        self.history.append(checked, value, np.nan if seconds is None else seconds)
        self.engine.tell(checked, value)


def random_search(space: ConfigurationSpace, random_state: int | None) -> ListedEngine:
    """Configurations drawn independently, the default not among them but by chance."""

    def drawn() -> Iterator[Mapping[str, Any]]:
        rng, domain, known = np.random.default_rng(random_state), Domain(space), set[str]()
        source = deepcopy(space)  # to draw from a space changes it
        source.seed(int(rng.integers(2**31)))
        while True:
            new = 0
            for configuration in map(dict, source.sample_configuration(BLOCK)):
                text = to_json(domain.canonical(configuration))
                new += text not in known
                known.add(text)
                yield configuration
            if not new and domain.finite:
                yield from domain.enumerate(rng)
                return

    return ListedEngine(space, drawn())


def grid_search(space: ConfigurationSpace, random_state: int | None) -> ListedEngine:
    """Every choice, and `GRID_POINTS` values of each range, in all combinations, in a random order."""

    def grid() -> Iterator[Mapping[str, Any]]:
        points = {
            name: GRID_POINTS
            for name, known in Domain(space).values.items()
            if known.size is None or (hasattr(space[name], "lower") and known.size > GRID_POINTS)
        }
        found = [dict(configuration) for configuration in generate_grid(space, points)]
        yield from (found[i] for i in np.random.default_rng(random_state).permutation(len(found)))

    return ListedEngine(space, grid())


def _bayesian(space: ConfigurationSpace, random_state: int | None) -> BayesianOptimizer:
    return BayesianOptimizer(space, random_state=random_state)


_OWN: Mapping[str, Callable[[ConfigurationSpace, int | None], SearchEngine]] = {
    "metahpo": _bayesian,
    "random": random_search,
    "grid": grid_search,
    **{name: partial(OptunaEngine, name) for name in SAMPLERS},
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
