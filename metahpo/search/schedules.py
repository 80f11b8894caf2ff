"""Which configuration is tried next, and on which resources.

A schedule gives proposals and is told their losses. With a fidelity (rows, epochs, trees, ...) every configuration
begins on few resources, and a rule decides which ones get more:

- halving: of all configurations of a rung, the best ``1 / factor`` (Karnin et al., ICML 2013);
- hyperband: several halvings, which begin on few resources or on many (Li et al., JMLR 2018);
- surrogate: each configuration goes on unless it is believed to be beaten. What it will be like on all resources is
  predicted from its loss so far and what those gained that have got there.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from scipy.stats import t as student

from metahpo.search.search_trial import Proposal
from metahpo.search.trial_order import Candidates
from metahpo.space.configuration import Configuration, to_json

Strategy = Literal["halving", "hyperband", "surrogate"]

#: The surrogate's rule stops a configuration whose probability to become the best is below this.
BELIEF = 0.05
#: So many configurations are finished before the surrogate's rule stops any.
FINISHED = 4


class Schedule(Protocol):
    """The protocol of schedules, which select the next trial."""

    def next(self) -> Proposal | None:
        """The next trial; None where one that runs must end first, or where all have been given."""
        ...

    def ended(self, proposal: Proposal, loss: float, seconds: float) -> None:
        """Take the loss of a trial; NaN where it failed."""
        ...

    def flush(self) -> None:
        """Tell the engine what it was not told so far: the search has ended."""
        ...


class OneLevel:
    """Each configuration once, on all resources."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates

    def next(self) -> Proposal | None:
        """The next configuration."""
        configuration = self._candidates.next()
        return None if configuration is None else Proposal(configuration)

    def ended(self, proposal: Proposal, loss: float, seconds: float) -> None:
        """Tell the engine."""
        self._candidates.tell(proposal.configuration, loss, seconds)

    def flush(self) -> None:
        """All was told."""


class Levels:
    """Losses of configurations on each level of resources, and what is gained between the levels.

    An engine that learns from rows is told every loss. Any other engine is told one loss of each configuration. It is
    the loss on the most resources. For a configuration that was stopped before, it is estimated: the last loss, minus
    the median gain of other configurations from that level to the last one.
    """

    def __init__(self, candidates: Candidates, levels: Sequence[int]) -> None:
        self._candidates = candidates
        self.levels = list(levels)
        self._losses: dict[int, dict[str, float]] = {level: {} for level in levels}

    def add(self, proposal: Proposal, loss: float, seconds: float) -> None:
        """Take the loss of a trial."""
        assert proposal.resources is not None
        self._losses.setdefault(proposal.resources, {})[to_json(proposal.configuration)] = loss
        if proposal.resources != self.levels[-1]:
            self._candidates.tell_small(proposal.configuration, loss, seconds, proposal.resources)

    def tell(self, proposal: Proposal, loss: float, seconds: float) -> None:
        """Tell the engine the last loss of a configuration."""
        if proposal.resources == self.levels[-1] or not self._candidates.learns_from_rows:
            self._candidates.tell(proposal.configuration, self.foretold(proposal, loss), seconds)

    def gains(self, level: int) -> list[float]:
        """By how much losses fell from a level to the last one, of all configurations that have both."""
        last = self._losses[self.levels[-1]]
        gains = [loss - last[text] for text, loss in self._losses[level].items() if text in last]
        return [gain for gain in gains if np.isfinite(gain)]

    def foretold(self, proposal: Proposal, loss: float) -> float:
        """The loss on the most resources, as far as is known."""
        assert proposal.resources is not None
        gains = self.gains(proposal.resources) if proposal.resources != self.levels[-1] else []
        return loss - float(np.median(gains)) if gains else loss

    def best(self) -> float:
        """Lowest loss on the most resources; infinite while there is none."""
        finite = [loss for loss in self._losses[self.levels[-1]].values() if np.isfinite(loss)]
        return min(finite, default=np.inf)


