"""The loop over the trials of a search: each worker that is free gets the next fit, until there is enough."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from metahpo.search.continued_training import Earlier
from metahpo.search.fold_fits import FoldFits, FoldResult, FoldRule, Raised, measure, score_of
from metahpo.search.population import Population
from metahpo.search.progress import Progress
from metahpo.search.schedules import Schedule
from metahpo.search.search_trial import Proposal, SearchTrial, SearchTrials
from metahpo.search.workers import Answer, WorkerLostError, Workers
from metahpo.trials.history import TrialHistory

#: How often a trial is made again whose worker has died.
MAX_REPEATS = 2
#: A search ends after so many trials where all of them have failed.
HOPELESS_AFTER = 10
#: Finished trials, beside the best one, that the spread of differences between folds is estimated from.
SPREAD_FROM = 3

Callback = Callable[[TrialHistory], bool | None]


@dataclass(frozen=True)
class Limits:
    """When a search ends, and when a trial does.

    Attributes
    ----------
    deadline : float
        Reading of ``time.monotonic`` after which no trial begins.
    trial_seconds : float
        Seconds that one trial may take.
    patience : int or None
        The search ends after so many trials without a better one.
    early_stopping : bool
        Whether a trial ends as soon as its folds show that it cannot win.
    full : int or None
        Resources of the trials that `patience` counts; None: it counts all.
    """

    deadline: float = np.inf
    trial_seconds: float = np.inf
    patience: int | None = None
    early_stopping: bool = False
    full: int | None = None


@dataclass(eq=False)
class _Running:
    """A trial that runs.

    ``todo`` are groups of folds that no worker has got so far; ``lost`` counts the times that its worker died.
    """

    proposal: Proposal
    parameters: dict[str, Any]
    todo: deque[list[int]]
    rule: FoldRule | None
    results: dict[int, FoldResult] = field(default_factory=dict)
    n_out: int = 0
    began: float | None = None
    lost: int = 0
    worker_died: bool = False
    why: str = ""
    dropped: bool = False

    @property
    def stopped(self) -> bool:
        """Whether no more of it is wanted."""
        return bool(self.why) or self.dropped

    @property
    def ended(self) -> bool:
        """Whether nothing of it is to be waited for."""
        return not self.n_out and (not self.todo or self.stopped)


class TrialLoop:
    """Makes trials until there are enough.

    Parameters
    ----------
    schedule : Schedule
        Says which trial is next.
    history : TrialHistory
        The engine's, for the callbacks.
    fits : FoldFits
    X, y
        The data.
    parameters : callable
        Proposal -> parameters of the estimator.
    trials : SearchTrials
        Where trials are put when they end.
    limits : Limits
    share : {"folds", "trials"}
        What workers share out: the folds of one trial at a time, or whole trials.
    progress : Progress
    callbacks : sequence of callable
    record : callable
        Called with each trial that has ended.
    known : sequence of SearchTrial
        Trials that were made before: what is known is not made again.
    population : Population, default=None
        Holds the models that trials go on from, where they do.
    """

    def __init__(
        self,
        schedule: Schedule,
        history: TrialHistory,
        fits: FoldFits,
        data: tuple[Any, Any],
        parameters: Callable[[Proposal], dict[str, Any]],
        trials: SearchTrials,
        limits: Limits,
        share: Literal["folds", "trials"],
        progress: Progress,
        callbacks: Sequence[Callback],
        record: Callable[[SearchTrial], None],
        known: Sequence[SearchTrial],
        population: Population | None = None,
    ) -> None:
        self._schedule, self._history = schedule, history
        self._fits, self._data, self._parameters = fits, data, parameters
        self._trials, self._limits, self._share = trials, limits, share
        self._progress, self._callbacks, self._record = progress, callbacks, record
        self._known = {trial.proposal.key: trial for trial in known}
        self._population = population
        self._running: list[_Running] = []
        self._enough = False
        self._killed = False
        self._best = -np.inf
        self._since_best = 0

    def run(self, workers: Workers) -> None:
        """Make trials until there are enough, or the space has no more.

        Raises
        ------
        SpaceError
            The space has no configuration at all.
        Exception
            What a fit raises, where `error_score` is "raise", and whatever is wrong with the parameters themselves.
        """
        self._progress.begin()
        try:
            while True:
                self._feed(workers)
                if not workers.n_running:
                    break
                answer = workers.next(self._patience_of_workers())
                if answer is None:
                    self._stop_late(workers)
                else:
                    self._take(answer)
        finally:
            self._schedule.flush()
            self._progress.end()

    def _feed(self, workers: Workers) -> None:
        """Give every free worker something to do."""
        if not workers.n_running:
            self._killed = False
        while workers.has_room:
            trial = self._next(workers)
            if trial is None:
                return
            if trial.began is None:
                workers.prepare()
                trial.began = time.monotonic()
            folds = trial.todo.popleft()
            rule = trial.rule if self._share == "trials" else None
            trial.n_out += 1
            try:
                workers.submit(
                    (trial, folds), measure, self._fits, *self._data, trial.parameters, folds,
                    trial.proposal.resources, rule, self._earlier(trial.proposal),
                )  # fmt: skip
            except BaseException:
                self._running.remove(trial)
                raise

    def _next(self, workers: Workers) -> _Running | None:
        """A trial with folds to do; None where none may begin now."""
        suspects = [trial for trial in self._running if trial.lost]
        if suspects:  # alone, so that one that kills its worker takes no others with it
            return next((trial for trial in suspects if trial.todo), None) if not workers.n_running else None
        waiting = next((trial for trial in self._running if trial.todo and not trial.stopped), None)
        if waiting is not None:
            return waiting
        if self._running and self._share == "folds":
            return None
        while (proposal := self._proposal()) is not None:
            known = self._known.pop(proposal.key, None)
            if known is None:
                trial = self._new(proposal)
                self._running.append(trial)
                return trial
            self._ended(known)
        return None

    def _proposal(self) -> Proposal | None:
        begun = len(self._trials) or self._running
        if self._enough or (begun and time.monotonic() >= self._limits.deadline):
            return None
        return self._schedule.next()

    def _new(self, proposal: Proposal) -> _Running:
        folds = list(range(self._trials.n_splits))
        todo = [folds] if self._share == "trials" else [[fold] for fold in folds]
        rule = self._rule(proposal.resources) if self._limits.early_stopping else None
        return _Running(proposal, self._parameters(proposal), deque(todo), rule)

    def _rule(self, resources: int | None) -> FoldRule | None:
        """What a trial on these resources has to beat; None while too little is known."""
        metric = self._trials.metric
        made = [
            np.array([score_of(trial.folds[fold], metric) for fold in range(trial.n_splits)])
            for trial in self._trials.ended
            if trial.status == "complete" and trial.proposal.resources == resources
        ]
        if len(made) <= SPREAD_FROM:
            return None
        best = max(made, key=lambda scores: float(scores.mean()))
        behind = np.array([best - scores for scores in made if scores is not best])
        apart = behind - behind.mean(axis=1, keepdims=True)
        n_free = len(behind) * (behind.shape[1] - 1)
        spread = float(np.sqrt((apart**2).sum() / n_free)) if n_free else np.inf
        return FoldRule(tuple(best.tolist()), spread, metric)

    def _take(self, answer: Answer) -> None:
        """Put an answer to its trial, and end the trial where it was the last."""
        trial, folds = answer.key
        trial.n_out -= 1
        if isinstance(answer.value, Raised):
            raise answer.value.error
        if isinstance(answer.value, WorkerLostError):
            self._lost(trial, folds, answer.value)
        else:
            if self._population is not None:
                self._population.keep(trial.proposal, answer.value)
            trial.results.update(answer.value)
            if trial.rule is not None and trial.rule.hopeless(trial.results):
                trial.todo.clear()
        if trial.ended:
            self._running.remove(trial)
            if not trial.dropped:
                self._ended(self._finished(trial))

    def _earlier(self, proposal: Proposal) -> Earlier | None:
        return None if self._population is None else self._population.earlier(proposal)

    def _lost(self, trial: _Running, folds: list[int], error: WorkerLostError) -> None:
        """A worker has died: its folds are done again, but not for ever."""
        if trial.stopped:
            return
        trial.todo.appendleft(folds)
        trial.worker_died = trial.worker_died or not self._killed
        if trial.n_out:
            return
        trial.began = None
        if trial.worker_died:
            trial.lost, trial.worker_died = trial.lost + 1, False
            if self._fits.error_score == "raise":
                raise BrokenExecutor(str(error))
        if trial.lost > MAX_REPEATS:
            trial.why = f"its worker died {trial.lost} times: {error}"

    def _patience_of_workers(self) -> float | None:
        """Seconds until a trial has to be stopped; None where none has to be."""
        going_on = [trial for trial in self._running if not trial.stopped]
        ends = [trial.began + self._limits.trial_seconds for trial in going_on if trial.began is not None]
        if going_on and np.isfinite(self._limits.trial_seconds) and len(self._trials):
            ends.append(self._limits.deadline)
        soonest = min(ends, default=np.inf)
        return None if not np.isfinite(soonest) else soonest - time.monotonic()

    def _stop_late(self, workers: Workers) -> None:
        """Stop the trials that have taken too long; all that run, where the time of the search is over."""
        now = time.monotonic()
        over = len(self._trials) > 0 and now >= self._limits.deadline
        late = [
            trial
            for trial in self._running
            if trial.began is not None
            and not trial.stopped
            and (over or now >= trial.began + self._limits.trial_seconds)
        ]
        for trial in late:
            if over:
                trial.dropped = True
            else:
                trial.why = f"stopped after {self._limits.trial_seconds:g} s, the time that a trial may take"
            trial.todo.clear()
        if late:
            self._killed = workers.kill()

    def _finished(self, trial: _Running) -> SearchTrial:
        n_splits = self._trials.n_splits
        seconds = time.monotonic() - trial.began if trial.began is not None else float("nan")
        folds = {fold: trial.results[fold] for fold in sorted(trial.results)}
        made = SearchTrial(trial.proposal, trial.parameters, folds, n_splits, seconds, "complete")
        if trial.why:
            return SearchTrial(trial.proposal, trial.parameters, {}, n_splits, seconds, "failed", trial.why)
        errors = [result["fit_error"] for result in folds.values() if result["fit_error"] is not None]
        if len(errors) == len(folds) or not np.isfinite(made.score(self._metric(folds))):
            return SearchTrial(trial.proposal, trial.parameters, folds, n_splits, seconds, "failed", in_words(errors))
        status: Literal["complete", "stopped"] = "complete" if len(folds) == n_splits else "stopped"
        return SearchTrial(trial.proposal, trial.parameters, folds, n_splits, seconds, status, in_words(errors))

    def _metric(self, folds: Mapping[int, FoldResult]) -> str | None:
        """Name of what is optimised: where a function of the user's gives several scores, it is found here."""
        return self._trials.metric_among([*folds.values()])

    def _ended(self, trial: SearchTrial) -> None:
        """Tell everybody about a trial that has ended."""
        self._metric(trial.folds)
        self._trials.ended.append(trial)
        self._record(trial)
        score = trial.score(self._trials.metric)
        self._schedule.ended(trial.proposal, self._loss(trial), trial.seconds)
        best = self._trials.best()
        best_score = float("nan") if best is None else best.score(self._trials.metric)
        if self._limits.full in (None, trial.proposal.resources):
            self._since_best += 1
            if best_score > self._best:
                self._best, self._since_best = best_score, 0
        enough = [bool(callback(self._history)) for callback in self._callbacks]
        self._progress.tell(len(self._trials), trial, score, best_score)
        tired = (
            np.isfinite(self._best) and self._limits.patience is not None and self._since_best >= self._limits.patience
        )
        hopeless = len(self._trials.failures) == len(self._trials) >= HOPELESS_AFTER
        self._enough = self._enough or any(enough) or tired or hopeless

    def _loss(self, trial: SearchTrial) -> float:
        """Loss of a trial.

        Of one that was stopped, that of the best trial plus the mean difference over the folds that there are: these
        folds may be easier than others.
        """
        metric = self._trials.metric
        rule = self._rule(trial.proposal.resources) if trial.status == "stopped" else None
        if rule is None:
            return -trial.score(metric)
        behind = [rule.best[fold] - score_of(result, metric) for fold, result in trial.folds.items()]
        return -float(np.mean(rule.best) - np.mean(behind))


def in_words(errors: Sequence[str]) -> str:
    """Tracebacks of failed fits, each once, with the number of fits that it is of."""
    return "\n".join(
        f"{'-' * 80}\n{n} fits failed with the following error:\n{error}" for error, n in Counter(errors).most_common()
    )
