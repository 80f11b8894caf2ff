"""From a dataset to recommended hyperparameters, offline, from a meta-dataset and its trained surrogates.

A dataset goes once through each room: it becomes a task, the task is described by its meta-features, the candidates
are predicted, and some of them are chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from ConfigSpace import ConfigurationSpace
from sklearn.base import BaseEstimator

from metahpo.exceptions import ArtefactError, DataError, StoreError, UnknownNameError
from metahpo.learners.extras import installation, missing_libraries
from metahpo.learners.own_parameters import configuration_of
from metahpo.learners.registry import learner_named, learner_names
from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metafeatures.extraction import extract
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.recommendation.asked_values import check_names, check_values, held_by, notes_on_values
from metahpo.recommendation.basis import Basis
from metahpo.recommendation.decision import decide
from metahpo.recommendation.expected_costs import expected_costs
from metahpo.recommendation.experience import Experience
from metahpo.recommendation.laps import Laps
from metahpo.recommendation.observations import (
    FOLDER,
    Observation,
    Trials,
    append_observations,
    by_task,
    read_observations,
    trials_of,
)
from metahpo.recommendation.portfolio import complementary_picks
from metahpo.recommendation.prediction import Prediction
from metahpo.recommendation.printed import task_in_words
from metahpo.recommendation.probe_worker import ProbeWorkers
from metahpo.recommendation.probes import probe
from metahpo.recommendation.recommendation import Recommendation
from metahpo.recommendation.recommendations import Recommendations
from metahpo.recommendation.request import Asked, Known, Request
from metahpo.recommendation.shipped import check_learner, check_modality, shipped_name
from metahpo.recommendation.task_description import Description, recorded_as, usable
from metahpo.recommendation.warm_start import WarmStart
from metahpo.recommendation.wording import items_of, notes_of, notes_on_probes
from metahpo.recommendation.worth import Worth
from metahpo.space.cash import to_cash
from metahpo.space.configuration import Configuration
from metahpo.space.domain import Domain
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
        self._observations = read_observations(self._experience.folder)
        self._n_saved = {self.folder.resolve(): len(self._observations)}  # in each folder

    @classmethod
    def shipped(cls, kind: TaskKind, modality: Modality = "table", learner: str | None = None) -> Recommender:
        """The recommender that ships for a kind of task and a learner (None: all together); it is loaded once.

        Raises
        ------
        DataError
            None ships for the learner; the message names the next step.
        UnknownNameError
            There is no such learner.
        """
        found = copy(_shipped(shipped_name(kind, modality, learner)))  # what one observes, others do not know
        if learner is not None:
            check_learner(learner, kind, modality, found.learners)
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
        self,
        task: Task,
        learner: str | Sequence[str] | None = None,
        n: int = 5,
        metric: str | Callable[..., float] | None = None,
        random_state: int = 0,
        **asked: Unpack[Asked],
    ) -> Recommendations:
        """Recommend configurations for a task: see :func:`recommend`, whose other parameters it takes as well."""
        return self.answer(task, Request.of(learner, n, metric, random_state, **asked))

    @own_arithmetic()
    def answer(self, task: Task, request: Request) -> Recommendations:
        """Recommend configurations for a task, as a request asks for them: see :func:`recommend`."""
        self._check(task)
        check_modality(self.meta_dataset, task)
        request, laps = request.for_kind(self.kind), Laps()
        space = self._space(request.learners)
        if request.seconds is None:
            return self._answer(task, request, space, laps, None)
        # They import what they need while the answer begins.
        workers = ProbeWorkers(request.n_jobs, request.learners or self.learners, self.kind)
        try:
            return self._answer(task, request, space, laps, workers)
        finally:
            workers.stop()

    def _answer(
        self, task: Task, request: Request, space: str | None, laps: Laps, workers: ProbeWorkers | None
    ) -> Recommendations:
        metric = self._metric(request.metric, space)
        self.surrogate(space, metric)
        laps.end("load")
        recorded = recorded_as(task, self._experience, request.random_state)
        experience, observed = self._for(task, request, recorded, space, metric)
        description = Description.of(task, experience, request.random_state)
        laps.end("meta_features")
        recorded_learners = [space] if space is not None else self.learners
        # A learner that was not asked for by name must be there: its estimator is needed next.
        lacking = {} if request.learners else self._missing_libraries(recorded_learners)
        usable_learners = [name for name in recorded_learners if name not in lacking] or recorded_learners
        candidates = experience.candidates(space).of_learners(request.learners or usable_learners)
        learners = [learner_named(name, self.kind) for name in candidates.learners]
        spaces = self.meta_dataset.spaces
        check_names(request, learners, spaces)
        check_values(request, learners)
        held = held_by(request, learners, spaces)
        candidates = candidates.sensible(task).within(request.region, spaces, self.kind)
        if request.place is not None:
            candidates = candidates.distinct_for(request.place)
        if observed is not None:
            candidates = candidates.including(observed[0])
        probed = None
        if workers is not None and request.seconds is not None:
            left = request.seconds - sum(laps.seconds.values())
            probed = probe(task, experience, candidates, metric, description.usable, workers, left)
            laps.end("probes")
        prediction = Prediction.of(experience, candidates, metric, description.usable, observed, probed)
        worth = self._worth(experience, space, metric, description.distance)
        worth_little = worth is not None and worth.change < 0.0
        costs = {limit: expected_costs(experience, candidates, task, limit) for limit in request.limits.given}
        decision = decide(
            prediction,
            request.n,
            limits=request.limits,
            costs={limit: cost for limit, cost in costs.items() if cost is not None},
            default_first=observed is None
            and (probed is None or not len(probed.places))
            and (description.usable is None or worth_little),
        )
        laps.end("surrogate")
        seconds = expected_costs(experience, candidates.only(decision.picks), task)
        spent = [math.nan] * len(decision.picks) if seconds is None else seconds.tolist()
        items = items_of(
            prediction,
            decision,
            spent,
            held,
            familiar=description.usable is not None,
            n_probes=0 if probed is None else sum(one.status == "success" for one in probed.probes),
        )
        notes = notes_of(
            description,
            request,
            metric,
            decision,
            recorded=recorded,
            unrecorded=[limit for limit, cost in costs.items() if cost is None],
            worth_little=worth_little,
        )
        notes += notes_on_values(request, spaces, candidates)
        probe_notes = tuple(notes_on_probes(request, probed))
        notes += probe_notes
        notes += [
            f"{name} is left out, because {library} is not installed: {installation(library)}"
            for name, library in lacking.items()
            if name not in usable_learners
        ]
        laps.end("cost")
        return Recommendations(
            items,
            metric,
            prediction.weights,
            description.novelty,
            laps.seconds,
            tuple(notes),
            task,
            description.meta_features,
            self.kind,
            f"{task.name}\n{task_in_words(task)}",
            worth,
            request.place,
            request.estimator,
            Basis(prediction, spaces, experience.surrogate(space, metric), description.usable, observed, probe_notes),
            () if probed is None else probed.probes,
        )

    def observe(
        self,
        task: Task,
        configuration: Mapping[str, Any] | Recommendation,
        value: float,
        *,
        learner: str | None = None,
        metric: str | None = None,
    ) -> None:
        """Tell what a configuration measured on a task; the next answer knows it, and nothing is trained anew.

        An answer for the same task is conditioned on it. For other tasks, a task of two such trials or more is a
        source task more. :meth:`save` keeps what was told.

        Parameters
        ----------
        task : Task
        configuration : mapping or Recommendation
            In the names of the search space, or of the learner's estimator; what is not named has its default.
        value : float
            Score by the metric, higher is better; NaN for a trial that failed.
        learner : str, default=None
            None: that of the recommendation, or the only one there is.
        metric : str, default=None
            Recorded metric; None: the default of the kind of task.

        Raises
        ------
        DataError
            No task, one of another kind, a value that is no number, or no learner where there are several.
        UnknownNameError
            A learner or metric that the experience does not have.
        SpaceError
            A configuration that is not of the learner's space.
        """
        self._check(task)
        if isinstance(configuration, Recommendation):
            learner, configuration = learner or configuration.learner, configuration.configuration
        name = self._meant(learner)
        if name is None:
            raise DataError(f"learner must say whose configuration it is: one of {self.learners}.")
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or math.isinf(value):
            raise DataError(f"value must be a score, or NaN for a trial that failed, but is {value!r}.")
        by = metric_named(metric, self.kind)
        if by.name not in self.meta_dataset.metrics:
            raise UnknownNameError("recorded metric", by.name, self.meta_dataset.metrics)
        own = self._own_configuration(name, configuration)
        others, _ = self._experience.other_meta_features
        loss = by.loss_from_score(float(value))
        features = extract(task, 0, others).values
        observation = Observation(task.name, task.fingerprint, name, own, by.name, loss, features)
        self._observations = (*self._observations, observation)

    def save(self, folder: Path | str | None = None) -> None:
        """Keep what was observed.

        Parameters
        ----------
        folder : path, default=None
            None appends to the recommender's own folder; several processes may do so at a time. Another folder becomes
            a copy of the experience with all that was observed.

        Raises
        ------
        StoreError
            The folder cannot be written, or is that of an experience that ships.
        """
        own = self.folder.resolve()
        target = own if folder is None else Path(folder).resolve()
        n_saved = self._n_saved.get(target, 0) if (target / FOLDER).is_dir() else 0
        if target != own:
            self._experience.copy_to(target)
        elif any(own.is_relative_to(root.resolve()) for root in release.SHIPPED):
            raise StoreError(f"{str(own)!r} ships with the package and is not written to: give another folder.")
        append_observations(target, self._observations[n_saved:])
        self._n_saved = {**self._n_saved, target: len(self._observations)}  # a copy may share the former one

    @property
    def observations(self) -> tuple[Observation, ...]:
        """What was observed, in the order in which it was told."""
        return self._observations

    @own_arithmetic()
    def warm_start(
        self,
        task: Task | None,
        learner: str | None,
        metric: str | None = None,
        *,
        among: Sequence[str] = (),
        seconds: float | None = None,
        n_jobs: int = 1,
    ) -> WarmStart:
        """Start a search from experience: ``recommender.warm_start(task, "svm").optimizer()``.

        Parameters
        ----------
        task : Task or None
            None: nothing is known of the task, and the search starts with what is good on most of the recorded ones.
        learner : str or None
            None: all together, in the space of :func:`metahpo.space.cash.cash_space`.
        metric : str, default=None
            None takes the default of the kind of task.
        among : sequence of str, default=()
            Of all learners together, those that may be recommended; empty: all.
        seconds : float, default=None
            Budget of probes, which what is tried first then rests on; None: there are none.
        n_jobs : int, default=1
            Processes that probes run in; -1: one a core.

        Raises
        ------
        DataError
            Probes of no task, or without what they are compared with in the experience.
        """
        if seconds is not None:
            self._check_probes(task, learner, metric)
        candidates = self._experience.candidates(learner).configurations
        if task is None:
            surrogate = self.surrogate(learner, metric_named(metric, self.kind).name)
            first = complementary_picks(surrogate.posterior(candidates), 1)
            return WarmStart(surrogate.space, surrogate, {}, [candidates[i] for i in first], candidates, None)
        request = Request.of(learner or among, 1, metric, seconds=seconds, n_jobs=n_jobs)
        recommended = self.answer(task, request)
        assert recommended.basis is not None  # only what was read from JSON has none
        surrogate = recommended.basis.surrogate
        model = self._experience.cost(learner)
        cost = None if model is None else model.on(task)
        features = usable(recommended.meta_features, recommended.novelty)
        initial = list(recommended.configurations)
        if self._meant(learner) is None:
            initial = [to_cash(item.learner, item.configuration) for item in recommended.items]
        notes = recommended.basis.probe_notes
        return WarmStart(surrogate.space, surrogate, features, initial, candidates, cost, recommended.probes, notes)

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

    def _check_probes(self, task: Task | None, learner: str | None, metric: str | None) -> None:
        """Refuse probes that could say nothing."""
        if task is None:
            raise DataError("probes are fits on rows of a task, but there is none.")
        space, name = self._meant(learner), metric_named(metric, self.kind).name
        if self._experience.improvement(space, name) is None or self._experience.cost(space) is None:
            raise DataError("the experience holds no default, or no seconds, to compare probes with.")

    def _check(self, task: Task) -> None:
        """Refuse what is no task, and one of another kind."""
        if not isinstance(task, Task):
            raise DataError(
                f"task must be a Task, such as Task.from_arrays(X, y), but is of type {type(task).__name__}; "
                "metahpo.recommend(X, y, recommender=...) takes the data themselves."
            )
        if task.kind != self.kind:
            raise DataError(f"{self.meta_dataset.name!r} is for {self.kind}, but the task is {task.kind}.")

    def _own_configuration(self, learner: str, given: Mapping[str, Any]) -> Configuration:
        """A configuration of a recorded space from one in its names, or in those of the learner's estimator."""
        if not isinstance(given, Mapping):
            raise DataError(f"configuration must be a mapping of names to values, but is {given!r}.")
        space = self.meta_dataset.space(learner)
        domain = Domain(space)
        domain.check_names(given)
        known = learner_named(learner, self.kind) if learner in learner_names(self.kind) else None
        found = configuration_of(given, space, {} if known is None else known.rules, known)
        # Where there is none, the error says why.
        return domain.canonical({**domain.default, **given}) if found is None else found

    def _missing_libraries(self, learners: Sequence[str]) -> dict[str, str]:
        """The learners whose estimators cannot be made here -> the first library that is missing."""
        known = [learner_named(name, self.kind) for name in learners if name in learner_names(self.kind)]
        missing = {learner.name: missing_libraries(learner) for learner in known}
        return {name: libraries[0] for name, libraries in missing.items() if libraries}

    def _meant(self, learner: str | None) -> str | None:
        """The only learner there is, where none is named."""
        return self.learners[0] if learner is None and len(self.learners) == 1 else learner

    def _space(self, learners: Sequence[str]) -> str | None:
        """Space that is predicted in: of the only learner, or of all together."""
        for name in learners if len(learners) > 1 else ():
            if name in self.learners:
                continue
            if name in learner_names(self.kind):
                raise DataError(
                    f"several learners are compared on the tasks that all of them were measured on, but {name!r} was "
                    f"measured apart from {', '.join(self.learners)}: ask for it alone."
                )
            raise UnknownNameError("learner", name, self.learners)
        return learners[0] if len(learners) == 1 else self._meant(None)

    def _for(
        self, task: Task, request: Request, recorded: Mapping[str, float], space: str | None, metric: str
    ) -> tuple[Experience, Trials | None]:
        """The experience that an answer may use, and the trials on the very task."""
        gone = self._experience.tasks_named(request.exclude)
        if request.known == "exclude":
            gone |= frozenset(recorded)
        own = [one for one in self._observations if one.fingerprint == task.fingerprint]
        others = tuple(one for one in self._observations if one.fingerprint != task.fingerprint)
        known = by_task(own, space, metric) if request.known == "use" else {}
        trials = next((trials_of(found, space) for found in known.values()), None)
        return self._experience.without(gone).observing(others), trials

    @staticmethod
    def _worth(experience: Experience, space: str | None, metric: str, distance: float) -> Worth | None:
        by_novelty = experience.worth(space, metric)
        return None if by_novelty is None or math.isnan(distance) else by_novelty.at(distance)

    def _metric(self, name: str | None, learner: str | None) -> str:
        """The metric that is asked for; where it is a scorer that was not recorded, the nearest that was learnt."""
        if name is not None and name not in METRICS:
            check_scorer(name, self.kind)
            name, _ = nearest_metric(name, self.kind, self.trained_metrics(learner))
        return metric_named(name, self.kind).name


