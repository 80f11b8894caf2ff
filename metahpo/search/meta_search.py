"""scikit-learn's search estimator, warm-started by experience."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ConfigSpace import ConfigurationSpace
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.model_selection import check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import Tags, indexable
from sklearn.utils.validation import _check_method_params, _num_samples

from metahpo.exceptions import DataError, WarmStartWarning
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.recommendation.recommender import Recommender
from metahpo.search.arguments import callbacks_of, check_arguments
from metahpo.search.beginning import Beginner, Beginning, scorer_name
from metahpo.search.continued_training import Continuation, continuation_of, go_on
from metahpo.search.fold_fits import FoldFits, measure
from metahpo.search.population import Population, check_space, generations_of
from metahpo.search.preparation import (
    Fidelity,
    HeldOut,
    fidelity_of,
    held_out,
    in_order_of_use,
    most_resources,
    parameter_of,
    splits_of,
    with_target,
)
from metahpo.search.progress import Progress
from metahpo.search.results import cv_results
from metahpo.search.schedules import OneLevel, Schedule, Strategy, schedule_of
from metahpo.search.search_trial import Proposal, SearchTrial, SearchTrials
from metahpo.search.searched import Searched, searched
from metahpo.search.trial_file import Head, TrialFile, check_same, head_of
from metahpo.search.trial_loop import HOPELESS_AFTER, Callback, Limits, TrialLoop
from metahpo.search.trial_order import Candidates, first_configurations
from metahpo.search.workers import workers
from metahpo.space.configuration import Configuration

Scoring = str | Callable[..., Any] | list[str] | tuple[str, ...] | dict[str, Callable[..., Any] | str] | None


class MetaSearchCV(BaseSearchCV):  # type: ignore[misc]  # scikit-learn has no types
    """Cross-validated Bayesian optimisation of an estimator or pipeline that starts from experience.

    Parameters
    ----------
    estimator : estimator or None
        A learner's estimator (``SVC()``), a pipeline that ends with one, or a wrapper around either, such as
        ``OneVsRestClassifier(SVC())``. Hyperparameters of the space that the search does not set in a trial have the
        library's defaults. Of "linear", ``Ridge``, ``Lasso`` and ``ElasticNet`` are searched in their part of the
        space. A pipeline that ends with None or "passthrough", or a ``TransformedTargetRegressor()``, takes the
        learner's estimator. None: the learner prepares the columns of a table itself, and rows without a target are
        left out.
    space : str, list of str, ConfigurationSpace, dict or list of dict, default=None
        Name of a learner: "linear", "svm", "knn", "random_forest", "extra_trees", "boosting", "lightgbm", "xgboost",
        "mlp", and of images or texts "convnet", "text_linear", "text". Its search space is used, and the search is
        warm-started by the surrogate that ships for it. None: the learner that `estimator` is, or holds; with None for
        the estimator, all learners of the experience.
        A list of names: the learner is searched, too; the estimator is None or a pipeline that ends with
        "passthrough". Or a space of your own, whose hyperparameters are named as `estimator` names its parameters
        (``step__parameter``): a ConfigurationSpace, or a dict of lists and distributions of ``scipy.stats``, as
        RandomizedSearchCV takes it; the defaults of a dict are the estimator's own values, where these may be chosen.
        Experience with the learner that `estimator` is, or holds, is used as far as names, aliases and ranges overlap:
        the first trial is the space's default, the second what experience recommends within the space. ``notes_`` says
        what was taken, clipped and left out. Where nothing overlaps, the search starts cold.
        A list of such spaces holds alternatives: each trial is of one of them, which the search chooses as well.
    param_distributions : dict or list of dict, default=None
        The same as `space`, by the name that it has in RandomizedSearchCV.
    n_trials : int, default=30
        Configurations to try. Fewer are tried where the space has no more, or the time is over.
    scoring, refit
        As in :class:`sklearn.model_selection.GridSearchCV`. Of several metrics, the search optimises the one that
        `refit` names, or the first where `refit` is a callable or False. The experience is of the metric that is
        optimised; where none was recorded, of the one that ranks models most alike, and a warning says which.
    cv, verbose, error_score, return_train_score
        As in :class:`sklearn.model_selection.GridSearchCV`. The folds are drawn once, and are the same for all trials.
        With `verbose` from 1 on, a line is printed for each trial; with 0, one line shows the progress on a terminal.
    n_jobs : int, default=None
        Fits that run side by side, on the backend that ``joblib.parallel_config`` is set to: processes, threads, Dask
        or Ray.
    parallel : {"folds", "trials"}, default="folds"
        "folds": the folds of one trial run side by side, and every trial waits for the one before. The search is the
        same for any `n_jobs`. "trials": every worker has a trial of its own, and gets the next when it returns. It is
        chosen without the results of the trials that still run, so the search depends on their order.
    pre_dispatch : int or str
        Without effect, because a worker gets its next fit when it is free. It is there for GridSearchCV's sake.
    warm_start : bool, default=True
        False ignores experience, for comparison.
    probe_seconds : float, default=None
        Budget of probes before the first trial, as ``seconds`` of :func:`metahpo.recommend`: fits of the learner on few
        rows, in `n_jobs` processes, with the preprocessing of the package. The search then starts from the
        recommendation that rests on them. They count towards `timeout`, but are no trials. None: there are none.
    per_second : bool, default=False
        Choose trials by their expected improvement per second, not per trial: where time is short and configurations
        differ in what they take. What experience knows of these times counts, also in a space of your own. The search
        then depends on the clock, and cannot be repeated exactly. Only the engine "metahpo" can, without `stages`.
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
    patience : int, default=None
        The search ends after so many trials without a better one. With a fidelity, trials with the most resources
        count.
    early_stopping : bool, default=False
        Stop a trial as soon as its first folds show that it cannot win: they are further below those of the best trial
        than the differences between folds explain (three standard deviations). It is marked as "stopped" in
        ``cv_results_``, its score is the mean of the folds that it has, and it is never the best.
    callback, callbacks : callable, list of callable, default=None
        Called after each trial with the :class:`metahpo.trials.history.TrialHistory`, whose losses are the scores
        times -1; the search ends when one returns True.
    initial : list of dict, Recommendations or MetaSearchCV, default=None
        Configurations to try first: of your own, of :func:`metahpo.recommend`, or the best ones of a fitted search.
    resume_from : path or MetaSearchCV, default=None
        Go on from the trials of a file or of a fitted search; they count among `n_trials`, and are not made again. A
        file is made if there is none, and each trial is written to it when it has ended, one JSON line a trial.
    stages : list of list of str, default=None
        Tune some hyperparameters first, then others: ``[["learning_rate"], ["max_depth", "max_features"]]``. Each stage
        has the same number of trials, and fixes all others at the best values so far. Trials for which
        a stage has no configurations go to the next stage; those of the last stage go to another round of all stages.
        The experience gives the values at which the first stage begins.
    engine : str, default="metahpo"
        What chooses the trials: "metahpo", "random", "grid"; with the extra ``optuna`` also "tpe", "gp", "cma-es" and
        "genetic"; or one of another package, by its name or as ``module:function``. Where there is experience, the
        other engines begin with its first recommendation.
        "population": `n_trials` models train side by side, by ``partial_fit`` or `warm_start`. The worst take over the
        models of the best from time to time, and change their real-valued hyperparameters: see
        :mod:`metahpo.search.population`. A trial is one model in one generation. The refit repeats the whole schedule
        of the best one.
    fidelity : str, default=None
        "rows", or a parameter of the estimator, such as "n_estimators" or "max_iter": trials begin on few rows, or
        with few trees or epochs, and only good ones get more. The best trial is one of those on the most.
        Of a population, the parameter that is the number of steps; None looks for it.
    strategy : {"halving", "hyperband", "surrogate"}, default="halving"
        Which configurations get more: see :mod:`metahpo.search.schedules`.
    min_resources, max_resources : int, default=None
        The fewest and the most rows, trees, .... None: all rows, or the estimator's own value of the parameter, and
        `factor` ** 3 times less, on rows at least two of each class and fold. Of a population, the steps of one
        generation, a tenth of all where it is None, and those of a whole training.
    factor : float, default=3.0
        Resources grow by this factor from level to level; one of so many configurations goes on.
    test_size : float or int, default=None
        Share or number of rows to hold out of the search. The refitted estimator has not seen them, and is scored on
        them: ``best_test_score_``.

    Attributes
    ----------
    best_estimator_, best_params_, best_score_, best_index_, cv_results_, scorer_, n_splits_, refit_time_, multimetric_
        As in GridSearchCV. ``cv_results_`` has one row a trial, in the order in which they ended, with its ``status``:
        "complete", "stopped" or "failed". A trial that failed has `error_score` for its scores and the last rank. With
        a fidelity there are ``iter``, ``n_resources`` and ``bracket`` as well, and a row for each level of a
        configuration; ranks compare trials on the same resources, and those on more come first.
    best_test_score_ : float, or dict of str to float
        Score on the rows of `test_size`, by the metric that `refit` names; by all where it names none of several.
    min_resources_, max_resources_ : int
        Resources of the first and the last level of a fidelity.
    best_schedule_ : list of (dict, int)
        Of a population: what the best model was trained with, one after the other, and the steps that it was trained
        for at the end of each.
    optimizer_ : BayesianOptimizer, or another engine
        History and incumbent in the space's own names.
    probes_ : tuple of Probe
        The probes of `probe_seconds`: see :class:`metahpo.recommendation.probes.Probe`.
    notes_ : tuple of str
        What the user should know of the start: what the experience is of, and what is missing.

    Notes
    -----
    However ``fit`` ends, by Ctrl-C or by an error, ``cv_results_``, ``best_params_``, ``best_score_`` and
    ``optimizer_`` hold the trials that were finished, if there are any; only the refit is missing then.

    A trial whose worker process dies is made again, at most twice. A search whose first ten trials all fail ends.

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
        estimator: BaseEstimator | None,
        space: str | Sequence[str] | ConfigurationSpace | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        param_distributions: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        n_trials: int = 30,
        scoring: Scoring = None,
        n_jobs: int | None = None,
        parallel: Literal["folds", "trials"] = "folds",
        refit: bool | str | Callable[[Mapping[str, Any]], int] = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: float | str = np.nan,
        return_train_score: bool = False,
        warm_start: bool = True,
        probe_seconds: float | None = None,
        per_second: bool = False,
        recommender: Recommender | None = None,
        random_state: int | None = None,
        timeout: float | None = None,
        trial_timeout: float | None = None,
        patience: int | None = None,
        early_stopping: bool = False,
        callback: Callback | None = None,
        callbacks: Sequence[Callback] | None = None,
        initial: Any = None,
        resume_from: str | Path | MetaSearchCV | None = None,
        stages: Sequence[Sequence[str]] | None = None,
        engine: str = "metahpo",
        fidelity: str | None = None,
        strategy: Strategy = "halving",
        min_resources: int | None = None,
        max_resources: int | None = None,
        factor: float = 3.0,
        test_size: float | None = None,
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
        self.param_distributions = param_distributions
        self.n_trials = n_trials
        self.parallel = parallel
        self.warm_start = warm_start
        self.probe_seconds = probe_seconds
        self.per_second = per_second
        self.recommender = recommender
        self.random_state = random_state
        self.timeout = timeout
        self.trial_timeout = trial_timeout
        self.patience = patience
        self.early_stopping = early_stopping
        self.callback = callback
        self.callbacks = callbacks
        self.initial = initial
        self.resume_from = resume_from
        self.stages = stages
        self.engine = engine
        self.fidelity = fidelity
        self.strategy = strategy
        self.min_resources = min_resources
        self.max_resources = max_resources
        self.factor = factor
        self.test_size = test_size

    def fit(self, X: Any, y: Any = None, **params: Any) -> MetaSearchCV:
        """Search, then refit the best configuration on all of the data.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_rows, n_features), or whatever the estimator takes
        y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
            None only with a space of your own, for an estimator that needs no target.
        **params
            Passed to the estimator's ``fit``, the scorer and the splitter, as in GridSearchCV. Without an estimator,
            those of the learner are named by its step: ``learner__learner__sample_weight``.

        Raises
        ------
        DataError
            A parameter that is out of range, an estimator that does not hold the learner, a learner without `y`, or
            probes without experience that they could add to. Or every trial failed: the message holds the estimator's
            own.
        UnknownNameError
            `space` names no learner, or `engine` no engine.
        Exception
            Of the estimator, if the refit fails, with a note of the configuration. The trials are kept.
        StoreError
            The file of `resume_from` is of another space, other data, folds or metric, or is in use.
        ValueError
            A parameter that GridSearchCV refuses too.
        """
        began = time.monotonic()
        earlier = self._made_before()
        self._forget()
        given = vars(self)["estimator"]
        try:
            self._search(X, y, params, began, earlier)
        finally:
            self.estimator = given
        return self

    def report(self, path: str | Path) -> None:
        """Write a page of the search: history, incumbents, importance of hyperparameters, gain on the default.

        Parameters
        ----------
        path : path
            Of one HTML file that needs no network.

        Raises
        ------
        MissingDependencyError
            jinja2 is not installed.
        DataError
            There is no trial, or the path is a folder, or lies in none that can be written.
        """
        from metahpo.reports.search_page import write_search_page

        write_search_page(self, path)

    def _search(self, X: Any, y: Any, params: Mapping[str, Any], began: float, earlier: _Made | None) -> None:
        """Prepare, make the trials, keep what they gave, and refit."""
        check_arguments(self.get_params(deep=False))
        self.notes_: tuple[str, ...] = ()
        found = self._searched(X, y)
        X, y = indexable(X, y)
        checked = _check_method_params(X, params=params)
        if found.leaves_out_rows:
            X, y, checked, n_left_out = with_target(X, y, checked, self.cv)
            if n_left_out:
                self._note(f"{n_left_out} rows without a target are left out")
        test = None
        if self.test_size is not None:
            test = held_out(found.estimator, X, y, checked, self.test_size, self.random_state)
            X, y, checked = test.X, test.y, test.params
        scorer, metric = self._get_scorers()
        routed = self._get_routed_params_for_fit(checked)
        found.check_fit_parameters(routed.estimator.fit)
        fits, fidelity = self._fits(found, X, y, scorer, routed)
        beginning = self._beginning(found, X, y)
        self.optimizer_, self.probes_ = beginning.engine, beginning.probes
        trials = self._no_trials(scorer, metric)
        kind = self.fidelity if fits.continuation is None else f"population, {fits.continuation.parameter or 'steps'}"
        head = head_of(beginning.space, X, y, fits.splits, self._metric_name(), kind)
        self._made = (head, trials)
        try:
            self._make_trials(found, fits, (X, y), beginning, fidelity, trials, began, head, earlier)
        finally:
            self._keep(trials)
        self._report(trials)
        self.scorer_ = scorer._scorers if isinstance(scorer, _MultimetricScorer) else scorer
        self._choose()
        if fits.continuation is not None and hasattr(self, "best_index_"):
            best = trials.ended[self.best_index_].proposal
            self.best_schedule_ = [(_parameters(found, fidelity, p), int(p.resources or 0)) for p in best.segments]
        if self.refit:
            self._refit(found, fits, X, y, routed)
        if test is not None:
            self._test(test, scorer)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "best_estimator_") if self.refit else hasattr(self, "cv_results_")

    def __sklearn_tags__(self) -> Tags:
        if self.estimator is not None:
            return super().__sklearn_tags__()
        if hasattr(self, "best_estimator_"):
            return self.best_estimator_.__sklearn_tags__()
        return super(BaseSearchCV, self).__sklearn_tags__()

    def _forget(self) -> None:
        """Drop what an earlier fit has left, so that nothing of it stays where this one does not get as far."""
        for name in [n for n in vars(self) if (n.endswith("_") and not n.startswith("_")) or n == "_made"]:
            delattr(self, name)

    def _made_before(self) -> _Made | None:
        """The trials of a search to go on from."""
        if self.resume_from is None or isinstance(self.resume_from, str | Path):
            return None
        made: _Made | None = getattr(self.resume_from, "_made", None)
        if made is None:
            raise DataError(
                "resume_from must be the path of a file, or a MetaSearchCV that was fitted, but is "
                f"{self.resume_from!r}."
            )
        return made

    def _searched(self, X: Any, y: Any) -> Searched:
        """What is searched; scikit-learn knows its estimator by an attribute, which is put back at the end."""
        given = self.space if self.param_distributions is None else self.param_distributions
        found = searched(self.estimator, given, X, y, self.random_state)
        self.notes_ += found.notes
        self.estimator = found.estimator
        self._validate_params()
        return found

    def _beginning(self, found: Searched, X: Any, y: Any) -> Beginning:
        return Beginner(found, self.get_params(deep=False), self._say, self._note).beginning(X, y)

    def _note(self, note: str) -> None:
        self.notes_ += (note,)

    def _say(self, note: str) -> None:
        self._note(note)
        warnings.warn(note, WarmStartWarning, stacklevel=7)

    def _metric_name(self) -> str:
        """Name of what is optimised, for the file of trials."""
        name = scorer_name(self.scoring, self.refit, "the estimator's own score")
        return name or str(getattr(self.scoring, "__qualname__", type(self.scoring).__name__))

    def _fits(self, found: Searched, X: Any, y: Any, scorer: Any, routed: Any) -> tuple[FoldFits, Fidelity | None]:
        """What the fits of all trials have in common, and what trials can be given less of."""
        splitter = check_cv(self.cv, y, classifier=is_classifier(found.estimator))
        splits = splits_of(splitter, X, y, routed.splitter.split)
        self.n_splits_ = len(splits)
        fidelity, continuation = None, None
        if self.engine == "population":
            continuation, fidelity = self._steps(found)
        elif self.fidelity is not None:
            bounds = (self.min_resources, self.max_resources)
            fidelity = fidelity_of(
                self.fidelity, found.estimator, found.prefix, (X, y), len(splits), bounds, self.factor, found.searches
            )
            if fidelity.parameter is None:
                splits = in_order_of_use(splits, y)
        fits = FoldFits(
            clone(found.estimator),
            splits,
            scorer,
            routed.estimator.fit,
            routed.scorer.score,
            self.error_score,
            self.return_train_score,
            self.verbose,
            on_rows=fidelity is not None and fidelity.parameter is None and continuation is None,
            n_rows=_num_samples(X),
            continuation=continuation,
        )
        return fits, fidelity

    def _steps(self, found: Searched) -> tuple[Continuation, Fidelity]:
        """How the models of a population go on training, and for how many steps."""
        name = None if self.fidelity is None else parameter_of(self.fidelity, found.estimator, found.prefix)
        continuation = continuation_of(found.estimator, name)
        if found.searches(continuation.parameter):
            raise DataError(
                f"{continuation.parameter!r} cannot be the number of steps and be searched; take it out of the search "
                "space."
            )
        check_space(found.space, continuation.prefix, found.prefix)
        largest = most_resources(found.estimator, continuation.parameter, self.max_resources)
        step, *_ = generations_of(self.min_resources, largest)
        return continuation, Fidelity(continuation.parameter, step, largest)

    def _no_trials(self, scorer: Any, metric: str) -> SearchTrials:
        """Where trials are put, with the names of the metrics as far as these are known."""
        if isinstance(scorer, _MultimetricScorer):
            names = tuple(scorer._scorers)
            return SearchTrials(self.n_splits_, metric if isinstance(metric, str) else names[0], names)
        return SearchTrials(self.n_splits_, choose=self._optimised if callable(self.scoring) else None)

    def _optimised(self, scores: Mapping[str, float]) -> str:
        """Name of the metric that is optimised, of those that a function of the user's gives."""
        self._check_refit_for_multimetric(scores)
        return self.refit if isinstance(self.refit, str) else next(iter(scores))

    def _make_trials(
        self,
        found: Searched,
        fits: FoldFits,
        data: tuple[Any, Any],
        beginning: Beginning,
        fidelity: Fidelity | None,
        trials: SearchTrials,
        began: float,
        head: Head,
        earlier: _Made | None,
    ) -> None:
        """Make the trials; those of a file or of an earlier search are taken from there."""
        parameters = partial(_parameters, found, fidelity)
        named = None if found.alternatives is None else found.alternatives.configuration
        first: list[Configuration] = []
        if self.initial is not None:
            first = first_configurations(self.initial, beginning.space, found.prefix, named)
        known: list[SearchTrial] = []
        if earlier is not None:
            check_same(head, earlier[0], "resume_from")
            known = earlier[1].ended
        on_file = isinstance(self.resume_from, str | Path)
        with closing(TrialFile(Path(self.resume_from), head)) if on_file else nullcontext() as file:  # type: ignore[arg-type]
            if file is not None:
                known = file.trials(beginning.space, parameters, self.n_splits_)
            on_disk = {id(trial) for trial in known}

            def record(trial: SearchTrial) -> None:
                if file is not None and id(trial) not in on_disk:
                    file.append(trial)

            candidates = Candidates(
                beginning.engine,
                [*_begun(known), *first, *beginning.initial],
                self.n_trials,
                learns_from_rows=fits.on_rows and isinstance(beginning.engine, BayesianOptimizer),
            )
            deadline = np.inf if self.timeout is None else began + self.timeout
            full = None if fidelity is None or fits.continuation is not None else fidelity.largest
            population = None
            if fits.continuation is not None:
                population = self._population(candidates, beginning.space, fidelity, parameters)
            loop = TrialLoop(
                population or self._schedule(candidates, fidelity),
                beginning.engine.history,
                fits,
                data,
                parameters,
                trials,
                Limits(deadline, self.trial_timeout or np.inf, self.patience, self.early_stopping, full),
                self.parallel,
                Progress(self.n_trials if fidelity is None else 0, deadline, self.verbose),
                callbacks_of(self.callback, self.callbacks),
                record,
                known,
                population,
            )
            stoppable = self.trial_timeout is not None
            with workers(self.n_jobs, stoppable=stoppable, warm_up=(found.estimator, measure)) as pool:
                loop.run(pool)
            if candidates.exhausted is not None:
                made = f"{candidates.n_given} of {self.n_trials} {'trials' if full is None else 'configurations'}"
                warnings.warn(f"the search ends after {made}: {candidates.exhausted}", stacklevel=5)
            best = trials.best()
            if fidelity is not None and full is not None and best is not None and best.proposal.resources != full:
                warnings.warn(
                    f"no trial with {fidelity.in_words(full)} has succeeded: the best one is of those with "
                    f"{fidelity.in_words(best.proposal.resources)}",
                    stacklevel=5,
                )

    def _population(
        self,
        candidates: Candidates,
        space: ConfigurationSpace,
        fidelity: Fidelity | None,
        parameters: Callable[[Proposal], dict[str, Any]],
    ) -> Population:
        assert fidelity is not None
        self.min_resources_, self.max_resources_ = fidelity.smallest, fidelity.largest
        generations = generations_of(fidelity.smallest, fidelity.largest)
        return Population(candidates, space, generations, parameters, self.random_state)

    def _schedule(self, candidates: Candidates, fidelity: Fidelity | None) -> Schedule:
        if fidelity is None:
            return OneLevel(candidates)
        self.min_resources_, self.max_resources_ = fidelity.smallest, fidelity.largest
        return schedule_of(
            self.strategy, candidates, fidelity.smallest, fidelity.largest, float(self.factor), self.n_trials
        )

    def _keep(self, trials: SearchTrials) -> None:
        """Keep the trials that there are, however the search has ended."""
        if not trials.ended:
            return
        error_score = np.nan if isinstance(self.error_score, str) else self.error_score
        self.cv_results_ = cv_results(trials, error_score, train_scores=self.return_train_score)
        self.multimetric_ = bool(trials.names)
        if self.multimetric_ and not self.refit:
            return
        # Without a score, the first trial is refitted, as GridSearchCV does it: its estimator says what is wrong.
        if trials.best() is not None or trials.fitted:
            name = trials.metric or "score"
            self.best_index_ = int(self.cv_results_[f"rank_test_{name}"].argmin())
            self.best_params_ = self.cv_results_["params"][self.best_index_]
            self.best_score_ = self.cv_results_[f"mean_test_{name}"][self.best_index_]

    def _report(self, trials: SearchTrials) -> None:
        """Say which trials failed, and why, as scikit-learn says it of fits."""
        n_trials, failures = len(trials), trials.failures
        reasons = "\n".join(
            f"{n} of the trials failed with:\n{reason}"
            for reason, n in Counter(trial.reason for trial in failures).most_common()
        )
        if len(failures) == n_trials and not trials.fitted:
            ended = f" The search has ended early: it does after {HOPELESS_AFTER} trials that all failed." if (
                n_trials < self.n_trials and n_trials >= HOPELESS_AFTER
            ) else ""  # fmt: skip
            if self.engine != "population" and self.fidelity is not None:
                tried = max(trial.proposal.resources or 0 for trial in trials.ended)
                if tried < self.max_resources_:
                    ended += (
                        f" None had more than {tried} of {self.max_resources_} {self.fidelity}: give a larger "
                        "min_resources if the estimator needs more."
                    )
            raise DataError(
                f"\nAll the {n_trials * self.n_splits_} fits failed, of {n_trials} trials.{ended}\nIt is very likely "
                "that your model is misconfigured, or cannot take these data.\nYou can try to debug the error by "
                f"setting error_score='raise'.\n\n{reasons}"
            )
        if failures:
            message = f"{len(failures)} of {n_trials} trials failed; their scores are set to {self.error_score}."
            warnings.warn(f"{message}\n{reasons}", FitFailedWarning, stacklevel=5)
        in_part = [trial.reason for trial in trials.ended if trial.reason and trial.status != "failed"]
        if in_part:
            message = f"of {len(in_part)} trials some fits failed; their scores are set to {self.error_score}."
            warnings.warn("\n".join([message, *dict.fromkeys(in_part)]), FitFailedWarning, stacklevel=5)

    def _choose(self) -> None:
        """Choose the best trial, where a function of the user's does."""
        if callable(self.refit):
            self.best_index_ = self._select_best_index(self.refit, None, self.cv_results_)
            self.best_params_ = self.cv_results_["params"][self.best_index_]
            self.__dict__.pop("best_score_", None)  # it may choose by anything

    def _refit(self, found: Searched, fits: FoldFits, X: Any, y: Any, routed: Any) -> None:
        """Refit the best trial on all of the data; of a population, with all that the best model was trained with."""
        estimator = clone(found.estimator)
        began = time.time()
        try:
            if fits.continuation is not None:
                go_on(estimator, X, y, self.best_schedule_, fits.continuation, fit_params=routed.estimator.fit)
            elif y is None:
                estimator.set_params(**clone(self.best_params_, safe=False)).fit(X, **routed.estimator.fit)
            else:
                estimator.set_params(**clone(self.best_params_, safe=False)).fit(X, y, **routed.estimator.fit)
        except Exception as error:
            error.add_note(
                f"The refit of the best configuration, {self.best_params_}, on all {_num_samples(X)} rows failed. "
                "Nothing of the search is lost: cv_results_, best_params_ and optimizer_ hold its trials. Fit the "
                "estimator with another configuration of cv_results_['params'], or search with refit=False, or with "
                "another estimator or fewer rows; resume_from=search goes on from these trials."
            )
            raise
        self.best_estimator_ = estimator
        self.refit_time_ = time.time() - began
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_

    def _test(self, test: HeldOut, scorer: Any) -> None:
        """Score the refitted estimator on the rows that were held out."""
        scores = scorer(self.best_estimator_, test.X_test, test.y_test)
        if isinstance(scores, Mapping):
            self.best_test_score_ = scores[self.refit] if isinstance(self.refit, str) else dict(scores)
        else:
            self.best_test_score_ = float(scores)


def _begun(known: Sequence[SearchTrial]) -> list[Configuration]:
    """Configurations that trials began with, in order; what a population has changed in training comes later again."""
    first = [trial.proposal for trial in known if not trial.proposal.before]
    return [proposal.configuration for proposal in first]


def _parameters(found: Searched, fidelity: Fidelity | None, proposal: Proposal) -> dict[str, Any]:
    """A proposal as parameters of the estimator."""
    values = found.parameters(proposal.configuration)
    if fidelity is not None and fidelity.parameter is not None:
        values[fidelity.parameter] = proposal.resources
    return values


#: What a search has made: what its trials are of, and the trials.
_Made = tuple[Head, SearchTrials]
