"""Optuna's samplers as engines of a search."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import NumericalHyperparameter

from metahpo.exceptions import MissingDependencyError, SpaceError
from metahpo.search.engine_history import EngineWithHistory
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.values import choices_of

if TYPE_CHECKING:
    import optuna

#: Name of an engine -> Optuna's sampler.
SAMPLERS = {"tpe": "TPESampler", "gp": "GPSampler", "cma-es": "CmaEsSampler", "genetic": "NSGAIISampler"}
#: Samplers that warn about each hyperparameter that they draw at random.
QUIETED = ("gp", "cma-es")
#: How often a sampler is asked again that suggests what was tried or is forbidden.
MAX_ATTEMPTS = 20


class OptunaEngine(EngineWithHistory):
    """A sampler of Optuna behind the interface of an engine; the default configuration comes first.

    A hyperparameter is suggested where it is active. What a sampler suggests again, or what the space forbids, is told
    to it as a failure; where it goes on suggesting that, a configuration is drawn at random.

    Parameters
    ----------
    sampler : {"tpe", "gp", "cma-es", "genetic"}
    space : ConfigurationSpace
    random_state : int or None

    Raises
    ------
    MissingDependencyError
        Optuna, or the package that its sampler needs, is not installed.
    """

    def __init__(self, sampler: str, space: ConfigurationSpace, random_state: int | None) -> None:
        super().__init__(space)
        self._study = _study(sampler, random_state)
        from metahpo.space.optuna_distributions import distributions_by_place  # which needs Optuna

        self._distributions = distributions_by_place(space)
        self._rng = np.random.default_rng(random_state)
        self._asked: dict[str, optuna.trial.Trial] = {}

    def ask(self) -> Configuration:
        """What the sampler suggests next.

        Raises
        ------
        SpaceError
            Every configuration of a finite space has been suggested.
        """
        from optuna.trial import TrialState

        if not self._known:
            self._is_new(self._domain.default)
            return dict(self._domain.default)
        for _ in range(MAX_ATTEMPTS):
            trial = self._study.ask()
            with contextlib.suppress(SpaceError):
                configuration = self._suggested(trial)
                if self._is_new(configuration):
                    self._asked[to_json(configuration)] = trial
                    return configuration
            self._study.tell(trial, state=TrialState.FAIL)
        return self._other()

    def tell(self, configuration: Mapping[str, Any], value: float, *, seconds: float | None = None) -> None:
        """Tell the sampler, and record the loss of a configuration, asked for or not."""
        from optuna.trial import TrialState, create_trial

        super().tell(configuration, value, seconds=seconds)
        checked, failed = self._domain.canonical(configuration), not np.isfinite(value)
        trial = self._asked.pop(to_json(checked), None)
        if trial is not None and failed:
            self._study.tell(trial, state=TrialState.FAIL)
        elif trial is not None:
            self._study.tell(trial, float(value))
        else:
            names = [name for name in checked if name in self._distributions]
            self._study.add_trial(
                create_trial(
                    params={name: self._given(name, checked[name]) for name in names},
                    distributions={name: self._distributions[name] for name in names},
                    value=None if failed else float(value),
                    state=TrialState.FAIL if failed else TrialState.COMPLETE,
                )
            )

    def _suggested(self, trial: optuna.trial.Trial) -> Configuration:
        """A configuration, one hyperparameter after the other: a child comes after its parents."""
        codes: dict[str, Any] = {}
        active: dict[str, bool] = {}
        values: Configuration = {}
        for name, known in self._domain.values.items():
            active[name] = self._domain.is_active(name, codes, active)
            if not active[name]:
                continue
            distribution = self._distributions.get(name)
            given = 0 if distribution is None else trial._suggest(name, distribution)
            if _is_choice(self.space[name]):
                given = choices_of(self.space[name])[0][given]
            values[name] = given
            codes[name] = known.code(given)
        return self._domain.canonical(values)

    def _given(self, name: str, value: Any) -> Any:
        """A value as Optuna has it: a choice by its place."""
        if not _is_choice(self.space[name]):
            return value
        text = to_json({"": value})
        return next(i for i, choice in enumerate(choices_of(self.space[name])[0]) if to_json({"": choice}) == text)

    def _other(self) -> Configuration:
        """A configuration that the sampler has not suggested."""
        found: Iterator[Configuration]
        if self._domain.finite:
            found = self._domain.enumerate(self._rng)
        else:
            source = ConfigurationSpace.from_serialized_dict(self.space.to_serialized_dict())
            source.seed(int(self._rng.integers(2**31)))
            found = (self._domain.canonical(dict(c)) for c in source.sample_configuration(MAX_ATTEMPTS))
        for configuration in found:
            if self._is_new(configuration):
                return configuration
        raise SpaceError("every configuration has been suggested.")


def _is_choice(hyperparameter: Any) -> bool:
    return not isinstance(hyperparameter, NumericalHyperparameter)


def _study(sampler: str, random_state: int | None) -> optuna.Study:
    """A study that says nothing."""
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError(
            f"the search engine {sampler!r} needs Optuna: pip install 'metahpo[optuna]'."
        ) from error
    options: dict[str, Any] = {"seed": random_state}
    if sampler in QUIETED:
        options["warn_independent_sampling"] = False
    try:
        if sampler == "cma-es":
            import_module("cmaes")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            made = getattr(optuna.samplers, SAMPLERS[sampler])(**options)
    except ImportError as error:
        raise MissingDependencyError(
            f"the search engine {sampler!r} needs a package that Optuna does not bring ({error}): pip install "
            "'metahpo[optuna]'."
        ) from error
    log = logging.getLogger("optuna.storages._in_memory")
    quiet = logging.Filter("nothing")
    log.addFilter(quiet)
    try:
        return optuna.create_study(sampler=made, storage=optuna.storages.InMemoryStorage())
    finally:
        log.removeFilter(quiet)
