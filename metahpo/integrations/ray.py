"""Ray Tune: a searcher with experience, points to evaluate first, and search spaces both ways."""

from __future__ import annotations

import math
import pickle
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import DataError, SpaceError
from metahpo.integrations.libraries import RAY_TUNE
from metahpo.integrations.start import Initial, Start, check_meta_features, first_configurations, optimizer_from
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.space.configuration import Configuration
from metahpo.space.conversion import (
    STEP_TOLERANCE,
    Choices,
    Conversion,
    NotExpressibleError,
    Parameter,
    Range,
    completed,
    convert,
    evenly_spaced,
    multiples,
    placed,
    revert,
)

RAY_TUNE.load()

from ray import cloudpickle, tune  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402
from ray.tune.search.sample import Categorical, Domain, Float, Integer, LogUniform, Normal, Quantized  # noqa: E402
from ray.tune.search.variant_generator import generate_variants  # noqa: E402
from ray.tune.utils.util import flatten_dict, unflatten_dict  # noqa: E402

#: Types of constants that belong to a configuration.
CONSTANTS = (type(None), bool, int, float, str)


def to_ray(space: ConfigurationSpace) -> Conversion[dict[str, Any]]:
    """Search space as a ``param_space`` of Ray Tune, and what it cannot say."""
    return convert(space, _written)


def from_ray(param_space: Mapping[str, Any]) -> Conversion[ConfigurationSpace]:
    """Search space of a ``param_space`` of Ray Tune, and what is different in it.

    Nested names are joined by ``/``. Constants are constants of the space; those that are no number or text are not
    part of it, for Ray passes them on itself.
    """
    flat = _flat_space(param_space)
    grids = {name.removesuffix("/grid_search"): name for name in flat if name.endswith("/grid_search")}
    named = {name: flat[name] for name in flat if name not in grids.values()}
    return revert({**named, **{name: _Grid(flat[key]) for name, key in grids.items()}}, _read)


def points_to_evaluate(initial: Initial, space: ConfigurationSpace | None = None) -> list[Configuration]:
    """Configurations for the ``points_to_evaluate`` of any searcher: inactive hyperparameters at their defaults.

    See :func:`metahpo.integrations.start.first_configurations`.
    """
    return [unflatten_dict(configuration) for configuration in first_configurations(initial, space)]


class MetaSearcher(Searcher):  # type: ignore[misc]  # no types
    """Searcher of Ray Tune around :class:`metahpo.BayesianOptimizer`.

    Parameters
    ----------
    start : BayesianOptimizer, WarmStart, Surrogate or ConfigurationSpace, default=None
        Experience, or a space; what is suggested has a value for each of its hyperparameters, the inactive ones at
        their defaults. None: a cold start in the ``param_space`` of the tuner; what :func:`from_ray` leaves out of
        that, such as ``tune.sample_from``, is drawn as Ray draws it.
    metric : str, default=None
        Key of the results. None takes that of the tuner, which passes it on only together with a ``param_space``.
    mode : {"min", "max"}, default=None
        None as for `metric`.
    meta_features : mapping of str to float, default=None
        Of the task, where `start` is a surrogate.
    initial : sequence of configurations, or recommendations, default=None
        Suggested first, in this order, each once; names may be nested, as those of the ``param_space``.
    seed : int, default=None

    Raises
    ------
    DataError
        A mode that there is not; later, a search without a metric.
    SpaceError
        `initial` is not of the space; later, a ``param_space`` without anything to search.
    """

    def __init__(
        self,
        start: Start | None = None,
        *,
        metric: str | None = None,
        mode: str | None = None,
        meta_features: Mapping[str, float] | None = None,
        initial: Initial | None = None,
        seed: int | None = None,
    ) -> None:
        if mode not in (None, "min", "max"):
            raise DataError(f"mode must be 'min' or 'max', but is {mode!r}; one metric is optimised.")
        check_meta_features(start, meta_features)
        super().__init__(metric=metric, mode=mode)
        self._seed, self._initial = seed, initial
        self._running: dict[str, Configuration] = {}
        self._drawn: dict[str, Any] = {}
        self._rng = np.random.RandomState(seed)
        self._optimizer: BayesianOptimizer | None = None
        if start is not None:
            first = _flat_all(initial, getattr(start, "space", start))
            self._optimizer = optimizer_from(start, meta_features=meta_features, initial=first, random_state=seed)

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Take what the tuner says; False where it has a space, and there is one already."""
        self._metric: str | None = self._metric or metric
        self._mode: str | None = self._mode or mode
        domains = {name: value for name, value in _flat_space(config).items() if isinstance(value, Domain)}
        if self._optimizer is not None:
            return not domains
        space = from_ray(config).space
        self._drawn = {name: domain for name, domain in domains.items() if name not in space}
        if not domains or not space:
            raise SpaceError("param_space holds nothing to search; give MetaSearcher a start, or param_space domains.")
        first = _flat_all(self._initial, space)
        self._optimizer = optimizer_from(space, initial=first, random_state=self._seed)
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Configuration of a trial; FINISHED where a finite space has no more."""
        optimizer = self._ready()
        if trial_id not in self._running:
            try:
                self._running[trial_id] = optimizer.ask()
            except SpaceError:
                return str(Searcher.FINISHED)
        whole = completed(optimizer.space, self._running[trial_id])
        nested: dict[str, Any] = unflatten_dict({**whole, **self._drawn})
        if self._drawn:
            ((_, spec), *_) = generate_variants({"config": nested}, random_state=self._rng)
            nested = spec["config"]
        return nested

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the optimiser the last result of a trial; one that ended without any is suggested again."""
        configuration, optimizer = self._running.pop(trial_id, None), self._ready()
        if configuration is None:
            return
        value = (result or {}).get(str(self._metric))
        if error:
            optimizer.tell(configuration, status="failed")
        elif value is None:
            optimizer.withdraw(configuration)
        else:
            optimizer.tell(configuration, -value if self._mode == "max" else value)

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Tell the optimiser a trial of another search.

        Raises
        ------
        SpaceError
            The parameters are not of the space.
        """
        optimizer = self._ready()
        configuration = placed(optimizer.space, _flat(parameters, optimizer.space))
        loss = -value if self._mode == "max" else value
        optimizer.tell(configuration, math.nan if error else loss)

    def save(self, checkpoint_path: str) -> None:
        """Write the state of the search to a file."""
        Path(checkpoint_path).write_bytes(cloudpickle.dumps(vars(self)))

    def restore(self, checkpoint_path: str) -> None:
        """Go on where the search of a file was; trials that were under way are suggested again."""
        self.__dict__.update(pickle.loads(Path(checkpoint_path).read_bytes()))

    def _ready(self) -> BayesianOptimizer:
        if self._optimizer is None:
            raise SpaceError("there is no space yet: give MetaSearcher a start, or Tuner a param_space.")
        if not self._metric or not self._mode:
            raise DataError("MetaSearcher needs metric and mode; those of TuneConfig reach it only with a param_space.")
        return self._optimizer


