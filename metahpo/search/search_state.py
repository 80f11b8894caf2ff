"""The state of one search: its trials, from which ``cv_results_`` is made when the search ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.search.limits import StoppableWorkers
from metahpo.space.configuration import Configuration

#: What scikit-learn's private fit-and-score returns of one fold.
FoldResult = dict[str, Any]


@dataclass
class SearchState:
    """Trials and resources of a running search.

    Attributes
    ----------
    optimizer : BayesianOptimizer
    parameters : callable
        Configuration -> parameters of the estimator.
    deadline : float
        Reading of ``time.monotonic`` after which no trial begins.
    workers : StoppableWorkers or None
        Worker processes that enforce the time limit of trials. None if there is no limit.
    tried : list of dict
        Parameters of each trial.
    folds : list of list of dict
        Results of the folds of each trial; empty for a trial without results.
    seconds : list of float
        Duration of each trial.
    reasons : list of str
        Reason why each trial failed; empty for a successful one.
    rows : dict
        ``cv_results_``. It is filled once, when the search ends.
    """

    optimizer: BayesianOptimizer
    parameters: Callable[[Configuration], dict[str, Any]]
    deadline: float
    workers: StoppableWorkers | None
    tried: list[dict[str, Any]] = field(default_factory=list)
    folds: list[list[FoldResult]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    rows: dict[str, Any] = field(default_factory=dict)

    def add(self, parameters: dict[str, Any], folds: list[FoldResult], seconds: float, reason: str = "") -> None:
        """Record a trial."""
        self.tried.append(parameters)
        self.folds.append(folds)
        self.seconds.append(seconds)
        self.reasons.append(reason)

    @property
    def failures(self) -> list[str]:
        """Reasons of the trials that failed on every fold."""
        return [reason for reason in self.reasons if reason]

    @property
    def scores(self) -> Mapping[str, float] | float | None:
        """Scores of the first fold that has any: by name where there are several metrics; None where no fold has."""
        return next((fold["test_scores"] for folds in self.folds for fold in folds), None)

    def mean_score(self, metric: str | None) -> float:
        """Mean over the folds of the last trial; NaN where it failed."""
        scores = [fold["test_scores"] for fold in self.folds[-1]]
        values = [score[metric] if isinstance(score, Mapping) else score for score in scores]
        return float(np.mean(values)) if values else float("nan")

    def all_folds(self, n_splits: int, error_score: float) -> list[FoldResult]:
        """Results of the folds of all trials, in order; those that never came back have `error_score`."""
        known = next((fold for folds in self.folds for fold in folds), {})
        scores = known.get("test_scores")
        lost = dict.fromkeys(scores, error_score) if isinstance(scores, Mapping) else error_score
        results: list[FoldResult] = []
        for folds, seconds in zip(self.folds, self.seconds, strict=True):
            missing = {"test_scores": lost, "train_scores": lost, "fit_time": seconds / n_splits, "score_time": 0.0}
            results += folds or [{**known, **missing}] * n_splits
        names = known.keys() & missing.keys() or missing.keys()  # scikit-learn wants the same entries of every fold
        return [{name: fold[name] for name in names} for fold in results]
