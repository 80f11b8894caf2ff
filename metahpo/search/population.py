"""Population-based training: models train side by side, and their hyperparameters change while they do.

All members of a population train for the same number of steps, then the worst of them take over the model and the
hyperparameters of one of the best (exploit), and change the hyperparameters (explore). This is the truncation selection
of Jaderberg et al., *Population Based Training of Neural Networks*, 2017, https://arxiv.org/abs/1711.09846, sections
3.1 and 4.1. Here the members wait for each other, so that the search can be repeated exactly.

Only real numbers are explored. Integers and choices stay those of the member that is copied, because most of them are
of the structure of a model (layers, widths, kinds), which cannot change while it trains.
"""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import FloatHyperparameter
from sklearn.base import BaseEstimator

from metahpo.exceptions import DataError, SpaceError
from metahpo.search.continued_training import Earlier
from metahpo.search.fold_fits import FoldResult
from metahpo.search.search_trial import Proposal
from metahpo.search.trial_order import Candidates
from metahpo.space.configuration import Configuration
from metahpo.space.domain import Domain

#: Share of the members that is replaced after each generation, and share that these copy from.
TRUNCATED = 0.2
#: An explored number is multiplied by one of these.
FACTORS = (0.8, 1.2)
#: Probability that an explored number is drawn anew from its range.
DRAWN_ANEW = 0.25
#: Generations, where the user does not say how many steps one has.
GENERATIONS = 10
#: How often a configuration is explored whose changes the space forbids.
MAX_ATTEMPTS = 20


