"""The configurations that a recommendation is chosen from."""

from __future__ import annotations

import json
from dataclasses import dataclass

from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.space.activity import default_configuration
from metahpo.space.cash import from_cash, to_cash
from metahpo.space.configuration import Configuration, to_json


@dataclass(frozen=True)
class Candidates:
    """Configurations of one space.

    Attributes
    ----------
    space : str or None
        Name of the space; None: the CASH space.
    configurations : list of dict
    defaults : frozenset of int
        Indices of library defaults.
    """

    space: str | None
    configurations: list[Configuration]
    defaults: frozenset[int]

    @classmethod
    def recorded(cls, md: MetaDataset, space: str | None) -> Candidates:
        """All configurations of a space that were recorded on any task."""
        chosen = md.trials if space is None else md.trials[md.trials["space"] == space]
        texts = {name: to_json(default_configuration(one)) for name, one in md.spaces.items()}
        configurations: list[Configuration] = []
        defaults = set()
        for name, text in chosen[["space", "configuration"]].drop_duplicates().itertuples(index=False):
            if text == texts[name]:
                defaults.add(len(configurations))
            configuration = json.loads(text)
            configurations.append(configuration if space is not None else to_cash(name, configuration))
        return cls(space, configurations, frozenset(defaults))

    def learner_and_own(self, index: int) -> tuple[str, Configuration]:
        """Learner of a candidate, and its configuration in the names of the learner's space."""
        configuration = self.configurations[index]
        return from_cash(configuration) if self.space is None else (self.space, configuration)
