"""What a search starts with, where there is experience."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.space.configuration import Configuration
from metahpo.surrogates.surrogate import Surrogate
from metahpo.surrogates.task_cost import TaskCost


@dataclass(frozen=True)
class WarmStart:
    """What a search needs to start from experience; no meta-features where the task is unfamiliar."""

    surrogate: Surrogate
    meta_features: Mapping[str, float] | None
    initial: list[Configuration]
    candidates: list[Configuration]
    cost: TaskCost | None

    def optimizer(self, random_state: int | None = None, *, per_second: bool = False) -> BayesianOptimizer:
        """Ask-and-tell optimiser that starts from it; `per_second` counts improvement per second."""
        return BayesianOptimizer(
            self.surrogate.space,
            self.surrogate,
            self.meta_features,
            self.initial,
            self.candidates,
            random_state=random_state,
            per_second=per_second,
            cost=self.cost,
        )
