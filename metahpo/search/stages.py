"""A search in stages: some hyperparameters first, then others, the rest fixed at its best so far."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import DataError, SpaceError
from metahpo.search.engines import SearchEngine
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.domain import Domain
from metahpo.space.stored import read_space
from metahpo.trials.history import TrialHistory

#: How often a stage is asked again that suggests what the whole space forbids.
MAX_FORBIDDEN = 50


class StagedEngine:
    """An engine for each stage, on the part of the space that the stage varies.

    Parameters
    ----------
    space : ConfigurationSpace
        The whole space.
    stages : sequence of sequence of str
        Hyperparameters that each stage varies.
    n_trials : int
        Trials in all; the stages share them equally, the first ones get those that are over. Trials that a stage cannot
        use go to the next stage. Those that the last one cannot use are shared by all stages again, in another round,
        with the rest fixed at its best. The search ends where a round has nothing new.
    make : callable
        Space of a stage -> its engine.
    start : mapping
        Configuration at which the first stage fixes the rest.

    Raises
    ------
    DataError
        A stage without hyperparameters, or with one that the space does not have.
    """

    def __init__(
        self,
        space: ConfigurationSpace,
        stages: Sequence[Sequence[str]],
        n_trials: int,
        make: Callable[[ConfigurationSpace], SearchEngine],
        start: Mapping[str, Any],
    ) -> None:
        self.space = space
        self.history = TrialHistory()
        self.stages = [list(stage) for stage in stages]
        self._domain = Domain(space)
        if not self.stages or not all(self.stages) or any(isinstance(stage, str) for stage in stages):
            raise DataError(
                "stages must be a list of lists of hyperparameters, such as [['learning_rate'], ['max_depth']], but is "
                f"{stages!r}."
            )
        unknown = sorted({str(name) for stage in self.stages for name in stage} - set(space))
        if unknown:
            raise DataError(f"stages names {unknown}, but the space has {list(space)}.")
        self._make = make
        self.start = self._domain.canonical(start)
        self._begin_round(n_trials)
        self._skipped: set[int] = set()
        self._known: set[str] = set()
        self._own: dict[str, Configuration] = {}
        self._engine: SearchEngine | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what makes engines, of which none is made any more: it is stored when its search has ended."""
        return {**vars(self), "_make": None}

    @property
    def incumbent(self) -> tuple[Configuration, float] | None:
        """Best configuration so far and its loss; None while nothing has succeeded."""
        return self.history.incumbent

    def ask(self) -> Configuration:
        """Next configuration of the stage, or of the next stage where it has come to its end.

        Raises
        ------
        SpaceError
            No stage has any more.
        """
        while True:
            if not any(self._left[max(0, self._stage) :]):
                raise SpaceError("all stages have come to their end.")
            try:
                if self._stage < 0 or not self._left[self._stage]:
                    self._begin_stage()
                if not self._left[self._stage]:
                    continue
                configuration = self._of_stage()
            except SpaceError:
                self._pass_on()
                continue
            self._left[self._stage] -= 1
            self._given += 1
            return configuration

    def tell(self, configuration: Mapping[str, Any], value: float, *, seconds: float | None = None) -> None:
        """Record the loss of a configuration, asked for or not."""
        checked = self._domain.canonical(configuration)
        text = to_json(checked)
        self._known.add(text)
        self.history.append(checked, value, np.nan if seconds is None else seconds)
        own = self._own.pop(text, None)
        if own is not None and self._engine is not None:
            self._engine.tell(own, value, seconds=seconds)

    def _begin_round(self, n_trials: int) -> None:
        n = len(self.stages)
        self._left = [n_trials // n + (i < n_trials % n) for i in range(n)]
        self._stage, self._given = -1, 0

    def _pass_on(self) -> None:
        """Give the trials that a stage cannot use to the next stage, or to another round."""
        left, self._left[self._stage] = self._left[self._stage], 0
        if self._stage + 1 < len(self.stages):
            self._left[self._stage + 1] += left
        elif self._given:
            self._begin_round(left)
        else:
            raise SpaceError("with the rest at its best, no stage has a configuration that is new and allowed.")

    def _begin_stage(self) -> None:
        self._stage += 1
        best = self.history.incumbent
        fixed = {**dict(self.space.get_default_configuration()), **self.start, **(best[0] if best else {})}
        free = set(self.stages[self._stage])
        self._rest = {name: value for name, value in fixed.items() if name not in free}
        self._own = {}
        try:
            space = _part(self.space, free, self._domain.canonical(fixed))
        except SpaceError as error:
            if self._stage not in self._skipped:
                self._skipped.add(self._stage)
                warnings.warn(f"stage {self._stage + 1} is left out: {error}", stacklevel=3)
            raise
        part = Domain(space)
        engine = self._engine = self._make(space)
        for known, loss in zip(self.history.configurations, self.history.losses, strict=True):
            own = {name: value for name, value in {**fixed, **known}.items() if name in part.values}
            if self._domain.canonical({**self._rest, **own}) == known:
                engine.tell(part.canonical(own), loss)

    def _of_stage(self) -> Configuration:
        assert self._engine is not None
        for _ in range(MAX_FORBIDDEN):
            own = self._engine.ask()
            try:
                configuration = self._domain.canonical({**self._rest, **own})
            except SpaceError:
                self._engine.tell(own, np.nan)
                continue
            text = to_json(configuration)
            if text not in self._known:
                self._known.add(text)
                self._own[text] = own
                return configuration
            if configuration in self.history.configurations:  # the same in all that is active
                self._engine.tell(own, self.history.losses[self.history.configurations.index(configuration)])
        raise SpaceError("the stage suggests nothing that is new and allowed.")


def _part(space: ConfigurationSpace, free: set[str], fixed: Configuration) -> ConfigurationSpace:
    """The hyperparameters `free` of a space that can be active where all others are fixed, with their rules."""
    kept = {name for name in free if name in fixed or any(parent.name in free for parent in space.parents_of[name])}
    if not kept:
        raise SpaceError(f"none of {sorted(free)} is active where the rest is fixed at {fixed}.")
    record = space.to_serialized_dict()
    for kind in ("hyperparameters", "conditions", "forbiddens"):
        record[kind] = [entry for entry in record[kind] if _names(entry) <= kept]
    return read_space(record)


def _names(entry: Mapping[str, Any]) -> set[str]:
    """Hyperparameters that a record of ConfigSpace is of."""
    names = {entry[key] for key in ("name", "child", "parent", "left", "right") if isinstance(entry.get(key), str)}
    inner = [part for key in ("components", "conditions", "forbiddens", "clauses") for part in entry.get(key) or ()]
    return names.union(*(_names(part) for part in inner))