class Population:
    """The schedule of a population, and the models of its members.

    Parameters
    ----------
    candidates : Candidates
        Configurations that the members begin with, as many as there are members.
    space : ConfigurationSpace
    generations : list of int
        Steps that a member has trained for at the end of each generation.
    parameters : callable
        Proposal -> parameters of the estimator.
    random_state : int or None
    """

    def __init__(
        self,
        candidates: Candidates,
        space: ConfigurationSpace,
        generations: list[int],
        parameters: Callable[[Proposal], dict[str, Any]],
        random_state: int | None,
    ) -> None:
        self._candidates, self._space, self._domain = candidates, space, Domain(space)
        self._generations, self._parameters = generations, parameters
        self._seed = int(np.random.default_rng(random_state).integers(2**31))
        self._todo: deque[Proposal] = deque()
        self._n_begun = 0
        self._n_running = 0
        self._ended: list[tuple[Proposal, float]] = []
        self._models: dict[tuple[str, ...], dict[int, BaseEstimator]] = {}

    def next(self) -> Proposal | None:
        """The next member of this generation, or the first of the next one."""
        configuration = self._candidates.next() if len(self._candidates) else None
        if configuration is not None:
            self._todo.append(Proposal(configuration, self._generations[0], 0, self._n_begun))
            self._n_begun += 1
        elif not self._todo and not self._n_running:
            self._breed()
        if not self._todo:
            return None
        self._n_running += 1
        return self._todo.popleft()

    def ended(self, proposal: Proposal, loss: float, seconds: float) -> None:
        """Tell the engine."""
        self._n_running -= 1
        self._ended.append((proposal, loss))
        self._candidates.tell(proposal.configuration, loss, seconds)

    def flush(self) -> None:
        """All was told."""

    def earlier(self, proposal: Proposal) -> Earlier | None:
        """What the model of a proposal was trained for before."""
        if not proposal.before:
            return None
        *earlier, _ = proposal.segments
        segments = tuple(
            (self._parameters(segment), until) for segment, (_, until) in zip(earlier, proposal.before, strict=True)
        )
        return Earlier(segments, dict(self._models.get(earlier[-1].key, {})))

    def keep(self, proposal: Proposal, results: Mapping[int, FoldResult]) -> None:
        """Take the models out of the results of a proposal."""
        for fold, result in results.items():
            model = result.pop("model", None)
            if model is not None:
                self._models.setdefault(proposal.key, {})[fold] = model

    def _breed(self) -> None:
        """The next generation: the best go on as they are, the worst are replaced."""
        generation = self._ended[0][0].iteration + 1 if self._ended else len(self._generations)
        members = sorted(self._ended, key=lambda end: (end[1] if np.isfinite(end[1]) else np.inf, end[0].key))
        self._ended = []
        n_able = sum(bool(np.isfinite(loss)) for _, loss in members)
        if generation >= len(self._generations) or not n_able:
            return
        n = min(math.ceil(TRUNCATED * len(members)), len(members) // 2)
        best = [proposal for proposal, _ in members[: min(max(n, 1), n_able)]]
        for place, (proposal, _) in enumerate(members):
            parent, configuration = proposal, proposal.configuration
            if place >= min(n_able, len(members) - n):
                rng = np.random.default_rng([self._seed, generation, zlib.crc32(repr(proposal.key).encode())])
                parent = best[int(rng.integers(len(best)))]
                configuration = explored(parent.configuration, self._space, self._domain, rng)
            assert parent.resources is not None
            before = (*parent.before, (parent.configuration, parent.resources))
            self._todo.append(
                Proposal(configuration, self._generations[generation], generation, proposal.bracket, before)
            )
        kept = {proposal.segments[-2].key for proposal in self._todo}
        self._models = {key: models for key, models in self._models.items() if key in kept}


def generations_of(smallest: int | None, largest: int) -> list[int]:
    """Steps that a member has trained for at the end of each generation.

    Parameters
    ----------
    smallest : int or None
        Steps of one generation; None: a tenth of all.
    largest : int
        Steps of a whole training.

    Raises
    ------
    DataError
        A generation has more steps than the whole training.
    """
    step = max(1, math.ceil(largest / GENERATIONS)) if smallest is None else smallest
    if step > largest:
        raise DataError(f"min_resources is {step}, above max_resources, {largest}.")
    return [*range(step, largest, step), largest]


def check_space(space: ConfigurationSpace, prefix: str, in_estimator: str) -> None:
    """Refuse a space that a population cannot explore while models train.

    Parameters
    ----------
    space : ConfigurationSpace
    prefix : str
        What precedes the parameters of the model that trains, in a pipeline.
    in_estimator : str
        What precedes names of the space in the parameters of the estimator.

    Raises
    ------
    DataError
        It has no real number, or a hyperparameter of what comes before the model.
    """
    outside = [name for name in space if not f"{in_estimator}{name}".startswith(prefix)]
    if outside:
        raise DataError(
            f"engine='population' changes the last step of the pipeline while it trains, but {outside} are of steps "
            f"before it. Leave them out of the space, whose names then begin with {prefix!r}, or take another engine."
        )
    if not any(isinstance(space[name], FloatHyperparameter) for name in space):
        raise DataError(
            "engine='population' changes real numbers while models train, such as a learning rate, but the search "
            f"space has none: {list(space)}. Add one, or take another engine."
        )


def explored(
    configuration: Configuration, space: ConfigurationSpace, domain: Domain, rng: np.random.Generator
) -> Configuration:
    """Change the real numbers of a configuration.

    Each is multiplied by one of `FACTORS`, or drawn anew from its range, with the probability `DRAWN_ANEW`. A
    configuration of which every change is forbidden is returned as it is.
    """
    numbers = {name: known for name in configuration if isinstance(known := space[name], FloatHyperparameter)}
    for _ in range(MAX_ATTEMPTS):
        changed = dict(configuration)
        for name, known in numbers.items():
            if rng.random() < DRAWN_ANEW:
                value = float(known.sample_value(seed=np.random.RandomState(int(rng.integers(2**31)))))
            else:
                value = float(configuration[name]) * float(rng.choice(FACTORS))
            changed[name] = min(max(value, float(known.lower)), float(known.upper))
        try:
            return domain.canonical(changed)
        except SpaceError:
            continue
    return configuration
