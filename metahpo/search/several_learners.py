"""A search over several learners at once: the estimator has an empty place, and a configuration says what fills it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ConfigSpace import ConfigurationSpace, ForbiddenInClause
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from metahpo.exceptions import DataError, MetaHPOError
from metahpo.learners.extras import check_installed, missing_libraries
from metahpo.learners.learner import Learner
from metahpo.learners.registry import learner_named
from metahpo.recommendation.recommender import Recommender
from metahpo.recommendation.warm_start import WarmStart
from metahpo.search.search_start import Probing, Start
from metahpo.space.activity import default_configuration
from metahpo.space.cash import cash_space, from_cash, to_cash
from metahpo.space.configuration import Configuration
from metahpo.space.stored import read_space
from metahpo.space.values import choices_of
from metahpo.tasks.modality import as_task
from metahpo.tasks.scorers import nearest_metric
from metahpo.tasks.target import as_target
from metahpo.tasks.task import Task, TaskKind

#: The step that is filled, where there is no pipeline of the user's.
STEP = "learner"


@dataclass(frozen=True)
class SeveralLearners:
    """Learners, one of which a configuration selects, and the place that it fills.

    Attributes
    ----------
    learners : dict of str to Learner
    step : str
        Name of the pipeline's step that is filled.
    task : Task or None
        The data, where the learners prepare the columns themselves; None where a pipeline of the user's does.
    random_state : int or None
    """

    learners: Mapping[str, Learner]
    step: str
    task: Task | None
    random_state: int | None

    @property
    def space(self) -> ConfigurationSpace:
        """The space of all of them together."""
        return cash_space({name: learner.space for name, learner in self.learners.items()})

    @property
    def kind(self) -> TaskKind:
        """Kind of task."""
        return next(iter(self.learners.values())).kind

    @property
    def defaults(self) -> list[Configuration]:
        """Each learner with the library's own values."""
        return [to_cash(name, default_configuration(learner.space)) for name, learner in self.learners.items()]

    def parameters(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration as the parameter of the pipeline that is filled."""
        name, own = from_cash(configuration)
        learner = self.learners[name]
        if self.task is None:
            return {self.step: learner.estimator(own, self.random_state)}
        return {self.step: learner.pipeline(own, self.task, self.random_state)}

    def whole(self, estimator: BaseEstimator | None) -> BaseEstimator:
        """The pipeline, with the first learner in the empty place."""
        whole = Pipeline([(self.step, "passthrough")]) if estimator is None else clone(estimator)
        return whole.set_params(**self.parameters(self.defaults[0]))

    def start(
        self,
        task_of: tuple[Any, Any],
        scorer: str | None,
        recommender: Recommender | None,
        probing: Probing | None = None,
    ) -> Start:
        """Find the experience with these learners together; nothing is raised.

        Parameters
        ----------
        task_of : tuple
            The data.
        scorer : str or None
            Name of what is scored; None where that is a function of the user's.
        recommender : Recommender or None
            None takes what ships.
        probing : Probing, default=None
            None: nothing is trained.
        """
        try:
            known = recommender or Recommender.shipped(self.kind)
            lacking = sorted(self.learners.keys() - set(known.learners))
            if lacking or len(known.learners) < 2:
                return Start(None, f"no experience was recorded of {', '.join(lacking) or 'several learners'}")
            metric, same = nearest_metric(scorer, self.kind, known.trained_metrics(None))
            task = self.task or as_task(*task_of, kind=self.kind)
            # One learner alone would be predicted in its own space.
            among = tuple(self.learners) if len(self.learners) > 1 else ()
            options = {} if probing is None else probing.options
            return Start(self._part(known.warm_start(task, None, metric, among=among, **options)), "", metric, same)
        except MetaHPOError as error:
            return Start(None, str(error))
        except Exception as error:  # noqa: BLE001 - the estimator decides which data are fine
            return Start(None, f"{type(error).__name__}: {error}")

    def _part(self, warm: WarmStart) -> WarmStart:
        """The part of the experience that is with these learners."""
        recorded, _ = choices_of(warm.space["learner"])
        others = [name for name in recorded if name not in self.learners]
        if not others:
            return warm
        record = warm.space.to_serialized_dict()
        for hyperparameter in record["hyperparameters"]:
            if hyperparameter["name"] == "learner":
                hyperparameter["default_value"] = next(iter(self.learners))
        space = read_space(record)
        space.add(ForbiddenInClause(space["learner"], others))
        initial, candidates = (
            [c for c in configurations if c["learner"] in self.learners]
            for configurations in (warm.initial, warm.candidates)
        )
        first = initial or [default_configuration(space)]
        return replace(warm, space=space, initial=first, candidates=candidates)


def several_learners(
    estimator: BaseEstimator | None,
    names: Sequence[str] | None,
    data: tuple[Any, Any],
    kind: TaskKind | None,
    random_state: int | None,
) -> SeveralLearners:
    """Several learners for the empty place of an estimator.

    Parameters
    ----------
    estimator : Pipeline or None
        A pipeline whose last step is None or "passthrough". None: the learners prepare the columns of a table.
    names : sequence of str or None
        None: those that ship with experience.
    data : tuple
        X and y.
    kind : {"classification", "regression"} or None

    Raises
    ------
    UnknownNameError
        No such learner.
    DataError
        No learner is named, one is named twice, the estimator has no empty place, or `y` is no target of a task.
    MissingDependencyError
        The library of a learner is not installed.
    """
    if kind is None:
        as_target(data[1])  # says what is wrong with it
        raise DataError("a search over several learners needs a target y: classes, or numbers.")
    if names is None:
        recorded = Recommender.shipped(kind).learners
        names = [name for name in recorded if not missing_libraries(learner_named(name, kind))]
    if not names or len(set(names)) < len(names):
        raise DataError(f"space must name each learner once, and at least one, but is {list(names)}.")
    learners = {name: learner_named(name, kind) for name in names}
    check_installed(learners.values())
    if estimator is None:
        return SeveralLearners(learners, STEP, as_task(*data, kind=kind), random_state)
    if not isinstance(estimator, Pipeline) or estimator.steps[-1][1] not in (None, "passthrough"):
        raise DataError(
            "a search over several learners needs an estimator with an empty place: a Pipeline whose last step is "
            f"'passthrough', or None for learners that prepare the columns themselves; but it is {estimator!r}."
        )
    return SeveralLearners(learners, estimator.steps[-1][0], None, random_state)
