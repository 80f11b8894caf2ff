"""Hyperopt: our optimiser as an algorithm of ``fmin``, points to evaluate first, and search spaces both ways."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from ConfigSpace import AndConjunction, ConfigurationSpace, EqualsCondition, OrConjunction

from metahpo.exceptions import SpaceError
from metahpo.integrations.libraries import HYPEROPT
from metahpo.integrations.start import Beginning, Initial, Start, first_configurations, space_of
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.space.configuration import builtin, value_text
from metahpo.space.conversion import (
    Choices,
    Conversion,
    NotExpressibleError,
    Parameter,
    Range,
    common_names,
    completed,
    convert,
    evenly_spaced,
    placed,
    revert,
)

HYPEROPT.load()

from hyperopt import STATUS_OK, Trials, hp, pyll  # noqa: E402
from hyperopt.base import JOB_STATE_DONE, JOB_STATE_ERROR, Domain  # noqa: E402
from hyperopt.fmin import generate_trials_to_calculate  # noqa: E402

#: Choices on the way to a label, and the option of each.
_Path: TypeAlias = tuple[tuple[str, int], ...]


def to_hyperopt(space: ConfigurationSpace) -> Conversion[dict[str, Any]]:
    """Search space for ``fmin``, a dictionary of ``hp`` nodes, and what it cannot say."""
    return convert(space, _written)


def from_hyperopt(space: Any) -> Conversion[ConfigurationSpace]:
    """Search space of a space of Hyperopt, by its labels, and what is different in it.

    A label in an option of a choice is active under that option only; such options are counted from 0.
    """
    labels = _labels(space)
    found = revert(labels, _read)
    changed = dict(found.changed)
    for name in found.space:
        paths = labels[name].known_paths(labels)
        lost = {parent for path in paths for parent, _ in path} - found.space.keys()
        if lost:
            text = f"always active; what it depends on is left out: {sorted(lost)}"
            changed[name] = "; ".join(part for part in (text, changed.get(name)) if part)
        elif paths and () not in paths:
            found.space.add(_condition(found.space, name, paths))
    return Conversion(found.space, changed, found.left_out)


def _condition(space: ConfigurationSpace, name: str, paths: tuple[_Path, ...]) -> Any:
    """The condition that all options of one of some paths are chosen."""
    conditions = []
    for path in paths:
        parts = [EqualsCondition(space[name], space[parent], option) for parent, option in path]
        conditions.append(parts[0] if len(parts) == 1 else AndConjunction(*parts))
    return conditions[0] if len(conditions) == 1 else OrConjunction(*conditions)


def points_to_evaluate(initial: Initial, space: ConfigurationSpace | None = None) -> list[dict[str, Any]]:
    """Configurations for the ``points_to_evaluate`` of ``fmin`` in the space of :func:`to_hyperopt`.

    Choices are positions, as Hyperopt has them, and inactive hyperparameters are at their defaults.

    Parameters
    ----------
    initial : sequence of configurations, or recommendations
    space : ConfigurationSpace, default=None
        None: that of the learner that is recommended.

    Raises
    ------
    SpaceError
        There is no such space, or a configuration is not of it.
    """
    space = space_of(initial) if space is None else space
    if space is None:
        raise SpaceError("points of Hyperopt need the space that they are of: give space.")
    labels = _labels(to_hyperopt(space).space)
    return [
        {name: label.kept(configuration[name]) for name, label in labels.items()}
        for configuration in first_configurations(initial, space)
    ]


def trials_to_calculate(initial: Initial, space: ConfigurationSpace | None = None) -> Trials:
    """Trials of :func:`points_to_evaluate`, not yet made: ``fmin(..., trials=...)`` makes them first."""
    return generate_trials_to_calculate(points_to_evaluate(initial, space))


class MetaSuggest:
    """Algorithm of ``hyperopt.fmin`` around :class:`metahpo.BayesianOptimizer`.

    One object serves one search at a time. It begins again where ``fmin`` comes with the trials of another search.

    Parameters
    ----------
    start : BayesianOptimizer, WarmStart, Surrogate or ConfigurationSpace, default=None
        Experience, or a space, whose hyperparameters have the names of the labels. Labels that it does not have are
        drawn at random. None: a cold start in the space of ``fmin``.
    meta_features : mapping of str to float, default=None
        Of the task, where `start` is a surrogate.
    initial : sequence of configurations, or recommendations, default=None
        Suggested first, in this order, each once; those among the trials of ``fmin`` are passed over.
    seed : int, default=None
        None takes the one that ``fmin`` gives.

    Raises
    ------
    SpaceError
        `initial` is not of the space; later, a space of ``fmin`` that has nothing in common with it.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperopt import fmin, hp
    >>> from metahpo.integrations.hyperopt import MetaSuggest
    >>> best = fmin(lambda x: x**2, hp.uniform("x", -1, 1), MetaSuggest(), 8, rstate=np.random.default_rng(0),
    ...             show_progressbar=False)
    """

    def __init__(
        self,
        start: Start | None = None,
        *,
        meta_features: Mapping[str, float] | None = None,
        initial: Initial | None = None,
        seed: int | None = None,
    ) -> None:
        self._beginning = Beginning(start, meta_features, initial, seed)
        self._optimizer: BayesianOptimizer | None = None
        self._told: set[int] = set()

    def __call__(self, new_ids: list[int], domain: Domain, trials: Trials, seed: int) -> list[dict[str, Any]]:
        """Documents of new trials, as ``fmin`` asks for them; none where a finite space has no more."""
        labels = _labels(domain.expr)
        if not self._told <= {trial["tid"] for trial in _with_errors(trials)}:
            self._optimizer, self._told = None, set()
        if self._optimizer is None:
            self._optimizer = self._beginning.optimizer(lambda: from_hyperopt(domain.expr).space, int(seed))
        optimizer, rng = self._optimizer, np.random.default_rng(seed)
        common_names(optimizer.space, labels, "the space of fmin")
        self._tell(optimizer, labels, trials)
        documents: list[dict[str, Any]] = []
        for new_id in new_ids:
            try:
                whole = completed(optimizer.space, optimizer.ask())
            except SpaceError:
                break
            values = {
                name: label.kept(whole[name]) if name in whole else label.drawn(rng) for name, label in labels.items()
            }
            active = {name for name, label in labels.items() if label.active(values)}
            misc = {"tid": new_id, "cmd": domain.cmd, "workdir": domain.workdir}
            misc["idxs"] = {name: [new_id] if name in active else [] for name in values}
            misc["vals"] = {name: [value] if name in active else [] for name, value in values.items()}
            documents += trials.new_trial_docs([new_id], [None], [domain.new_result()], [misc])
        return documents

    def _tell(self, optimizer: BayesianOptimizer, labels: Mapping[str, _Label], trials: Trials) -> None:
        for trial in _with_errors(trials):
            if trial["tid"] in self._told:
                continue
            kept = {name: found[0] for name, found in trial["misc"]["vals"].items() if found}
            values = {name: labels[name].value(value) for name, value in kept.items() if name in labels}
            try:
                configuration = placed(optimizer.space, values)
            except SpaceError:  # a trial of another space
                continue
            if trial["state"] not in (JOB_STATE_DONE, JOB_STATE_ERROR):
                optimizer.tell_running(configuration)
                continue
            self._told.add(trial["tid"])
            result = trial["result"]
            loss = result.get("loss") if result.get("status") == STATUS_OK else None
            optimizer.tell(configuration, math.nan if loss is None else loss)


def _with_errors(trials: Trials) -> list[dict[str, Any]]:
    """Trials of a search, those too that raised an error, which ``trials.trials`` leaves out."""
    found: list[dict[str, Any]] = getattr(trials, "_dynamic_trials", trials.trials)
    return [trial for trial in found if trials._exp_key in (None, trial["exp_key"])]


@dataclass(frozen=True)
class _Label:
    """What Hyperopt draws for a label.

    Attributes
    ----------
    distribution
        Node of the distribution; of a choice that of the position.
    options : list or None
        Values of a choice; their positions, where some of them hold other labels.
    integer : bool
        Whether the objective gets an integer.
    paths : tuple
        Where the label is: choices and their options on the way to it. An empty path leads to what is always active.
    """

    distribution: Any
    options: list[Any] | None = None
    integer: bool = False
    paths: tuple[_Path, ...] = ()

    def kept(self, value: Any) -> Any:
        """A value as Hyperopt keeps it: of a choice its position."""
        return value if self.options is None else list(map(value_text, self.options)).index(value_text(value))

    def drawn(self, rng: np.random.Generator) -> Any:
        """A value drawn at random, as Hyperopt keeps it."""
        value = pyll.stochastic.sample(self.distribution, rng)
        return value.item() if isinstance(value, np.ndarray) else builtin(value)

    def active(self, kept: Mapping[str, Any]) -> bool:
        """Whether the label is active, given the values of all labels as Hyperopt keeps them."""
        return any(all(kept[parent] == option for parent, option in path) for path in self.paths)

    def known_paths(self, labels: Mapping[str, _Label]) -> tuple[_Path, ...]:
        """The paths, without choices of a single option."""
        found = (tuple(step for step in path if len(labels[step[0]].options or ()) > 1) for path in self.paths)
        return tuple(dict.fromkeys(found))

    def value(self, kept: Any) -> Any:
        """The value of what Hyperopt keeps."""
        return kept if self.options is None else self.options[int(kept)]


def _labels(space: Any) -> dict[str, _Label]:
    """Labels of a space of Hyperopt."""
    found: dict[str, _Label] = {}
    for node in pyll.dfs(pyll.as_apply(space)):  # what a node consists of comes before it
        if node.name == "hyperopt_param":
            distribution = node.arg["obj"]
            found[node.arg["label"].obj] = _Label(distribution, integer=distribution.name == "randint")
        elif node.name == "switch" and node.pos_args[0].name == "hyperopt_param":
            label = node.pos_args[0].arg["label"].obj
            given = node.pos_args[1:]
            constant = not any(part.name == "hyperopt_param" for option in given for part in pyll.dfs(option))
            options = [pyll.rec_eval(option) for option in given] if constant else list(range(len(given)))
            found[label] = replace(found[label], options=options)
        elif node.name == "int":
            inner = node.pos_args[0]
            inner = inner.pos_args[0] if inner.name == "float" else inner
            if inner.name == "hyperopt_param":
                label = inner.arg["label"].obj
                found[label] = replace(found[label], integer=True)
    places = list(_places(pyll.as_apply(space), ()))
    for name, label in found.items():
        paths = dict.fromkeys(path for place, path in places if place == name)
        found[name] = replace(label, paths=tuple(paths))
    return found


def _places(node: Any, path: _Path) -> Iterator[tuple[str, _Path]]:
    """Labels below a node of a space, each with the path to it."""
    if node.name == "hyperopt_param":
        yield node.arg["label"].obj, path
    elif node.name == "switch" and node.pos_args[0].name == "hyperopt_param":
        choice, *options = node.pos_args
        yield from _places(choice, path)
        for i, option in enumerate(options):
            yield from _places(option, (*path, (choice.arg["label"].obj, i)))
    else:
        for part in node.inputs():
            yield from _places(part, path)


def _read(name: str, label: _Label) -> tuple[Parameter, str]:
    if label.options is not None:
        note = "" if label.distribution.name == "randint" else "its probabilities are lost"
        return Choices(tuple(label.options)), note
    arguments = {key: node.obj for key, node in label.distribution.arg.items() if hasattr(node, "obj")}
    kind = label.distribution.name
    if kind == "randint":
        low, high = (arguments["low"], arguments["high"]) if "high" in arguments else (0, arguments["low"])
        return Range(low, high - 1, True), ""
    log, step, note = "log" in kind, arguments.get("q"), ""
    if "normal" in kind:
        spread = 3 * arguments["sigma"]
        low, high = arguments["mu"] - spread, arguments["mu"] + spread
        note = "uniform, within three standard deviations"
    elif "uniform" in kind:
        low, high = arguments["low"], arguments["high"]
    else:
        raise NotExpressibleError(f"{kind} is no range and no choice")
    low, high = (math.exp(low), math.exp(high)) if log else (low, high)
    if step is None:
        return Range(low, high, False, log), note
    low, high = round(low / step) * step, round(high / step) * step
    if label.integer:
        low, high, step = round(low), round(high), round(step)
    if log and low == 0:  # rounded down to it
        low, note = step, "; ".join(text for text in (note, "without 0, which has no logarithm") if text)
    return Range(low, high, label.integer, log, None if label.integer and step == 1 else step), note


def _written(name: str, parameter: Parameter) -> tuple[Any, str]:
    if isinstance(parameter, Choices):
        spaced = evenly_spaced(parameter)
        if spaced is None or spaced.low % (spaced.step or 1):
            note = "the order of its values is lost" if parameter.ordered else ""
            return hp.choice(name, list(parameter.values)), note
        parameter = spaced
    low, high, step = parameter.low, parameter.high, parameter.step
    if parameter.integer:
        if parameter.log:
            return pyll.scope.int(hp.qloguniform(name, math.log(low), math.log(high), 1)), ""
        if step not in (None, 1):
            return pyll.scope.int(hp.quniform(name, low, high, step)), ""
        return hp.uniformint(name, low, high), ""
    if step is not None:
        return hp.quniform(name, low, high, step), ""
    return hp.loguniform(name, math.log(low), math.log(high)) if parameter.log else hp.uniform(name, low, high), ""
