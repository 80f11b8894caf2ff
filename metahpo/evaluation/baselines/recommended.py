"""What the package does for a user: a first configuration by the decision against the default, then the surrogate.

With parts of it left out, it shows what each of them is worth: see :mod:`metahpo.evaluation.ablation`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metahpo.evaluation.baselines.own_method import MetaLearnedPolicy
from metahpo.evaluation.baselines.sequential_search import PicksFirstRun
from metahpo.evaluation.baselines.sharing import trained
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.fitting.improvement_learning import learn_improvement
from metahpo.surrogates.fitting.training import TrainingSettings
from metahpo.surrogates.improvement import ImprovementModel
from metahpo.surrogates.posterior import Posterior

Array = NDArray[np.float64]
#: Meta-features of the task at hand, none, or those of another task drawn at random.
MetaFeatures = Literal["own", "none", "random"]


@dataclass(frozen=True)
class Recommended:
    """The recommender's first configuration, then the surrogate's search.

    Attributes
    ----------
    meta_features : {"own", "none", "random"}, default="own"
        "random" deals the meta-features of the training tasks out anew, and takes those of one of them for the task at
        hand.
    risk : bool, default=True
        Whether the first configuration is the one that the model of the improvement on the default prefers, which may
        be the default. False: the one with the best expected percentile.
    settings : TrainingSettings, default=None
        Of the surrogate; None takes the defaults.
    sizes : bool, default=True
        Whether it learns from all sizes of a dataset. False: from the largest that was recorded of each.
    """

    meta_features: MetaFeatures = "own"
    risk: bool = True
    settings: TrainingSettings | None = None
    sizes: bool = True

    @property
    def name(self) -> str:
        """`recommended`, and what it is without."""
        features = {"own": "", "none": "_without_meta_features", "random": "_random_meta_features"}[self.meta_features]
        return f"recommended{features}{'' if self.risk else '_without_risk'}{'' if self.sizes else '_without_sizes'}"

    @property
    def n_replays(self) -> int:
        """1: the picks are determined."""
        return 1

    @property
    def training(self) -> Hashable:
        """See :class:`~metahpo.evaluation.baselines.sharing.SharesTraining`."""
        return (self.meta_features, self.settings) if self.sizes else (self.meta_features, self.settings, "one size")

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> RecommendedPolicy:
        """Train the surrogate; without defaults and standard errors there is no model of the improvement."""
        return self._policy(list(tables), space_name, random_state, None)

    def learn_from(self, md: MetaDataset, space: str | None, metric: str, random_state: int) -> RecommendedPolicy:
        """Train the surrogate and the model of the improvement on the default."""
        if not self.sizes:
            md = md.drop(tasks=smaller_sizes(md))
        tables = md.tables(space, metric)
        if self.meta_features == "random":
            dealt = self._dealt_out(tables, random_state)
            if md.meta_features is not None:
                order = np.random.default_rng(random_state).permutation(len(md.meta_features))
                shuffled = md.meta_features.iloc[order].set_axis(md.meta_features.index)
                md = MetaDataset(
                    md.tasks, md.trials, shuffled, md.spaces, name=md.name, version=md.version, protocol=md.protocol,
                    canonical=True,
                )  # fmt: skip
            tables = dealt
        model = learn_improvement(md, space, metric, random_state) if self.risk else None
        policy = self._policy(tables, space or "joint", random_state, model)
        if model is None:
            return policy
        rows = md.encoder(space).encode([json.loads(text) for text in model.configurations])
        return RecommendedPolicy(policy.searching, policy.candidates, policy.stand_ins, model, rows)

    def _policy(
        self, tables: list[TaskTable], space: str, random_state: int, model: ImprovementModel | None
    ) -> RecommendedPolicy:
        if self.meta_features == "none":
            tables = [TaskTable(t.task, t.family, t.X, t.loss, None) for t in tables]
        surrogate = trained(tables, space, random_state, self.settings)
        candidates = np.unique(np.concatenate([table.X for table in tables]), axis=0)
        stand_ins = tuple(table.meta_features for table in tables) if self.meta_features == "random" else ()
        return RecommendedPolicy(
            MetaLearnedPolicy(surrogate, self.meta_features != "none"), candidates, stand_ins, model
        )

    @staticmethod
    def _dealt_out(tables: Sequence[TaskTable], random_state: int) -> list[TaskTable]:
        order = np.random.default_rng(random_state).permutation(len(tables)).tolist()
        return [
            TaskTable(t.task, t.family, t.X, t.loss, tables[i].meta_features)
            for t, i in zip(tables, order, strict=True)
        ]


def smaller_sizes(md: MetaDataset) -> list[str]:
    """Tasks of which the same dataset was recorded at a larger size; none where sizes are not known."""
    if not {"dataset", "size"} <= set(md.tasks.columns):
        return []
    size = md.tasks["size"].astype(float)
    largest = size.groupby(md.tasks["dataset"]).transform("max")
    return [str(task) for task in md.tasks.index[size < largest]]


@dataclass(frozen=True)
class RecommendedPolicy:
    """A trained surrogate, and a model of the improvement on the default, if there is one.

    Attributes
    ----------
    searching : MetaLearnedPolicy
    candidates : ndarray of shape (n, d)
        Recorded configurations, of which the first is chosen where there is no such model.
    stand_ins : tuple of mappings
        Meta-features of which one set stands for those of the task at hand; empty: the task's own.
    improvement : ImprovementModel or None
    rows : ndarray of shape (m, d), or None
        Its configurations.
    """

    searching: MetaLearnedPolicy
    candidates: Array
    stand_ins: tuple[Mapping[str, float] | None, ...] = ()
    improvement: ImprovementModel | None = None
    rows: Array | None = None

    def score_posterior(
        self, configurations: Array, observed: tuple[Array, Array], meta_features: Mapping[str, float] | None
    ) -> Posterior:
        """Posterior of the surrogate: see :class:`~metahpo.evaluation.predictive_calibration.ScorePredictor`."""
        return self.searching.score_posterior(configurations, observed, self._known(meta_features, 0))

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> PicksFirstRun:
        """Begin with the recommended configuration."""
        known = self._known(meta_features, random_state)
        if self.improvement is not None and self.rows is not None:
            first = self.rows[self.improvement.on(known).picks(1)]
        else:
            posterior = self.searching.surrogate.posterior(self.candidates, meta_features=known)
            first = self.candidates[[int(np.argmin(posterior.mixture_mean()))]]
        return PicksFirstRun(first, self.searching.start(known, random_state))

    def _known(self, meta_features: Mapping[str, float] | None, seed: int) -> Mapping[str, float] | None:
        if self.stand_ins:
            return self.stand_ins[int(np.random.default_rng(seed).integers(len(self.stand_ins)))]
        return meta_features if self.searching.use_meta_features else None
