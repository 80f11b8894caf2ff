"""From a dataset to recommended hyperparameters, offline, from a meta-dataset and its trained surrogates."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from metahpo.exceptions import ArtefactError, DataError, UnknownNameError
from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metafeatures.extraction import extract
from metahpo.metafeatures.others import groups_among
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.recommendation.default_decision import AgainstDefault
from metahpo.recommendation.novelty import UNFAMILIAR, Familiarity
from metahpo.recommendation.portfolio import complementary_picks
from metahpo.recommendation.recommendations import DEFAULT_REASON, Recommendation, Recommendations
from metahpo.recommendation.shipped import SHIPPED_APART, check_modality, shipped_name
from metahpo.recommendation.warm_start import WarmStart
from metahpo.space.activity import default_configuration
from metahpo.space.cash import from_cash, to_cash
from metahpo.space.configuration import Configuration, to_json
from metahpo.surrogates.artefact import load_surrogate, surrogate_path
from metahpo.surrogates.cost import SIZE_COLUMNS, CostModel
from metahpo.surrogates.explanation import Explanation
from metahpo.surrogates.improvement import ImprovementModel, improvement_path
from metahpo.surrogates.surrogate import TrainedSurrogate
from metahpo.tasks.metric import METRICS, metric_named
from metahpo.tasks.modality import as_task
from metahpo.tasks.scorers import check_scorer, nearest_metric
from metahpo.tasks.task import Modality, Task, TaskKind

#: Level of the intervals that recommendations come with.
LEVEL = 0.8


class Recommender:
    """Recommends hyperparameters from a meta-dataset and the surrogates trained on it.

    Parameters
    ----------
    folder : path or str
        Folder of a meta-dataset with its ``surrogates/``, or the name of one that ships with the package.

    Raises
    ------
    UnknownNameError
        No such meta-dataset.
    ArtefactError
        Damaged, foreign, or of another version.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = release.locate(folder)
        self.meta_dataset = MetaDataset.load(self.folder)
        self._surrogates: dict[tuple[str | None, str], TrainedSurrogate] = {}
        self._costs: dict[str | None, CostModel | None] = {}
        self._improvements: dict[tuple[str | None, str], ImprovementModel | None] = {}

    @classmethod
    def shipped(cls, kind: TaskKind, modality: Modality = "table", learner: str | None = None) -> Recommender:
        """The recommender that ships for a kind of task and a learner (None: those of tables together); loaded once.

        Raises
        ------
        DataError
            None ships for tasks of images or of texts; the message names the commands that make one.
        UnknownNameError
            None ships for the learner.
        """
        found = _shipped(shipped_name(kind, modality, learner))
        if learner is not None and learner not in found.learners:
            known = [*found.learners, *SHIPPED_APART]
            hint = "Experience ships with these; `metahpo build` makes more."
            raise UnknownNameError("learner", learner, known, hint)
        return found

    @property
    def kind(self) -> TaskKind:
        """Kind of task that it recommends for."""
        kind: TaskKind = self.meta_dataset.tasks["kind"].iloc[0]
        return kind

    @property
    def learners(self) -> list[str]:
        """Learners that it recommends for."""
        return list(self.meta_dataset.spaces)

    def surrogate(self, learner: str | None, metric: str) -> TrainedSurrogate:
        """Trained surrogate of a learner (None: all together) for a metric.

        Raises
        ------
        UnknownNameError
            No surrogate was trained for the metric; the message lists those for which one was.
        """
        key = (learner, metric)
        if key not in self._surrogates:
            self.meta_dataset.space(learner)
            path = surrogate_path(self.folder, learner, metric)
            if not path.is_file():
                raise UnknownNameError(
                    "metric with a trained surrogate", metric, self._trained(learner), "`metahpo train` trains one."
                )
            self._surrogates[key] = load_surrogate(path)
        return self._surrogates[key]

    def trained_metrics(self, learner: str | None) -> list[str]:
        """Metrics for which a surrogate of a learner (None: all together) was trained, as the meta-dataset has them.

        Raises
        ------
        UnknownNameError
            Nothing was recorded of the learner.
        ArtefactError
            No surrogate of it was trained.
        """
        learner = self._meant(learner)
        self.meta_dataset.space(learner)
        trained = self._trained(learner)
        if not trained:
            raise ArtefactError(
                f"{self.meta_dataset.name!r} has no surrogate of {learner}; `metahpo train` trains one."
            )
        return sorted(trained, key=[*self.meta_dataset.metrics, *trained].index)

    @own_arithmetic()
    def recommend(
        self, task: Task, learner: str | None = None, n: int = 5, metric: str | None = None, random_state: int = 0
    ) -> Recommendations:
        """Recommend configurations for a task: see :func:`recommend`."""
        if n < 1:
            raise DataError(f"n must be at least 1, but is {n}.")
        if task.kind != self.kind:
            raise DataError(f"{self.meta_dataset.name!r} is for {self.kind}, but the task is {task.kind}.")
        check_modality(self.meta_dataset, task)
        learner = self._meant(learner)
        clock = _Clock()
        nearest = self._metric(metric, learner, task.kind)
        surrogate = self.surrogate(learner, nearest)
        clock.lap("load")
        others, lacking = self._other_meta_features
        features = extract(task, random_state, others).values
        clock.lap("meta_features")
        novelty = self._familiarity.novelty(features) if self._familiarity is not None else float("nan")
        notes = [*task.treatments, *self._known(task), *self._beyond(task)]
        if metric not in (None, nearest):
            notes.append(f"experience was not recorded by {metric!r}: the nearest, {nearest!r}, stands for it")
        if lacking:
            notes.append(f"experience has meta-features of {', '.join(lacking)}, not known here: they are left out")
        usable = _usable(features, novelty)
        if usable is None:
            notes.append("this dataset is unlike those that experience comes from: a robust portfolio is recommended")
        candidates, defaults = self._candidates(learner)
        posterior = surrogate.posterior(candidates, meta_features=usable)
        percentile = 100.0 * posterior.expected_percentile()
        against = self._against_default(learner, nearest, candidates, usable)
        picks = complementary_picks(posterior, n) if against is None else against.picks(n)
        if defaults and defaults.isdisjoint(picks):
            picks = [*picks[: max(1, n - 1)], max(defaults, key=lambda i: percentile[i])][:n]
        low, high = (100.0 * bound for bound in posterior.percentile_interval(LEVEL))
        weights = surrogate.task_weights(meta_features=usable)
        clock.lap("surrogate")
        seconds = self._seconds(learner, [candidates[i] for i in picks], task)
        items = []
        for rank, (i, spent) in enumerate(zip(picks, seconds, strict=True)):
            name, configuration = from_cash(candidates[i]) if learner is None else (learner, candidates[i])
            reason = DEFAULT_REASON if i in defaults else _reason(rank, weights)
            item = Recommendation(
                name, configuration, float(percentile[i]), (float(low[i]), float(high[i])), spent, reason
            )
            items.append(item)
        if against is not None:
            items = against.added_to(items, picks)
        clock.lap("cost")
        return Recommendations(
            tuple(items), surrogate.metric, weights, novelty, clock.laps, tuple(notes), task, features
        )

    @own_arithmetic()
    def warm_start(self, task: Task | None, learner: str | None, metric: str | None = None) -> WarmStart:
        """Start a search from experience: ``recommender.warm_start(task, "svm").optimizer()``.

        Parameters
        ----------
        task : Task or None
            None: nothing is known of the task, and the search starts with what is good on most of the recorded ones.
        learner : str or None
            None: all together, in the space of :func:`metahpo.space.cash.cash_space`.
        metric : str, default=None
            None takes the default of the kind of task.
        """
        candidates, _ = self._candidates(learner)
        if task is None:
            surrogate = self.surrogate(learner, metric_named(metric, self.kind).name)
            first = complementary_picks(surrogate.posterior(candidates), 1)
            return WarmStart(surrogate.space, surrogate, {}, [candidates[i] for i in first], candidates, None)
        recommended = self.recommend(task, learner, n=1, metric=metric)
        surrogate = self.surrogate(learner, recommended.metric)
        model = self._cost(learner)
        cost = None if model is None else model.on(task)
        usable = _usable(recommended.meta_features, recommended.novelty)
        initial = list(recommended.configurations)
        if self._meant(learner) is None:
            initial = [to_cash(item.learner, item.configuration) for item in recommended.items]
        return WarmStart(surrogate.space, surrogate, usable, initial, candidates, cost)

    @own_arithmetic()
    def explain(self, recommended: Recommendations, learner: str | None = None) -> Explanation:
        """What the scores expected on a task depend on, and which recorded tasks say so; before any trial of it.

        Parameters
        ----------
        recommended : Recommendations
            For the task.
        learner : str, default=None
            None: all learners together.
        """
        usable = _usable(recommended.meta_features, recommended.novelty)
        return self.surrogate(self._meant(learner), recommended.metric).explain(meta_features=usable)

    def _meant(self, learner: str | None) -> str | None:
        """The only learner there is, where none is named."""
        return self.learners[0] if learner is None and len(self.learners) == 1 else learner

    def _candidates(self, learner: str | None) -> tuple[list[Configuration], set[int]]:
        """Recorded configurations, and the indices of library defaults among them."""
        trials = self.meta_dataset.trials
        chosen = trials if learner is None else trials[trials["space"] == learner]
        texts = {name: to_json(default_configuration(space)) for name, space in self.meta_dataset.spaces.items()}
        candidates: list[Configuration] = []
        defaults = set()
        for space, text in chosen[["space", "configuration"]].drop_duplicates().itertuples(index=False):
            if text == texts[space]:
                defaults.add(len(candidates))
            configuration = json.loads(text)
            candidates.append(configuration if learner is not None else to_cash(space, configuration))
        return candidates, defaults

    def _cost(self, learner: str | None) -> CostModel | None:
        if learner not in self._costs:
            self._costs[learner] = CostModel.of(self.meta_dataset, learner)
        return self._costs[learner]

    def _against_default(
        self, learner: str | None, metric: str, candidates: list[Configuration], usable: Mapping[str, float] | None
    ) -> AgainstDefault | None:
        """What is expected of candidates against the default; None where no such model was trained."""
        key = (learner, metric)
        if key not in self._improvements:
            path = improvement_path(self.folder, learner, metric)
            self._improvements[key] = ImprovementModel.load(path) if path.is_file() else None
        model = self._improvements[key]
        return None if model is None else AgainstDefault.of(model, usable, candidates)

    def _seconds(self, learner: str | None, configurations: list[Configuration], task: Task) -> list[float]:
        cost = self._cost(learner)
        if cost is None:
            return [float("nan")] * len(configurations)
        rows = self.meta_dataset.encoder(learner).encode(configurations)
        return [float(s) for s in cost.seconds(rows, task)]

    @cached_property
    def _familiarity(self) -> Familiarity | None:
        features = self.meta_dataset.meta_features
        return Familiarity.of(features) if features is not None and len(features) > 1 else None

    @property
    def _other_meta_features(self) -> tuple[list[str], list[str]]:
        """Groups of other packages' meta-features that experience has: those known here, and those that are not."""
        features = self.meta_dataset.meta_features
        return groups_among(() if features is None else map(str, features.columns))

    def _metric(self, name: str | None, learner: str | None, kind: TaskKind) -> str:
        """The metric that is asked for; where it is a scorer that was not recorded, the nearest that was learnt."""
        if name is not None and name not in METRICS:
            check_scorer(name, kind)
            name, _ = nearest_metric(name, kind, self.trained_metrics(learner))
        return metric_named(name, kind).name

    def _trained(self, learner: str | None) -> list[str]:
        folder = surrogate_path(self.folder, learner, "any").parent
        before, after = f"{learner or 'all'}.", ".safetensors"
        return sorted(path.name.removeprefix(before).removesuffix(after) for path in folder.glob(f"{before}*{after}"))

    def _beyond(self, task: Task) -> list[str]:
        """A note where the task is larger than all recorded ones, so that seconds are extrapolated."""
        recorded = self.meta_dataset.tasks
        own = {"n_rows": task.n_rows, "n_features": task.X.shape[1], "n_classes": len(task.classes)}
        largest = {column: recorded[column].max() for column in SIZE_COLUMNS if column in recorded}
        beyond = [f"{column} is {own[column]}, at most {most:.0f} was recorded" for column, most in largest.items()
                  if own[column] > most]  # fmt: skip
        return (
            [f"expected_train_seconds is extrapolated, and may be far too low: {'; '.join(beyond)}"] if beyond else []
        )

    def _known(self, task: Task) -> list[str]:
        tasks = self.meta_dataset.tasks
        if "fingerprint" not in tasks.columns:
            return []
        same = tasks.index[tasks["fingerprint"] == task.fingerprint]
        return [
            f"this very dataset was tuned before, as {name!r}: the recommendation knows its results" for name in same
        ]


