"""Bayesian optimisation by ask and tell. It knows nothing of meta-data: a warm start is a list and a surrogate.

Where trials differ in what they cost, the expected improvement per second of a trial decides (Snoek et al., NeurIPS
2012): the logarithm of the improvement less that of the seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple, Protocol, overload

import numpy as np
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray

from metahpo.acquisition.expected_improvement import ExpectedImprovement
from metahpo.acquisition.function import AcquisitionFunction
from metahpo.exceptions import ArtefactError, DataError, SpaceError
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.numerics.seed import generator_of
from metahpo.optimization.feasibility import constraint_processes
from metahpo.optimization.gain import Gain
from metahpo.optimization.maximiser import maximise
from metahpo.optimization.plateau import on_plateau
from metahpo.optimization.smaller_trials import on_the_scale_of_the_whole
from metahpo.optimization.state_file import KnownFiles, read_state, write_state
from metahpo.optimization.told import checked, counted, number_of, whole_number
from metahpo.space.configuration import Configuration, json_value, to_json
from metahpo.space.design import sobol_design
from metahpo.space.domain import Domain
from metahpo.space.encoding import SpaceEncoder
from metahpo.space.holding import in_order_of
from metahpo.space.prior import SpacePrior
from metahpo.space.space_comparison import difference
from metahpo.surrogates.cold_surrogate import ColdSurrogate
from metahpo.surrogates.learning_curves import FinalLoss, LearningCurves
from metahpo.surrogates.loss_spread import power_of_two, spread_of
from metahpo.surrogates.surrogate import AdaptiveSurrogate, Surrogate, TaskSurrogate, on_task
from metahpo.surrogates.task_cost import TaskCost
from metahpo.trials.history import TrialHistory

#: Losses further from the best than this many times the median's distance are outliers.
OUTLIER = 5.0
#: A gap this many times as wide as the range of the losses below it, of which there are `FEWEST`, parts two worlds.
GAP, FEWEST = 100.0, 3


#: Noise of a measured loss that must not be the incumbent, relative to the spread of losses.
ALMOST_MEASURED = 1e-6


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
    """A configuration, its losses after each epoch so far, and the epochs of its whole training."""

    configuration: Configuration
    curve: tuple[float, ...]
    n_epochs: int


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
        Meta-features of the task, for a surrogate that uses them; they need a `surrogate`.
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
        What is known of the seconds of configurations before any trial; it needs `per_second`.
    learning_curves : LearningCurves, default=None
        What learning curves are like, for trials that are told before their end by :meth:`tell_curve`.
    acquisition : AcquisitionFunction, default=None
        Decides between configurations: an object with the method
        :meth:`~metahpo.acquisition.function.AcquisitionFunction.values`. None: the expected improvement.
    n_rows : int, default=None
        Rows that a whole trial is trained on. A trial of fewer, by the `rows` that are told, is an uncertain
        observation and never the incumbent. None: the most rows of any trial; a trial without rows is a whole one.
    prior : ConfigurationSpace, default=None
        The same space, with distributions and weights that say where the optimum is believed to lie. The design and
        half of the candidates follow them, and the density counts in the choice, the less the more was measured. None:
        the distributions and weights that `space` comes with.
    prior_strength : float, default=10
        Number of trials after which the density counts once: after n trials its power is ``prior_strength / n``.

    Raises
    ------
    SpaceError
        `initial` or `candidates` holds a configuration that is not of the space, or `surrogate` or `prior` is of
        another space.
    DataError
        An argument is of another kind, or out of its range, or has no effect without another one.

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
        n_rows: int | None = None,
        prior: ConfigurationSpace | None = None,
        prior_strength: float = 10.0,
    ) -> None:
        self._domain = Domain(space)
        self.space = space
        if surrogate is not None and not isinstance(getattr(surrogate, "space", None), ConfigurationSpace):
            raise DataError(
                "surrogate must be one that was trained, such as metahpo.train_surrogate makes, or None, but is "
                f"{surrogate!r}."
            )
        found = None if surrogate is None else difference(surrogate.space, space, second_may_forbid=True)
        if found is not None:
            raise SpaceError(
                "the surrogate was trained on another search space, so its beliefs do not apply here: compared with "
                f"the one given, {found}."
            )
        if prior is not None and not isinstance(prior, ConfigurationSpace):
            raise DataError(f"prior must be a ConfigurationSpace with distributions, or None, but is {prior!r}.")
        found = None if prior is None else difference(space, prior)
        if found is not None:
            raise SpaceError(f"prior must be of the same space: compared with it, {found}.")
        expected = "prior_strength must be a finite number of at least 0"
        prior_strength = number_of(prior_strength, expected)
        if not 0.0 <= prior_strength < np.inf:
            raise DataError(f"{expected}, but is {prior_strength!r}.")
        believed = space if prior is None else prior
        encoded = space
        if surrogate is not None:
            # The columns of a surrogate are in its own order, that of its choices included.
            same = difference(surrogate.space, space) is None
            encoded = surrogate.space if same else in_order_of(space, surrogate.space)
        n_initial = whole_number(n_initial, "n_initial")
        described: Any = meta_features
        if described is not None and not isinstance(described, Mapping):
            raise DataError(f"meta_features must be a mapping of names to numbers, or None, but is {described!r}.")
        self._queue = self._checked(getattr(initial, "configurations", initial), "initial")
        self._candidates = {to_json(c): c for c in self._checked(candidates, "candidates")}
        _check_company(surrogate, meta_features, self._candidates, cost, per_second=per_second)
        self._encoder = SpaceEncoder(encoded)
        self._prior, self._prior_strength = SpacePrior(self._encoder, believed), prior_strength
        self._surrogate: TaskSurrogate = ColdSurrogate() if surrogate is None else on_task(surrogate, meta_features)
        self._experience = surrogate
        self._rng = generator_of(random_state)
        self._made_with = {
            "surrogate": _name_of(surrogate),
            "cost": _name_of(cost),
            "learning_curves": _name_of(learning_curves),
            "acquisition": _name_of(acquisition),
            "prior": _name_of(prior),
        }
        self._settings = {
            "candidates": list(self._candidates.values()),
            "n_initial": n_initial,
            "per_second": per_second,
            "n_rows": n_rows,
            "prior_strength": prior_strength,
        }
        # NaN is unknown, and so is what is missing.
        known = {name: float(value) for name, value in (meta_features or {}).items() if np.isfinite(value)}
        self._meta_features = None if meta_features is None else known
        self._design: list[Configuration] = []
        if surrogate is None and n_initial > 0:
            self._design = sobol_design(believed, n_initial, random_state=int(self._rng.integers(2**31)))
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
        self._texts: list[str] = []
        self.history: TrialHistory = TrialHistory(
            None if n_rows is None else counted(n_rows, "n_rows", "the most rows of any trial")
        )
        self._files: KnownFiles = KnownFiles()
        self._lock = RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the lock, which is of one process."""
        with self._lock:
            return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = RLock()

    def __repr__(self) -> str:
        experience = "no experience" if self._experience is None else f"experience of {self._made_with['surrogate']}"
        best = self.incumbent
        loss = "" if best is None else f", best loss {best[1]:.4g}"
        size, told = len(self.space), len(self.history)
        return f"{type(self).__name__}(hyperparameters: {size}, {experience}, trials: {told}{loss})"

    @property
    def incumbent(self) -> tuple[Configuration, float] | None:
        """Best configuration so far and its loss; None while nothing has succeeded."""
        with self._lock:
            return self.history.incumbent

    @own_arithmetic()
    def task_weights(self, n_trials: int | None = None) -> dict[str, float]:
        """Share of each source task in the prediction, largest first; empty where the search has no experience.

        Parameters
        ----------
        n_trials : int, default=None
            After so many trials: 0 tells what the meta-features alone say. None: after all of them.
        """
        weights = getattr(self._experience, "task_weights", None)
        if weights is None:
            return {}
        with self._lock:
            rows = np.flatnonzero(self.history.whole)[:n_trials]
            losses = self.history.losses[rows]
            configurations = [self.history.configurations[i] for i in rows]
        observed = (self._encoder.encode(configurations), losses) if len(rows) else None
        return dict(weights(observed, self._meta_features))

    @overload
    def ask(self, n: None = None) -> Configuration: ...

    @overload
    def ask(self, n: int) -> list[Configuration]: ...

    @own_arithmetic()
    def ask(self, n: int | None = None) -> Configuration | list[Configuration]:
        """Next configuration to try; asked again before it is told, a different one.

        Parameters
        ----------
        n : int, default=None
            Number of configurations, all different; fewer come back only where a finite space has no more. None: one
            configuration, not in a list.

        Raises
        ------
        SpaceError
            Every configuration of a finite space has been suggested.
        DataError
            `n` is not a positive integer.
        """
        if n is None:
            return self._ask()
        n = counted(n, "n", "one configuration")
        asked: list[Configuration] = []
        with self._lock:
            while len(asked) < n:
                try:
                    asked.append(self._ask())
                except SpaceError:
                    if not asked:
                        raise
                    break
        return asked

    def _ask(self) -> Configuration:
        with self._lock:
            tried = {text for text, whole in zip(self._history_texts(), self.history.whole, strict=True) if whole}
            known = tried | self._pending.keys() | self._partly.keys()
            configuration = _next(self._queue, known)
            if configuration is None and self._n_trials() < self._n_initial:
                configuration = _next(self._design, known)
            if configuration is None:
                plateau = on_plateau(self.history.losses[self.history.whole & self.history.feasible])
                configuration = self._random(known) if plateau else self._most_promising(known)
            self._pending[to_json(configuration)] = configuration
            return dict(configuration)

    @own_arithmetic()
    def tell(
        self,
        configuration: Mapping[str, Any],
        loss: float | None = None,
        *,
        rows: int | None = None,
        seconds: float | None = None,
        status: str | None = None,
        constraints: Sequence[float] | None = None,
    ) -> None:
        """Record the result of a configuration, asked for or not.

        The same configuration may be told more than once: with other rows, or where losses are noisy.

        Parameters
        ----------
        configuration : mapping
            Of the optimiser's space.
        loss : float, default=None
            To be minimised; NaN or infinite for a trial that failed, which is a lesson as well. It may be left out only
            where `status` says that the trial failed.
        rows : int, default=None
            Rows that the trial was trained on; None: all. Fewer than all make it an uncertain observation.
        seconds : float, default=None
            What the trial took; None: not known.
        status : str, default=None
            How the trial ended: "success", "failed", or more exactly "timeout", "out_of_memory", "crashed", "diverged"
            or "invalid". The loss of a failed trial does not count. None: "success", or "failed" without a finite loss.
        constraints : sequence of float, default=None
            Constraints on the outcome, each at most 0 where it holds: memory less its limit, say. The same number in
            each trial. A trial that violates one is no incumbent, and the search keeps away from where it expects that.

        Raises
        ------
        SpaceError
            The configuration is not of the space.
        DataError
            `loss` is not a number, `seconds` not a positive one, `rows` not a positive integer, or there are more or
            fewer constraints than before.
        UnknownNameError
            There is no such status.
        """
        known = self._domain.canonical(configuration)
        told = checked(loss, seconds=seconds, rows=rows, status=status, constraints=constraints)
        with self._lock:
            expected = self.history.constraints.shape[1]
            if told.constraints and expected not in (0, len(told.constraints)):
                raise DataError(
                    f"every trial must have as many constraints: {expected} were told before, "
                    f"but now {len(told.constraints)}."
                )
            self._pending.pop(to_json(known), None)
            self._partly.pop(to_json(known), None)
            self.history.append(
                known,
                told.loss,
                told.seconds,
                rows=told.rows,
                status=told.status,
                constraints=told.constraints,
            )

    def tell_running(self, configuration: Mapping[str, Any]) -> None:
        """Record that someone else runs a configuration: it counts as one that was asked for.

        Raises
        ------
        SpaceError
            The configuration is not of the space.
        """
        known = self._domain.canonical(configuration)
        with self._lock:
            self._pending[to_json(known)] = known

    def withdraw(self, configuration: Mapping[str, Any], *, again: bool = True) -> None:
        """Record that a configuration is no longer under way, and has no result: its worker was killed, say.

        Parameters
        ----------
        configuration : mapping
        again : bool, default=True
            The next :meth:`ask` suggests it. False: it is forgotten, as if it had never been asked for.

        Raises
        ------
        SpaceError
            The configuration is not of the space.
        DataError
            It is not under way.
        """
        known = self._domain.canonical(configuration)
        key = to_json(known)
        with self._lock:
            if key not in self._pending and key not in self._partly:
                under_way = [*self._pending, *self._partly]
                raise DataError(f"{key} is not under way, so it cannot be withdrawn; under way are {under_way}.")
            self._pending.pop(key, None)
            self._partly.pop(key, None)
            if again:
                self._queue.insert(0, known)

    def reseed(self, random_state: int | None = None) -> None:
        """Draw other numbers from now on, so that copies of a search in other processes do not suggest the same.

        Parameters
        ----------
        random_state : int, default=None
            Seed; None takes a fresh one.
        """
        with self._lock:
            self._rng = np.random.default_rng(random_state)

    def save(self, path: Path | str) -> None:
        """Write the state of the search to a JSON file, from which :meth:`load` goes on with it.

        The file is replaced as a whole, so that a crash leaves the former one. It holds everything but the surrogate
        and the other objects that the optimiser was given.

        Raises
        ------
        ArtefactError
            The file holds the state of another search, or of this one after it went on in another process.
        StoreError
            The folder cannot be written.
        """
        with self._lock:
            write_state(Path(path), self.space, self._state(), self._files)

    @classmethod
    @own_arithmetic()
    def load(
        cls,
        path: Path | str,
        surrogate: Surrogate | None = None,
        *,
        space: ConfigurationSpace | None = None,
        cost: TaskCost | None = None,
        learning_curves: LearningCurves | None = None,
        acquisition: AcquisitionFunction | None = None,
        prior: ConfigurationSpace | None = None,
    ) -> BayesianOptimizer:
        """Go on with a search that :meth:`save` has written: its next suggestion is the same.

        Parameters
        ----------
        path : path
        surrogate, cost, learning_curves, acquisition, prior : default=None
            The objects that the optimiser was made with, which the file does not hold.
        space : ConfigurationSpace, default=None
            The space that the search must be of. None: the one in the file.

        Raises
        ------
        ArtefactError
            The file is missing, damaged, of another version or of another space; or the optimiser was made with
            another surrogate, or with objects that are not given.
        """
        path = Path(path)
        space, state, files = read_state(path, space)
        given: dict[str, Any] = {
            "cost": cost,
            "learning_curves": learning_curves,
            "acquisition": acquisition,
            "prior": prior,
        }
        try:
            made_with = state["made_with"]
            found = {"surrogate": _name_of(surrogate), **{name: _name_of(part) for name, part in given.items()}}
            for name, part in found.items():
                if made_with[name] != part:
                    raise ArtefactError(
                        f"the search in {str(path)!r} was made with the {name} {made_with[name]}, but {part} is given; "
                        "give BayesianOptimizer.load the one that it was made with."
                    )
            optimizer = cls(space, surrogate, state["meta_features"], **state["settings"], **given)
            optimizer._restore(state)
        except ArtefactError:
            raise
        except SpaceError as error:
            raise ArtefactError(f"the search in {str(path)!r} cannot go on: {error}") from error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ArtefactError(f"{str(path)!r} is damaged: {error!r}.") from error
        optimizer._files = files
        return optimizer

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
        known = self._domain.canonical(configuration)
        key = to_json(known)
        with self._lock:
            if known in self.history.configurations:
                raise DataError(f"a configuration that was told to its end cannot be under way again: {known}.")
            final = self._learning_curves.predict(curve, n_epochs, self._losses_beside(key))
            self._pending.pop(key, None)
            self._partly[key] = _PartlyTrained(known, tuple(float(loss) for loss in curve), int(n_epochs))
            return final

    def _checked(self, given: Any, name: str) -> list[Configuration]:
        """Configurations of an argument, in their form in the space."""
        given = () if given is None else given
        if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
            raise DataError(f"{name} must be configurations, recommendations or None, but is {given!r}.")
        return [self._domain.canonical(configuration) for configuration in given]

    def _n_trials(self) -> int:
        """Trials that were told or are under way."""
        return len(self.history) + len(self._partly) + len(self._pending)

    def _losses_beside(self, key: str) -> NDArray[np.float64]:
        """Losses of the trials other than one under way: at their end, or as far as they have come."""
        others = [partly.curve[-1] for other, partly in self._partly.items() if other != key]
        return np.append(self.history.losses, others)

    def _most_promising(self, known: set[str]) -> Configuration:
        under_way = {text: partly.configuration for text, partly in self._partly.items()}
        losses, noise = on_the_scale_of_the_whole(self.history)
        finals = [self._final(key, partly) for key, partly in self._partly.items()]
        losses = without_outliers(np.append(losses, [final.mean for final in finals]))
        noise = np.concatenate([noise, [final.std for final in finals]])
        # Only a measured loss can be the incumbent, and one that violates a constraint must not be it.
        infeasible = np.flatnonzero(~self.history.feasible & (noise[: len(self.history)] == 0.0))
        noise[infeasible] = ALMOST_MEASURED * (spread_of(losses) or 1.0)
        tried = self._tried_rows()
        rows = np.concatenate([tried, self._encoded(under_way, list(under_way.values()))])
        pending = self._encoded(self._pending, list(self._pending.values()))
        gain = self._gain(rows, losses, noise, pending)
        seen_elsewhere = [c for text, c in self._candidates.items() if text not in known]
        if self._n_trials() < self._n_initial and seen_elsewhere:
            return seen_elsewhere[int(np.argmax(gain(self._encoder.encode(seen_elsewhere))))]
        best = np.argsort(losses[: len(self.history)], kind="stable")[:3]
        return maximise(
            gain,
            self._domain,
            self._prior,
            around=rows[best[np.isfinite(losses[best])]],
            again=rows[: len(self.history)][~self.history.whole],
            exclude=known,
            rng=self._rng,
            with_slope=gain.with_slope,
        )

    def _random(self, known: set[str]) -> Configuration:
        """A configuration that is drawn at random, by the prior of the space, and is not known."""
        nowhere = np.empty((0, self._encoder.n_columns))
        return maximise(
            lambda rows: self._rng.random(len(rows)),
            self._domain,
            self._prior,
            around=nowhere,
            again=nowhere,
            exclude=known,
            rng=self._rng,
        )

    def _gain(
        self,
        rows: NDArray[np.float64],
        losses: NDArray[np.float64],
        noise: NDArray[np.float64],
        pending: NDArray[np.float64],
    ) -> Gain:
        """What is to be gained, given trials (n, d) with losses and noise (n,), and rows (p, d) under way."""
        uncertain = noise if noise.any() else None
        shared: dict[str, Any] = {
            "acquisition": self._acquisition,
            "constraints": constraint_processes(rows[: len(self.history)], self.history.constraints),
            "log_seconds": None if self._cost is None else partial(self._log_seconds, self._cost),
            "log_belief": None if self._prior.uniform else self._log_belief,
        }
        surrogate = self._surrogate
        if isinstance(surrogate, AdaptiveSurrogate):
            return Gain(
                posterior=lambda at: surrogate.posterior(at, (rows, losses), uncertain, pending),
                fitted=surrogate.process((rows, losses), uncertain, pending),
                **shared,
            )
        if len(pending):
            # A trial still running counts as an average one, so that the next suggestion goes elsewhere.
            middle = float(np.nanmedian(losses)) if np.isfinite(losses).any() else 0.0
            rows = np.concatenate([rows, pending])
            losses = np.concatenate([losses, np.full(len(pending), middle)])
            uncertain = None if uncertain is None else np.concatenate([uncertain, np.zeros(len(pending))])
        observed = (rows, losses) if len(rows) else None
        return Gain(posterior=lambda at: surrogate.posterior(at, observed, uncertain), **shared)

    def _final(self, key: str, partly: _PartlyTrained) -> FinalLoss:
        """What is known of the end of a trial that is under way: the more, the more trials were told."""
        assert self._learning_curves is not None
        return self._learning_curves.predict(partly.curve, partly.n_epochs, self._losses_beside(key))

    def _history_texts(self) -> list[str]:
        """Texts of the configurations that were told; each is made once."""
        self._texts += map(to_json, self.history.configurations[len(self._texts) :])
        return self._texts

    def _tried_rows(self) -> NDArray[np.float64]:
        """Rows (n, d) of the configurations that were told."""
        return self._encoded(self._history_texts(), self.history.configurations)

    def _encoded(self, texts: Collection[str], configurations: Sequence[Configuration]) -> NDArray[np.float64]:
        """Rows (n, d) of configurations of some texts that were asked for or told; each is encoded once."""
        new = {text: c for text, c in zip(texts, configurations, strict=True) if text not in self._rows}
        self._rows.update(zip(new, self._encoder.encode(list(new.values())), strict=True))
        return np.array([self._rows[text] for text in texts]).reshape(len(texts), self._encoder.n_columns)

    def _log_belief(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._prior_strength / max(1, len(self.history)) * self._prior.log_density(rows)

    def _log_seconds(self, cost: TaskCost, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return cost.log_seconds(rows, self._tried_rows(), self.history.seconds)

    def _state(self) -> dict[str, Any]:
        """Everything that :meth:`load` needs, in the types of JSON."""
        history = self.history
        trials = [
            {"configuration": c, "loss": loss, "seconds": s, "rows": rows, "status": status, "constraints": values}
            for c, loss, s, rows, status, values in zip(
                history.configurations,
                map(_finite, history.losses),
                map(_finite, history.seconds),
                [int(rows) if np.isfinite(rows) else None for rows in history.rows],
                history.statuses,
                [[_finite(value) for value in values] for values in history.constraints],
                strict=True,
            )
        ]
        adaptive = self._surrogate if isinstance(self._surrogate, AdaptiveSurrogate) else None
        hyperparameters = None if adaptive is None else adaptive.hyperparameters
        state = {
            "settings": self._settings,
            "made_with": self._made_with,
            "meta_features": self._meta_features,
            "trials": trials,
            "queue": self._queue,
            "design": self._design,
            "pending": list(self._pending.values()),
            "partly_trained": [partly._asdict() for partly in self._partly.values()],
            "random": self._rng.bit_generator.state,
            "hyperparameters": None if hyperparameters is None else hyperparameters.tolist(),
        }
        written: dict[str, Any] = json_value(state)
        return written

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was written."""
        canonical = self._domain.canonical
        for trial in state["trials"]:
            told = checked(
                np.nan if trial["loss"] is None else trial["loss"],
                seconds=trial["seconds"],
                rows=trial["rows"],
                status=trial["status"],
                constraints=[np.nan if value is None else value for value in trial["constraints"]],
            )
            self.history.append(
                canonical(trial["configuration"]),
                told.loss,
                told.seconds,
                rows=told.rows,
                status=told.status,
                constraints=told.constraints,
            )
        self._queue = [canonical(configuration) for configuration in state["queue"]]
        self._design = [canonical(configuration) for configuration in state["design"]]
        self._pending = {to_json(c): c for c in map(canonical, state["pending"])}
        for partly in state["partly_trained"]:
            configuration = canonical(partly["configuration"])
            found = _PartlyTrained(configuration, tuple(partly["curve"]), int(partly["n_epochs"]))
            self._partly[to_json(configuration)] = found
        self._rng.bit_generator.state = state["random"]
        if isinstance(self._surrogate, AdaptiveSurrogate) and state["hyperparameters"] is not None:
            self._surrogate.hyperparameters = np.array(state["hyperparameters"], dtype=np.float64)


def _finite(value: float) -> float | None:
    """A number that JSON knows; None for one that it does not."""
    return float(value) if np.isfinite(value) else None


def _check_company(
    surrogate: Surrogate | None,
    meta_features: Mapping[str, float] | None,
    candidates: Mapping[str, Any],
    cost: TaskCost | None,
    *,
    per_second: bool,
) -> None:
    """Refuse arguments that have no effect, because another one is missing."""
    if surrogate is None:
        lone = {"meta_features": meta_features, "candidates": candidates}
        if given := [name for name, value in lone.items() if value]:
            raise DataError(f"{given[0]} have no effect without a surrogate: give a surrogate too, or leave them out.")
    if cost is not None and not per_second:
        raise DataError("cost has no effect without per_second=True: give both, or leave it out.")


def _name_of(part: Any) -> str | None:
    """What tells an object that an optimiser was made with from others, as far as a file can say."""
    if part is None:
        return None
    if isinstance(part, ConfigurationSpace):
        return ", ".join(map(str, part.values()))
    facts = [f"{name}={getattr(part, name)!r}" for name in ("space_name", "metric") if hasattr(part, name)]
    return f"{type(part).__name__}({', '.join(facts)})"


def _next(queue: list[Configuration], known: set[str]) -> Configuration | None:
    """Take the first configuration that is not known from a queue; None: there is none."""
    while queue:
        configuration = queue.pop(0)
        if to_json(configuration) not in known:
            return configuration
    return None
