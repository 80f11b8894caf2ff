"""What engines of a search share: their history, and the configurations that they know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace

from metahpo.space.configuration import Configuration, to_json
from metahpo.space.domain import Domain
from metahpo.trials.history import TrialHistory


class EngineWithHistory:
    """The history of an engine, and the configurations that it knows.

    Attributes
    ----------
    space : ConfigurationSpace
    history : TrialHistory
        All trials that it was told.
    """

    def __init__(self, space: ConfigurationSpace) -> None:
        self.space = space
        self.history = TrialHistory()
        self._domain = Domain(space)
        self._known: set[str] = set()

    @property
    def incumbent(self) -> tuple[Configuration, float] | None:
        """Best configuration so far and its loss; None while nothing has succeeded."""
        return self.history.incumbent

    def tell(self, configuration: Mapping[str, Any], value: float, *, seconds: float | None = None) -> None:
        """Record the loss of a configuration, asked for or not."""
        checked = self._domain.canonical(configuration)
        self._known.add(to_json(checked))
        self.history.append(checked, value, np.nan if seconds is None else seconds)

    def _is_new(self, configuration: Configuration) -> bool:
        """Whether a configuration was not known before. It is from now on."""
        text = to_json(configuration)
        if text in self._known:
            return False
        self._known.add(text)
        return True
