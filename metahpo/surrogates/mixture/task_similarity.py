"""The similarity of tasks by meta-features, which weights the source tasks before the first trial.

Symbols: T source tasks, p meta-features, R reference configurations; v (T, p) the meta-features as normal quantiles of
their ranks among the source tasks; G (T, T) the products <m_s, m_t> / R of the source functions.

    dist(q, t)  = sum_j r_j |v_qj - v_tj|,     kappa_h(q, t) = exp(-(dist / h)^2 / 2)
    alpha(q)    = rho (w + (1 - sum w) / T) + (1 - rho) / T,     w = mean_h (kappa_h(T, T) + I)^-1 kappa_h(T, q)

The function expected of a task is ``sum_t alpha_t m_t``: kernel ridge regression of functions on meta-features around
the mean function (a Gaussian process over tasks), averaged over bandwidths h. The relevance r_j of a meta-feature is
its importance in a forest that predicts the functions: see :mod:`metahpo.surrogates.mixture.relevance`. The shrinkage
rho in [0, 1] says how far the weights depart from equal ones: 0 gives equal weights. It is the least-squares estimate
of leave-family-out cross-validation, minus its standard error. Meta-features that do not predict the functions get rho
= 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from metahpo.metadata.families import family_groups
from metahpo.surrogates.mixture.relevance import learn_relevance

Array = NDArray[np.float64]

#: Bandwidths h, in units of the median distance between source tasks; and the ridge, in units of the kernel.
BANDWIDTHS = (0.5, 1.0, 2.0)
RIDGE = 1.0
#: Most folds of families in the cross-validation of the relevance.
GROUPS = 10
#: Fewest source tasks that a meta-feature must be known for. Meta-features with fewer values are ignored.
MIN_KNOWN = 3


@dataclass(frozen=True)
class TaskSimilarity:
    """Weights of the source tasks, given meta-features.

    Attributes
    ----------
    names : tuple of str
        Names of the p meta-features that vary over the source tasks.
    values : ndarray of shape (T, p)
        Their values; NaN where unknown.
    relevance : ndarray of shape (p,)
        r, the relevance of each of them; they sum to one.
    shrinkage : float
        rho, how far the weights depart from equal ones, in [0, 1]: 0 gives equal weights.
    """

    names: tuple[str, ...]
    values: Array
    relevance: Array
    shrinkage: float

    @classmethod
    def learn(
        cls,
        meta_features: Sequence[Mapping[str, float] | None],
        families: Sequence[str],
        functions: Array,
        rng: np.random.Generator,
    ) -> tuple[TaskSimilarity, Array]:
        """Learn the similarity of T tasks from meta-features, families, and functions at R configurations (R, T).

        The second result, shape (T, T), holds the weights for each task as a held-out task. These weights and their
        relevance are learnt without the functions of its family.
        """
        known = [m or {} for m in meta_features]
        names = [name for name in dict.fromkeys(n for m in known for n in m) if _varies([m.get(name) for m in known])]
        values = np.array([[_number(m.get(name)) for name in names] for m in known]).reshape(len(known), len(names))
        similarity = cls(tuple(names), values, np.full(len(names), 1.0 / max(1, len(names))), 0.0)
        equal = _equal_weights(families)
        if not names:
            return similarity, equal
        rows = similarity._relearnt(families, functions, rng)
        G = functions.T @ functions
        step, error = rows - equal, np.eye(len(families)) - equal
        gain, cost = np.einsum("it,tu,iu->i", step, G, error), np.einsum("it,tu,iu->i", step, G, step)
        if not cost.sum() > 0.0:  # all functions are equal, so weights make no difference
            return similarity, equal
        best = gain.sum() / cost.sum()
        standard_error = np.sqrt(np.square(gain - best * cost).sum()) / cost.sum()
        shrinkage = float(np.clip(best - standard_error, 0.0, 1.0))
        relevance = learn_relevance(similarity._quantiles, functions, rng)
        return replace(similarity, relevance=relevance, shrinkage=shrinkage), equal + shrinkage * step

    def weights(self, meta_features: Mapping[str, float] | None) -> Array:
        """Weights alpha, shape (T,), summing to one. They are equal if no meta-feature is known."""
        n_tasks = len(self.values)
        if not meta_features or self.shrinkage == 0.0:
            return np.full(n_tasks, 1.0 / n_tasks)
        query = np.array([_number(meta_features.get(name)) for name in self.names])
        if np.isnan(query).all():
            return np.full(n_tasks, 1.0 / n_tasks)
        to_query, mean = self._distances(self._rank(query[None]), self.relevance)[:, 0], np.zeros(n_tasks)
        for bandwidth in _bandwidths(self._between):
            kernel = _kernel(self._between, bandwidth) + RIDGE * np.eye(n_tasks)
            w = np.linalg.solve(kernel, _kernel(to_query, bandwidth))
            mean += (w + (1.0 - w.sum()) / n_tasks) / len(BANDWIDTHS)
        return self.shrinkage * mean + (1.0 - self.shrinkage) / n_tasks

    def shares(self, meta_features: Mapping[str, float] | None) -> dict[str, float]:
        """Share of each known meta-feature in the distances, largest first; empty if all weights are equal."""
        if self.shrinkage == 0.0:
            return {}
        known = [(meta_features or {}).get(name) for name in self.names]
        shares = np.where(np.isnan([_number(value) for value in known]), 0.0, self.relevance)
        order = np.argsort(-shares, kind="stable")
        return {self.names[i]: float(shares[i] / shares.sum()) for i in order.tolist() if shares[i] > 0.0}

    def of_tasks(self, kept: Sequence[int]) -> TaskSimilarity:
        """The similarity to some of the source tasks; meta-features that do not vary over them are left out."""
        values = self.values[list(kept)]
        varied = [j for j, column in enumerate(values.T) if _varies(column.tolist())]
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
        row = np.array([[_number((meta_features or {}).get(name)) for name in self.names]]).reshape(1, -1)
        return replace(self, values=np.concatenate([self.values, row]))

    def _leaving_out(self, families: Sequence[str], relevance: Array) -> Array:
        """Weights for task i, from tasks of other families and without shrinkage, in row i; shape (T, T)."""
        names, between = np.asarray(families), self._distances(self._quantiles, relevance)
        own = [np.flatnonzero(names == family) for family in np.unique(names)]
        rows = np.zeros_like(between)
        for bandwidth in _bandwidths(between):
            kernel = _kernel(between, bandwidth)
            inverse = np.linalg.inv(kernel + RIDGE * np.eye(len(names)))
            for left_out in own:
                # A is the inverse for all tasks. The inverse without tasks F, times their kernel with F, is -A_F
                # A_FF^-1.
                w = -np.linalg.solve(inverse[np.ix_(left_out, left_out)], inverse[left_out])
                w[:, left_out] = 0.0
                n_others = len(names) - len(left_out)
                rows[left_out] += w + (1.0 - w.sum(axis=1, keepdims=True)) / n_others
        return np.where(names[:, None] != names[None], rows / len(BANDWIDTHS), 0.0)

    def _relearnt(self, families: Sequence[str], functions: Array, rng: np.random.Generator) -> Array:
        """The same weights, with the relevance for task i learnt from tasks of other families only."""
        group = family_groups(families, GROUPS, rng)
        rows = np.zeros((len(families), len(families)))
        for away in (group == g for g in np.unique(group)):
            relevance = learn_relevance(self._quantiles[~away], functions[:, ~away], rng)
            rows[away] = self._leaving_out(families, relevance)[away]
        return rows

    @cached_property
    def _sorted(self) -> list[Array]:
        """Known values of each meta-feature, ascending."""
        return [np.sort(column[~np.isnan(column)]) for column in self.values.T]

    @cached_property
    def _quantiles(self) -> Array:
        """v, shape (T, p)."""
        return self._rank(self.values)

    @cached_property
    def _typical(self) -> Array:
        """Mean difference of two source tasks in each meta-feature, shape (p,)."""
        return np.array([np.nanmean(np.abs(column[:, None] - column[None])) for column in self._quantiles.T])

    @cached_property
    def _between(self) -> Array:
        """Distances between the source tasks, shape (T, T)."""
        return self._distances(self._quantiles, self.relevance)

    def _rank(self, values: Array) -> Array:
        """Normal quantile of each value's rank among the source tasks, shape (n, p); NaN where unknown."""
        scores = np.full(values.shape, np.nan)
        for j, column in enumerate(self._sorted):
            below = np.searchsorted(column, values[:, j], "left") + np.searchsorted(column, values[:, j], "right")
            scores[:, j] = np.where(np.isnan(values[:, j]), np.nan, ndtri((0.5 * below + 0.5) / (len(column) + 1)))
        return scores

    def _distances(self, scores: Array, relevance: Array) -> Array:
        """Distances of source tasks to other tasks, shape (T, n). An unknown difference takes its mean over pairs."""
        total = np.zeros((len(self._quantiles), len(scores)))
        for source, query, typical, r in zip(self._quantiles.T, scores.T, self._typical, relevance, strict=True):
            gap = np.abs(source[:, None] - query[None])  # one meta-feature at a time saves memory
            total += r * np.where(np.isnan(gap), typical, gap)
        return total


def _bandwidths(between: Array) -> list[float]:
    """Bandwidths h, from the distances between source tasks, shape (T, T)."""
    median = float(np.median(between[np.triu_indices(len(between), 1)])) if len(between) > 1 else 1.0
    return [max(factor * median, 1e-9) for factor in BANDWIDTHS]


def _kernel(distances: Array, bandwidth: float) -> Array:
    return np.asarray(np.exp(-0.5 * np.square(distances / bandwidth)))


def _equal_weights(families: Sequence[str]) -> Array:
    """Equal weights over the tasks of other families than that of task i, in row i."""
    names = np.asarray(families)
    other = (names[:, None] != names[None]).astype(np.float64)
    return np.asarray(other / other.sum(axis=1, keepdims=True))


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _varies(values: Sequence[float | None]) -> bool:
    known = [v for v in map(_number, values) if not np.isnan(v)]
    return len(known) >= MIN_KNOWN and min(known) < max(known)
