"""A learner: a scikit-learn estimator, its search space, and the preprocessing of columns for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from metahpo.exceptions import DataError
from metahpo.learners.row_counts import RowCounts
from metahpo.networks.training_record import Training
from metahpo.tasks.columns import TableReading
from metahpo.tasks.pipeline import ReadColumns, TaskPipeline
from metahpo.tasks.preprocessing import Encoding, preprocessing
from metahpo.tasks.task import Task, TaskKind

#: Value of a rule hyperparameter that says: take the number.
BY_VALUE = "value"


class FitTogether(Protocol):
    """Fits several unfitted estimators, at once or one after the other.

    ``watched`` are rows and targets whose loss is recorded after each epoch; nothing is learnt from them.
    ``memory_bytes`` is the memory for training, None for half of the free memory.
    """

    def __call__(
        self,
        estimators: Sequence[Any],
        X: Any,
        y: NDArray[Any],
        *,
        watched: tuple[Any, NDArray[Any]] | None,
        memory_bytes: int | None,
    ) -> list[Training]:
        """In the order of `estimators`."""
        ...


@dataclass(frozen=True)
class Steps:
    """What a pipeline of a user's has in common with a learner whose estimator does the same in one.

    Attributes
    ----------
    names : dict of str to str
        Parameter of the pipeline -> hyperparameter of the learner.
    held : dict of str to value
        Hyperparameters that the other parameters of the pipeline fix at one value.
    """

    names: Mapping[str, str]
    held: Mapping[str, Any]


# Defaults of a learner are named functions, so that learners can be pickled.


def _as_they_are(configuration: Mapping[str, Any]) -> Mapping[str, Any]:
    return configuration


def _nothing_fixed(task: Task) -> dict[str, Any]:
    return {}


def _all_can_be_fitted(parameters: Mapping[str, Any], counts: RowCounts) -> dict[str, Any]:
    return {}


def _ready_at_once() -> None:
    pass


def _holds_nothing(estimator: BaseEstimator) -> Mapping[str, Any] | None:
    return None


def _has_no_steps(estimator: BaseEstimator) -> Steps | None:
    return None


def _ignores_nothing(estimator: BaseEstimator) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Learner:
    """One learner for one kind of task.

    Attributes
    ----------
    name : str
    kind : {"classification", "regression"}
    space : ConfigurationSpace
        Its default configuration is the library's own.
    estimator_class : callable
        scikit-learn estimator, or a function of its parameters that imports its library and makes one.
    encoding : {"scaled", "ordinal", "text"}
        How the columns are prepared: see :func:`metahpo.tasks.preprocessing.preprocessing`.
    rules : dict of str to str
        Rule hyperparameter -> the parameter that it chooses a value of. A parameter that is a word or a number
        (``gamma="scale"`` or ``gamma=0.1``) has two hyperparameters: the rule, and the number, which is active if the
        rule is "value".
    translate : callable
        Configuration -> the same in the names of the estimator's parameters, before the rules.
    fixed : callable
        Task -> parameters that are not tuned: limits, and parameters that follow from the data.
    adapted : callable
        (Parameters, numbers of rows) -> the parameters that must change, and their values, because so few rows cannot
        be fitted otherwise. The parameters must suit half of the rows, so that a cross-validation works too.
    scale_target : bool
        Standardise a regression target, so that C, epsilon and alpha mean the same on every task.
    fit_together : FitTogether or None
        Fits several unfitted estimators and returns records of their training. None: they are fitted one by one.
    get_ready : callable
        Loads and compiles what the first fit of a process would have to load and compile.
    batched : bool
        Whether it fits them as one batch, which is faster than one after the other.
    fidelity : str or None
        Hyperparameter that is the budget of a training. None: there is none, and every trial has the full budget.
    libraries : tuple of str
        Packages whose versions change its results, beside scikit-learn, NumPy and SciPy. One that this package does
        not need comes with an extra, which has the same name in most cases.
    held_by : callable
        Estimator of the user -> hyperparameters that it fixes at one value. The rest of the space can be searched.
        None: an estimator of another class than `estimator_class` is not the learner's.
    steps_of : callable
        Estimator of the user -> what it has in common with the learner's, where it is a pipeline that does the same in
        several steps: then the experience serves a space of the user's for it. None: it is not.
    ignored_by : callable
        Estimator of the user -> hyperparameters that it ignores, and the values that it then counts as having. They
        are not searched.
    by_own_names : callable
        Parameters of the estimator, as code of users gives them -> the same by the parameters that the space sets.
        Several ways to say the same thing become one.
    other_names : dict of str to str
        Other name of a parameter -> the parameter. Where an estimator has values by both names, the library takes that
        of the other name. So an estimator with a value by another name is given its values by that name.
    held_on_sparse : dict of str to value
        Hyperparameters that a search fixes at one value on sparse rows, because other values would take as long as
        on dense rows.
    """

    name: str
    kind: TaskKind
    space: ConfigurationSpace
    estimator_class: Callable[..., BaseEstimator]
    encoding: Encoding
    rules: Mapping[str, str] = field(default_factory=dict)
    translate: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _as_they_are
    fixed: Callable[[Task], dict[str, Any]] = _nothing_fixed
    adapted: Callable[[Mapping[str, Any], RowCounts], dict[str, Any]] = _all_can_be_fitted
    scale_target: bool = False
    fit_together: FitTogether | None = None
    get_ready: Callable[[], None] = _ready_at_once
    batched: bool = False
    fidelity: str | None = None
    libraries: tuple[str, ...] = ()
    held_by: Callable[[BaseEstimator], Mapping[str, Any] | None] = _holds_nothing
    steps_of: Callable[[BaseEstimator], Steps | None] = _has_no_steps
    ignored_by: Callable[[BaseEstimator], Mapping[str, Any]] = _ignores_nothing
    by_own_names: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _as_they_are
    other_names: Mapping[str, str] = field(default_factory=dict)
    held_on_sparse: Mapping[str, Any] = field(default_factory=dict)

    def parameters(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration as estimator parameters: ``estimator.set_params(**learner.parameters(configuration))``."""
        translated = self.translate(configuration)
        parameters = {k: v for k, v in translated.items() if k not in self.rules}
        for rule, parameter in self.rules.items():
            if translated.get(rule, BY_VALUE) != BY_VALUE:
                parameters[parameter] = translated[rule]
        return parameters

    def estimator(self, configuration: Mapping[str, Any], random_state: int | None = None) -> BaseEstimator:
        """Bare, unfitted estimator with the parameters of a configuration."""
        estimator = self.estimator_class(**self.parameters(configuration))
        if "random_state" in estimator.get_params():
            estimator.set_params(random_state=random_state)
        return estimator

    def on_prepared_columns(
        self,
        configuration: Mapping[str, Any],
        task: Task,
        random_state: int | None = None,
        y: NDArray[Any] | None = None,
    ) -> BaseEstimator:
        """Unfitted estimator that takes what ``preprocessing(task, encoding)`` gives; see :meth:`pipeline`.

        `y` are the targets of the rows that it will be fitted on; None: those of the task.
        """
        estimator = self.estimator(configuration, random_state).set_params(**self.fixed(task))
        counts = RowCounts.of(task.y if y is None else y, self.kind)
        estimator.set_params(**self.adapted(estimator.get_params(deep=False), counts))
        if self.scale_target:
            return TransformedTargetRegressor(estimator, transformer=StandardScaler())
        return estimator

    def at_fidelity(self, configuration: Mapping[str, Any], fidelity: float) -> dict[str, Any]:
        """A configuration with that share, in (0, 1], of its own budget, and at least 1; schedules shrink with it.

        Raises
        ------
        DataError
            A share of the budget of a learner that has none.
        """
        if fidelity == 1.0:
            return dict(configuration)
        if self.fidelity is None or not 0.0 < fidelity < 1.0:
            raise DataError(f"fidelity must be 1 for {self.name!r}, or lie in (0, 1] for networks, but is {fidelity}.")
        default = self.space[self.fidelity].default_value
        budget = configuration.get(self.fidelity, default)
        return {**configuration, self.fidelity: max(1, round(fidelity * budget))}

    def fitted(
        self,
        configurations: Sequence[Mapping[str, Any]],
        task: Task,
        X: Any,
        y: NDArray[Any],
        random_state: int | None = None,
        *,
        watched: tuple[Any, NDArray[Any]] | None = None,
        memory_bytes: int | None = None,
    ) -> tuple[list[BaseEstimator], list[Training]]:
        """Estimators of several configurations, fitted on rows of prepared columns: at once where the learner can.

        Parameters
        ----------
        configurations : sequence of mapping
        task : Task
            The task that the rows are of.
        X : array of shape (n_rows, n_columns)
            What ``preprocessing(task, encoding)`` gives.
        y : ndarray of shape (n_rows,)
        random_state : int or None
            Seed of each estimator.
        watched, memory_bytes
            See :class:`FitTogether`; learners that fit one by one have no use for them.
        """
        estimators = [self.on_prepared_columns(c, task, random_state, y) for c in configurations]
        if self.fit_together is not None:
            return estimators, self.fit_together(estimators, X, y, watched=watched, memory_bytes=memory_bytes)
        trainings = []
        for estimator in estimators:
            start = time.perf_counter()
            estimator.fit(X, y)
            trainings.append(Training(time.perf_counter() - start))
        return estimators, trainings

    def pipeline(self, configuration: Mapping[str, Any], task: Task, random_state: int | None = None) -> Pipeline:
        """Unfitted pipeline that takes the dataset that `task` was made of, or its rows as the task has them.

        Its steps are "columns" (the columns as the task reads them), "preprocessing" and "learner".

        Parameters
        ----------
        configuration : mapping
            A configuration of `space`.
        task : Task
            Says how the columns are read; nothing else is learnt from its rows.
        random_state : int or None
            Seed of the learner.
        """
        learner = self.on_prepared_columns(configuration, task, random_state)
        columns = ReadColumns(task.reading or TableReading.of_prepared(task.X))
        return TaskPipeline(
            [("columns", columns), ("preprocessing", preprocessing(task, self.encoding)), ("learner", learner)]
        )
