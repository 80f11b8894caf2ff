"""Fit and score one configuration on some folds: what a worker process is asked to do.

A worker imports this file, that of continued training and scikit-learn, and nothing else of the search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection._validation import _fit_and_score

from metahpo.search.continued_training import Continuation, Earlier, InSteps, Segment

#: What scikit-learn's private fit-and-score returns of one fold.
FoldResult = dict[str, Any]


@dataclass(frozen=True)
class FoldRule:
    """When a trial cannot win any more: its folds so far are far below those of the best trial.

    The mean difference over all folds, given that over the first j of k, has the standard deviation
    ``spread * sqrt(1/j - 1/k)``. The trial is hopeless where the mean difference is more than `MARGIN` of them.

    Attributes
    ----------
    best : tuple of float
        Score of the best trial on each fold.
    spread : float
        Standard deviation, over the folds, of the difference between a trial and the best one.
    metric : str or None
        Metric that is optimised, where there are several.
    """

    best: tuple[float, ...]
    spread: float
    metric: str | None

    #: Standard deviations between the best trial and one that is stopped.
    MARGIN = 3.0

    def hopeless(self, results: Mapping[int, FoldResult]) -> bool:
        """Whether a trial with these results, by fold, need not be finished."""
        folds, of_all = sorted(results), len(self.best)
        if not 0 < len(folds) < of_all:
            return False
        behind = np.array([self.best[i] - score_of(results[i], self.metric) for i in folds])
        own = float(behind.std(ddof=1)) if len(folds) > 1 else 0.0
        allowed = self.MARGIN * max(self.spread, own) * np.sqrt(1.0 / len(folds) - 1.0 / of_all)
        return bool(np.isfinite(behind).all() and behind.mean() > allowed)


@dataclass(frozen=True)
class FoldFits:
    """All that fits on folds have in common, but for the data.

    Attributes
    ----------
    estimator : estimator
    splits : list of (ndarray, ndarray)
        Rows for training and for testing, of each fold.
    scorer : callable
    fit_params, score_params : dict
        For ``fit`` and the scorer, as long as the data; those of a fold are taken out of them.
    error_score : float or "raise"
    return_train_score : bool
    verbose : int
        scikit-learn prints each fit from 2 on.
    on_rows : bool
        Whether a trial's resources are rows of the data, of which its folds get their share.
    n_rows : int
        Rows of the data.
    continuation : Continuation or None
        How a model goes on training, where trials go on from the models of others.
    """

    estimator: BaseEstimator
    splits: list[tuple[NDArray[Any], NDArray[Any]]]
    scorer: Any
    fit_params: Mapping[str, Any] = field(default_factory=dict)
    score_params: Mapping[str, Any] = field(default_factory=dict)
    error_score: float | str = np.nan
    return_train_score: bool = False
    verbose: int = 0
    on_rows: bool = False
    n_rows: int = 0
    continuation: Continuation | None = None

    def on_fold(
        self,
        X: Any,
        y: Any,
        parameters: Mapping[str, Any],
        fold: int,
        resources: int | None = None,
        earlier: Earlier | None = None,
    ) -> FoldResult:
        """Fit and score on one fold, on so many resources; with a continuation, the result has the model."""
        train, test = self.splits[fold]
        if resources is not None and self.on_rows:
            train = train[: max(1, round(len(train) * resources / self.n_rows))]
        estimator, given = clone(self.estimator), dict(parameters)
        if self.continuation is not None and resources is not None:
            estimator = _in_steps(estimator, self.continuation, (given, resources), earlier or Earlier(), fold)
        result: FoldResult = _fit_and_score(
            estimator,
            X,
            y,
            scorer=self.scorer,
            train=train,
            test=test,
            verbose=self.verbose,
            parameters=None if isinstance(estimator, InSteps) else given,
            fit_params=dict(self.fit_params),
            score_params=dict(self.score_params),
            return_train_score=self.return_train_score,
            return_n_test_samples=True,
            return_times=True,
            split_progress=(fold, len(self.splits)),
            error_score=self.error_score,
        )
        if isinstance(estimator, InSteps) and result["fit_error"] is None:
            result["model"] = estimator.estimator
        return _with_real_scores(result, np.nan if isinstance(self.error_score, str) else self.error_score)


@dataclass(frozen=True)
class Raised:
    """Exception of a fit, returned by its worker."""

    error: Exception


def measure(
    fits: FoldFits,
    X: Any,
    y: Any,
    parameters: Mapping[str, Any],
    folds: Sequence[int],
    resources: int | None,
    rule: FoldRule | None,
    earlier: Earlier | None = None,
) -> dict[int, FoldResult] | Raised:
    """Results of some folds, in order; the rest is left out as soon as `rule` finds the trial hopeless."""
    results: dict[int, FoldResult] = {}
    try:
        for fold in folds:
            results[fold] = fits.on_fold(X, y, parameters, fold, resources, earlier)
            if rule is not None and rule.hopeless(results):
                break
    except Exception as error:  # noqa: BLE001 - it is raised again at home; what a worker raises means its death
        return Raised(error)
    return results


def score_of(result: FoldResult, metric: str | None) -> float:
    """Score of a fold by a metric; None means the only one."""
    scores = result["test_scores"]
    return float(scores[metric] if isinstance(scores, Mapping) else scores)


def _in_steps(
    estimator: BaseEstimator, continuation: Continuation, last: Segment, earlier: Earlier, fold: int
) -> InSteps:
    """An estimator whose ``fit`` adds the last segment: to the model of the fold, or to one that is trained anew."""
    model = earlier.models.get(fold)
    if model is None:
        return InSteps(estimator, [*earlier.segments, last], continuation, 0)
    # Another member may go on from the same model, and a thread does not get a copy of its own.
    return InSteps(deepcopy(model), [last], continuation, earlier.segments[-1][1])


def _with_real_scores(result: FoldResult, error_score: float) -> FoldResult:
    """The result with floats for scores; one that is NaN, infinite, complex or too large becomes `error_score`."""
    problems = []

    def real(score: Any) -> Any:
        if isinstance(score, Mapping):
            return {name: real(value) for name, value in score.items()}
        try:
            value = (
                float(score)
                if isinstance(score, Real | np.generic) and not isinstance(score, np.complexfloating)
                else np.nan
            )
        except (OverflowError, ValueError, TypeError):
            value = np.nan
        if not np.isfinite(value):
            problems.append(f"the score is {repr(score)[:80]}, not a finite real number")
            value = error_score
        return value

    if result["fit_error"] is None:
        for name in ("test_scores", "train_scores"):
            if name in result:
                result[name] = real(result[name])
        if problems:
            result |= {"fit_error": problems[0], "fitted": True}
    return result
