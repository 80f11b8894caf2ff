"""Ax: a generation node with experience, trials to attach first, and search spaces both ways."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ConfigSpace import ConfigurationSpace, EqualsCondition, InCondition

from metahpo.exceptions import ArtefactError, DataError, SpaceError
from metahpo.integrations.libraries import AX
from metahpo.integrations.start import Beginning, Initial, Start, first_configurations, space_of
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.space.configuration import builtin, same_value
from metahpo.space.conversion import (
    Choices,
    Conversion,
    NotExpressibleError,
    Parameter,
    Range,
    common_names,
    completed,
    convert,
    nearest,
    of_one_type,
    placed,
    revert,
    standing_for,
)

AX.load()

from ax.api.client import Client  # noqa: E402
from ax.api.configs import ChoiceParameterConfig, DerivedParameterConfig, RangeParameterConfig  # noqa: E402
from ax.api.utils.instantiation.from_config import parameter_from_config  # noqa: E402
from ax.core.arm import Arm  # noqa: E402
from ax.core.data import Data  # noqa: E402
from ax.core.experiment import Experiment  # noqa: E402
from ax.core.optimization_config import OptimizationConfig  # noqa: E402
from ax.core.outcome_constraint import ComparisonOp  # noqa: E402
from ax.core.parameter import ChoiceParameter, DerivedParameter, FixedParameter, RangeParameter  # noqa: E402
from ax.core.search_space import SearchSpace  # noqa: E402
from ax.core.trial_status import TrialStatus  # noqa: E402
from ax.exceptions.core import SearchSpaceExhausted, UserInputError  # noqa: E402
from ax.generation_strategy.external_generation_node import ExternalGenerationNode  # noqa: E402
from ax.generation_strategy.generation_strategy import GenerationStrategy  # noqa: E402
from ax.storage.json_store.decoder import object_from_json  # noqa: E402

#: What ``Client.configure_experiment`` takes.
Config: TypeAlias = RangeParameterConfig | ChoiceParameterConfig | DerivedParameterConfig

#: Types of the values of Ax, and their names there.
TYPES = {bool: "bool", int: "int", float: "float", str: "str"}


def to_ax(space: ConfigurationSpace) -> Conversion[list[Config]]:
    """Search space as the parameters of ``Client.configure_experiment``, and what they cannot say.

    A hyperparameter that is active under one value of another is a dependent parameter of Ax.
    """
    found = convert(space, _written, conditions=True)
    changed = dict(found.changed)
    for name in found.space:
        conditions = space.parent_conditions_of[name]
        parent, value = _parent(conditions, found.space)
        if parent is not None:
            others = dict(parent.dependent_parameters or {})
            parent.dependent_parameters = {**others, value: [*others.get(value, []), name]}
        elif conditions:
            lost = "always active; its value is ignored where the condition does not hold"
            changed[name] = "; ".join(text for text in (lost, changed.get(name)) if text)
    return Conversion(list(found.space.values()), changed, found.left_out)


def from_ax(parameters: Sequence[Config] | SearchSpace) -> Conversion[ConfigurationSpace]:
    """Search space of the parameters of an experiment, with their dependence, and what is different in it.

    Parameters
    ----------
    parameters : sequence of parameter configs, or SearchSpace
        Those of ``Client.configure_experiment``, or ``search_space`` of an experiment.
    """
    if isinstance(parameters, SearchSpace):
        search_space = parameters
    else:
        search_space = SearchSpace([parameter_from_config(config) for config in parameters])
    found = revert(search_space.parameters, _read)
    changed = dict(found.changed)
    for name, parameter in search_space.parameters.items():
        for value, names in (parameter.dependents if parameter.is_hierarchical else {}).items():
            for child in names:
                if child in found.space and name in found.space:
                    found.space.add(EqualsCondition(found.space[child], found.space[name], value))
                elif child in found.space:
                    changed[child] = "always active; the parameter that it depends on is left out"
    constraints = [str(constraint) for constraint in search_space.parameter_constraints]
    lost = {"the space": f"its constraints: {', '.join(constraints)}"} if constraints else {}
    return Conversion(found.space, changed, {**found.left_out, **lost})


def attach_trials(
    client: Client, initial: Initial, space: ConfigurationSpace | None = None
) -> dict[int, dict[str, Any]]:
    """Make configurations the next trials of an experiment, in their order, each once.

    Parameters
    ----------
    client : ax.api.client.Client
        With a configured experiment. Any strategy of it learns from the trials.
    initial : sequence of configurations, or recommendations
        Those that are among the trials of the experiment are passed over.
    space : ConfigurationSpace, default=None
        The one that the parameters were made from. None: that of the learner that is recommended; a plain sequence is
        then taken as it is.

    Returns
    -------
    dict of int to dict
        Parameters of each trial by its number, as those of ``client.get_next_trials``.

    Raises
    ------
    SpaceError
        A configuration is not of the space, or not of that of the experiment.
    """
    experiment = client._experiment
    search_space, attached = experiment.search_space, dict[int, dict[str, Any]]()
    choices = {name: getattr(parameter, "values", []) for name, parameter in search_space.parameters.items()}
    defined = space_of(initial) if space is None else space
    for configuration in first_configurations(initial, space):
        _check_names(search_space, configuration, defined)
        found = {name: standing_for(choices.get(name, []), value) for name, value in configuration.items()}
        values = _active(search_space, {name: (found[name] or [value])[0] for name, value in configuration.items()})
        if not search_space.check_membership(values):
            raise SpaceError(f"the configuration {values} is not of the search space of the experiment.")
        arm = search_space.cast_arm(Arm(values))
        if arm.signature not in experiment.arms_by_signature:
            attached[client.attach_trial(arm.parameters)] = arm.parameters
    return attached


def load_client(path: Path | str, strategy: GenerationStrategy) -> Client:
    """Go on with the experiment of a file that ``Client.save_to_json_file`` has written.

    Parameters
    ----------
    path : path
    strategy : GenerationStrategy
        One with a new :class:`MetaGenerationNode`, made as the former one. The file does not hold experience.

    Raises
    ------
    ArtefactError
        There is no such file, or it is no file of Ax.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))["experiment"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(
            f"{path} holds no experiment ({error!r}); give a file that Client.save_to_json_file has written."
        ) from error
    client = Client()
    client.set_experiment(object_from_json(record))
    client.set_generation_strategy(strategy)
    return client


@dataclass(init=False, repr=False, eq=False)  # Ax stores data classes by their fields, and this has none
class MetaGenerationNode(ExternalGenerationNode):  # type: ignore[misc]  # not followed
    """Generation node of Ax around :class:`metahpo.BayesianOptimizer`.

    One node serves one experiment at a time. It begins again where it is given another experiment.

    All trials of the experiment count, also those of other nodes: trials with results, failed and abandoned ones, and
    those under way. A trial that was stopped early counts with its last result. Constraints on outcomes count, too.

    Parameters
    ----------
    start : BayesianOptimizer, WarmStart, Surrogate or ConfigurationSpace, default=None
        Experience, or a space, for parameters of the same names. A number outside the range of the experiment is moved
        to the bound; a value that the experiment does not have, or of a parameter that `start` does not know, is drawn
        at random. None: a cold start in the space of the experiment.
    meta_features : mapping of str to float, default=None
        Of the task, where `start` is a surrogate.
    initial : sequence of configurations, or recommendations, default=None
        First trials, in this order, each once: those that the experiment has already are passed over.
    seed : int, default=None
    name : str, default="metahpo"
        Of the node.
    **options
        Further arguments of ``ExternalGenerationNode``, such as ``transition_criteria``.

    Raises
    ------
    SpaceError
        `initial` is not of the space; later, an experiment that has nothing in common with it.
    DataError
        Later: an experiment with several objectives, with constraints on parameters, or with constraints relative to a
        baseline; or ``fixed_parameters``.

    Examples
    --------
    >>> from ax.api.client import Client
    >>> from ax.api.configs import RangeParameterConfig
    >>> from ax.generation_strategy.generation_strategy import GenerationStrategy
    >>> from metahpo.integrations.ax import MetaGenerationNode
    >>> client = Client()
    >>> client.configure_experiment([RangeParameterConfig("x", (-1.0, 1.0), "float")])
    >>> client.configure_optimization("-loss")
    >>> node = MetaGenerationNode(initial=[{"x": 0.25}], seed=0)
    >>> client.set_generation_strategy(GenerationStrategy(nodes=[node]))
    >>> client.get_next_trials(max_trials=1)
    {0: {'x': 0.25}}
    """

    def __init__(
        self,
        start: Start | None = None,
        *,
        meta_features: Mapping[str, float] | None = None,
        initial: Initial | None = None,
        seed: int | None = None,
        name: str = "metahpo",
        **options: Any,
    ) -> None:
        super().__init__(name=name, **options)
        self._beginning, self._seed = Beginning(start, meta_features, initial, seed), seed
        self._optimizer: BayesianOptimizer | None = None
        self._told: dict[tuple[int, str], Any] = {}
        self._search_space: SearchSpace | None = None
        self._others: ConfigurationSpace | None = None

    def update_generator_state(self, experiment: Experiment, data: Data) -> None:
        """Tell the optimiser what has happened in the experiment since the last call."""
        config, search_space = experiment.optimization_config, experiment.search_space
        _check(config, search_space)
        if self._search_space is not search_space:
            self._search_space = search_space
            self._others = from_ax(search_space).space
            if self._seed is not None:
                self._others.seed(self._seed)
        begun = {index: trial.time_created for index, trial in experiment.trials.items()}
        if any(begun.get(index) != time for (index, _), time in self._told.items()):
            self._optimizer, self._told = None, {}
        if self._optimizer is None:
            self._optimizer = self._beginning.optimizer(lambda: from_ax(search_space).space)
        common_names(self._optimizer.space, search_space.parameters, "the experiment")
        rows = data.df
        keys = zip(rows["trial_index"], rows["arm_name"], rows["metric_signature"], strict=True)
        means: dict[tuple[int, str, str], float] = dict(zip(keys, rows["mean"], strict=True))
        for index, trial in experiment.trials.items():
            for arm in trial.arms:
                key = (index, arm.name)
                if key not in self._told:
                    needed = config.metric_signatures
                    found = {signature: means[(*key, signature)] for signature in needed if (*key, signature) in means}
                    result = _Result.of(config, found) if found.keys() == needed else None
                    with contextlib.suppress(SpaceError):  # outside the space, it does not count
                        if self._tell(placed(self._optimizer.space, arm.parameters), trial.status, result):
                            self._told[key] = trial.time_created

    def get_next_candidate(self, pending_parameters: list[dict[str, Any]]) -> dict[str, Any]:
        """Parameters of a new trial.

        Raises
        ------
        ax.exceptions.core.SearchSpaceExhausted
            A finite space has no more.
        """
        optimizer, search_space, others = self._optimizer, self._search_space, self._others
        assert optimizer is not None
        assert search_space is not None
        assert others is not None
        try:
            whole = completed(optimizer.space, optimizer.ask())
        except SpaceError as error:
            raise SearchSpaceExhausted(str(error)) from error
        drawn = completed(others, dict(others.sample_configuration()))
        values = {
            name: _within(search_space[name], whole[name], value) if name in whole else value
            for name, value in drawn.items()
        }
        parameters: dict[str, Any] = search_space.cast_arm(Arm(_active(search_space, values))).parameters
        with contextlib.suppress(SpaceError):  # the experiment has other values than the space
            optimizer.tell_running(placed(optimizer.space, parameters))
        return parameters

    def _gen(self, *args: Any, **options: Any) -> Any:
        if options.get("fixed_features") is not None:
            raise DataError(
                "MetaGenerationNode chooses all parameters; leave out fixed_parameters, or narrow the space."
            )
        return super()._gen(*args, **options)

    def _tell(self, configuration: Mapping[str, Any], status: TrialStatus, result: _Result | None) -> bool:
        """Tell the optimiser of a trial; whether it has ended."""
        assert self._optimizer is not None
        if status in (TrialStatus.COMPLETED, TrialStatus.EARLY_STOPPED) and result is not None:
            self._optimizer.tell(configuration, result.loss, constraints=result.constraints or None)
        elif status in (TrialStatus.FAILED, TrialStatus.ABANDONED, TrialStatus.EARLY_STOPPED):
            self._optimizer.tell(configuration, status="failed")
        elif status == TrialStatus.STALE:
            with contextlib.suppress(DataError):  # it was not known to be under way
                self._optimizer.withdraw(configuration, again=False)  # Ax makes no arm again that is stale
        else:
            self._optimizer.tell_running(configuration)
            return False
        return True


@dataclass(frozen=True)
class _Result:
    """What an optimiser is told of a trial with results."""

    loss: float
    constraints: tuple[float, ...]

    @classmethod
    def of(cls, config: OptimizationConfig, means: Mapping[str, float]) -> _Result:
        def total(weighted: Any) -> float:
            return float(sum(weight * means[signature] for signature, weight in weighted.metric_weights))

        signs = [1.0 if limit.op == ComparisonOp.LEQ else -1.0 for limit in config.all_constraints]
        violations = [
            sign * (total(limit) - limit.bound) for sign, limit in zip(signs, config.all_constraints, strict=True)
        ]
        return cls(-total(config.objective), tuple(violations))  # Ax maximises


def _check(config: OptimizationConfig | None, search_space: SearchSpace) -> None:
    """Refuse an experiment that the optimiser cannot search."""
    if config is None:
        raise DataError("the experiment has no objective; call configure_optimization first.")
    if config.objective.is_multi_objective:
        raise DataError(f"MetaGenerationNode optimises one objective, but there are several: {config.objective}.")
    relative = [str(limit) for limit in config.all_constraints if limit.relative]
    if relative:
        raise DataError(f"constraints relative to a baseline do not work: {relative}; give the bounds as numbers.")
    if search_space.parameter_constraints:
        limits = [str(constraint) for constraint in search_space.parameter_constraints]
        raise DataError(f"constraints on parameters do not work: {limits}; leave them out.")


def _parent(conditions: Sequence[Any], written: Mapping[str, Config]) -> tuple[ChoiceParameterConfig | None, Any]:
    """Written parent of a hyperparameter, and the value of it that activates the hyperparameter; None without one."""
    if len(conditions) != 1 or not isinstance(conditions[0], (EqualsCondition, InCondition)):
        return None, None
    (condition,) = conditions
    values = list(condition.values) if isinstance(condition, InCondition) else [condition.value]
    parent = written.get(condition.parent.name)
    if len(values) > 1 or not isinstance(parent, ChoiceParameterConfig):
        return None, None
    return parent, standing_for(parent.values, builtin(values[0]))[0]


def _check_names(search_space: SearchSpace, configuration: Mapping[str, Any], space: ConfigurationSpace | None) -> None:
    """Refuse a configuration that would be another one without the hyperparameters that an experiment lacks."""
    lost = sorted(
        name
        for name in configuration.keys() - search_space.parameters.keys()
        if space is None or not same_value(configuration[name], space[name].default_value)
    )
    if lost:
        raise SpaceError(f"the experiment has no parameters {lost}; add them, or leave them out of the configurations.")


def _active(search_space: SearchSpace, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the parameters that are active in a configuration, those that Ax derives from others included.

    Raises
    ------
    SpaceError
        The configuration lacks a parameter.
    """
    active, waiting = set(), list(search_space.top_level_parameters)
    while waiting:
        name = waiting.pop()
        active.add(name)
        if search_space[name].is_hierarchical:
            waiting += search_space[name].dependents.get(configuration.get(name), [])
    parameters = [parameter for name, parameter in search_space.parameters.items() if name in active]
    derived = [parameter for parameter in parameters if isinstance(parameter, DerivedParameter)]
    missing = sorted(active - configuration.keys() - {parameter.name for parameter in derived})
    if missing:
        raise SpaceError(f"the configuration has no values for the parameters {missing} of the experiment.")
    values = {**configuration, **{parameter.name: parameter.compute(configuration) for parameter in derived}}
    return {parameter.name: values[parameter.name] for parameter in parameters}


def _within(parameter: Any, value: Any, drawn: Any) -> Any:
    """The value of a parameter that is nearest to one; `drawn` where there is none like it."""
    number = type(value) in (int, float)
    if isinstance(parameter, RangeParameter) and number:
        inside = min(max(value, parameter.lower), parameter.upper)
        return round(inside) if parameter.python_type is int else inside
    if not isinstance(parameter, ChoiceParameter):
        return drawn
    found = standing_for(parameter.values, value)
    if not found and parameter.is_numeric and parameter.is_ordered and number:
        return nearest(parameter.values, value)
    return found[0] if found else drawn


def _written(name: str, parameter: Parameter) -> tuple[Config, str]:
    config, note = _config(name, parameter)
    try:
        parameter_from_config(config)
    except UserInputError as error:
        raise NotExpressibleError(str(error)) from error
    return config, note


def _config(name: str, parameter: Parameter) -> tuple[Config, str]:
    if isinstance(parameter, Range):
        number, scaling = TYPES[int if parameter.integer else float], "log" if parameter.log else None
        return RangeParameterConfig(name, (parameter.low, parameter.high), number, scaling=scaling), ""
    choices, note = of_one_type(parameter)
    values, ordered, kind = list(choices.values), choices.ordered, type(choices.values[0])
    lost = ""
    if ordered and len(values) == 2:
        lost = "the order of its two values is lost"
    elif ordered and kind in (int, float) and values != sorted(values):
        lost = "its values are in ascending order"
    note = "; ".join(text for text in (lost, note) if text)
    return ChoiceParameterConfig(name, values, TYPES[kind], is_ordered=ordered), note


def _read(name: str, given: Any) -> tuple[Parameter, str]:
    if isinstance(given, RangeParameter):
        lost = ["its scale is linear, not logit"] if given.logit_scale else []
        lost += [] if given.digits is None else ["any value; the number of its digits is lost"]
        return Range(given.lower, given.upper, given.python_type is int, given.log_scale), "; ".join(lost)
    if isinstance(given, ChoiceParameter):
        return Choices(tuple(given.values), given.is_ordered and len(given.values) > 2), ""
    if isinstance(given, FixedParameter):
        return Choices((given.value,)), ""
    raise NotExpressibleError(f"{type(given).__name__} is no range and no choice")
