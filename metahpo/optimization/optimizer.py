"""Bayesian optimisation by ask and tell. It knows nothing of meta-data: a warm start is a list and a surrogate.

Where trials differ in what they cost, the expected improvement per second of a trial decides (Snoek et al., NeurIPS
2012): the logarithm of the improvement less that of the seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import RLock
from typing import Any, NamedTuple, Protocol

import numpy as np
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray

from metahpo.acquisition.expected_improvement import ExpectedImprovement
from metahpo.acquisition.function import AcquisitionFunction
from metahpo.exceptions import DataError, SpaceError
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.optimization.maximiser import maximise
from metahpo.space.comparison import difference
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.design import sobol_design
from metahpo.space.domain import Domain
from metahpo.space.encoding import SpaceEncoder
from metahpo.space.holding import in_order_of
from metahpo.space.prior import SpacePrior
from metahpo.surrogates.gaussian_process import GaussianProcessSurrogate
from metahpo.surrogates.learning_curves import FinalLoss, LearningCurves
from metahpo.surrogates.loss_spread import power_of_two
from metahpo.surrogates.surrogate import Surrogate, TaskSurrogate, on_task
from metahpo.surrogates.task_cost import TaskCost
from metahpo.trials.history import TrialHistory

#: Losses further from the best than this many times the median's distance are outliers.
OUTLIER = 5.0
#: A gap this many times as wide as the range of the losses below it, of which there are `FEWEST`, parts two worlds.
GAP, FEWEST = 100.0, 3


class HasConfigurations(Protocol):
    """Anything that holds configurations, best first: the recommendations of :func:`metahpo.recommend`, say."""

    @property
    def configurations(self) -> Sequence[Mapping[str, Any]]:
        """Configurations, best first."""
        ...


def without_outliers(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses of shape (n,), the very bad ones brought nearer, so that diverged trials cannot hide all differences.

    Nothing is taken as worse than `OUTLIER` times as far from the best as the median is. The median is that of the
    distinct losses, for a penalty told for many failures is one value, and of those below a gap that is `GAP` times as
    wide as all that lies below it. Order and NaN are kept.
    """
    distinct = np.unique(losses[np.isfinite(losses)])
    if len(distinct) < 2:
        return losses
    unit = power_of_two(distinct)
    far = distinct / unit - distinct[0] / unit
    after_gap = np.flatnonzero(np.diff(far)[FEWEST - 1 :] > GAP * far[FEWEST - 1 : -1])
    told_apart = far[: FEWEST + after_gap[0]] if len(after_gap) else far
    with np.errstate(over="ignore"):  # a bound beyond the range of floats bounds nothing
        return np.minimum(losses, float(distinct[0] + OUTLIER * np.median(told_apart) * unit))


class _PartlyTrained(NamedTuple):
    """A configuration, its last loss, and what is predicted of its end, given losses of other trials."""

    configuration: Configuration
    last: float
    final: Callable[[NDArray[np.float64]], FinalLoss]


