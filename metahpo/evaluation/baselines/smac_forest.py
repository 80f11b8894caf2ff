"""Random forest with expected improvement, as in SMAC: the spread of the trees is the uncertainty.

Symbols: B trees, each predicting the losses of configurations x.

    mean(x) = mean_b tree_b(x),      variance(x) = var_b tree_b(x)

Ten bootstrapped trees, grown to the end, with every column at each split: the settings that SMAC3 has for
hyperparameter optimisation.
Sources: Hutter, Hoos and Leyton-Brown, "Sequential model-based optimization for general algorithm configuration", LION
2011; Lindauer et al., "SMAC3", JMLR 2022. The forest is scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from metahpo.evaluation.baselines.sequential_search import ColdMethod, ModelRun
from metahpo.surrogates.gaussian_process import standardised
from metahpo.surrogates.posterior import Posterior

Array = NDArray[np.float64]

#: Least standard deviation: trees that agree are not certain.
MIN_STD = 1e-3


class RandomForest(ColdMethod):
    """Random forest with expected improvement, after a few random trials."""

    @property
    def name(self) -> str:
        """`random_forest`."""
        return "random_forest"

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> ModelRun:
        """Begin with a generator of the task's own."""
        return ModelRun(np.random.default_rng(random_state), ForestModel(random_state), self.n_initial)


@dataclass(frozen=True)
class ForestModel:
    """The forest as a model of one task's losses."""

    random_state: int

    def posterior(self, configurations: Array, observed: tuple[Array, Array]) -> Posterior:
        """Mean and spread of the trees; every configuration alike while the losses do not differ."""
        X, y = observed[0], standardised(observed[1])
        if y is None:
            alike = np.zeros((1, len(configurations)))
            return Posterior(np.ones(1), alike, alike + 1.0, np.zeros(1))
        forest = RandomForestRegressor(10, random_state=self.random_state).fit(X, y)
        predicted = np.stack([tree.predict(configurations) for tree in forest.estimators_])
        std = np.maximum(predicted.std(axis=0), MIN_STD)
        return Posterior(np.ones(1), predicted.mean(axis=0)[None], std[None], np.array([y.min()]))
