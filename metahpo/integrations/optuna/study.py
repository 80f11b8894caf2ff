"""The trials of an Optuna study: as first trials of ours, and as what an optimiser is told."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from metahpo.exceptions import DataError, SpaceError, WarmStartWarning
from metahpo.integrations.start import Initial, first_configurations
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.conversion import common_names, placed
from metahpo.space.optuna_distributions import BaseDistribution


def enqueue(study: Study, initial: Initial, space: ConfigurationSpace | None = None) -> None:
    """Make configurations the next trials of a study: exactly these, in this order, each once.

    Those that the study has already, in whatever state, are not enqueued again, so that a script may be run again.

    Parameters
    ----------
    study : optuna.Study
    initial : sequence of configurations, or recommendations
    space : ConfigurationSpace, default=None
        With it, inactive hyperparameters are added at their defaults, for objectives that suggest all of them. None:
        that of the learner that is recommended, if there is one.

    Raises
    ------
    SpaceError
        A configuration is not of the space.
    """
    for configuration in first_configurations(initial, space):
        study.enqueue_trial(configuration, skip_if_exists=True)


def tell_study(optimizer: BayesianOptimizer, study: Study) -> int:
    """Tell an optimiser the finished trials of a study; how many trials it has then been told.

    Those that it was told already, with the same results, are passed over.

    Raises
    ------
    DataError
        The study has several objectives.
    SpaceError
        The study has trials, but they have no hyperparameter of the optimiser's space.
    """
    refuse_many_objectives(study)
    history = optimizer.history
    told = Counter(map(_told_as, history.configurations, history.losses.tolist()))
    StudySearch(optimizer, before=told).update(study)
    return len(optimizer.history)


def refuse_many_objectives(study: Study) -> None:
    """Raise a DataError for a study of several objectives."""
    if len(study.directions) > 1:
        raise DataError(
            f"MetaSampler optimises one objective, but the study {study.study_name!r} has {len(study.directions)}; "
            "use NSGAIISampler, for example."
        )


@dataclass
class StudySearch:
    """The optimiser of one study, and what it knows of the trials.

    Attributes
    ----------
    optimizer : BayesianOptimizer
    distributions : dict of str to BaseDistribution, default={}
        Those that its space was made from; empty where the space was given.
    proposed : dict of int to Configuration
        What it has asked for, by the number of the trial.
    before : Counter, default={}
        Trials that the optimiser was told before, and are not to be told again: how often each.
    """

    optimizer: BayesianOptimizer
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    proposed: dict[int, Configuration] = field(default_factory=dict)
    before: Counter[tuple[str, str]] = field(default_factory=Counter)
    _elsewhere: dict[int, Configuration] = field(default_factory=dict)
    _seen: dict[int, Any] = field(default_factory=dict)
    _assumed: set[str] = field(default_factory=set)

    def propose(self, trial: FrozenTrial) -> None:
        """Ask for a trial's configuration, unless it was enqueued; none where a finite space has no more."""
        self.proposed[trial.number] = {}
        if self._from_params(trial) is None:
            with contextlib.suppress(SpaceError):
                self.proposed[trial.number] = self.optimizer.ask()

    def is_of(self, study: Study) -> bool:
        """Whether the trials that it has seen are those of a study."""
        begun = {trial.number: trial.datetime_start for trial in study.get_trials(deepcopy=False)}
        return self._seen.items() <= begun.items()

    def update(self, study: Study) -> None:
        """Tell the optimiser what has happened in the study since the last call.

        Raises
        ------
        SpaceError
            The study has trials, but they have no hyperparameter of the space.
        """
        trials = study.get_trials(deepcopy=False)
        completed = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.params]
        if completed:
            common_names(self.optimizer.space, {n for t in completed for n in t.params}, "the trials of the study")
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        losses = {trial.number: sign * trial.value for trial in completed if trial.value is not None}
        outside = []
        for trial in trials:
            if trial.state.is_finished() and trial.number not in self._seen:
                self._seen[trial.number] = trial.datetime_start
                self._settle(trial.number)
                if not self._told(trial, _loss(trial, losses, sign)):
                    outside.append(trial.number)
            elif not trial.state.is_finished() and trial.number not in self.proposed.keys() | self._elsewhere.keys():
                configuration = self._from_params(trial)
                if configuration is not None:
                    self._elsewhere[trial.number] = configuration
                    self.optimizer.tell_running(configuration)
        if outside:
            self._warn(f"trials {outside} of the study are outside the space, and do not count.")

    def _told(self, trial: FrozenTrial, loss: float) -> bool:
        """Tell a finished trial; False where it is outside the space."""
        try:
            configuration = placed(self.optimizer.space, trial.params)
        except SpaceError:
            return False
        assumed = configuration.keys() - trial.params.keys() - self._assumed
        if assumed and trial.state != TrialState.COMPLETE:
            return True  # it ended before it had suggested all
        if assumed:
            self._assumed |= assumed
            unused = sorted((trial.params.keys() & self.optimizer.space.keys()) - configuration.keys())
            without = f", and its values of {unused} do not count" if unused else ""
            self._warn(
                f"the objective does not suggest {sorted(assumed)}: they count as at their defaults{without}. "
                "Suggest them, or start in the space of the objective: WarmStart.in_space."
            )
        known = _told_as(configuration, loss)
        if self.before[known]:
            self.before[known] -= 1
            return True
        self.optimizer.tell(configuration, loss, constraints=list(trial.constraints.values()) or None)
        return True

    def _from_params(self, trial: FrozenTrial) -> Configuration | None:
        """Configuration of a trial under way or waiting; None as long as not all of it is known."""
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        try:
            configuration = placed(self.optimizer.space, params)
        except SpaceError:
            return None
        return configuration if params.keys() >= configuration.keys() - self._assumed and params else None

    def _settle(self, number: int) -> None:
        """Take back what was proposed for a trial, whatever the objective has made of it."""
        for known in (self.proposed.pop(number, None), self._elsewhere.pop(number, None)):
            if known:
                with contextlib.suppress(DataError):  # another trial with the same configuration has ended
                    self.optimizer.withdraw(known, again=False)

    def _warn(self, message: str) -> None:
        warnings.warn(message, WarmStartWarning, stacklevel=5)


def _told_as(configuration: Configuration, loss: float) -> tuple[str, str]:
    """What tells a trial from others."""
    return to_json(configuration), repr(loss)


def _loss(trial: FrozenTrial, losses: Mapping[int, float], sign: float) -> float:
    """Loss of a finished trial; NaN where it failed.

    A pruned trial has its last value, or the median of the trials before it where that is worse.
    """
    if trial.number in losses:
        return losses[trial.number]
    if trial.state != TrialState.PRUNED or not trial.intermediate_values:
        return float("nan")
    last: Any = sign * trial.intermediate_values[max(trial.intermediate_values)]
    earlier = [loss for number, loss in losses.items() if number < trial.number]
    return float(max(last, np.median(earlier))) if earlier else float(last)
