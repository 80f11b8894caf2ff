"""A surrogate of a few lines that knows where the best configuration lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace

from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates.posterior import Posterior

#: Where the best configuration of :func:`metahpo.testing.optimizers.small_space` lies.
BEST: Mapping[str, Any] = {"mode": "tuned", "depth": 6, "rate": 0.05, "knob": 0.75}


@dataclass(frozen=True)
class Peaked:
    """Expects the lower losses the nearer a configuration is to `best`."""

    space: ConfigurationSpace
    best: Mapping[str, Any]

    def posterior(
        self, configurations: Any, observed: Any = None, meta_features: Any = None, noise: Any = None
    ) -> Posterior:
        encoder = SpaceEncoder(self.space)
        rows = configurations if isinstance(configurations, np.ndarray) else encoder.encode(configurations)
        distance = np.abs(rows - encoder.encode([self.best])).sum(axis=1)
        lowest = 3.0 if observed is None else float(np.min(observed[1]))
        return Posterior(np.ones(1), distance[None], np.full((1, len(rows)), 0.1), np.array([lowest]))
