"""The configurations that a recommendation is chosen from."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import SpaceError
from metahpo.learners.place import Place
from metahpo.learners.registry import learner_named
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.recommendation.region import Region
from metahpo.recommendation.validity import senseless
from metahpo.space.activity import default_configuration
from metahpo.space.cash import from_cash, to_cash
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.domain import Domain
from metahpo.tasks.task import Task, TaskKind


@dataclass(frozen=True)
class Candidates:
    """Configurations of one space.

    Attributes
    ----------
    space : str or None
        Name of the space; None: the CASH space.
    configurations : list of dict
        In the names of the space.
    defaults : frozenset of int
        Indices of library defaults.
    values : list of dict, or None
        What each recommends, in the names of its learner's space, where that differs from what predictions are made
        for. None: it never does.
    """

    space: str | None
    configurations: list[Configuration]
    defaults: frozenset[int]
    values: list[Configuration] | None = None

    def __len__(self) -> int:
        return len(self.configurations)

    @classmethod
    def recorded(cls, md: MetaDataset, space: str | None) -> Candidates:
        """All configurations of a space that were recorded on any task."""
        chosen = md.trials_of(space)
        texts = {name: to_json(default_configuration(one)) for name, one in md.spaces.items()}
        configurations: list[Configuration] = []
        defaults = set()
        for name, text in chosen[["space", "configuration"]].drop_duplicates().itertuples(index=False):
            if text == texts[name]:
                defaults.add(len(configurations))
            configuration = json.loads(text)
            configurations.append(configuration if space is not None else to_cash(name, configuration))
        return cls(space, configurations, frozenset(defaults))

    @property
    def learners(self) -> list[str]:
        """Names of the learners of these candidates."""
        return list(dict.fromkeys(self.learner_and_own(i)[0] for i in range(len(self))))

    def learner_and_own(self, index: int) -> tuple[str, Configuration]:
        """Learner of a candidate, and its configuration in the names of the learner's space."""
        configuration = self.configurations[index]
        learner, own = from_cash(configuration) if self.space is None else (self.space, configuration)
        return learner, own if self.values is None else self.values[index]

    def known(self, index: int) -> Configuration:
        """What predictions for a candidate are made for, in the names of its learner's space."""
        configuration = self.configurations[index]
        return from_cash(configuration)[1] if self.space is None else configuration

    def including(self, configurations: Sequence[Configuration]) -> Candidates:
        """These candidates and others, each once."""
        known = {to_json(c) for c in self.configurations}
        new = [c for c in configurations if to_json(c) not in known]
        values = (
            None
            if self.values is None
            else [*self.values, *(from_cash(c)[1] if self.space is None else c for c in new)]
        )
        return replace(self, configurations=[*self.configurations, *new], values=values) if new else self

    def only(self, indices: Sequence[int]) -> Candidates:
        """Some of the candidates, in that order."""
        if len(indices) == len(self):
            return self
        place = {old: new for new, old in enumerate(indices)}
        values = None if self.values is None else [self.values[i] for i in indices]
        defaults = frozenset(place[i] for i in self.defaults if i in place)
        return Candidates(self.space, [self.configurations[i] for i in indices], defaults, values)

    def of_learners(self, learners: Collection[str]) -> Candidates:
        """Those of some learners; of all where none is named."""
        return self.only([i for i in range(len(self)) if not learners or self.learner_and_own(i)[0] in learners])

    def sensible(self, task: Task) -> Candidates:
        """Those whose values make sense for the rows and columns of a task; defaults always stay."""
        return self.only(
            [i for i in range(len(self)) if i in self.defaults or not senseless(self.learner_and_own(i)[1], task)]
        )

    def distinct_for(self, place: Place) -> Candidates:
        """These without repetition: one of all that give the user's estimator the same parameters.

        It is a default where there is one. Otherwise it is the one whose ignored hyperparameters are nearest to the
        values that they count as (`Place.ignored`).
        """
        chosen: dict[str, tuple[tuple[float, ...], int]] = {}
        for i in range(len(self)):
            own = self.learner_and_own(i)[1]
            far = tuple(_distance(own.get(name, value), value) for name, value in place.ignored.items())
            rank = (float(i not in self.defaults), *far)
            text = to_json(place.parameters(own))
            if text not in chosen or rank < chosen[text][0]:
                chosen[text] = (rank, i)
        return self.only(sorted(i for _, i in chosen.values()))

    def within(self, region: Region, spaces: Mapping[str, ConfigurationSpace], kind: TaskKind) -> Candidates:
        """The distinct configurations of a region that these are moved to.

        Parameters
        ----------
        region : Region
        spaces : mapping of str to ConfigurationSpace
            The recorded space of each learner.
        kind : {"classification", "regression"}

        Raises
        ------
        SpaceError
            There is none.
        """
        if not region:
            return self
        domains = {name: Domain(spaces[name]) for name in self.learners}
        found = self._moved(region, domains, kind, force=False) or self._moved(region, domains, kind, force=True)
        if not len(found):
            raise SpaceError(
                f"no configuration of {', '.join(self.learners)} fits what is asked for: {region.allowed}."
            )
        return found

    def _moved(self, region: Region, domains: Mapping[str, Domain], kind: TaskKind, *, force: bool) -> Candidates:
        found: dict[str, tuple[Configuration, Configuration, bool]] = {}
        for i in range(len(self)):
            name, own = self.learner_and_own(i)
            moved = region.moved(own, domains[name], learner_named(name, kind).rules, force=force)
            if moved is not None:
                known = moved.known if self.space is not None else to_cash(name, moved.known)
                unmoved = i in self.defaults and to_json(moved.values) == to_json(own)
                text = to_json({"learner": name, **moved.values})
                before = found.get(text, (known, moved.values, False))
                found[text] = (*before[:2], before[2] or unmoved)
        parts = list(found.values())
        return replace(
            self,
            configurations=[known for known, _, _ in parts],
            values=[values for _, values, _ in parts],
            defaults=frozenset(i for i, (_, _, is_default) in enumerate(parts) if is_default),
        )


def _distance(one: float, other: float) -> float:
    return -one if math.isinf(other) else abs(one - other)
