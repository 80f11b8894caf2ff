"""The source functions at configurations of a new task: their kernel, their values, and the expected function.

Symbols
    B           leading batch dimensions
    n, m        configurations
    d           columns of a configuration
    E, F        learnt linear maps, and features that each yields: A_e is a map of shape (F, d), and c_e, of shape
                (F,), are the length scales of its features
    T           source tasks
    p           meta-features
    R           reference configurations (inducing points) Z
    n_t         recorded configurations X_t of source task t, with copula z-scores z_t

The kernel is the sum of Materns on the learnt maps and a Matern on the columns, which lie in the unit cube:

    M(a, b)  = (1 + r + r^2 / 3) exp(-r),   r = sqrt(5) |a - b|                                (Matern 5/2)
    D(x, x') = mean_e M(A_e x / c_e, A_e x' / c_e)
    k(x, x') = v_mapped D(x, x') + v_plain M(x / l, x' / l)

A map rotates and scales the cube. It can find a relevant direction of several columns together; one length scale for
each column cannot (Vivarelli and Williams, NeurIPS 1998). The scales c_e do not make the kernel more general. They let
learning switch off whole features quickly, which improves predictions. There are several maps with different random
starts, and their correlations are averaged. The plain part has one length scale for each column. It separates
configurations that the maps confuse. Neural networks instead of maps (deep kernels: Wilson et al., AISTATS 2016; FSBO:
Wistuba and Grabocka, ICLR 2021) do not predict held-out tasks better.

A source function is a smooth estimate of the z-scores of a source task on the whole search space:

    m_t(x) = k(x, Z) W_t,     W_t = (K_ZX K_XZ / s + K_ZZ)^-1 K_ZX z_t / s

is the mean of a sparse Gaussian process (subset of regressors: Quinonero-Candela and Rasmussen, JMLR 2005) with noise
variance s. Sharing Z makes all T functions one matrix product, and a stored function R numbers whatever n_t was. The
weights W are learnt: see :mod:`metahpo.surrogates.fitting.source_tasks`. The uncertainty that the records leave between
and beyond the reference configurations is the posterior covariance of the same process,

    o(x, x') = k(x, x') - <r(x), r(x')>,     r(x) = L^-1 k(Z, x),    K_ZZ + s I = L L'

It is nearly zero at Z, and far from Z it is the variance of the kernel.

The expected function of the new task is mu = M alpha. The matrix M (n, T) holds the values of the source functions, and
alpha (T,) their weights. D = M - mu are the deviations of the source functions from mu. The weights alpha come from the
meta-features q of the new task and v (T, p) of the source tasks, as normal quantiles of their ranks among the source
tasks:

    dist(q, t)  = sum_j r_j |v_qj - v_tj|,     kappa_h(q, t) = exp(-(dist / h)^2 / 2)
    alpha(q)    = rho (w + (1 - sum w) / T) + (1 - rho) / T,     w = mean_h (kappa_h(T, T) + I)^-1 kappa_h(T, q)

This is kernel ridge regression of functions on meta-features around the mean function (a Gaussian process over tasks),
averaged over bandwidths h. The relevance r_j of a meta-feature and the shrinkage rho in [0, 1] are learnt: see
:mod:`metahpo.surrogates.fitting.similarity_learning`. rho = 0 gives equal weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor, nn

from metahpo.numerics.device import SINGLE
from metahpo.space.encoding import row_keys
from metahpo.surrogates.meta_feature_values import comparable

Array = NDArray[np.float64]

#: Number of maps E, and of features F of each map.
MAPS, FEATURES = 4, 16
#: Prior of the length scale of a column: its median, in units of the diagonal of the cube, and the standard deviation
#: of its logarithm.
TYPICAL_SCALE, SCALE_SPREAD = 0.5, 1.5
#: Least variance of the noise of one recorded z-score. It keeps the likelihood finite where the records have exact
#: ties.
MIN_RECORD_NOISE = 1e-3
#: Most configurations whose source functions one search caches.
REMEMBERED_ROWS = 10_000
#: Bandwidths h, in units of the median distance between source tasks; and the ridge, in units of the kernel.
BANDWIDTHS = (0.5, 1.0, 2.0)
RIDGE = 1.0
#: Most source tasks whose kernels are inverted once and kept: 24 MB at this number. More are solved for each query.
MOST_INVERTED = 1000
#: Smallest variance, quadratic form and squared distance. Smaller values are rounding errors.
TINY = 1e-9
#: Fewest source tasks that a meta-feature must be known for. Meta-features with fewer values are ignored.
MIN_KNOWN = 3


@dataclass(frozen=True)
class Located:
    """Inputs of the kernel over length scales: mapped configurations (B, n, E, F) and their columns (B, n, d)."""

    mapped: Tensor
    plain: Tensor


def matern52(a: Tensor, b: Tensor) -> Tensor:
    """Correlations of shape (B, n, m) between points (B, n, d) and (B, m, d), over unit length scales."""
    # |a|^2 + |b|^2 - 2 a.b without copies is faster than cdist. Most of the time of a prediction is spent here.
    a, b = math.sqrt(5.0) * a, math.sqrt(5.0) * b
    squared = (-2.0 * a) @ b.transpose(-1, -2)
    squared += a.square().sum(-1)[..., :, None]
    squared += b.square().sum(-1)[..., None, :]
    correlations: Tensor = _MaternOfSquare.apply(squared)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return correlations


class _MaternOfSquare(torch.autograd.Function):
    """M as a function of r^2, in place. Its derivative -(1 + r) exp(-r) / 6 is finite where points coincide."""

    @staticmethod
    def forward(ctx: Any, squared: Tensor) -> Tensor:
        # In place, because new arrays take about twice as long.
        ctx.mark_dirty(squared)
        r = squared.clamp_(min=0.0).sqrt_()
        decay = r.neg().exp_()
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward((1.0 + r).mul_(decay).mul_(-1.0 / 6.0))
        return r.addcmul_(r, r, value=1.0 / 3.0).add_(1.0).mul_(decay)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        slope: Tensor = ctx.saved_tensors[0]
        return gradient * slope


def mapped_correlations(a: Located, b: Located) -> Tensor:
    """D, shape (B, n, m): correlations of the mapped configurations, averaged over the maps."""
    return matern52(a.mapped.movedim(-2, -3), b.mapped.movedim(-2, -3)).mean(-3)


class ZScoreKernel(nn.Module):
    """Kernel of the copula z-scores of a task: the sum of Materns on learnt maps and a Matern on the columns.

    Parameters
    ----------
    n_columns : int
        Columns d of a configuration.
    generator : torch.Generator, default=None
        Draws the initial maps. None takes a generator with the default seed of torch.
    """

    def __init__(self, n_columns: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        drawn = torch.randn(MAPS, FEATURES, n_columns, generator=generator or torch.Generator(), dtype=SINGLE)
        typical = TYPICAL_SCALE * math.sqrt(n_columns)
        # With this spread, initial distances are about those of columns with typical length scales.
        self.maps = nn.Parameter(drawn / (typical * math.sqrt(FEATURES)))
        self.log_scale_mapped = nn.Parameter(torch.zeros(MAPS, FEATURES, dtype=SINGLE))
        self.log_scale_plain = nn.Parameter(torch.full((n_columns,), math.log(typical), dtype=SINGLE))
        self.log_variance_mapped = nn.Parameter(torch.tensor(-0.5, dtype=SINGLE))
        self.log_variance_plain = nn.Parameter(torch.tensor(-1.0, dtype=SINGLE))
        self.log_noise = nn.Parameter(torch.tensor(-3.0, dtype=SINGLE))

    def locate(self, X: Tensor) -> Located:
        """Compute the inputs of the kernel for configurations (B, n, d), once for each configuration."""
        mapped = (X @ self.maps.flatten(0, 1).T).reshape(*X.shape[:-1], MAPS, FEATURES)
        return Located(mapped / self.log_scale_mapped.exp(), X / self.log_scale_plain.exp())

    def log_prior(self) -> Tensor:
        """Log prior density of the length scales of columns, up to a constant."""
        typical = math.log(TYPICAL_SCALE * math.sqrt(len(self.log_scale_plain)))
        return -0.5 * ((self.log_scale_plain - typical) / SCALE_SPREAD).square().sum()

    def noise(self) -> Tensor:
        """Variance of the noise of one recorded z-score."""
        return self.log_noise.exp() + MIN_RECORD_NOISE

    def variance(self) -> Tensor:
        """Variance of the z-score of any configuration, without noise."""
        return self.log_variance_mapped.exp() + self.log_variance_plain.exp()

    def forward(self, a: Located, b: Located) -> Tensor:
        """Covariances of shape (B, n, m), without noise."""
        return self.weighed(mapped_correlations(a, b), matern52(a.plain, b.plain))

    def weighed(self, mapped: Tensor, plain: Tensor) -> Tensor:
        """Covariances from correlations that are already computed."""
        return self.log_variance_mapped.exp() * mapped + self.log_variance_plain.exp() * plain


class SourceValues(NamedTuple):
    """Kernel inputs of n configurations, the source functions m there (n, T), and r (n, R)."""

    place: Located
    values: Tensor
    recorded: Tensor


class SourceFunctions:
    """Source functions at any configurations; immutable.

    Parameters
    ----------
    kernel : ZScoreKernel
    reference : Tensor of shape (R, d)
    weights : Tensor of shape (R, T)
    """

    def __init__(self, kernel: ZScoreKernel, reference: Tensor, weights: Tensor) -> None:
        self._made_of = kernel, reference, weights
        self._kernel, self._weights = kernel, weights
        self._reference = kernel.locate(reference)
        K_ZZ = kernel(self._reference, self._reference)
        noise = kernel.noise()
        self._factor = torch.linalg.cholesky(K_ZZ + noise * torch.eye(len(reference), dtype=reference.dtype))
        #: Source functions at the reference configurations, shape (R, T).
        self.at_reference = K_ZZ @ weights

    def __reduce__(self) -> tuple[type[SourceFunctions], tuple[ZScoreKernel, Tensor, Tensor]]:
        """Pickle the constructor arguments. Everything else is computed from them."""
        return type(self), self._made_of

    def weights_of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights, shape (R,), of the smooth function nearest to values (R,) at the reference configurations."""
        return np.asarray(torch.cholesky_solve(torch.from_numpy(values)[:, None], self._factor)[:, 0].numpy())

    def at(self, rows: Tensor) -> SourceValues:
        """Kernel inputs of rows (n, d), source functions there (n, T), and r (n, R)."""
        place = self._kernel.locate(rows)
        K_xZ = self._kernel(place, self._reference)
        recorded = torch.linalg.solve_triangular(self._factor, K_xZ.T, upper=False).T
        return SourceValues(place, K_xZ @ self._weights, recorded)