def check_recommender(given: Any) -> None:
    """Refuse what is neither a Recommender nor None.

    Raises
    ------
    DataError
        Such as the name of a folder, which a Recommender is made of.
    """
    if not isinstance(given, Recommender | None):
        raise DataError(
            f"recommender must be a Recommender or None, but is {given!r}; metahpo.Recommender(folder) makes one."
        )


@cache
def _shipped(name: str) -> Recommender:
    try:
        return Recommender(release.shipped_folder(name))
    except UnknownNameError as error:
        raise ArtefactError(f"the meta-dataset {name!r} is missing from this installation: {error}") from error


@own_arithmetic()
def recommend(
    X: Any,
    y: Any,
    learner: str | Sequence[str] | None = None,
    n: int = 5,
    *,
    kind: TaskKind | None = None,
    metric: str | Callable[..., float] | None = None,
    recommender: Recommender | None = None,
    random_state: int = 0,
    estimator: BaseEstimator | None = None,
    max_train_seconds: float | None = None,
    max_predict_seconds: float | None = None,
    max_memory: float | None = None,
    space: ConfigurationSpace | Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    exclude: str | Sequence[str] = (),
    known: Known = "use",
    seconds: float | None = None,
    n_jobs: int = 1,
) -> Recommendations:
    """Recommend hyperparameters for a dataset never seen before; offline and at once.

    Parameters
    ----------
    X : DataFrame, array-like of shape (n_rows, n_features), (n, h, w) or (n, h, w, c), or sequence of str
        A table, images, or texts: see :func:`metahpo.tasks.modality.modality_of`. A frame of nothing but free text is
        texts, any other one a table.
    y : array-like of shape (n_rows,)
    learner : str or sequence of str, default=None
        One that experience was recorded of, ``recommender.learners``, or several of them. What ships knows "linear",
        "svm", "knn", "random_forest", "extra_trees", "boosting", "lightgbm", "xgboost" and "mlp" for tables,
        "convnet" for images, and "text_linear" for texts. None recommends over all of them together; of what ships,
        "mlp" is not among these.
    n : int, default=5
        Number of configurations, complementing each other. One of them is the library default (the last, unless it
        deserves a better place) where `n` is at least 2.
    kind : {"classification", "regression"}, default=None
        None infers it from `y`.
    metric : str or scorer, default=None
        scikit-learn scorer, or its name, to recommend for; None takes balanced accuracy, or R2. Where experience was
        not recorded by it (``roc_auc``, ``f1``, ...), the nearest metric stands for it, and a note says which.
    recommender : Recommender, default=None
        Experience of your own; None takes what ships with the package.
    random_state : int, default=0
        Seed of the meta-features' subsample.
    estimator : estimator, default=None
        An estimator or a pipeline of your own in place of the learner's name. The learner is found in it;
        ``parameters(i)`` has the names of its parameters, and ``estimator(i)`` is a clone of it with these set.
    max_train_seconds, max_predict_seconds : float, default=None
        Most seconds of a fit on one core, and of the prediction of as many rows as were tested at a time when
        experience was recorded. They are compared with what recorded costs let expect.
    max_memory : float, default=None
        Most bytes of a fit, where experience recorded memory. Where no configuration keeps all limits, those that
        exceed them least are recommended, and a note says so.
    space : ConfigurationSpace or mapping, default=None
        What may be chosen: ranges ``(low, high)``, lists of choices or single values, by the name of a hyperparameter.
        What it does not name stays at the default, and so does what experience does not know; a note names that. A name
        that the learner's estimator does not have is refused.
    fixed : mapping of str to value, default=None
        Hyperparameters that have one value; the others are chosen freely.
    exclude : str or sequence of str, default=()
        Recorded tasks, or families of them, that the answer is to do without.
    known : {"use", "exclude"}, default="use"
        Whether records of this very dataset are used. It is recognised by its rows, also shuffled or in part.
    seconds : float, default=None
        Budget of probes: fits on few rows of the table, which tell what the experience cannot know. The answer then
        takes about so long, or less where no further probe would change it. None: nothing is trained.
    n_jobs : int, default=1
        Processes that probes run in; -1: one a core.

    Returns
    -------
    Recommendations

    Raises
    ------
    DataError
        Data that make no task, or an argument of another type or range.
    UnknownNameError
        An unknown learner, metric, or name in `exclude`; the message lists those that exist.
    SpaceError
        A `space` or `fixed` that allows nothing, names no parameter of the learner, or has a value that its estimator
        refuses.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> import metahpo
    >>> rec = metahpo.recommend(*load_breast_cancer(return_X_y=True), learner="svm", n=3)
    >>> sorted(rec.best)[:2]
    ['C', 'class_weight']
    """
    check_recommender(recommender)
    request = Request.of(
        learner,
        n,
        metric,
        random_state,
        estimator=estimator,
        max_train_seconds=max_train_seconds,
        max_predict_seconds=max_predict_seconds,
        max_memory=max_memory,
        space=space,
        fixed=fixed,
        exclude=exclude,
        known=known,
        seconds=seconds,
        n_jobs=n_jobs,
    )
    task = as_task(X, y, kind=kind or request.kind, name="your dataset")
    request = request.for_kind(task.kind)
    only = request.learners[0] if len(request.learners) == 1 else None
    answering = recommender or Recommender.shipped(task.kind, task.modality, only)
    return answering.answer(task, request)
