"""Experience of a known learner for a search of a space that only overlaps with the learner's.

Symbols: x a row of the user's space, and x' the row of the known space that stands for it
(:mod:`metahpo.space.mapping`); m_i(x') the mean of component i of the known surrogate before any trial, w_i its weight;
y the losses of the trials, standardised; g the process of a search without experience; v the trust in the experience.

    y(x) = b + v (a m(x') + sum_i c_i sqrt(w_i) (m_i(x') - m(x'))) + g(x),        m = sum_i w_i m_i
    b, c_i ~ N(0, 1),    a ~ N(1, A^2),    v in `TRUSTS`

The components stand for tasks that were seen: the losses decide which of them the task resembles, how much of it all is
of use (v), and g learns what the experience does not explain: other hyperparameters, other ranges, another network. One
of the values of v is 0, which is the search without experience. Each v has its own process; their evidence are the
weights of the mixture that is predicted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray
from scipy.special import softmax

from metahpo.exceptions import DataError
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.numerics.cholesky import factor, solve
from metahpo.space.configuration import Configuration
from metahpo.space.mapping import SpaceMapping
from metahpo.surrogates.cold_surrogate import (
    MAX_ITERATIONS,
    MAX_ITERATIONS_AGAIN,
    ColdSurrogate,
    FittedProcess,
    modes_of,
    most_probable,
)
from metahpo.surrogates.fitting.marginal_likelihood import NegativeLogLikelihood
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.process import LEAST_VARIANCE, matern
from metahpo.surrogates.surrogate import (
    Configurations,
    Observed,
    Surrogate,
    TaskSurrogate,
    encoded,
    encoded_trials,
    on_task,
)

Array = NDArray[np.float64]

#: Values of the trust v beside 0, and their probabilities before any trial (that of 0 is the rest).
TRUSTS, PROBABILITIES = (1.0, 0.3), (0.5, 0.3)
#: Standard deviation A of the slope a.
SLOPE_STD = 0.5
#: Loss, in z-scores, for each unit of squared distance from the default in a hyperparameter that is not known.
DEFAULT_PULL = 0.1


@dataclass(frozen=True)
class MappedSurrogate:
    """A surrogate of a known space, for a search of another space that overlaps with it.

    A :class:`~metahpo.surrogates.surrogate.Surrogate` of the user's space. ``str(mapped.mapping)`` tells what of the
    space is known.

    Parameters
    ----------
    surrogate : Surrogate
        The experience.
    space : ConfigurationSpace
        The user's.
    names, held : mapping, default=None
        See :class:`~metahpo.space.mapping.SpaceMapping`.

    Attributes
    ----------
    mapping : SpaceMapping
        What of the user's space is known; its text is a report.

    Raises
    ------
    SpaceError
        The spaces have nothing in common, or `names` or `held` do not suit them.
    DataError
        `surrogate` is none.

    Examples
    --------
    A network of one's own, with the experience of another::

        mapped = MappedSurrogate(surrogate, space)
        print(mapped.mapping)
        optimizer = BayesianOptimizer(space, mapped, meta_features, initial=mapped.place(recommendations))
    """

    surrogate: Surrogate
    space: ConfigurationSpace
    names: Mapping[str, str] | None = None
    held: Mapping[str, Any] | None = None
    mapping: SpaceMapping = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(getattr(self.surrogate, "space", None), ConfigurationSpace):
            raise DataError(f"surrogate must be one that was trained, but is {self.surrogate!r}.")
        object.__setattr__(self, "mapping", SpaceMapping(self.space, self.surrogate.space, self.names, self.held))

    def __repr__(self) -> str:
        known, all_of = len({match.name for match in self.mapping.matches}), len(self.space)
        return f"{type(self).__name__}(hyperparameters: {all_of}, of them known: {known}, {self.surrogate!r})"

    def place(self, recommended: Any) -> list[Configuration]:
        """Configurations of the known space, or recommendations, in the user's space, in the same order."""
        configurations = recommended if isinstance(recommended, Sequence) else recommended.configurations
        return self.mapping.place(configurations)

    def on(self, meta_features: Mapping[str, float] | None = None) -> MappedOnTask:
        """The surrogate on one task, for one search."""
        return MappedOnTask(self.mapping, on_task(self.surrogate, meta_features))

    def posterior(
        self,
        configurations: Configurations,
        observed: Observed | None = None,
        meta_features: Mapping[str, float] | None = None,
        noise: Array | None = None,
    ) -> Posterior:
        """See :meth:`metahpo.surrogates.surrogate.Surrogate.posterior`."""
        encoder = self.mapping.encoder
        tried = None if observed is None else encoded_trials(encoder, observed)
        return self.on(meta_features).posterior(encoded(encoder, configurations), tried, noise)


