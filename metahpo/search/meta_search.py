"""scikit-learn's search estimator, warm-started by experience."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from joblib import parallel_config
from sklearn.base import BaseEstimator
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import check_cv, cross_validate
from sklearn.model_selection._search import BaseSearchCV

from metahpo.exceptions import DataError, SpaceError, WarmStartWarning
from metahpo.learners.place import Place, learner_in, without
from metahpo.learners.row_counts import RowCounts
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.recommendation.recommender import Recommender
from metahpo.search.limits import StoppableWorkers
from metahpo.search.search_state import FoldResult, SearchState
from metahpo.search.start import kind_of, sparse, start
from metahpo.tasks.scorers import OWN_SCORE, name_of
from metahpo.trials.history import TrialHistory

Scoring = str | Callable[..., Any] | list[str] | tuple[str, ...] | dict[str, Callable[..., Any] | str] | None


class MetaSearchCV(BaseSearchCV):  # type: ignore[misc]  # scikit-learn has no types
    """Cross-validated Bayesian optimisation of an estimator or pipeline that starts from experience.

    Parameters
    ----------
    estimator : estimator
        A learner's estimator (``SVC()``), a pipeline that ends with one, or a wrapper around either, such as
        ``OneVsRestClassifier(SVC())``. Hyperparameters of the space that the search does not set in a trial have the
        library's defaults. Of "linear", ``Ridge``, ``Lasso`` and ``ElasticNet`` are searched in their part of the
        space. A pipeline that ends with None, or a ``TransformedTargetRegressor()``, takes the learner's estimator.
    space : str or ConfigurationSpace, default=None
        Name of a learner: "linear", "svm", "knn", "random_forest", "extra_trees", "boosting", "lightgbm", "xgboost",
        "mlp", and of images or texts "convnet", "text_linear", "text". Its search space is used, and the search is
        warm-started by the surrogate that ships for it. None: the learner that `estimator` is, or holds. Or a space of
        your own, whose hyperparameters are named as `estimator` names its parameters (``step__parameter``): then the
        search starts cold.
    n_trials : int, default=30
        Configurations to try. Fewer are tried where the space has no more, or the time is over.
    scoring, refit
        As in :class:`sklearn.model_selection.GridSearchCV`. Of several metrics, the search optimises the one that
        `refit` names, or the first where `refit` is a callable or False. The experience is of the metric that is
        optimised; where none was recorded, of the one that ranks models most alike, and a warning says which.
    cv, n_jobs, verbose, pre_dispatch, error_score, return_train_score
        As in :class:`sklearn.model_selection.GridSearchCV`. The folds are drawn once, and are the same for all trials.
        `n_jobs` runs the folds of a trial side by side, because every trial waits for the one before.
    warm_start : bool, default=True
        False ignores experience, for comparison.
    per_second : bool, default=False
        Choose trials by their expected improvement per second, not per trial: where time is short and configurations
        differ in what they take. The search then depends on the clock, and cannot be repeated exactly.
    recommender : Recommender, default=None
        Where experience comes from; None takes the one that ships for the kind of task.
    random_state : int, default=None
        Seed of the search, and of a learner's estimator that has none of its own: some configurations draw numbers.
    timeout : float, default=None
        Seconds after which no other trial begins; the refit comes on top. A trial that is running is finished, unless
        `trial_timeout` is given as well: then it is stopped, and counts as not made.
    trial_timeout : float, default=None
        Seconds that a trial, with all of its folds, may take. One that takes longer is stopped and counts as failed.
        The folds then run in processes of their own, with one job as well.
    callback : callable, default=None
        Called after each trial with the :class:`metahpo.trials.history.TrialHistory`, whose losses are the scores
        times -1; the search ends when it returns True.

    Attributes
    ----------
    best_estimator_, best_params_, best_score_, best_index_, cv_results_, scorer_, n_splits_, refit_time_, multimetric_
        As in GridSearchCV. ``cv_results_`` has one row a trial, in the order in which they were made. A trial that
        failed has `error_score` for its scores.
    optimizer_ : BayesianOptimizer
        History and incumbent in the space's own names.
    notes_ : tuple of str
        What the user should know of the start: what the experience is of, and what is missing.

    Notes
    -----
    However ``fit`` ends, by Ctrl-C or by an error, ``cv_results_``, ``best_params_``, ``best_score_`` and
    ``optimizer_`` hold the trials that were finished, if there are any; only the refit is missing then.

    Where the warm start cannot be had, because the data are of another sort than the experience, for example, a
    :class:`metahpo.exceptions.WarmStartWarning` says why, and the search goes on without.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> from metahpo import MetaSearchCV
    >>> X, y = load_wine(return_X_y=True)
    >>> search = MetaSearchCV(make_pipeline(StandardScaler(), SVC()), "svm", n_trials=5, cv=3).fit(X, y)
    >>> bool(search.best_score_ > 0.9)
    True
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        space: str | ConfigurationSpace | None = None,
        *,
        n_trials: int = 30,
        scoring: Scoring = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[[Mapping[str, Any]], int] = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: float | str = np.nan,
        return_train_score: bool = False,
        warm_start: bool = True,
        per_second: bool = False,
        recommender: Recommender | None = None,
        random_state: int | None = None,
        timeout: float | None = None,
        trial_timeout: float | None = None,
        callback: Callable[[TrialHistory], bool | None] | None = None,
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
        self.timeout = timeout
        self.trial_timeout = trial_timeout
        self.callback = callback

    def fit(self, X: Any, y: Any = None, **params: Any) -> MetaSearchCV:
        """Search, then refit the best configuration on all of the data.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_rows, n_features), or whatever the estimator takes
        y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
            None only with a space of your own, for an estimator that needs no target.
        **params
            Passed to the estimator's ``fit``, the scorer and the splitter, as in GridSearchCV.

        Raises
        ------
        DataError
            A parameter that is out of range, an estimator that does not hold the learner, or a learner without `y`.
            Or every trial failed: the message holds the estimator's own.
        UnknownNameError
            `space` names no learner.
        ValueError
            A parameter that GridSearchCV refuses too.
        """
        began = time.monotonic()
        self._forget()
        given = vars(self)["estimator"]
        try:
            self._search(X, y, params, began)
        finally:
            self.estimator = given
        return self

    def _search(self, X: Any, y: Any, params: Mapping[str, Any], began: float) -> None:
        place = self._checked(y)
        self.notes_: tuple[str, ...] = ()
        if place is not None:
            place = self._held_on_sparse(place, X)
        optimizer, parameters = self._start(X, y, place)
        deadline = np.inf if self.timeout is None else began + self.timeout
        workers = None if self.trial_timeout is None else StoppableWorkers()
        self._search_state = SearchState(optimizer, parameters, deadline, workers)
        try:
            with parallel_config(backend=workers) if workers else contextlib.nullcontext():
                super().fit(X, y, **params)
        except BaseException:
            self._keep(self._search_state)
            raise
        finally:
            self.optimizer_ = optimizer
            del self._search_state
            self.__dict__.pop("_checked_cv_orig", None)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # While it runs, scikit-learn sends the search to a worker with every fold, and nothing there reads it. As None
        # it is small, however much experience it holds, and the worker need not import the libraries of the search.
        return (type(None), ()) if "_search_state" in vars(self) else super().__reduce_ex__(protocol)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "best_estimator_") if self.refit else hasattr(self, "cv_results_")

    def _forget(self) -> None:
        """Drop what an earlier fit has left, so that nothing of it stays where this one does not get as far."""
        for name in [n for n in vars(self) if n.endswith("_") and not n.startswith("_")]:
            delattr(self, name)

    def _checked(self, y: Any) -> Place | None:
        """Refuse at once what cannot work; the learner's place in the estimator, None with a space of one's own."""
        n_trials: Any = self.n_trials
        if not isinstance(n_trials, Integral) or n_trials < 1:
            raise DataError(f"n_trials must be at least 1, a whole number, but is {n_trials!r}.")
        for name in ("timeout", "trial_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not (isinstance(seconds, Real) and float(seconds) > 0.0):
                raise DataError(f"{name} must be a positive number of seconds, or None, but is {seconds!r}.")
        place = None
        if not isinstance(self.space, ConfigurationSpace):
            if not isinstance(self.space, str | None):
                raise DataError(
                    f"space must be the name of a learner, a ConfigurationSpace or None, but is {self.space!r}; "
                    "ConfigurationSpace(dictionary) makes one of ranges and lists of choices."
                )
            place = learner_in(self.estimator, self.space, kind_of(y))
            if y is None:
                raise DataError("MetaSearchCV needs a target y; it searches for supervised learners.")
            # What is searched; scikit-learn knows it by this attribute alone, and it is put back at the end.
            self.estimator = place.whole(self.estimator, self.random_state)
        self._validate_params()
        self._get_scorers()
        return place

    def _start(
        self, X: Any, y: Any, place: Place | None
    ) -> tuple[BayesianOptimizer, Callable[[Mapping[str, Any]], dict[str, Any]]]:
        if place is None:
            assert isinstance(self.space, ConfigurationSpace)
            return self._cold(self.space), dict
        parameters = partial(place.parameters, counts=RowCounts.of(y, place.learner.kind))
        if place.given_kernel:
            space = without(place.learner.space, "kernel")
            self._say(
                f"the kernel of the estimator stays {place.estimator.kernel!r}, so the search starts cold; what is "
                f"searched are {list(space)}"
            )
            return self._cold(space), parameters
        space = place.space
        if not space:
            self._say(
                f"{type(place.estimator).__name__} has none of the hyperparameters that {place.learner.name!r} varies, "
                f"{list(place.learner.space)}, so there is one trial, of the estimator as it is"
            )
        if not self.warm_start or not space:
            return self._cold(space), parameters
        scorer = self._scorer_name(place)
        begin = start(X, y, place.learner, scorer, self.recommender, place.held)
        if begin.warm is None:
            self._say(f"the search starts cold, because a warm start cannot be had: {begin.lacking}")
            return self._cold(space), parameters
        if begin.lacking:
            self._say(f"the search starts with what is good on most recorded tasks: {begin.lacking}")
        if not begin.same_metric:
            scored = repr(scorer) if scorer else "a function of your own"
            self._say(f"the experience is of {begin.metric!r}, the nearest that there is to what is scored, {scored}")
        elif begin.metric != scorer:
            self.notes_ += (f"the experience is of {begin.metric!r}, which ranks models as {scorer!r} does",)
        return begin.warm.optimizer(self.random_state, per_second=self.per_second), parameters

    def _held_on_sparse(self, place: Place, X: Any) -> Place:
        """The place, with what a search holds on sparse rows."""
        held = place.learner.held_on_sparse
        if not held.keys() <= place.space.keys() or held.keys() <= place.held.keys() or not sparse(X, self.estimator):
            return place
        what = " and ".join(f"{name} at {value!r}" for name, value in held.items())
        self.notes_ += (f"on sparse rows the search holds {what}, because others take as long as on dense rows",)
        return replace(place, held={**held, **place.held})

    def _cold(self, space: ConfigurationSpace) -> BayesianOptimizer:
        return BayesianOptimizer(space, random_state=self.random_state, per_second=self.per_second)

    def _say(self, note: str) -> None:
        self.notes_ += (note,)
        warnings.warn(note, WarmStartWarning, stacklevel=4)

    def _scorer_name(self, place: Place) -> str | None:
        """Name of what is optimised; None where it is a function of the user's."""
        scoring = self.scoring
        if isinstance(scoring, dict):
            metric = self.refit if isinstance(self.refit, str) else next(iter(scoring))
            scoring = scoring[metric]
        elif isinstance(scoring, list | tuple | set):
            return self.refit if isinstance(self.refit, str) else next(iter(scoring))
        if scoring is None:
            return OWN_SCORE[place.learner.kind]
        return scoring if isinstance(scoring, str) else name_of(scoring)

    def _check_input_parameters(self, X: Any, y: Any, split_params: Mapping[str, Any]) -> None:
        """Draw the folds, once: scikit-learn calls this before the first trial, and would draw others in each."""
        splitter: Any = vars(self)["_checked_cv_orig"]
        splits = list(splitter.split(X, y, **split_params))
        expected = splitter.get_n_splits(X, y, **split_params)
        if len(splits) != expected:
            raise ValueError(
                "cv.split and cv.get_n_splits return inconsistent results. "
                f"Expected {expected} splits, got {len(splits)}"
            )
        self._checked_cv_orig = check_cv(splits)

    def _run_search(self, evaluate_candidates: Callable[[list[dict[str, Any]]], Mapping[str, Any]]) -> None:
        """Template method of scikit-learn: one candidate after the other, each chosen by what came before."""
        state = self._search_state
        history = state.optimizer.history
        try:
            while len(state.tried) < self.n_trials and (not state.tried or time.monotonic() < state.deadline):
                try:
                    configuration = state.optimizer.ask()
                except SpaceError as error:
                    if not state.tried:
                        raise
                    warnings.warn(f"the search ends after {len(state.tried)} trials: {error}", stacklevel=4)
                    break
                if not self._try(state.parameters(configuration), evaluate_candidates, state):
                    break
                metric = self._optimised(state.scores)
                seconds = state.seconds[-1]
                state.optimizer.tell(configuration, -state.mean_score(metric), seconds=seconds)
                if self.callback is not None and self.callback(history):
                    break
        finally:
            if state.tried:
                error_score = np.nan if self.error_score == "raise" else self.error_score
                folds = state.all_folds(self.n_splits_, error_score)
                state.rows.update(super()._format_results(state.tried, self.n_splits_, folds))
        if state.failures:
            self._report(state)

    def _try(
        self,
        parameters: dict[str, Any],
        evaluate_candidates: Callable[[list[dict[str, Any]]], Mapping[str, Any]],
        state: SearchState,
    ) -> bool:
        """Run one trial, and write it down, failed or not; False where the time of the search ended in its midst."""
        began = time.perf_counter()
        limit: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if state.workers is not None and self.trial_timeout is not None:
            left = state.deadline - time.monotonic() if state.tried else np.inf  # the first is always made
            limit = state.workers.limit(min(self.trial_timeout, max(left, 0.0)), (self.estimator, cross_validate))
        try:
            with limit:
                began = time.perf_counter()
                evaluate_candidates([parameters])
        except BrokenExecutor as error:
            stopped = state.workers is not None and state.workers.stopped
            if self.error_score == "raise" and not stopped:
                raise
            if stopped and state.tried and time.monotonic() >= state.deadline:
                return False
            reason = f"stopped after {time.perf_counter() - began:.3g} s" if stopped else str(error)
        except ValueError as error:
            # scikit-learn gives up where a candidate fails on every fold; here it is one failed trial of many.
            if self.error_score == "raise" or "fits failed" not in str(error):
                raise
            reason = str(error).partition("details about the failures:\n")[2] or str(error)
        else:
            state.seconds[-1] = time.perf_counter() - began
            return True
        state.add(parameters, [], time.perf_counter() - began, reason)
        return True

    def _report(self, state: SearchState) -> None:
        """Say which trials failed on every fold, and why, as scikit-learn says it of fits."""
        n_trials, n_failed = len(state.tried), len(state.failures)
        reasons = "\n".join(
            f"{n} of the trials failed with:\n{reason}" for reason, n in Counter(state.failures).most_common()
        )
        if n_failed == n_trials:
            raise DataError(
                f"\nAll the {n_trials * self.n_splits_} fits failed, of {n_trials} trials.\nIt is very likely that "
                "your model is misconfigured, or cannot take these data.\nYou can try to debug the error by "
                f"setting error_score='raise'.\n\n{reasons}"
            )
        message = f"{n_failed} of {n_trials} trials failed; their scores are set to {self.error_score}.\n{reasons}"
        warnings.warn(message, FitFailedWarning, stacklevel=5)

    def _format_results(
        self, candidate_params: list[dict[str, Any]], n_splits: int, out: list[FoldResult], more_results: Any = None
    ) -> dict[str, Any]:
        """Take the results of a trial from scikit-learn, which calls this after each; the rows are made at the end."""
        self._search_state.add(candidate_params[-1], out[-n_splits:], np.nan)
        return self._search_state.rows

    def _optimised(self, scores: Mapping[str, float] | float | None) -> str | None:
        """Name of the metric that is optimised, where there are several."""
        if not isinstance(scores, Mapping):
            return None
        if callable(self.scoring):
            self._check_refit_for_multimetric(scores)
        return self.refit if isinstance(self.refit, str) else next(iter(scores))

    def _keep(self, state: SearchState) -> None:
        """Of a search that did not get to its end, keep the trials that did."""
        if not state.rows:
            return
        self.cv_results_ = state.rows
        scores = state.scores
        self.multimetric_ = isinstance(scores, Mapping)
        metric = self._optimised(scores) or "score"
        means = state.rows[f"mean_test_{metric}"]
        if np.isfinite(means).any() and not (self.multimetric_ and not self.refit):
            self.best_index_ = int(state.rows[f"rank_test_{metric}"].argmin())
            self.best_params_ = state.rows["params"][self.best_index_]
            self.best_score_ = means[self.best_index_]
