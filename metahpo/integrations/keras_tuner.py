"""Keras Tuner: an oracle with experience, and hyperparameters as a search space, both ways."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Mapping
from typing import Any

from ConfigSpace import ConfigurationSpace, EqualsCondition, InCondition
from ConfigSpace.conditions import AndConjunction

from metahpo.exceptions import DataError, SpaceError, WarmStartWarning
from metahpo.integrations.libraries import KERAS_TUNER
from metahpo.integrations.start import Initial, Start, check_meta_features, first_configurations, optimizer_from
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.space.conversion import (
    Choices,
    Conversion,
    Parameter,
    Range,
    common_names,
    completed,
    convert,
    evenly_spaced,
    nearest,
    of_one_type,
    placed,
    revert,
    standing_for,
)

KERAS_TUNER.load()

from keras_tuner import HyperParameters, Oracle  # noqa: E402
from keras_tuner.engine import hyperparameters as kinds  # noqa: E402
from keras_tuner.engine.trial import TrialStatus  # noqa: E402


def to_keras_tuner(space: ConfigurationSpace) -> Conversion[HyperParameters]:
    """Hyperparameters of Keras Tuner, with the conditions that it knows, and what they cannot say."""
    found = convert(space, _written, conditions=True)
    made, changed = HyperParameters(), dict(found.changed)
    for name, (kind, arguments) in found.space.items():
        with contextlib.ExitStack() as scopes:
            for condition in space.parent_conditions_of[name]:
                parts: list[Any] = [condition]
                if isinstance(condition, AndConjunction):
                    parts = list(condition.components)
                if not all(isinstance(part, (EqualsCondition, InCondition)) for part in parts):
                    changed[name] = f"always active; the condition is lost: {condition}"
                    continue
                for part in parts:
                    values = list(part.values) if isinstance(part, InCondition) else [part.value]
                    scopes.enter_context(made.conditional_scope(part.parent.name, values))
            getattr(made, kind)(name, **arguments)
    return Conversion(made, changed, found.left_out)


def from_keras_tuner(hyperparameters: HyperParameters) -> Conversion[ConfigurationSpace]:
    """Search space of hyperparameters of Keras Tuner, with their conditions, and what is different in it."""
    found = revert({known.name: known for known in hyperparameters.space}, _read)
    changed = dict(found.changed)
    for known in hyperparameters.space:
        conditions = [
            _active_under(found.space[known.name], found.space[condition.name], list(condition.values))
            for condition in known.conditions
            if known.name in found.space and condition.name in found.space
        ]
        if len(conditions) < len(known.conditions):
            changed[known.name] = "always active; its condition is on what is left out"
        elif conditions:
            found.space.add(conditions[0] if len(conditions) == 1 else AndConjunction(*conditions))
    return Conversion(found.space, changed, found.left_out)


def _active_under(child: Any, parent: Any, values: list[Any]) -> EqualsCondition | InCondition:
    return EqualsCondition(child, parent, values[0]) if len(values) == 1 else InCondition(child, parent, values)


class MetaOracle(Oracle):  # type: ignore[misc]  # no types
    """Oracle of Keras Tuner around :class:`metahpo.BayesianOptimizer`.

    Parameters
    ----------
    objective : str or keras_tuner.Objective
    max_trials : int, default=10
    start : BayesianOptimizer, WarmStart, Surrogate or ConfigurationSpace, default=None
        Experience, or a space, for hyperparameters of the same names; those that it does not have stay at their
        defaults. None: a cold start in the space of the hypermodel.
    meta_features : mapping of str to float, default=None
        Of the task, where `start` is a surrogate.
    initial : sequence of configurations, or recommendations, default=None
        First trials, in this order, each once; those that a reloaded oracle has are passed over. Without a `start`, the
        hypermodel may show some of their hyperparameters later, and what they do not name has its default.
    seed : int, default=None
    **options
        Further arguments of :class:`keras_tuner.Oracle`.

    Raises
    ------
    SpaceError
        `initial` is not of the space; later, a hypermodel with nothing in common with it.
    DataError
        Later: a hypermodel without hyperparameters.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int = 10,
        start: Start | None = None,
        *,
        meta_features: Mapping[str, float] | None = None,
        initial: Initial | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        check_meta_features(start, meta_features)
        super().__init__(objective=objective, max_trials=max_trials, seed=seed, **options)
        self._start, self._random_state = start, seed
        self._initial = [] if initial is None or start is not None else first_configurations(initial)
        self._optimizer: BayesianOptimizer | None = None
        if start is not None:
            self._optimizer = optimizer_from(start, meta_features=meta_features, initial=initial, random_state=seed)
        self._told: set[str] = set()

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Values of a trial; STOPPED where a finite space has no more."""
        optimizer = self._ready()
        self._tell(optimizer)
        try:
            asked = optimizer.ask()
        except SpaceError:
            return {"status": TrialStatus.STOPPED, "values": None}
        whole, chosen = completed(optimizer.space, asked), HyperParameters()
        for given in self._initial:
            if placed(optimizer.space, given) == asked:  # the hypermodel may show more of its hyperparameters
                chosen.values |= {name: value for name, value in given.items() if name not in optimizer.space}
                break
        for known in self.hyperparameters.space:
            chosen.merge([known])
            if chosen.is_active(known):
                chosen.values[known.name] = _within(known, whole.get(known.name, known.default))
        return {"status": TrialStatus.RUNNING, "values": chosen.values}

    def _ready(self) -> BayesianOptimizer:
        """The optimiser; without a `start`, a new one wherever the hypermodel has shown a new hyperparameter."""
        names = {known.name for known in self.hyperparameters.space}
        if self._start is None and (self._optimizer is None or self._optimizer.space.keys() != names):
            space = from_keras_tuner(self.hyperparameters).space
            if not space:
                raise DataError("the hypermodel has no hyperparameters that can be searched.")
            first = [placed(space, given) for given in self._initial]
            self._optimizer = optimizer_from(space, initial=first, random_state=self._random_state)
            self._told = set()
            unknown = sorted({name for given in self._initial for name in given} - names)
            if unknown:
                warnings.warn(
                    f"initial has {unknown}, which the hypermodel has not shown so far; they count once it does",
                    WarmStartWarning,
                    stacklevel=2,
                )
        assert self._optimizer is not None
        common_names(self._optimizer.space, names, "the hypermodel")
        return self._optimizer

    def _tell(self, optimizer: BayesianOptimizer) -> None:
        sign = -1.0 if getattr(self.objective, "direction", "min") == "max" else 1.0
        for trial_id, trial in self.trials.items():
            if trial_id in self._told:
                continue
            try:
                configuration = placed(optimizer.space, trial.hyperparameters.values)
            except SpaceError:  # of another space
                continue
            if trial.status in (TrialStatus.COMPLETED, TrialStatus.FAILED):
                self._told.add(trial_id)
                optimizer.tell(configuration, math.nan if trial.score is None else sign * trial.score)
            else:
                optimizer.tell_running(configuration)


def _within(known: Any, value: Any) -> Any:
    """The value of a hyperparameter that is nearest to one; its default where there is none like it."""
    if isinstance(known, (kinds.Float, kinds.Int)):
        if type(value) not in (int, float):
            return known.default
        number = min(max(value, known.min_value), known.max_value)
        listed = getattr(_read(known.name, known)[0], "values", None)
        number = number if listed is None else nearest(listed, number)
        return round(number) if isinstance(known, kinds.Int) else float(number)
    return (standing_for(known.values, value) or [known.default])[0]


def _written(name: str, parameter: Parameter) -> tuple[tuple[str, dict[str, Any]], str]:
    if isinstance(parameter, Choices):
        spaced = evenly_spaced(parameter)
        if len(parameter.values) == 1:
            return ("Fixed", {"value": parameter.values[0]}), ""
        if spaced is None:
            choices, note = of_one_type(parameter)
            values, default = list(choices.values), choices.default
            if type(values[0]) is bool:
                return ("Boolean", {"default": default}), ""
            number = type(values[0]) is not str
            lost = "the order of its values is lost" if parameter.ordered and not number else ""
            lost = "; ".join(text for text in (lost, note) if text)
            return ("Choice", {"values": values, "ordered": parameter.ordered and number, "default": default}), lost
        parameter = spaced
    arguments = {"min_value": parameter.low, "max_value": parameter.high, "default": parameter.default}
    if parameter.step is not None:
        arguments["step"] = parameter.step
    sampling = "log" if parameter.log else "linear"
    return ("Int" if parameter.integer else "Float", {**arguments, "sampling": sampling}), ""


def _read(name: str, known: Any) -> tuple[Parameter, str]:
    if isinstance(known, (kinds.Float, kinds.Int)):
        integer, log = isinstance(known, kinds.Int), known.sampling == "log"
        if log and known.step is not None:
            count = math.floor(math.log(known.max_value / known.min_value, known.step) + 1e-9) + 1
            return Choices(tuple(known.min_value * known.step**i for i in range(count)), count > 1, known.default), ""
        step = None if integer and known.step == 1 else known.step
        lost = "its scale is linear, not reverse_log" if known.sampling == "reverse_log" else ""
        return Range(known.min_value, known.max_value, integer, log, step, known.default), lost
    return Choices(tuple(known.values), bool(getattr(known, "ordered", False)), known.default), ""