class BayesianOptimizer:
    """Suggests configurations one at a time and learns from their losses.

    Threads may share it: each call waits until the one before it is done.

    Parameters
    ----------
    space : ConfigurationSpace
        What may be chosen.
    surrogate : Surrogate, default=None
        A surrogate trained on other tasks of the same space: then the first suggestion is already an informed one.
        `space` may forbid more than its space does.
        None starts cold: the default configuration, Sobol points, then a Gaussian process on what was told.
    meta_features : mapping of str to float, default=None
        Meta-features of the task, for a surrogate that uses them.
    initial : sequence of configurations, or recommendations, default=None
        Suggested first, in this order, each once.
    candidates : sequence of configurations, default=None
        Warm start only: configurations that the surrogate has seen measured on other tasks. The first `n_initial`
        trials choose among them, where experience is certain; later ones choose anywhere.
    n_initial : int, default=5
        Trials before the whole space is open: a cold start makes them by design. `initial` counts, and so does every
        trial that was told, whether it was asked for or not: an optimiser that is told the trials of a log goes on.
    random_state : int, default=None
        Seed; None takes a fresh one.
    per_second : bool, default=False
        Maximise the expected improvement per second of a trial, not per trial: for a budget of time. What trials take
        is learnt from the `seconds` that are told.
    cost : TaskCost, default=None
        What is known of the seconds of configurations before any trial, for `per_second`.
    learning_curves : LearningCurves, default=None
        What learning curves are like, for trials that are told before their end by :meth:`tell_curve`.
    acquisition : AcquisitionFunction, default=None
        Decides between configurations: an object with the method
        :meth:`~metahpo.acquisition.function.AcquisitionFunction.values`. None: the expected improvement.

    Raises
    ------
    SpaceError
        `initial` or `candidates` holds a configuration that is not of the space, or `surrogate` is of another space.

    Examples
    --------
    >>> from ConfigSpace import ConfigurationSpace
    >>> from metahpo import BayesianOptimizer
    >>> optimizer = BayesianOptimizer(ConfigurationSpace({"x": (0.0, 1.0)}), random_state=0)
    >>> for _ in range(10):
    ...     configuration = optimizer.ask()
    ...     optimizer.tell(configuration, (configuration["x"] - 0.3) ** 2)
    >>> best, loss = optimizer.incumbent
    """

    @own_arithmetic()
    def __init__(
        self,
        space: ConfigurationSpace,
        surrogate: Surrogate | None = None,
        meta_features: Mapping[str, float] | None = None,
        initial: Sequence[Mapping[str, Any]] | HasConfigurations | None = None,
        candidates: Sequence[Mapping[str, Any]] | None = None,
        n_initial: int = 5,
        random_state: int | None = None,
        *,
        per_second: bool = False,
        cost: TaskCost | None = None,
        learning_curves: LearningCurves | None = None,
        acquisition: AcquisitionFunction | None = None,
    ) -> None:
        self.space = space
        found = None if surrogate is None else difference(surrogate.space, space, second_may_forbid=True)
        if found is not None:
            raise SpaceError(
                "the surrogate was trained on another search space, so its beliefs do not apply here: compared with "
                f"the one given, {found}."
            )
        self._domain = Domain(space)
        encoded = space
        if surrogate is not None:
            # The columns of a surrogate are in its own order, that of its choices included.
            same = difference(surrogate.space, space) is None
            encoded = surrogate.space if same else in_order_of(space, surrogate.space)
        self._encoder = SpaceEncoder(encoded)
        self._prior = SpacePrior(self._encoder)
        self._surrogate: TaskSurrogate = (
            GaussianProcessSurrogate() if surrogate is None else on_task(surrogate, meta_features)
        )
        self._rng = np.random.default_rng(random_state)
        given = initial or ()
        if not isinstance(given, Sequence):
            given = given.configurations
        self._queue = [self._domain.canonical(configuration) for configuration in given]
        self._design: list[Configuration] = []
        if surrogate is None and n_initial > 0:
            self._design = sobol_design(space, n_initial, random_state=int(self._rng.integers(2**31)))
        self._candidates = {to_json(c): c for c in map(self._domain.canonical, candidates or ())}
        self._n_initial = n_initial
        self._cost = (cost or TaskCost()) if per_second else None
        self._learning_curves = learning_curves
        self._acquisition: AcquisitionFunction = ExpectedImprovement() if acquisition is None else acquisition
        if not callable(getattr(self._acquisition, "values", None)):
            raise DataError(
                "acquisition must be an object with the method values(posterior, log_seconds), such as "
                f"ExpectedImprovement(), but is {acquisition!r}."
            )
        self._pending: dict[str, Configuration] = {}
        self._partly: dict[str, _PartlyTrained] = {}
        self._rows: dict[str, NDArray[np.float64]] = {}
        self.history = TrialHistory()
        self._lock = RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the lock, which is of one process."""
        with self._lock:
            return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = RLock()

    @property
    def incumbent(self) -> tuple[Configuration, float] | None:
        """Best configuration so far and its loss; None while nothing has succeeded."""
        with self._lock:
            return self.history.incumbent

    @own_arithmetic()
    def ask(self) -> Configuration:
        """Next configuration to try; asked again before it is told, a different one.

        Raises
        ------
        SpaceError
            Every configuration of a finite space has been suggested.
        """
        with self._lock:
            known = {to_json(c) for c in self.history.configurations} | self._pending.keys() | self._partly.keys()
            configuration = _next(self._queue, known)
            if configuration is None and self._n_trials() < self._n_initial:
                configuration = _next(self._design, known)
            if configuration is None:
                configuration = self._most_promising(known)
            self._pending[to_json(configuration)] = configuration
            return dict(configuration)

    @own_arithmetic()
    def tell(self, configuration: Mapping[str, Any], value: float, *, seconds: float | None = None) -> None:
        """Record the loss of a configuration, asked for or not.

        Parameters
        ----------
        configuration : mapping
            Of the optimiser's space.
        value : float
            Loss, to be minimised; NaN or infinite for a trial that failed, which is a lesson as well.
        seconds : float, default=None
            What the trial took; None: not known.

        Raises
        ------
        SpaceError
            The configuration is not of the space.
        DataError
            `value` is not a number, or `seconds` not a positive one.
        """
        checked = self._domain.canonical(configuration)
        try:
            loss = float(value)
        except (TypeError, ValueError, OverflowError):
            raise DataError(
                f"value must be a loss (a number within the range of floats, NaN for a failed trial), but is {value!r}."
            ) from None
        if seconds is not None and not 0.0 < seconds < np.inf:
            raise DataError(f"seconds must be positive and finite, or None where not known, but is {seconds!r}.")
        with self._lock:
            self._pending.pop(to_json(checked), None)
            self._partly.pop(to_json(checked), None)
            self.history.append(checked, loss, np.nan if seconds is None else seconds)

    @own_arithmetic()
    def tell_curve(self, configuration: Mapping[str, Any], curve: Sequence[float], n_epochs: int) -> FinalLoss:
        """Record how far a configuration has come that is not trained to its end.

        Until it is told again, with more of its curve or by :meth:`tell`, the loss predicted of its end counts as an
        observation, the less the less certain it is; it is no incumbent.

        Parameters
        ----------
        configuration : mapping
            Of the optimiser's space.
        curve : sequence of float
            Loss after each epoch so far, on the scale of the losses that are told.
        n_epochs : int
            Epochs of the whole training.

        Returns
        -------
        FinalLoss
            Mean and standard deviation of the loss at the end: whether it is worth going on.

        Raises
        ------
        SpaceError
            The configuration is not of the space.
        DataError
            The optimiser was given no `learning_curves`, the configuration was told to its end before, or the curve is
            empty, longer than `n_epochs` or not finite.
        """
        if self._learning_curves is None:
            raise DataError(
                "give BayesianOptimizer learning_curves, LearningCurves.of(meta_dataset, space), say, first."
            )
        checked = self._domain.canonical(configuration)
        key, foretell = to_json(checked), partial(self._learning_curves.predict, tuple(curve), n_epochs)
        with self._lock:
            if checked in self.history.configurations:
                raise DataError(f"a configuration that was told to its end cannot be under way again: {checked}.")
            final = foretell(self._losses_beside(key))
            self._pending.pop(key, None)
            self._partly[key] = _PartlyTrained(checked, float(curve[-1]), foretell)
            return final

    def _n_trials(self) -> int:
        """Trials that were told or are under way."""
        return len(self.history) + len(self._partly) + len(self._pending)

    def _losses_beside(self, key: str) -> NDArray[np.float64]:
        """Losses of the trials other than one under way: at their end, or as far as they have come."""
        others = [partly.last for other, partly in self._partly.items() if other != key]
        return np.append(self.history.losses, others)

    def _most_promising(self, known: set[str]) -> Configuration:
        under_way = [partly.configuration for partly in self._partly.values()]
        tried = [*self.history.configurations, *under_way, *self._pending.values()]
        # With every trial told, more is known of them too.
        finals = [partly.final(self._losses_beside(key)) for key, partly in self._partly.items()]
        losses = without_outliers(np.append(self.history.losses, [final.mean for final in finals]))
        noise = None
        if finals:
            noise = np.zeros(len(tried))
            noise[len(self.history) : len(losses)] = [final.std for final in finals]
        if self._pending:
            # A trial still running counts as an average one, so that the next suggestion goes elsewhere.
            middle = float(np.nanmedian(losses)) if np.isfinite(losses).any() else 0.0
            losses = np.concatenate([losses, np.full(len(self._pending), middle)])
        rows = self._encoded(tried)
        observed = (rows, losses) if tried else None
        finite = np.flatnonzero(np.isfinite(self.history.losses))
        best = finite[np.argsort(self.history.losses[finite])[:3]]

        def gain(rows: NDArray[np.float64]) -> NDArray[np.float64]:
            posterior = self._surrogate.posterior(rows, observed, noise)
            log_seconds = None if self._cost is None else self._log_seconds(self._cost, rows)
            value = np.asarray(self._acquisition.values(posterior, log_seconds), dtype=np.float64)
            if value.shape != (len(rows),) or np.isnan(value).any():
                raise DataError(
                    f"{type(self._acquisition).__name__}.values must return {len(rows)} numbers, one a configuration, "
                    f"none of them NaN, but returned an array of shape {value.shape} with {np.isnan(value).sum()} NaN."
                )
            return value

        seen_elsewhere = [c for text, c in self._candidates.items() if text not in known]
        if len(tried) < self._n_initial and seen_elsewhere:
            return seen_elsewhere[int(np.argmax(gain(self._encoder.encode(seen_elsewhere))))]
        return maximise(gain, self._domain, self._prior, around=rows[best], exclude=known, rng=self._rng)

    def _encoded(self, configurations: Sequence[Configuration]) -> NDArray[np.float64]:
        """Rows (n, d) of configurations that were asked for or told; each is encoded once."""
        texts = [to_json(configuration) for configuration in configurations]
        new = {text: c for text, c in zip(texts, configurations, strict=True) if text not in self._rows}
        self._rows.update(zip(new, self._encoder.encode(list(new.values())), strict=True))
        return np.array([self._rows[text] for text in texts]).reshape(len(texts), self._encoder.n_columns)

    def _log_seconds(self, cost: TaskCost, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        tried = self._encoded(self.history.configurations)
        return cost.log_seconds(rows, tried, self.history.seconds)


def _next(queue: list[Configuration], known: set[str]) -> Configuration | None:
    """Take the first configuration that is not known from a queue; None: there is none."""
    while queue:
        configuration = queue.pop(0)
        if to_json(configuration) not in known:
            return configuration
    return None