class RememberedFunctions:
    """Source functions in single precision, with a cache of configurations.

    A search predicts the same pool after every trial. Computing its kernel inputs costs more than conditioning. The
    cache belongs to one search; concurrent searches have one cache each.

    Parameters
    ----------
    functions : SourceFunctions
    """

    def __init__(self, functions: SourceFunctions) -> None:
        self._functions = functions
        self._index: dict[bytes, int] = {}
        self._remembered: tuple[Tensor, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the cache out of the pickle."""
        return {"_functions": self._functions, "_index": {}, "_remembered": ()}

    def at(self, rows: Array) -> SourceValues:
        """See :meth:`SourceFunctions.at`."""
        keys = row_keys(rows)
        new = list({key: i for i, key in enumerate(keys) if key not in self._index}.values())
        if len(self._index) + len(new) > REMEMBERED_ROWS:
            self._index.clear()
            new = list({key: i for i, key in enumerate(keys)}.values())
        if new:
            place, values, recorded = self._functions.at(torch.from_numpy(rows[new]))
            found = tuple(part.float() for part in (place.mapped, place.plain, values, recorded))
            first = len(self._index)
            self._remembered = tuple(
                _written(kept, first, part)
                for kept, part in zip(self._remembered or (None,) * len(found), found, strict=True)
            )
            self._index.update((keys[i], first + position) for position, i in enumerate(new))
        where = torch.from_numpy(np.array([self._index[key] for key in keys]))
        # This is four times as fast as indexing.
        mapped, plain, values, recorded = (part.index_select(0, where) for part in self._remembered)
        return SourceValues(Located(mapped, plain), values, recorded)


def _written(kept: Tensor | None, first: int, part: Tensor) -> Tensor:
    """A tensor with `part` from row `first` on, the rows before it kept.

    It has room for more rows than it needs, so that it is seldom copied.
    """
    end = first + len(part)
    if kept is None or end > len(kept):
        roomy = part.new_empty((2 * end, *part.shape[1:]))
        if kept is not None and first:
            roomy[:first] = kept[:first]
        kept = roomy
    kept[first:end] = part
    return kept


@dataclass(frozen=True)
class TaskSimilarity:
    """Weights of the source tasks, given meta-features.

    Attributes
    ----------
    names : tuple of str
        Names of the p meta-features that vary over the source tasks.
    values : ndarray of shape (T, p)
        Their values, rounded by :func:`metahpo.surrogates.meta_feature_values.comparable`; NaN where unknown.
    relevance : ndarray of shape (p,)
        r, the relevance of each of them; they sum to one.
    shrinkage : float
        rho, how far the weights depart from equal ones, in [0, 1]: 0 gives equal weights.
    """

    names: tuple[str, ...]
    values: Array
    relevance: Array
    shrinkage: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", comparable(self.values))

    def weights(self, meta_features: Mapping[str, float] | None) -> Array:
        """Weights alpha, shape (T,), summing to one. They are equal if no meta-feature is known."""
        n_tasks = len(self.values)
        if not meta_features or self.shrinkage == 0.0:
            return np.full(n_tasks, 1.0 / n_tasks)
        query = comparable([number_or_nan(meta_features.get(name)) for name in self.names])
        if np.isnan(query).all():
            return np.full(n_tasks, 1.0 / n_tasks)
        to_query, mean = self.distances(self._rank(query[None]), self.relevance)[:, 0], np.zeros(n_tasks)
        for i, bandwidth in enumerate(self._bandwidths):
            to_tasks = task_kernel(to_query, bandwidth)
            if n_tasks <= MOST_INVERTED:
                w = self._inverses[i] @ to_tasks
            else:
                w = np.asarray(np.linalg.solve(self._kernel(bandwidth), to_tasks), dtype=np.float64)
            mean += (w + (1.0 - w.sum()) / n_tasks) / len(BANDWIDTHS)
        return self.shrinkage * mean + (1.0 - self.shrinkage) / n_tasks

    def shares(self, meta_features: Mapping[str, float] | None) -> dict[str, float]:
        """Share of each known meta-feature in the distances, largest first; empty if all weights are equal."""
        if self.shrinkage == 0.0:
            return {}
        known = [(meta_features or {}).get(name) for name in self.names]
        shares = np.where(np.isnan([number_or_nan(value) for value in known]), 0.0, self.relevance)
        order = np.argsort(-shares, kind="stable")
        return {self.names[i]: float(shares[i] / shares.sum()) for i in order.tolist() if shares[i] > 0.0}

    def of_tasks(self, kept: Sequence[int]) -> TaskSimilarity:
        """The similarity to some of the source tasks. Meta-features that do not vary over them are left out."""
        values = self.values[list(kept)]
        varied = [j for j, column in enumerate(values.T) if len(np.unique(column[~np.isnan(column)])) > 1]
        relevance = self.relevance[varied]
        total = relevance.sum()
        return TaskSimilarity(
            tuple(self.names[j] for j in varied),
            values[:, varied],
            relevance / total if total > 0.0 else np.full(len(varied), 1.0 / max(1, len(varied))),
            self.shrinkage if total > 0.0 else 0.0,
        )

    def with_task(self, meta_features: Mapping[str, float] | None) -> TaskSimilarity:
        """The similarity to one source task more, of these meta-features."""
        row = np.array([[number_or_nan((meta_features or {}).get(name)) for name in self.names]]).reshape(1, -1)
        return replace(self, values=np.concatenate([self.values, row]))

    @cached_property
    def _sorted(self) -> list[Array]:
        """Known values of each meta-feature, ascending."""
        return [np.sort(column[~np.isnan(column)]) for column in self.values.T]

    @cached_property
    def quantiles(self) -> Array:
        """v, shape (T, p)."""
        return self._rank(self.values)

    @cached_property
    def _typical(self) -> Array:
        """Mean difference of two source tasks in each meta-feature, shape (p,)."""
        return np.array([np.nanmean(np.abs(column[:, None] - column[None])) for column in self.quantiles.T])

    @cached_property
    def _between(self) -> Array:
        """Distances between the source tasks, shape (T, T)."""
        return self.distances(self.quantiles, self.relevance)

    @cached_property
    def _bandwidths(self) -> list[float]:
        return bandwidths_of(self._between)

    def _kernel(self, bandwidth: float) -> Array:
        """Kernel between the source tasks, shape (T, T)."""
        return task_kernel(self._between, bandwidth) + RIDGE * np.eye(len(self.values))

    @cached_property
    def _inverses(self) -> list[Array]:
        """Inverses of the kernels of all bandwidths, each of shape (T, T). Every query multiplies by them."""
        return [np.asarray(np.linalg.inv(self._kernel(h)), dtype=np.float64) for h in self._bandwidths]

    def _rank(self, values: Array) -> Array:
        """Normal quantile of each value's rank among the source tasks, shape (n, p); NaN where unknown."""
        scores = np.full(values.shape, np.nan)
        for j, column in enumerate(self._sorted):
            below = np.searchsorted(column, values[:, j], "left") + np.searchsorted(column, values[:, j], "right")
            scores[:, j] = np.where(np.isnan(values[:, j]), np.nan, ndtri((0.5 * below + 0.5) / (len(column) + 1)))
        return scores

    def distances(self, scores: Array, relevance: Array) -> Array:
        """Distances of source tasks to other tasks, shape (T, n). An unknown difference takes its mean over pairs."""
        total = np.zeros((len(self.quantiles), len(scores)))
        for source, query, typical, r in zip(self.quantiles.T, scores.T, self._typical, relevance, strict=True):
            gap = np.abs(source[:, None] - query[None])  # one meta-feature at a time saves memory
            total += r * np.where(np.isnan(gap), typical, gap)
        return total


def bandwidths_of(between: Array) -> list[float]:
    """Bandwidths h, from the distances between source tasks, shape (T, T)."""
    median = float(np.median(between[np.triu_indices(len(between), 1)])) if len(between) > 1 else 1.0
    return [max(factor * median, 1e-9) for factor in BANDWIDTHS]


def task_kernel(distances: Array, bandwidth: float) -> Array:
    """kappa_h, from distances of any shape."""
    return np.asarray(np.exp(-0.5 * np.square(distances / bandwidth)))


def varies(values: Sequence[float | None]) -> bool:
    """Whether enough source tasks know a meta-feature, and with more than one value."""
    known = [v for v in map(number_or_nan, values) if not np.isnan(v)]
    return len(known) >= MIN_KNOWN and min(known) < max(known)


def number_or_nan(value: float | None) -> float:
    """Meta-feature as a number; NaN where it is missing."""
    return np.nan if value is None else float(value)


@dataclass(frozen=True)
class SourceFeatures:
    """Inputs of the mixture for n configurations.

    Attributes
    ----------
    place : Located
        Inputs of the kernel.
    mean : Tensor of shape (B, n, 1)
        mu, the expected function.
    deviations : Tensor of shape (B, n, T)
        D, the deviations of the source functions from it.
    recorded : Tensor of shape (B, n, R)
        r, from which the variance that the records leave open is computed.
    """

    place: Located
    mean: Tensor
    deviations: Tensor
    recorded: Tensor

    def to(self, to: torch.device | torch.dtype) -> SourceFeatures:
        """Copy on another device, or in another precision."""
        place = Located(self.place.mapped.to(to), self.place.plain.to(to))
        return SourceFeatures(place, self.mean.to(to), self.deviations.to(to), self.recorded.to(to))

    def __getitem__(self, rows: slice | Tensor) -> SourceFeatures:
        """Subset of the configurations of one task."""
        place = Located(self.place.mapped[rows], self.place.plain[rows])
        return SourceFeatures(place, self.mean[rows], self.deviations[rows], self.recorded[rows])


def source_features_at(at: SourceValues, alpha: Tensor, known: Tensor | None = None) -> SourceFeatures:
    """Compute source features of one task from weights alpha (T,). Tasks where `known` (T,) is False are left out."""
    mean = at.values @ alpha[:, None].to(at.values.dtype)
    deviations = at.values - mean
    return SourceFeatures(at.place, mean, deviations if known is None else deviations * known, at.recorded)


def squared_distances(M: Tensor, alpha: Tensor, known: Tensor | None = None) -> Tensor:
    """Squared distances of source functions M (R, T) from the expected function, divided by their mean, shape (B, T).

    `alpha` (B, T) are the weights of the expected function; where `known` (B, T) is False, the distance is infinite.
    """
    expected, n = alpha @ M.T, len(M)  # all differences at once would be B R T numbers
    squared = M.square().mean(0) - 2.0 * (expected @ M) / n + expected.square().mean(-1, keepdim=True)
    squared = squared.clamp_min(0.0)
    known = torch.ones_like(squared, dtype=torch.bool) if known is None else known
    typical = (squared * known).sum(-1, keepdim=True) / known.sum(-1, keepdim=True)
    # With a single source task, the expected function is its function: all distances are zero.
    return (squared / typical.clamp_min(TINY)).masked_fill(~known, torch.inf)