def _flat_space(param_space: Mapping[str, Any]) -> dict[str, Any]:
    """What a ``param_space`` holds, nested names joined by ``/``; a ValueError where a name has a ``/`` of its own."""
    flat: dict[str, Any] = flatten_dict(dict(param_space), delimiter="/", prevent_delimiter=True)
    return flat


def _flat(nested: Mapping[str, Any], known: Collection[str] = ()) -> dict[str, Any]:
    """Nested values under names that are joined by ``/``; a mapping under a known name is a value."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping) and value and name not in known:
            inner = {known_name.removeprefix(f"{name}/") for known_name in known if known_name.startswith(f"{name}/")}
            flat |= {f"{name}/{key}": one for key, one in _flat(value, inner).items()}
        else:
            flat[name] = value
    return flat


def _flat_all(initial: Initial | None, space: Any) -> Any:
    """Configurations whose names may be nested, as those of a space."""
    if not isinstance(initial, Sequence) or not isinstance(space, ConfigurationSpace):
        return initial
    return [_flat(given, space) if isinstance(given, Mapping) else given for given in initial]


class _Grid:
    """Values of ``tune.grid_search``."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values


def _written(name: str, parameter: Parameter) -> tuple[Any, str]:
    if isinstance(parameter, Choices):
        if len(parameter.values) == 1:
            return parameter.values[0], ""
        spaced = evenly_spaced(parameter)
        if spaced is None or not _multiples(spaced):
            note = "the order of its values is lost" if parameter.ordered else ""
            return tune.choice(list(parameter.values)), note
        parameter = spaced
    low, high = parameter.low, parameter.high
    if not parameter.integer:
        if parameter.step is not None:
            return tune.quniform(low, high, parameter.step), ""
        return (tune.loguniform if parameter.log else tune.uniform)(low, high), ""
    if parameter.step not in (None, 1):
        return tune.qrandint(int(low), int(high), int(parameter.step or 1)), ""
    return (tune.lograndint if parameter.log else tune.randint)(int(low), int(high) + 1), ""


def _multiples(spaced: Range) -> bool:
    """Whether the values of a range are multiples of its step, as those of Ray are."""
    steps = spaced.low / (spaced.step or 1)
    return abs(steps - round(steps)) < STEP_TOLERANCE


def _holds_domains(value: Any) -> bool:
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return isinstance(value, Domain) or any(map(_holds_domains, parts))


def _read(name: str, given: Any) -> tuple[Parameter, str]:
    if isinstance(given, _Grid):
        return Choices(tuple(given.values)), "searched, not gone through as a grid"
    if isinstance(given, CONSTANTS):
        return Choices((given,)), ""
    if isinstance(given, Categorical):
        if any(map(_holds_domains, given.categories)):
            raise NotExpressibleError("some of its choices hold search spaces")
        return Choices(tuple(given.categories)), ""
    if not isinstance(given, (Float, Integer)):
        raise NotExpressibleError(f"{type(given).__name__} is no range and no choice")
    sampler, step = given.get_sampler(), None
    if isinstance(sampler, Quantized):
        sampler, step = sampler.get_sampler(), sampler.q
    if isinstance(sampler, Normal):
        low, high = sampler.mean - 3 * sampler.sd, sampler.mean + 3 * sampler.sd
        return multiples(Range(low, high, False), step), "uniform, within three standard deviations"
    log, integer = isinstance(sampler, LogUniform), isinstance(given, Integer)
    if integer and step in (None, 1):
        return Range(given.lower, given.upper - 1, True, log), ""
    return multiples(Range(given.lower, given.upper, integer, log), step), ""