class MappedOnTask:
    """A mapped surrogate on one task; an :class:`~metahpo.surrogates.surrogate.AdaptiveSurrogate`.

    Parameters
    ----------
    mapping : SpaceMapping
    known : TaskSurrogate
        Of the known space.
    """

    def __init__(self, mapping: SpaceMapping, known: TaskSurrogate) -> None:
        self._mapping, self._known, self._cold = mapping, known, ColdSurrogate()
        default = mapping.encoder.encode([mapping.encoder.domain.default])[0]
        pulled = np.zeros(len(default), dtype=bool)
        for name in mapping.unknown:
            pulled[mapping.encoder.columns_of(name)] = True
        self._default, self._pulled = default, pulled
        self._thetas: dict[float, Array] = {}
        self._fitted: tuple[bytes, list[_Informed]] | None = None

    @property
    def hyperparameters(self) -> Array | None:
        """Log hyperparameters of the latest fits, a row for each trust, the last without experience."""
        if self._cold.hyperparameters is None or len(self._thetas) < len(TRUSTS):
            return None
        return np.stack([*(self._thetas[trust] for trust in TRUSTS), self._cold.hyperparameters])

    @hyperparameters.setter
    def hyperparameters(self, values: Array | None) -> None:
        self._thetas = {} if values is None else dict(zip(TRUSTS, values[:-1], strict=True))
        self._cold.hyperparameters = None if values is None else values[-1]

    def process(
        self, observed: tuple[Array, Array] | None, noise: Array | None = None, under_way: Array | None = None
    ) -> FittedProcess | None:
        """What the trials say without experience: see :class:`metahpo.surrogates.surrogate.AdaptiveSurrogate`."""
        return self._cold.process(observed, noise, under_way)

    @own_arithmetic()
    def posterior(
        self,
        configurations: Array,
        observed: tuple[Array, Array] | None = None,
        noise: Array | None = None,
        under_way: Array | None = None,
    ) -> Posterior:
        """Posterior of rows (m, d): see :class:`metahpo.surrogates.surrogate.AdaptiveSurrogate`."""
        rows = np.asarray(configurations, dtype=np.float64)
        cold = self._cold.process(observed, noise, under_way)
        if cold is None or observed is None:
            return self._before_losses_differ(rows, observed, under_way)
        away = np.empty((0, rows.shape[1])) if under_way is None else under_way
        informed = self._informed(np.asarray(observed[0], dtype=np.float64), cold, noise, away)
        features = self._features(rows)
        parts = [part.predict(rows, *features) for part in informed]
        means, stds = zip(*parts, cold.process.predict(rows), strict=True)
        evidence = np.array([part.evidence for part in informed] + [cold.evidence])
        weights = softmax(evidence + np.log([*PROBABILITIES, 1.0 - sum(PROBABILITIES)]))
        incumbents = np.array([part.incumbent for part in informed] + [cold.incumbent])
        kept = weights > np.finfo(np.float64).tiny
        return Posterior(weights[kept], np.stack(means)[kept], np.stack(stds)[kept], incumbents[kept])

    def _before_losses_differ(
        self, rows: Array, observed: tuple[Array, Array] | None, under_way: Array | None
    ) -> Posterior:
        """What the known surrogate says, a default being the best guess where it says nothing."""
        tried = np.empty((0, rows.shape[1])) if observed is None else observed[0]
        losses = np.empty(0) if observed is None else observed[1]
        if under_way is not None and len(under_way):
            tried = np.concatenate([tried, under_way])
            # A trial still running counts as an average one.
            losses = np.append(
                losses, np.full(len(under_way), np.nanmean(losses) if np.isfinite(losses).any() else 0.0)
            )
        given = (self._mapping.rows(tried), losses) if len(tried) else None
        known = self._known.posterior(self._mapping.rows(rows), given)
        return Posterior(
            known.weights,
            known.mean + self._pull(rows),
            known.std,
            known.incumbent,
            known.improvement_std,
            known.calibration,
        )

    def _pull(self, rows: Array) -> Array:
        return np.asarray(DEFAULT_PULL * np.square((rows - self._default)[:, self._pulled]).sum(axis=1))

    def _features(self, rows: Array) -> tuple[Array, Array]:
        """Mean (m,) of the known surrogate, and what it does not know of it: features (m, q) of unit variance."""
        known = self._known.posterior(self._mapping.rows(rows))
        mean = known.mixture_mean() + self._pull(rows)
        apart = np.sqrt(known.weights)[:, None] * (known.mean - known.mixture_mean())
        return mean, np.vstack([SLOPE_STD * mean, apart]).T

    def _informed(self, X: Array, cold: FittedProcess, noise: Array | None, under_way: Array) -> list[_Informed]:
        """Processes with experience, one for each trust."""
        seen = b"".join(part.tobytes() for part in (X, cold.y, cold.added, under_way))
        if self._fitted is not None and self._fitted[0] == seen:
            return self._fitted[1]
        Z = np.concatenate([X, under_way])
        mean, features = self._features(Z)
        found = []
        for trust in TRUSTS:
            start = self._thetas.get(trust, modes_of(X.shape[1]))
            iterations = MAX_ITERATIONS_AGAIN if trust in self._thetas else MAX_ITERATIONS
            part = _Informed(trust, X, Z, mean, features, cold, start, iterations)
            self._thetas[trust] = part.theta
            found.append(part)
        measured = np.ones(len(X), dtype=bool) if noise is None or (noise > 0.0).all() else noise == 0.0
        for part in found:
            part.incumbent = float(
                part.predict(X[measured], mean[: len(X)][measured], features[: len(X)][measured])[0].min()
            )
        self._fitted = (seen, found)
        return found


