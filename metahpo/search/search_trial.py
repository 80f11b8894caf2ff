"""One trial of a search: what was tried, on which resources, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from metahpo.search.fold_fits import FoldResult, score_of
from metahpo.space.configuration import Configuration, to_json

#: "complete": on all folds. "stopped": not on all, because it could not win. "failed": without a score.
Status = Literal["complete", "stopped", "failed"]


@dataclass(frozen=True)
class Proposal:
    """A trial that is to run.

    Attributes
    ----------
    configuration : dict
        Of the search space.
    resources : int or None
        Rows, epochs, trees, ...: what the search has as its fidelity. None: there is none.
    iteration, bracket : int
        Where it stands in a schedule that gives good configurations more and more resources. Of a population,
        `iteration` is the generation and `bracket` the member.
    before : tuple of (dict, int)
        What its model was trained with before, and the resources at the end of that: see
        :mod:`metahpo.search.population`.
    """

    configuration: Configuration
    resources: int | None = None
    iteration: int = 0
    bracket: int = 0
    before: tuple[tuple[Configuration, int], ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two proposals the same: configurations and resources."""
        return tuple(f"{segment.resources} {to_json(segment.configuration)}" for segment in self.segments)

    @property
    def segments(self) -> list[Proposal]:
        """The proposal and those that its model was trained with before, in order."""
        earlier = [Proposal(*self.before[i], before=self.before[:i]) for i in range(len(self.before))]
        return [*earlier, self]


@dataclass(frozen=True)
class SearchTrial:
    """A trial that has ended.

    Attributes
    ----------
    proposal : Proposal
    parameters : dict
        The configuration as parameters of the estimator.
    folds : dict of int to dict
        Results of the folds that there are, by number.
    n_splits : int
        Folds of a whole trial.
    seconds : float
        What it took, all folds together.
    status : {"complete", "stopped", "failed"}
    reason : str
        Why it failed; empty where it did not.
    """

    proposal: Proposal
    parameters: dict[str, Any]
    folds: Mapping[int, FoldResult]
    n_splits: int
    seconds: float
    status: Status
    reason: str = ""

    def score(self, metric: str | None) -> float:
        """Mean score over the folds that there are; NaN where it failed."""
        if self.status == "failed":
            return float("nan")
        return mean(score_of(result, metric) for result in self.folds.values())


@dataclass
class SearchTrials:
    """The trials of a search, in the order in which they ended.

    Attributes
    ----------
    n_splits : int
        Folds of a trial.
    metric : str or None
        Metric that is optimised, where there are several.
    names : tuple of str
        Names of all metrics, where there are several and these are known before the first trial.
    choose : callable
        Scores by name -> the metric that is optimised, where only a scorer's answer tells that there are several.
    """

    n_splits: int = 0
    metric: str | None = None
    names: tuple[str, ...] = ()
    choose: Callable[[Mapping[str, float]], str] | None = None
    ended: list[SearchTrial] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ended)

    @property
    def failures(self) -> list[SearchTrial]:
        """Trials without a score."""
        return [trial for trial in self.ended if trial.status == "failed"]

    @property
    def fitted(self) -> bool:
        """Whether a fit of any trial succeeded, although it may have no score."""
        folds = [fold for trial in self.ended for fold in trial.folds.values()]
        return any(fold["fit_error"] is None or fold.get("fitted", False) for fold in folds)

    def metric_among(self, folds: Iterable[FoldResult]) -> str | None:
        """Metric that is optimised; it is learnt from results of folds, where it was not known before."""
        if self.metric is None and self.choose is not None:
            scores = next((fold["test_scores"] for fold in folds if isinstance(fold["test_scores"], Mapping)), None)
            if scores is not None:
                self.metric, self.names = self.choose(scores), tuple(scores)
        return self.metric

    def best(self) -> SearchTrial | None:
        """The best of the trials on the most resources that were finished; None where there is none."""
        complete = [trial for trial in self.ended if trial.status == "complete"]
        most = max((trial.proposal.resources or 0 for trial in complete), default=0)
        able = [trial for trial in complete if (trial.proposal.resources or 0) == most]
        return max(able, key=lambda trial: trial.score(self.metric), default=None)


def mean(scores: Iterable[float]) -> float:
    """Mean of numbers whose sum may be beyond the range of floats; NaN where there are none."""
    values = np.array(list(scores), dtype=np.float64)
    if not len(values):
        return float("nan")
    unit = float(np.max(np.abs(values)))
    return float(np.mean(values / unit) * unit) if np.isfinite(unit) and unit > 1.0 else float(np.mean(values))
