"""scikit-learn's search estimator, warm-started by experience."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

from metahpo.exceptions import DataError
from metahpo.learners.registry import learner_named
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.recommendation.recommender import Recommender
from metahpo.space.configuration import Configuration
from metahpo.tasks.metric import METRICS
from metahpo.tasks.modality import as_task
from metahpo.tasks.task import TaskKind


def _prefix_of_learner(estimator: BaseEstimator) -> str:
    """What `set_params` needs before the learner's own parameter names, through pipelines and target transformers."""
    if isinstance(estimator, Pipeline):
        return f"{estimator.steps[-1][0]}__{_prefix_of_learner(estimator.steps[-1][1])}"
    if isinstance(estimator, TransformedTargetRegressor):
        return f"regressor__{_prefix_of_learner(estimator.regressor)}"
    return ""


def _parameters(learner: str, kind: TaskKind, prefix: str, configuration: Configuration) -> dict[str, Any]:
    """A configuration of a learner, which is named, as parameters of the estimator that is searched."""
    parameters = learner_named(learner, kind).parameters(configuration)
    return {f"{prefix}{name}": value for name, value in parameters.items()}


class MetaSearchCV(BaseSearchCV):  # type: ignore[misc]  # scikit-learn has no types
    """Cross-validated Bayesian optimisation of an estimator or pipeline that starts from experience.

    Parameters
    ----------
    estimator : estimator
        A learner's estimator (``SVC()``), or a pipeline whose last step is one.
    space : str or ConfigurationSpace
        Name of a learner ("linear", "svm", "random_forest", "boosting"): its search space is used, and the search is
        warm-started by the surrogate that ships for it. Or a space of your own, whose hyperparameters are named as
        `estimator` names its parameters (``step__parameter``): then the search starts cold.
    n_trials : int, default=30
        Configurations to try.
    cv, scoring, n_jobs, refit, verbose, pre_dispatch, error_score, return_train_score
        As in :class:`sklearn.model_selection.GridSearchCV`; `scoring` is a single scorer. `n_jobs` runs the folds of a
        trial side by side, because every trial waits for the one before.
    warm_start : bool, default=True
        False ignores experience, for comparison.
    per_second : bool, default=False
        Choose trials by their expected improvement per second, not per trial: where time is short and configurations
        differ in what they take. The search then depends on the clock, and cannot be repeated exactly.
    recommender : Recommender, default=None
        Where experience comes from; None takes the one that ships for the kind of task.
    random_state : int, default=None
        Seed of the search (not of the estimator).

    Attributes
    ----------
    best_estimator_, best_params_, best_score_, best_index_, cv_results_, scorer_, n_splits_, refit_time_
        As in GridSearchCV; ``cv_results_`` lists the trials in the order in which they were made.
    optimizer_ : BayesianOptimizer
        History and incumbent in the space's own names.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> from metahpo import MetaSearchCV
    >>> X, y = load_wine(return_X_y=True)
    >>> search = MetaSearchCV(make_pipeline(StandardScaler(), SVC()), "svm", n_trials=5, cv=3).fit(X, y)
    >>> search.best_score_ > 0.9
    True
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        space: str | ConfigurationSpace,
        *,
        n_trials: int = 30,
        scoring: str | Callable[..., float] | None = None,
        n_jobs: int | None = None,
        refit: bool = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: float | str = np.nan,
        return_train_score: bool = False,
        warm_start: bool = True,
        per_second: bool = False,
        recommender: Recommender | None = None,
        random_state: int | None = None,
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.space = space
        self.n_trials = n_trials
        self.warm_start = warm_start
        self.per_second = per_second
        self.recommender = recommender
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **params: Any) -> MetaSearchCV:
        """Search, then refit the best configuration on all of the data.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
        **params
            Passed to the estimator's ``fit`` and the splitter, as in GridSearchCV.

        Raises
        ------
        DataError
            `n_trials` below 1, or no `y`.
        UnknownNameError
            `space` names no learner.
        """
        if y is None:
            raise DataError("MetaSearchCV needs a target y; it searches for supervised learners.")
        if self.n_trials < 1:
            raise DataError(f"n_trials must be at least 1, but is {self.n_trials}.")
        kind: TaskKind = "classification" if is_classifier(self.estimator) else "regression"
        self.optimizer_, self._to_parameters = self._start(X, y, kind)
        super().fit(X, y, **params)
        return self

    def _start(
        self, X: Any, y: Any, kind: TaskKind
    ) -> tuple[BayesianOptimizer, Callable[[Configuration], dict[str, Any]]]:
        if not isinstance(self.space, str):
            return self._cold(self.space), dict
        learner = learner_named(self.space, kind)
        to_parameters = partial(_parameters, self.space, kind, _prefix_of_learner(self.estimator))
        if not self.warm_start:
            return self._cold(learner.space), to_parameters
        task = as_task(X, y, kind=kind)
        recommender = self.recommender or Recommender.shipped(kind, task.modality, self.space)
        metric = self.scoring if isinstance(self.scoring, str) and self.scoring in METRICS else None
        warm = recommender.warm_start(task, self.space, metric)
        return warm.optimizer(self.random_state, per_second=self.per_second), to_parameters

    def _cold(self, space: ConfigurationSpace) -> BayesianOptimizer:
        return BayesianOptimizer(space, random_state=self.random_state, per_second=self.per_second)

    def _run_search(self, evaluate_candidates: Callable[[list[dict[str, Any]]], Mapping[str, Any]]) -> None:
        """Template method of scikit-learn: one candidate after the other, each chosen by what came before."""
        for _ in range(self.n_trials):
            configuration = self.optimizer_.ask()
            started = time.perf_counter()
            try:
                results = evaluate_candidates([self._to_parameters(configuration)])
            except ValueError as error:
                # scikit-learn gives up where a candidate fails on every fold; here it is one failed trial of many.
                if self.error_score == "raise" or "fits failed" not in str(error):
                    raise
                warnings.warn(f"a trial failed on every fold and is not in cv_results_: {configuration}", stacklevel=2)
                self.optimizer_.tell(configuration, np.nan, seconds=time.perf_counter() - started)
            else:
                score = float(results["mean_test_score"][-1])  # a scorer's: higher is better
                self.optimizer_.tell(configuration, -score, seconds=time.perf_counter() - started)
