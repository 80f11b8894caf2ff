"""The warm start of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ConfigSpace import ConfigurationSpace

from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.space.configuration import Configuration
from metahpo.space.holding import holding
from metahpo.surrogates.surrogate import Surrogate
from metahpo.surrogates.task_cost import TaskCost


@dataclass(frozen=True)
class WarmStart:
    """The start of a search from experience. An unfamiliar task has no meta-features."""

    space: ConfigurationSpace
    surrogate: Surrogate
    meta_features: Mapping[str, float] | None
    initial: list[Configuration]
    candidates: list[Configuration]
    cost: TaskCost | None

    def holding(self, held: Mapping[str, Any]) -> WarmStart:
        """The part of it in which some hyperparameters have one value: see :func:`metahpo.space.holding.holding`.

        Raises
        ------
        SpaceError
            The experience knows no such hyperparameter or value.
        """
        if not held:
            return self
        initial, candidates = (
            [configuration for configuration in configurations if held.items() <= configuration.items()]
            for configurations in (self.initial, self.candidates)
        )
        return replace(self, space=holding(self.space, held), initial=initial, candidates=candidates)

    def optimizer(self, random_state: int | None = None, *, per_second: bool = False) -> BayesianOptimizer:
        """Ask-and-tell optimiser that starts from it; `per_second` counts improvement per second."""
        return BayesianOptimizer(
            self.space,
            self.surrogate,
            self.meta_features,
            self.initial,
            self.candidates,
            random_state=random_state,
            per_second=per_second,
            cost=self.cost,
        )