class Halving:
    """Successive halvings, one bracket after the other.

    Parameters
    ----------
    candidates : Candidates
    brackets : sequence of (int, list of int)
        For each, how many configurations begin, and their levels of resources, the lowest first. They are gone through
        again and again while there are candidates.
    factor : float
        One in so many configurations of a level goes on to the next one.
    """

    def __init__(self, candidates: Candidates, brackets: Sequence[tuple[int, list[int]]], factor: float) -> None:
        self._candidates = candidates
        self._brackets = list(brackets)
        self._factor = factor
        self._losses = Levels(candidates, sorted({level for _, levels in brackets for level in levels}))
        self._bracket = -1
        self._levels: list[int] = []
        self._rung = 0
        self._todo: deque[Configuration] = deque()
        self._to_begin = 0
        self._n_running = 0
        self._rows: list[tuple[Proposal, float, float]] = []
        self._ended_at: dict[str, tuple[Proposal, float, float]] = {}

    def next(self) -> Proposal | None:
        """The next of the rung."""
        if not self._todo and not self._to_begin and not self._n_running:
            self._climb()
        if self._to_begin:
            configuration = self._candidates.next()
            self._to_begin -= 1
            if configuration is None:
                self._to_begin = 0
                return self.next() if self._rows or self._n_running else None
        elif self._todo:
            configuration = self._todo.popleft()
        else:
            return None
        self._n_running += 1
        return Proposal(configuration, self._levels[self._rung], self._rung, self._bracket)

    def ended(self, proposal: Proposal, loss: float, seconds: float) -> None:
        """Note the loss; the bracket's losses are told to the engine when it has ended."""
        self._n_running -= 1
        self._losses.add(proposal, loss, seconds)
        self._rows.append((proposal, loss, seconds))
        self._ended_at[to_json(proposal.configuration)] = (proposal, loss, seconds)

    def flush(self) -> None:
        """Tell the engine what it was not told of the bracket."""
        for proposal, loss, seconds in self._ended_at.values():
            self._losses.tell(proposal, loss, seconds)
        self._ended_at = {}

    def _climb(self) -> None:
        """Begin the next rung, or the next bracket where there is none."""
        succeeded = sorted((row for row in self._rows if np.isfinite(row[1])), key=lambda row: row[1])
        n_on = math.ceil(len(self._rows) / self._factor)
        self._rows = []
        if succeeded and self._rung + 1 < len(self._levels):
            self._rung += 1
            self._todo = deque(row[0].configuration for row in succeeded[:n_on])
            return
        self.flush()
        if not len(self._candidates):
            return
        self._bracket += 1
        n, self._levels = self._brackets[self._bracket % len(self._brackets)]
        self._rung = 0
        self._to_begin = min(n, len(self._candidates))


class SurrogateRule:
    """Each configuration climbs from level to level until it is believed to be beaten.

    Parameters
    ----------
    candidates : Candidates
    levels : list of int
        Resources, the lowest first.
    """

    def __init__(self, candidates: Candidates, levels: list[int]) -> None:
        self._candidates = candidates
        self._levels = levels
        self._losses = Levels(candidates, levels)
        self._todo: deque[Proposal] = deque()
        self._under_way: dict[str, tuple[Proposal, float, float]] = {}

    def next(self) -> Proposal | None:
        """The next level of a configuration that goes on, else a new configuration on the lowest one."""
        if self._todo:
            return self._todo.popleft()
        configuration = self._candidates.next()
        return None if configuration is None else Proposal(configuration, self._levels[0], 0)

    def ended(self, proposal: Proposal, loss: float, seconds: float) -> None:
        """Decide whether the configuration goes on; if not, tell the engine."""
        self._losses.add(proposal, loss, seconds)
        text = to_json(proposal.configuration)
        last = proposal.iteration + 1 == len(self._levels)
        if np.isfinite(loss) and not last and not self._beaten(proposal, loss):
            level = proposal.iteration + 1
            self._todo.append(Proposal(proposal.configuration, self._levels[level], level))
            self._under_way[text] = (proposal, loss, seconds)
            return
        self._under_way.pop(text, None)
        self._losses.tell(proposal, loss, seconds)

    def flush(self) -> None:
        """Tell the engine of the configurations that were to go on."""
        for proposal, loss, seconds in self._under_way.values():
            self._losses.tell(proposal, loss, seconds)
        self._under_way = {}

    def _beaten(self, proposal: Proposal, loss: float) -> bool:
        """Whether the configuration is believed not to become the best.

        What it gains until the end is taken to be distributed as the gains of those that have got there: Student's t
        with their mean and variance.
        """
        assert proposal.resources is not None
        gains = np.array(self._losses.gains(proposal.resources))
        if len(gains) < FINISHED:
            return False
        spread = float(gains.std(ddof=1)) * math.sqrt(1.0 + 1.0 / len(gains))
        behind = loss - float(gains.mean()) - self._losses.best()
        if spread == 0.0:
            return behind > 0.0
        return bool(student.sf(behind / spread, df=len(gains) - 1) < BELIEF)


def levels_between(smallest: int, largest: int, factor: float, n_levels: int | None = None) -> list[int]:
    """Resources from the smallest to the largest, each `factor` times the one before; the last is the largest.

    Parameters
    ----------
    n_levels : int, default=None
        At most so many, the largest ones.
    """
    possible = 1 + int(math.log(largest / smallest) / math.log(factor) + 1e-9)
    n = possible if n_levels is None else min(possible, n_levels)
    return sorted({max(smallest, int(largest / factor**i)) for i in range(n)})


def schedule_of(
    strategy: Strategy, candidates: Candidates, smallest: int, largest: int, factor: float, n_trials: int
) -> Halving | SurrogateRule:
    """A schedule on resources from `smallest` to `largest`."""
    if strategy == "surrogate":
        return SurrogateRule(candidates, levels_between(smallest, largest, factor))
    if strategy == "halving":
        n_levels = 1 + int(math.log(n_trials) / math.log(factor) + 1e-9)
        return Halving(candidates, [(n_trials, levels_between(smallest, largest, factor, n_levels))], factor)
    levels = levels_between(smallest, largest, factor)
    brackets = [
        (math.ceil(len(levels) / (s + 1) * factor**s), levels[len(levels) - 1 - s :])
        for s in range(len(levels) - 1, -1, -1)
    ]
    return Halving(candidates, brackets, factor)
