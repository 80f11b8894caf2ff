"""The configurations of a search, in the order in which they are tried for the first time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import DataError, SpaceError
from metahpo.search.engines import SearchEngine
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.domain import Domain

#: Configurations that are taken from a search that has been fitted before.
FROM_SEARCH = 5


class Candidates:
    """Configurations of a file or another search first, then those of the user, then those of the engine.

    Parameters
    ----------
    engine : SearchEngine
    first : iterable of mapping
        Configurations of the space that come before the engine's.
    n : int
        Configurations in all.
    learns_from_rows : bool, default=False
        Whether the engine is told losses on fewer rows as what they are.

    Attributes
    ----------
    exhausted : SpaceError or None
        Why there are fewer than `n`.
    """

    def __init__(
        self, engine: SearchEngine, first: Iterable[Configuration], n: int, *, learns_from_rows: bool = False
    ) -> None:
        self.engine = engine
        self.learns_from_rows = learns_from_rows
        self._first = deque({to_json(configuration): configuration for configuration in first}.values())
        self._given: set[str] = set()
        self._left = n
        self.exhausted: SpaceError | None = None

    def __len__(self) -> int:
        """Configurations that are still to come, if the space has as many."""
        return self._left

    @property
    def n_given(self) -> int:
        """Configurations that have been given."""
        return len(self._given)

    def next(self) -> Configuration | None:
        """The next one; None where there have been as many as there are to be, or the space has no more.

        Raises
        ------
        SpaceError
            The space has none at all.
        """
        while self._left > 0:
            try:
                configuration = self._first.popleft() if self._first else self.engine.ask()
            except SpaceError as error:
                if not self._given:
                    raise
                self._left, self.exhausted = 0, error
                return None
            text = to_json(configuration)
            if text not in self._given:
                self._given.add(text)
                self._left -= 1
                return configuration
        return None

    def tell(self, configuration: Configuration, loss: float, seconds: float) -> None:
        """Tell the engine the loss of a configuration; NaN where it failed."""
        self.engine.tell(configuration, loss, seconds=_known(seconds))

    def tell_small(self, configuration: Configuration, loss: float, seconds: float, rows: int) -> None:
        """Tell the engine the loss of a configuration on fewer rows, if it learns from those."""
        if self.learns_from_rows:
            self.engine.tell(configuration, loss, seconds=_known(seconds), rows=rows)  # type: ignore[call-arg]


def _known(seconds: float) -> float | None:
    return seconds if 0.0 < seconds < np.inf else None


def first_configurations(
    initial: Any,
    space: ConfigurationSpace,
    prefix: str = "",
    named: Callable[[Mapping[str, Any]], Configuration] | None = None,
) -> list[Configuration]:
    """Configurations that a user wants to be tried first.

    Parameters
    ----------
    initial : sequence of mapping, recommendations, or a fitted search
        Of a search, its `FROM_SEARCH` best configurations.
    space : ConfigurationSpace
    prefix : str, default=""
        What may precede the names: "svc__".
    named : callable, default=None
        Parameters of the estimator -> configuration of the space, where their names differ in more than the prefix.

    Raises
    ------
    DataError
        Anything else.
    SpaceError
        A configuration that is not of the space.
    """
    optimizer = getattr(initial, "optimizer_", None)
    if optimizer is not None:
        losses = optimizer.history.losses
        order = [i for i in np.argsort(losses, kind="stable") if np.isfinite(losses[i])][:FROM_SEARCH]
        given: Any = [optimizer.history.configurations[i] for i in order]
    else:
        given = [initial] if isinstance(initial, Mapping) else getattr(initial, "configurations", initial)
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(c, Mapping) for c in given):
        raise DataError(
            "initial must be a list of configurations, what metahpo.recommend has given, or a fitted MetaSearchCV, but "
            f"is {initial!r}."
        )
    domain = Domain(space)
    configurations = []
    for i, configuration in enumerate(given):
        own = {name.removeprefix(prefix) if name not in space else name: v for name, v in configuration.items()}
        try:
            own = own if named is None else named(own)
            configurations.append(domain.canonical({**domain.default, **own}))
        except SpaceError as error:
            raise SpaceError(f"configuration {i + 1} of `initial` is not of the search space: {error}") from error
    return configurations