class _Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def _usable(meta_features: Mapping[str, float], novelty: float) -> Mapping[str, float] | None:
    """Meta-features of a task, or None where it is so unfamiliar that they would mislead."""
    return None if novelty > UNFAMILIAR else meta_features


def _reason(rank: int, weights: Mapping[str, float]) -> str:
    near = next(iter(weights), None)
    if rank == 0:
        return f"best guess; leans on {near}" if near else "best guess"
    return "complements those above"


@cache
def _shipped(name: str) -> Recommender:
    try:
        return Recommender(name)
    except UnknownNameError as error:
        raise ArtefactError(f"the meta-dataset {name!r} is missing from this installation: {error}") from error


@own_arithmetic()
def recommend(
    X: Any,
    y: Any,
    learner: str | None = None,
    n: int = 5,
    *,
    kind: TaskKind | None = None,
    metric: str | None = None,
    recommender: Recommender | None = None,
    random_state: int = 0,
) -> Recommendations:
    """Recommend hyperparameters for a dataset never seen before; offline, and nothing is trained on it.

    Parameters
    ----------
    X : DataFrame, array-like of shape (n_rows, n_features), (n, h, w) or (n, h, w, c), or sequence of str
        A table, images, or texts: see :func:`metahpo.tasks.modality.as_task`. A frame with a column of text is a table.
    y : array-like of shape (n_rows,)
    learner : str, default=None
        One that experience was recorded of, ``recommender.learners``, such as "linear", "svm", "random_forest" or
        "boosting"; None recommends over all of them together.
    n : int, default=5
        Number of configurations, complementing each other. One of them is the library default (the last, unless it
        deserves a better place) where `n` is at least 2.
    kind : {"classification", "regression"}, default=None
        None infers it from `y`.
    metric : str, default=None
        scikit-learn scorer name to recommend for; None takes balanced accuracy, or R2. Where experience was not
        recorded by it (``roc_auc``, ``f1``, ...), the nearest metric stands for it, and a note says which.
    recommender : Recommender, default=None
        Experience of your own; None takes what ships with the package, which knows tables only.
    random_state : int, default=0
        Seed of the meta-features' subsample.

    Returns
    -------
    Recommendations

    Raises
    ------
    DataError
        Data that make no task, or images or texts without a recommender that knows such.
    UnknownNameError
        An unknown learner or metric; the message lists those that exist.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> import metahpo
    >>> rec = metahpo.recommend(*load_breast_cancer(return_X_y=True), learner="svm", n=3)
    >>> sorted(rec.best)[:2]
    ['C', 'class_weight']
    """
    check_scorer(metric)
    task = as_task(X, y, kind=kind, name="your dataset")
    known = recommender or Recommender.shipped(task.kind, task.modality, learner)
    return known.recommend(task, learner, n, metric, random_state)
