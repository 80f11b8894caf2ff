"""From a dataset to recommended hyperparameters, offline, from a meta-dataset and its trained surrogates.

A dataset goes once through each room: it becomes a task, the task is described by its meta-features, the candidates
are predicted, and some of them are chosen.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from metahpo.exceptions import ArtefactError, DataError, UnknownNameError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.recommendation.decision import chosen
from metahpo.recommendation.description import Description, usable
from metahpo.recommendation.experience import Experience
from metahpo.recommendation.laps import Laps
from metahpo.recommendation.portfolio import complementary_picks
from metahpo.recommendation.prediction import Prediction
from metahpo.recommendation.recommendations import Recommendations
from metahpo.recommendation.request import Request
from metahpo.recommendation.shipped import SHIPPED_APART, check_modality, shipped_name
from metahpo.recommendation.warm_start import WarmStart
from metahpo.recommendation.wording import items_of, notes_of
from metahpo.space.cash import to_cash
from metahpo.space.configuration import Configuration
from metahpo.surrogates.explanation import Explanation
from metahpo.surrogates.surrogate import TrainedSurrogate
from metahpo.tasks.metric import METRICS, metric_named
from metahpo.tasks.modality import as_task
from metahpo.tasks.scorers import check_scorer, nearest_metric
from metahpo.tasks.task import Modality, Task, TaskKind


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
        self._experience = Experience(folder)

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
    def folder(self) -> Path:
        """Folder of the meta-dataset."""
        return self._experience.folder

    @property
    def meta_dataset(self) -> MetaDataset:
        """Tasks and trials that it recommends from."""
        return self._experience.meta_dataset

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
        return self._experience.surrogate(learner, metric)

    def trained_metrics(self, learner: str | None) -> list[str]:
        """Metrics for which a surrogate of a learner (None: all together) was trained, as the meta-dataset has them.

        Raises
        ------
        UnknownNameError
            Nothing was recorded of the learner.
        ArtefactError
            No surrogate of it was trained.
        """
        return self._experience.trained_metrics(self._meant(learner))

    def recommend(
        self, task: Task, learner: str | None = None, n: int = 5, metric: str | None = None, random_state: int = 0
    ) -> Recommendations:
        """Recommend configurations for a task: see :func:`recommend`."""
        return self.answer(task, Request(learner, n, metric, random_state))

    @own_arithmetic()
    def answer(self, task: Task, request: Request) -> Recommendations:
        """Recommend configurations for a task, as a request asks for them: see :func:`recommend`."""
        if task.kind != self.kind:
            raise DataError(f"{self.meta_dataset.name!r} is for {self.kind}, but the task is {task.kind}.")
        check_modality(self.meta_dataset, task)
        space, laps = self._meant(request.learner), Laps()
        metric = self._metric(request.metric, space)
        self._experience.load(space, metric)
        laps.end("load")
        description = Description.of(task, self._experience, request.random_state)
        laps.end("meta_features")
        candidates = self._experience.candidates(space)
        prediction = Prediction.of(self._experience, candidates, metric, description.usable)
        picks = chosen(prediction, request.n)
        laps.end("surrogate")
        seconds = self._seconds(space, [candidates.configurations[i] for i in picks], task)
        items = items_of(prediction, picks, seconds)
        laps.end("cost")
        return Recommendations(
            tuple(items),
            metric,
            prediction.weights,
            description.novelty,
            laps.seconds,
            notes_of(description, request, metric),
            task,
            description.meta_features,
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
        candidates = self._experience.candidates(learner).configurations
        if task is None:
            surrogate = self.surrogate(learner, metric_named(metric, self.kind).name)
            first = complementary_picks(surrogate.posterior(candidates), 1)
            return WarmStart(surrogate.space, surrogate, {}, [candidates[i] for i in first], candidates, None)
        recommended = self.recommend(task, learner, n=1, metric=metric)
        surrogate = self.surrogate(learner, recommended.metric)
        model = self._experience.cost(learner)
        cost = None if model is None else model.on(task)
        features = usable(recommended.meta_features, recommended.novelty)
        initial = list(recommended.configurations)
        if self._meant(learner) is None:
            initial = [to_cash(item.learner, item.configuration) for item in recommended.items]
        return WarmStart(surrogate.space, surrogate, features, initial, candidates, cost)

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
        features = usable(recommended.meta_features, recommended.novelty)
        return self.surrogate(self._meant(learner), recommended.metric).explain(meta_features=features)

    def _meant(self, learner: str | None) -> str | None:
        """The only learner there is, where none is named."""
        return self.learners[0] if learner is None and len(self.learners) == 1 else learner

    def _seconds(self, space: str | None, configurations: list[Configuration], task: Task) -> list[float]:
        cost = self._experience.cost(space)
        if cost is None:
            return [float("nan")] * len(configurations)
        rows = self.meta_dataset.encoder(space).encode(configurations)
        return [float(s) for s in cost.seconds(rows, task)]

    def _metric(self, name: str | None, learner: str | None) -> str:
        """The metric that is asked for; where it is a scorer that was not recorded, the nearest that was learnt."""
        if name is not None and name not in METRICS:
            check_scorer(name, self.kind)
            name, _ = nearest_metric(name, self.kind, self.trained_metrics(learner))
        return metric_named(name, self.kind).name


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
    request = Request(learner, n, metric, random_state)
    task = as_task(X, y, kind=kind, name="your dataset")
    known = recommender or Recommender.shipped(task.kind, task.modality, learner)
    return known.answer(task, request)
