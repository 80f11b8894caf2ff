"""The project's own method: a surrogate trained on the training tasks, expected improvement over the pool."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metahpo.evaluation.baselines.sharing import trained
from metahpo.evaluation.pool import PoolOptimizer
from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.fitting.training import TrainingSettings
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.surrogate import Surrogate


@dataclass(frozen=True)
class MetaLearned:
    """Surrogate trained across tasks, conditioned on the trials of the new one.

    Attributes
    ----------
    use_meta_features : bool, default=True
        False hides the meta-features, in training and at use.
    settings : TrainingSettings, default=None
        None takes the defaults.
    label : str, default=None
        Its name in tables and figures; None: `metahpo`, or `metahpo_blind` without meta-features.
    """

    use_meta_features: bool = True
    settings: TrainingSettings | None = None
    label: str | None = None

    @property
    def name(self) -> str:
        """The label."""
        return self.label or ("metahpo" if self.use_meta_features else "metahpo_blind")

    @property
    def n_replays(self) -> int:
        """1: the picks are determined."""
        return 1

    @property
    def training(self) -> Hashable:
        """See :class:`~metahpo.evaluation.baselines.sharing.SharesTraining`."""
        return "own" if self.use_meta_features else "none", self.settings

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> MetaLearnedPolicy:
        """Train the surrogate."""
        if not self.use_meta_features:
            tables = [TaskTable(table.task, table.family, table.X, table.loss, None) for table in tables]
        surrogate = trained(tables, space_name, random_state, self.settings)
        return MetaLearnedPolicy(surrogate, self.use_meta_features)


@dataclass(frozen=True)
class MetaLearnedPolicy:
    """A trained surrogate."""

    surrogate: Surrogate
    use_meta_features: bool

    def score_posterior(
        self,
        configurations: NDArray[np.float64],
        observed: tuple[NDArray[np.float64], NDArray[np.float64]],
        meta_features: Mapping[str, float] | None,
    ) -> Posterior:
        """Posterior of the surrogate: see :class:`~metahpo.evaluation.predictive_calibration.ScorePredictor`."""
        return self.surrogate.posterior(configurations, observed, meta_features if self.use_meta_features else None)

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> MetaLearnedRun:
        """Begin with the task's meta-features."""
        return MetaLearnedRun(PoolOptimizer(self.surrogate, meta_features if self.use_meta_features else None))


@dataclass
class MetaLearnedRun:
    """The surrogate on one task."""

    optimizer: PoolOptimizer

    def suggest(self, X_obs: NDArray[np.float64], loss_obs: NDArray[np.float64], X_pool: NDArray[np.float64]) -> int:
        """Pick the row of the pool with the highest expected improvement."""
        return self.optimizer.observe_and_suggest(X_obs, -loss_obs, X_pool)
