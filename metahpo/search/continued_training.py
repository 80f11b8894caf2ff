"""Go on training a model with other hyperparameters, as a population does: what a worker process is asked to do.

A model is trained in segments. Each segment has parameters of its own, and the number of steps (epochs, iterations,
trees) that the model has been trained for at its end. A worker imports this file and scikit-learn, and nothing else of
the search.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline

from metahpo.exceptions import DataError

#: Parameters that say how long a model is trained, where the user names none.
STEPS = ("epochs", "max_epochs", "n_epochs", "n_estimators", "max_iter", "n_iter")
#: Estimators whose number of iterations counts those of earlier fits as well, as every `n_estimators` does.
_COUNT_ALL = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
#: Estimators whose ``partial_fit`` keeps the learning rate of its first call.
_KEEP_THEIR_RATE = (MLPClassifier, MLPRegressor)

#: Parameters of the estimator, and the steps that it has been trained for at the end.
Segment = tuple[Mapping[str, Any], int]


@dataclass(frozen=True)
class Continuation:
    """How an estimator goes on training.

    Attributes
    ----------
    way : {"partial_fit", "more", "total"}
        "partial_fit": a call of it is a step. Else ``fit`` with `warm_start`, where `parameter` is the number of
        further steps ("more"), or of all steps so far ("total").
    parameter : str or None
        Parameter of the whole estimator that is the number of steps; None where it has none.
    prefix : str
        What precedes the parameters of the model in those of the whole estimator: that of a pipeline's last step.
    """

    way: Literal["partial_fit", "more", "total"]
    parameter: str | None
    prefix: str = ""


@dataclass(frozen=True)
class Earlier:
    """What a model was trained for before.

    Attributes
    ----------
    segments : tuple of segments
    models : dict of int to estimator
        The models after these segments, by fold. One that is missing is trained again.
    """

    segments: tuple[Segment, ...] = ()
    models: Mapping[int, BaseEstimator] = field(default_factory=dict)


def continuation_of(estimator: BaseEstimator, parameter: str | None) -> Continuation:
    """Find out how an estimator goes on training.

    Parameters
    ----------
    estimator : estimator
        A model, or a pipeline that ends with one.
    parameter : str or None
        Parameter of `estimator` that is the number of steps; None looks for one of `STEPS`.

    Raises
    ------
    DataError
        It cannot go on.
    """
    name, model = estimator.steps[-1] if isinstance(estimator, Pipeline) else ("", estimator)
    prefix = f"{name}__" if name else ""
    own = model.get_params(deep=False) if isinstance(model, BaseEstimator) else {}
    if parameter is None:
        parameter = next((f"{prefix}{steps}" for steps in STEPS if steps in own), None)
    if hasattr(model, "partial_fit") and not isinstance(model, _KEEP_THEIR_RATE):
        return Continuation("partial_fit", parameter, prefix)
    if "warm_start" in own and parameter is not None:
        counts_all = isinstance(model, _COUNT_ALL) or parameter.removeprefix(prefix) == "n_estimators"
        return Continuation("total" if counts_all else "more", parameter, prefix)
    raise DataError(
        f"engine='population' changes hyperparameters while models train, but {type(model).__name__} cannot go on "
        "training: it has no partial_fit, and no warm_start with a number of steps. Give an estimator that has, such "
        "as SGDClassifier, HistGradientBoostingClassifier or a network of metahpo.networks, alone or as the last step "
        "of a pipeline; or take another engine, such as 'metahpo'."
    )


def go_on(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    segments: Sequence[Segment],
    continuation: Continuation,
    done: int = 0,
    fit_params: Mapping[str, Any] | None = None,
) -> BaseEstimator:
    """Train an estimator for some segments; it is changed, and returned.

    Parameters
    ----------
    done : int, default=0
        Steps that it was trained for before.
    fit_params : mapping, default=None
        For ``fit``, as long as the data.
    """
    given = dict(fit_params or {})
    for parameters, until in segments:
        estimator.set_params(**clone(dict(parameters), safe=False))
        if continuation.way == "partial_fit":
            _partial_fits(estimator, X, y, until - done, done == 0, continuation.prefix, given)
        else:
            _warm_fit(estimator, X, y, until if continuation.way == "total" else until - done, continuation, given)
        done = until
    return estimator


class InSteps(FrozenEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator whose ``fit`` goes on training; in everything else it is the estimator itself.

    Parameters
    ----------
    estimator : estimator
    segments : sequence of segments
        What it is to be trained for.
    continuation : Continuation
    done : int
        Steps that it was trained for before.
    """

    def __init__(
        self, estimator: BaseEstimator, segments: Sequence[Segment], continuation: Continuation, done: int
    ) -> None:
        super().__init__(estimator)
        self.segments, self.continuation, self.done = segments, continuation, done

    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> InSteps:
        """Train the estimator for the segments."""
        go_on(self.estimator, X, y, self.segments, self.continuation, self.done, fit_params)
        return self


def _partial_fits(
    estimator: Any, X: Any, y: Any, n_steps: int, first: bool, prefix: str, fit_params: Mapping[str, Any]
) -> None:
    """Steps of ``partial_fit``; what a pipeline prepares with is fitted before the first one."""
    model = estimator
    if isinstance(estimator, Pipeline):
        preparation, model = estimator[:-1], estimator[-1]
        if len(preparation):
            X = preparation.fit_transform(X, y) if first else preparation.transform(X)
            estimator.steps[:-1] = preparation.steps  # with a cache, these are not the estimator's own
    own = {name.removeprefix(prefix): value for name, value in fit_params.items()}
    named = "classes" in inspect.signature(model.partial_fit).parameters
    classes = {"classes": np.unique(y)} if first and named and is_classifier(model) else {}
    for _ in range(n_steps):
        model.partial_fit(X, y, **classes, **own)
        classes = {}


def _warm_fit(
    estimator: Any, X: Any, y: Any, n_steps: int, continuation: Continuation, fit_params: Mapping[str, Any]
) -> None:
    """Go on by ``fit``; the parameters that this needs are put back."""
    switch, parameter = f"{continuation.prefix}warm_start", continuation.parameter
    assert parameter is not None
    before = estimator.get_params(deep=True)
    estimator.set_params(**{switch: True, parameter: n_steps})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a segment is short on purpose
        if y is None:
            estimator.fit(X, **fit_params)
        else:
            estimator.fit(X, y, **fit_params)
    estimator.set_params(**{switch: before[switch], parameter: before[parameter]})
