"""Several search spaces of one estimator, as scikit-learn's searches take a list of grids: each trial is of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import SpaceError
from metahpo.space.cash import cash_space, from_cash, to_cash
from metahpo.space.configuration import Configuration
from metahpo.space.domain import Domain

#: Hyperparameter that says which one a trial is of.
CHOICE = "alternative"


@dataclass(frozen=True)
class Alternatives:
    """Search spaces of one estimator, in the names of its parameters.

    Attributes
    ----------
    spaces : dict of str to ConfigurationSpace
        By what `CHOICE` names them: "1", "2", ....
    """

    spaces: Mapping[str, ConfigurationSpace]

    @cached_property
    def space(self) -> ConfigurationSpace:
        """One space of all: `CHOICE` selects one, and its hyperparameters are named "1:svc__C"."""
        return cash_space(self.spaces, CHOICE)

    @property
    def parameter_names(self) -> dict[str, str]:
        """Hyperparameter of the one space -> parameter of the estimator; `CHOICE` stands for none, ""."""
        names = {f"{one}:{name}": name for one, space in self.spaces.items() for name in space}
        return {CHOICE: "", **names}

    def parameters(self, configuration: Mapping[str, Any]) -> Configuration:
        """A configuration of the one space as parameters of the estimator."""
        return from_cash(configuration, CHOICE)[1]

    def configuration(self, parameters: Mapping[str, Any]) -> Configuration:
        """The configuration of the one space that some parameters are: of the first alternative that has them all.

        Raises
        ------
        SpaceError
            None has.
        """
        if CHOICE in parameters:
            return dict(parameters)
        for name, space in self.spaces.items():
            domain = Domain(space)
            try:
                return to_cash(name, domain.canonical({**domain.default, **parameters}), CHOICE)
            except SpaceError:
                continue
        raise SpaceError(f"it is in none of the {len(self.spaces)} alternatives: {dict(parameters)}.")
