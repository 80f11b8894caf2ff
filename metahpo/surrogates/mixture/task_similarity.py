"""What meta-features say about a task before its first trial: which tasks learnt from resemble it.

Symbols: T source tasks, p meta-features, R reference configurations; v (T, p) the meta-features as normal quantiles of
their ranks among the source tasks; G (T, T) the products <m_s, m_t> / R of the source functions.

    dist(q, t)  = sum_j r_j |v_qj - v_tj|,     kappa_h(q, t) = exp(-(dist / h)^2 / 2)
    alpha(q)    = rho (w + (1 - sum w) / T) + (1 - rho) / T,     w = mean_h (kappa_h(T, T) + I)^-1 kappa_h(T, q)

The function expected of a task is ``sum_t alpha_t m_t``: kernel ridge regression of functions on meta-features around
the mean function (a Gaussian process over tasks), averaged over bandwidths h. The relevance r_j of a meta-feature is
its importance to a forest that predicts the functions: see :mod:`metahpo.surrogates.fitting.relevance`. How far all
that is to be trusted, rho in [0, 1], is the least-squares answer of leaving out one family at a time, less its standard
error: meta-features that say nothing, or little of few tasks, get rho = 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from metahpo.surrogates.fitting.relevance import learn_relevance

Array = NDArray[np.float64]

#: Bandwidths h, in units of the median distance between source tasks; and the ridge, in units of the kernel.
BANDWIDTHS = (0.5, 1.0, 2.0)
RIDGE = 1.0
#: Groups of families, at most, of which each is left out in turn where relevance is learnt.
GROUPS = 10
#: A meta-feature known of fewer tasks, or constant over them, cannot tell tasks apart.
MIN_KNOWN = 3


@dataclass(frozen=True)
class TaskAffinity:
    """Weights of the source tasks, given meta-features.

    Attributes
    ----------
    names : tuple of str
        Names of the p meta-features that vary over the source tasks.
    values : ndarray of shape (T, p)
        Their values; NaN where unknown.
    relevance : ndarray of shape (p,)
        r, how much each of them counts; they sum to one.
    trust : float
        rho, how far the weights depart from equal ones.
    """

    names: tuple[str, ...]
    values: Array
    relevance: Array
    trust: float

    @classmethod
    def learn(
        cls,
        meta_features: Sequence[Mapping[str, float] | None],
        families: Sequence[str],
        functions: Array,
        rng: np.random.Generator,
    ) -> tuple[TaskAffinity, Array]:
        """Affinity of T tasks, from their meta-features, families, and functions at R configurations, shape (R, T).

        And, shape (T, T), the weights for each of them as if it were new: neither they nor the relevance behind them is
        learnt from functions of its family.
        """
        known = [m or {} for m in meta_features]
        names = [name for name in dict.fromkeys(n for m in known for n in m) if _varies([m.get(name) for m in known])]
        values = np.array([[_number(m.get(name)) for name in names] for m in known]).reshape(len(known), len(names))
        affinity = cls(tuple(names), values, np.full(len(names), 1.0 / max(1, len(names))), 0.0)
        equal = _equal_weights(families)
        if not names:
            return affinity, equal
        rows = affinity._relearnt(families, functions, rng)
        G = functions.T @ functions
        step, error = rows - equal, np.eye(len(families)) - equal
        gain, cost = np.einsum("it,tu,iu->i", step, G, error), np.einsum("it,tu,iu->i", step, G, step)
        if not cost.sum() > 0.0:  # all tasks agree: there is nothing that likeness could tell
            return affinity, equal
        best = gain.sum() / cost.sum()
        standard_error = np.sqrt(np.square(gain - best * cost).sum()) / cost.sum()
        trust = float(np.clip(best - standard_error, 0.0, 1.0))
        relevance = learn_relevance(affinity._scores, functions, rng)
        return replace(affinity, relevance=relevance, trust=trust), equal + trust * step

    def weights(self, meta_features: Mapping[str, float] | None) -> Array:
        """Weights alpha, shape (T,), summing to one; equal ones where nothing is known."""
        n_tasks = len(self.values)
        if not meta_features or self.trust == 0.0:
            return np.full(n_tasks, 1.0 / n_tasks)
        query = np.array([_number(meta_features.get(name)) for name in self.names])
        if np.isnan(query).all():
            return np.full(n_tasks, 1.0 / n_tasks)
        to_query, mean = self._distances(self._rank(query[None]), self.relevance)[:, 0], np.zeros(n_tasks)
        for bandwidth in _bandwidths(self._between):
            kernel = _kernel(self._between, bandwidth) + RIDGE * np.eye(n_tasks)
            w = np.linalg.solve(kernel, _kernel(to_query, bandwidth))
            mean += (w + (1.0 - w.sum()) / n_tasks) / len(BANDWIDTHS)
        return self.trust * mean + (1.0 - self.trust) / n_tasks

    def shares(self, meta_features: Mapping[str, float] | None) -> dict[str, float]:
        """Share of each known meta-feature in what tells tasks apart, most first; none where all weights are equal."""
        if self.trust == 0.0:
            return {}
        known = [(meta_features or {}).get(name) for name in self.names]
        shares = np.where(np.isnan([_number(value) for value in known]), 0.0, self.relevance)
        order = np.argsort(-shares, kind="stable")
        return {self.names[i]: float(shares[i] / shares.sum()) for i in order.tolist() if shares[i] > 0.0}

    def _leaving_out(self, families: Sequence[str], relevance: Array) -> Array:
        """Row i: weights for task i, from the tasks of other families, fully trusted; shape (T, T)."""
        names, between = np.asarray(families), self._distances(self._scores, relevance)
        own = [np.flatnonzero(names == family) for family in np.unique(names)]
        rows = np.zeros_like(between)
        for bandwidth in _bandwidths(between):
            kernel = _kernel(between, bandwidth)
            inverse = np.linalg.inv(kernel + RIDGE * np.eye(len(names)))
            for left_out in own:
                # Where A is the inverse for all tasks, that for all but F, times their kernel with F, is -A_F A_FF^-1.
                w = -np.linalg.solve(inverse[np.ix_(left_out, left_out)], inverse[left_out])
                w[:, left_out] = 0.0
                n_others = len(names) - len(left_out)
                rows[left_out] += w + (1.0 - w.sum(axis=1, keepdims=True)) / n_others
        return np.where(names[:, None] != names[None], rows / len(BANDWIDTHS), 0.0)

    def _relearnt(self, families: Sequence[str], functions: Array, rng: np.random.Generator) -> Array:
        """The same, but that the relevance for task i is learnt from tasks of other families, too."""
        distinct, family = np.unique(families, return_inverse=True)
        group = rng.permutation(len(distinct))[family] % GROUPS
        rows = np.zeros((len(families), len(families)))
        for away in (group == g for g in np.unique(group)):
            relevance = learn_relevance(self._scores[~away], functions[:, ~away], rng)
            rows[away] = self._leaving_out(families, relevance)[away]
        return rows

    @cached_property
    def _sorted(self) -> list[Array]:
        """Known values of each meta-feature, ascending."""
        return [np.sort(column[~np.isnan(column)]) for column in self.values.T]

    @cached_property
    def _scores(self) -> Array:
        """v, shape (T, p)."""
        return self._rank(self.values)

    @cached_property
    def _typical(self) -> Array:
        """Mean difference of two source tasks in each meta-feature, shape (p,)."""
        return np.array([np.nanmean(np.abs(column[:, None] - column[None])) for column in self._scores.T])

    @cached_property
    def _between(self) -> Array:
        """Distances between the source tasks, shape (T, T)."""
        return self._distances(self._scores, self.relevance)

    def _rank(self, values: Array) -> Array:
        """Normal quantile of each value's rank among the source tasks, shape (n, p); NaN where unknown."""
        scores = np.full(values.shape, np.nan)
        for j, column in enumerate(self._sorted):
            below = np.searchsorted(column, values[:, j], "left") + np.searchsorted(column, values[:, j], "right")
            scores[:, j] = np.where(np.isnan(values[:, j]), np.nan, ndtri((0.5 * below + 0.5) / (len(column) + 1)))
        return scores

    def _distances(self, scores: Array, relevance: Array) -> Array:
        """Distances of the source tasks to others, shape (T, n); an unknown gap counts as that of two random tasks."""
        total = np.zeros((len(self._scores), len(scores)))
        for source, query, typical, r in zip(self._scores.T, scores.T, self._typical, relevance, strict=True):
            gap = np.abs(source[:, None] - query[None])  # one meta-feature at a time: of many tasks all do not fit
            total += r * np.where(np.isnan(gap), typical, gap)
        return total


def _bandwidths(between: Array) -> list[float]:
    """The bandwidths h, by the distances between the source tasks, shape (T, T)."""
    median = float(np.median(between[np.triu_indices(len(between), 1)])) if len(between) > 1 else 1.0
    return [max(factor * median, 1e-9) for factor in BANDWIDTHS]


def _kernel(distances: Array, bandwidth: float) -> Array:
    return np.asarray(np.exp(-0.5 * np.square(distances / bandwidth)))


def _equal_weights(families: Sequence[str]) -> Array:
    """Row i: equal weights over the tasks of other families than that of task i."""
    names = np.asarray(families)
    other = (names[:, None] != names[None]).astype(np.float64)
    return np.asarray(other / other.sum(axis=1, keepdims=True))


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _varies(values: Sequence[float | None]) -> bool:
    known = [v for v in map(_number, values) if not np.isnan(v)]
    return len(known) >= MIN_KNOWN and min(known) < max(known)
