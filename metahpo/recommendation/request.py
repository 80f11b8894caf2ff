"""The request to a recommender. It is checked before anything is read or computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, Literal, TypedDict

from ConfigSpace import ConfigurationSpace
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, is_classifier, is_regressor

from metahpo.exceptions import DataError
from metahpo.learners.place import Place, learner_in
from metahpo.numerics.seed import check_seed
from metahpo.processes import check_n_jobs
from metahpo.recommendation.cost_limits import Limits
from metahpo.recommendation.region import Region
from metahpo.tasks.scorers import check_scorer, name_of
from metahpo.tasks.task import TaskKind

#: What to do with records of the very dataset that is asked about.
Known = Literal["use", "exclude"]


class Asked(TypedDict, total=False):
    """What may be asked for beside the learner, the number and the metric: see :func:`metahpo.recommend`."""

    estimator: BaseEstimator | None
    max_train_seconds: float | None
    max_predict_seconds: float | None
    max_memory: float | None
    space: ConfigurationSpace | Mapping[str, Any] | None
    fixed: Mapping[str, Any] | None
    exclude: str | Sequence[str]
    known: Known
    seconds: float | None
    n_jobs: int


@dataclass(frozen=True)
class Request:
    """What is asked for; :meth:`of` reads it from what a user gives.

    Attributes
    ----------
    learners : tuple of str
        Empty: all learners together.
    n : int
        Number of configurations.
    metric : str or None
        scikit-learn scorer name; None: the default of the kind of task.
    random_state : int
        Seed of the meta-features' subsample.
    limits : Limits
        Of the costs of a configuration.
    region : Region
        The configurations that are allowed.
    exclude : tuple of str
        Tasks or families whose records are not to be used.
    known : {"use", "exclude"}
        Whether records of the very dataset are used.
    estimator : estimator or None
        The user's own, which recommendations are for.
    place : Place or None
        Where the learner lies in it; None until the kind of task is known.
    seconds : float or None
        Budget of probes; None: none are made.
    n_jobs : int
        Processes that probes run in.
    unnamed_metric : bool
        Whether a metric was asked for that no name is known of.
    """

    learners: tuple[str, ...] = ()
    n: int = 5
    metric: str | None = None
    random_state: int = 0
    limits: Limits = field(default_factory=Limits)
    region: Region = field(default_factory=Region)
    exclude: tuple[str, ...] = ()
    known: Known = "use"
    estimator: BaseEstimator | None = None
    place: Place | None = None
    unnamed_metric: bool = False
    seconds: float | None = None
    n_jobs: int = 1

    @classmethod
    def of(
        cls,
        learner: str | Sequence[str] | None = None,
        n: int = 5,
        metric: str | Callable[..., float] | None = None,
        random_state: int = 0,
        *,
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
    ) -> Request:
        """Check what can be checked without data: see :func:`metahpo.recommend` for the parameters.

        Raises
        ------
        DataError
            A value of another type or range than documented.
        UnknownNameError
            A metric that does not exist.
        SpaceError
            A `space` or `fixed` that allows nothing.
        """
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise DataError(f"n must be a whole number, but is {n!r}.")
        if n < 1:
            raise DataError(f"n must be at least 1, but is {n}.")
        check_seed(random_state)
        if hasattr(learner, "get_params"):
            raise DataError(f"learner must be a name or names; an estimator is given as estimator={learner!r}.")
        learners = _names("learner", learner)
        if learner is not None and not learners:
            raise DataError(f"learner must hold a name, or be left out for all learners, but is {learner!r}.")
        if estimator is not None and len(learners) > 1:
            raise DataError(f"an estimator has one learner, but {len(learners)} were named: {list(learners)}.")
        if estimator is not None and (isinstance(estimator, type) or not hasattr(estimator, "get_params")):
            raise DataError(f"estimator must be an unfitted estimator or pipeline, but is {estimator!r}.")
        if known not in ("use", "exclude"):
            raise DataError(f"known must be 'use' or 'exclude', but is {known!r}.")
        budget: Any = seconds
        if seconds is not None and (isinstance(budget, bool) or not isinstance(budget, Real) or not float(budget) > 0):
            raise DataError(f"seconds must be a positive number, or None for no probes, but is {seconds!r}.")
        check_n_jobs(n_jobs)
        named, unnamed = metric if isinstance(metric, str) else None, False
        if metric is not None and not isinstance(metric, str):
            if not callable(metric):
                raise DataError(f"metric must be the name of a scorer or a scorer, but is {metric!r}.")
            named = name_of(metric)
            unnamed = named is None
        check_scorer(named)
        limits = {
            "max_train_seconds": max_train_seconds,
            "max_predict_seconds": max_predict_seconds,
            "max_memory": max_memory,
        }
        return cls(
            learners,
            int(n),
            named,
            random_state,
            Limits(**{name: limit for name, limit in limits.items() if limit is not None}),
            Region.of(space, fixed),
            _names("exclude", exclude),
            known,
            estimator,
            None,
            unnamed,
            None if seconds is None else float(seconds),
            effective_n_jobs(n_jobs),
        )

    @property
    def kind(self) -> TaskKind | None:
        """Kind of task that the estimator is for; None where that is not known."""
        if self.estimator is None or is_classifier(self.estimator) == is_regressor(self.estimator):
            return None
        return "classification" if is_classifier(self.estimator) else "regression"

    def for_kind(self, kind: TaskKind) -> Request:
        """The same request of a task of that kind: the learner of the estimator is found.

        Raises
        ------
        DataError
            The estimator is for the other kind of task, or holds no learner that is known.
        """
        if self.estimator is None or self.place is not None:
            return self
        if self.kind not in (None, kind):
            raise DataError(
                f"the estimator is for {self.kind}, but the task is {kind}: give another estimator or kind."
            )
        place = learner_in(self.estimator, next(iter(self.learners), None), kind)
        region = self.region.without_prefix(place.prefix).holding(place.held)
        return replace(self, learners=(place.learner.name,), place=place, region=region)


def _names(what: str, given: str | Sequence[str] | None) -> tuple[str, ...]:
    if given is not None and not isinstance(given, str | Iterable):
        raise DataError(f"{what} must be a name or names, but is {given!r}.")
    names = (given,) if isinstance(given, str) else tuple(given or ())
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise DataError(f"{what} must be a name or names, but holds {wrong[0]!r}.")
    return tuple(dict.fromkeys(names))