class _Informed:
    """A process with experience, for one value of the trust.

    Parameters
    ----------
    trust : float
    X, Z : ndarrays of shapes (n, d) and (n + p, d)
        Trials; and, after them, what is under way.
    mean, features : ndarrays of shapes (n + p,) and (n + p, q)
        Of the experience, at Z.
    cold : FittedProcess
        What the trials say without experience.
    start : ndarray of shape (d + 2,)
    iterations : int
    """

    incumbent: float

    def __init__(
        self,
        trust: float,
        X: Array,
        Z: Array,
        mean: Array,
        features: Array,
        cold: FittedProcess,
        start: Array,
        iterations: int,
    ) -> None:
        n = len(X)
        self._trust = trust
        # A constant is learnt too, of unit variance.
        shared = 1.0 + trust**2 * (features @ features.T)
        residual = cold.y - trust * mean[:n]
        likelihood = NegativeLogLikelihood(X, residual, cold.added, shared[:n, :n])
        self.theta, value = most_probable(likelihood, start, iterations)
        self.evidence = -value
        self._variance, self._scales = float(np.exp(self.theta[0])), np.exp(self.theta[1:-1])
        self._Z, self._features = Z / self._scales, features
        K = self._variance * matern(self._Z, self._Z) + shared
        added = np.concatenate([cold.added + np.exp(self.theta[-1]), np.full(len(Z) - n, LEAST_VARIANCE)])
        K[np.diag_indices(len(Z))] += added
        first = factor(K[:n, :n])
        self._weights = np.zeros(len(Z))
        self._weights[:n] = solve(first, residual)
        self._inverse = solve(factor(K), np.eye(len(Z)))

    def predict(self, rows: Array, mean: Array, features: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the function at rows (m, d), given the experience there."""
        of_experience = 1.0 + self._trust**2 * (features @ self._features.T)
        k = self._variance * matern(rows / self._scales, self._Z) + of_experience
        prior = self._variance + 1.0 + self._trust**2 * np.square(features).sum(axis=1)
        left = prior - np.einsum("ij,ij->i", k @ self._inverse, k)
        return self._trust * mean + k @ self._weights, np.sqrt(np.maximum(left, LEAST_VARIANCE))
