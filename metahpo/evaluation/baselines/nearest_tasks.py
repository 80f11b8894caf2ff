"""Nearest tasks: what was best on the datasets that look most alike, then a Gaussian process.

Symbols: T training tasks, p meta-features.

    dist(q, t) = sum_j |v_qj - v_tj|,      v = meta-features to [0, 1] over the training tasks

The search begins with the best recorded configuration of the nearest task, of the second nearest, and so on, each
configuration once. A meta-feature that is not known of one of the two counts as its mean difference. Where none is
known, all tasks are equally near, and their order is left to chance.
Sources: Feurer, Springenberg and Hutter, "Initializing Bayesian hyperparameter optimization via meta-learning", AAAI
2015 (MI-SMBO, with the 1-norm); Feurer et al., "Efficient and robust automated machine learning",
NeurIPS 2015 (auto-sklearn).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metahpo.evaluation.baselines.sequential_search import ModelRun, PicksFirstRun
from metahpo.evaluation.baselines.sharing import SharedColdSurrogate
from metahpo.metadata.task_table import TaskTable

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NearestTasks:
    """Best configurations of the nearest tasks, then a Gaussian process on what they gave.

    Attributes
    ----------
    n_picks : int, default=10
        Trials that the nearest tasks decide.
    """

    n_picks: int = 10

    @property
    def name(self) -> str:
        """`nearest_tasks`."""
        return "nearest_tasks"

    @property
    def n_replays(self) -> int:
        """1: meta-features determine the picks."""
        return 1

    @property
    def shares_fits(self) -> bool:
        """True: searches with another seed differ where equals are drawn from, which is seldom."""
        return True

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> NearestTasksPolicy:
        """Remember each task's meta-features and best configuration."""
        known = [table.meta_features or {} for table in tables]
        names = tuple(dict.fromkeys(name for features in known for name in features))
        features = np.array([[features.get(name, np.nan) for name in names] for features in known])
        best = np.stack([table.X[np.nanargmin(table.loss)] for table in tables])
        return NearestTasksPolicy(names, features.reshape(len(tables), len(names)), best, self.n_picks)


@dataclass(frozen=True)
class NearestTasksPolicy:
    """Meta-features of the training tasks by name, shape (T, p), and their best configurations, shape (T, d)."""

    names: tuple[str, ...]
    meta_features: Array
    best: Array
    n_picks: int

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> PicksFirstRun:
        """Begin with the best of the nearest task."""
        rng = np.random.default_rng(random_state)
        order = np.argsort(self.distances(meta_features or {}) + 1e-9 * rng.random(len(self.best)))
        _, first = np.unique(self.best[order], axis=0, return_index=True)
        picks = self.best[order][np.sort(first)][: self.n_picks]
        return PicksFirstRun(picks, ModelRun(rng, SharedColdSurrogate(), n_initial=0))

    def distances(self, meta_features: Mapping[str, float]) -> Array:
        """Distance to each training task, shape (T,); zeros where none can be told."""
        query = np.array([meta_features.get(name, np.nan) for name in self.names], dtype=float)
        comparable = np.isfinite(query) & np.isfinite(self.meta_features).any(axis=0)
        recorded, query = self.meta_features[:, comparable], query[comparable]
        spread = np.nanmax(recorded, axis=0, initial=-np.inf) - np.nanmin(recorded, axis=0, initial=np.inf)
        gaps = np.abs(recorded - query) / np.where(spread > 0, spread, 1.0)
        return np.asarray(np.where(np.isnan(gaps), np.nanmean(gaps, axis=0), gaps).sum(axis=1))
