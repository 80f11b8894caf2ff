"""Arguments of a search that cannot work are refused before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, get_args

import numpy as np

from metahpo.exceptions import DataError
from metahpo.numerics.seed import check_seed
from metahpo.processes import check_n_jobs
from metahpo.recommendation.recommender import check_recommender
from metahpo.search.engines import check_search_engine
from metahpo.search.schedules import Strategy

#: Arguments of levels of resources, and their defaults: how the levels follow each other, and where they begin and end.
SCHEDULE: Mapping[str, Any] = {"strategy": "halving", "factor": 3.0}
RESOURCES: Mapping[str, Any] = {"min_resources": None, "max_resources": None}


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check the arguments of :class:`metahpo.search.MetaSearchCV` that scikit-learn does not know.

    Raises
    ------
    DataError
        One is out of range, or two do not go together.
    UnknownNameError
        There is no such engine.
    """
    _whole(arguments, "n_trials", optional=False)
    for name in ("patience", "min_resources", "max_resources"):
        _whole(arguments, name, optional=True)
    for name in ("timeout", "trial_timeout", "probe_seconds"):
        seconds = arguments[name]
        if seconds is not None and not (_is_real(seconds) and float(seconds) > 0.0):
            raise DataError(f"{name} must be a positive number of seconds, or None, but is {seconds!r}.")
    _check_probes(arguments)
    check_seed(arguments["random_state"])
    for name in ("warm_start", "per_second", "early_stopping"):
        if not isinstance(arguments[name], bool | np.bool_):
            raise DataError(f"{name} must be True or False, but is {arguments[name]!r}.")
    check_n_jobs(arguments["n_jobs"])
    check_recommender(arguments["recommender"])
    _one_of(arguments, "parallel", ("folds", "trials"))
    _one_of(arguments, "strategy", get_args(Strategy))
    if not (_is_real(arguments["factor"]) and arguments["factor"] > 1.0):
        raise DataError(f"factor must be a number above 1, but is {arguments['factor']!r}.")
    if not isinstance(arguments["fidelity"], str | None):
        raise DataError(f"fidelity must be 'rows', the name of a parameter, or None, but is {arguments['fidelity']!r}.")
    _check_levels(arguments)
    callbacks = callbacks_of(arguments["callback"], arguments["callbacks"])
    if bad := [callback for callback in callbacks if not callable(callback)]:
        raise DataError(f"callbacks must be functions of the history, but {bad[0]!r} is none.")
    size = arguments["test_size"]
    if size is not None and not (
        _is_real(size) and (0.0 < size < 1.0 or (isinstance(size, Integral) and int(size) > 0))
    ):
        raise DataError(f"test_size must be a share in (0, 1), a number of rows, or None, but is {size!r}.")
    if size is not None and not arguments["refit"]:
        raise DataError("test_size needs refit: it is the refitted estimator that is tested.")
    check_search_engine(arguments["engine"])
    if arguments["space"] is not None and arguments["param_distributions"] is not None:
        raise DataError("give either space or param_distributions, not both.")
    given = arguments["space"] if arguments["param_distributions"] is None else arguments["param_distributions"]
    if isinstance(given, list | tuple) and any(isinstance(one, Mapping) for one in given):
        needs_one = f"needs one space, but {len(given)} alternatives are given: give one dict."
        if arguments["stages"] is not None:
            raise DataError(f"stages {needs_one}")
        if arguments["engine"] == "population":
            raise DataError(f"engine='population' {needs_one}")
    if arguments["engine"] == "population":
        _check_population(arguments)
    if arguments["per_second"]:
        _check_per_second(arguments)
    if arguments["stages"] is not None and arguments["fidelity"] is not None:
        raise DataError("stages and fidelity cannot be given together: leave one of them out.")


def callbacks_of(callback: Any, callbacks: Any) -> list[Callable[..., Any]]:
    """One callback, or several, or both."""
    if callbacks is None:
        several: list[Any] = []
    else:
        several = list(callbacks) if isinstance(callbacks, Sequence) else [callbacks]
    return [*([] if callback is None else [callback]), *several]


def _check_probes(arguments: Mapping[str, Any]) -> None:
    seconds, timeout = arguments["probe_seconds"], arguments["timeout"]
    if seconds is None:
        return
    if not arguments["warm_start"]:
        raise DataError("probe_seconds adds to experience, which warm_start=False ignores: leave one of them out.")
    if timeout is not None and seconds >= timeout:
        raise DataError(f"probe_seconds={seconds!r} must be less than timeout={timeout!r}, which it counts towards.")


def _check_levels(arguments: Mapping[str, Any]) -> None:
    """Refuse what would have no effect."""
    population = arguments["engine"] == "population"
    if arguments["fidelity"] is not None and not population:
        return
    unused = SCHEDULE if population else {**SCHEDULE, **RESOURCES}
    name = next((name for name, default in unused.items() if arguments[name] != default), None)
    if name is None:
        return
    if population:
        raise DataError(f"{name} is of no use to engine='population', which has generations: leave it out.")
    raise DataError(
        f"{name}={arguments[name]!r} has no effect without a fidelity: give fidelity='rows', or a parameter such as "
        "'n_estimators', or leave it out."
    )


def _check_population(arguments: Mapping[str, Any]) -> None:
    for name in ("stages", "early_stopping"):
        if arguments[name]:
            raise DataError(f"{name} and engine='population' cannot be given together: leave one of them out.")
    if arguments["fidelity"] == "rows":
        raise DataError(
            "engine='population' trains in steps, not on rows: give as fidelity the parameter that is the number of "
            "steps, such as 'max_iter', or leave it out."
        )


def _check_per_second(arguments: Mapping[str, Any]) -> None:
    """Refuse improvement per second where the engine does not know of seconds."""
    if arguments["engine"] != "metahpo":
        raise DataError(
            f"per_second=True has no effect on engine={arguments['engine']!r}, which does not count seconds: leave one "
            "of them out."
        )
    if arguments["stages"] is not None:
        raise DataError("per_second and stages cannot be given together: leave one of them out.")


def _whole(arguments: Mapping[str, Any], name: str, *, optional: bool) -> None:
    value: Any = arguments[name]
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        none = ", or None," if optional else ","
        raise DataError(f"{name} must be at least 1, a whole number{none} but is {value!r}.")


def _one_of(arguments: Mapping[str, Any], name: str, known: Sequence[str]) -> None:
    if arguments[name] not in known:
        raise DataError(f"{name} must be one of {', '.join(map(repr, known))}, but is {arguments[name]!r}.")


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
