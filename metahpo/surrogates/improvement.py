"""The model of the improvement of a configuration on the default, for a task without trials.

Symbols: T source tasks, n configurations that all of them recorded, r the reference (the library's default); E (T, n)
the errors; G (T, n) the change of the error relative to the reference, positive where it is better:

    G_tx = clip((E_tr - E_tx) / max(E_tr, floor), -1, 1)              a configuration that failed has G = -1

The change on a new task q is distributed like that on the source tasks, weighted by their similarity to q:

    p(g | q, x) = sum_t w_t(q) N(g; G_tx, S_tx^2),      S_tx the standard error of G_tx
    w_t(q)      = mean over trees of [t in the leaf of q] / size of that leaf,
                  times exp(-|ln n_q - ln n_t| / h) and scaled to a sum of one

n_t are the rows that task t trains on, and h is the size range. A source task that trains on e^h times as many rows
counts 1/e as much. Without h, the rows are a meta-feature like the others. The trees are extremely randomised trees
that predict the principal components of G from meta-features (weights of quantile regression forests: Meinshausen, JMLR
2006). One leaf gives equal weights before they are multiplied, so that the answer is then the best constant
configuration. Alternatives are compared by their expected utility, where losses count `loss_weight` times:

    U(x) = E u(g),      u(g) = g for g > 0, loss_weight g otherwise;      U(r) = 0

The reference stays unless another alternative has a positive utility. Size of leaves, size range and weight of losses
are chosen by leave-family-out cross-validation: see :mod:`metahpo.surrogates.fitting.improvement_learning`. What trials
of the new task add, whatever rows they were trained on, is the subject of
:mod:`metahpo.surrogates.improvement_on_task`. The incumbent, the best that was tried, then takes the place of the
reference: U(x) = E u(g_x - g_incumbent).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr

from metahpo.exceptions import ArtefactError, DataError
from metahpo.metafeatures.classes import LOG_ROWS
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.surrogates import tensor_file
from metahpo.surrogates.meta_feature_values import comparable
from metahpo.tasks.metric import known_metric

Array = NDArray[np.float64]

SQRT_2PI = math.sqrt(2.0 * math.pi)
#: Name of this kind of model in the header of its artefact.
KIND = "improvement on the default"
#: Type of changes, standard errors and thresholds of trees in a file. They lie in [-1, 1].
STORED = np.float16
#: Learnt changes are multiples of it, half of which is less than any standard error.
STEP_OF_CHANGE = 1.0 / 1024.0
#: Significant bits of learnt standard errors. Those of a few fits are known to less than one digit.
BITS_OF_STANDARD_ERROR = 7
#: Least standard error of a change. No test set can measure smaller changes.
MIN_STANDARD_ERROR = 1e-3
#: Errors below this, of scores whose best value is 1, count as if they were this large. A change from .002 to .001 is
#: no improvement by a half.
ERROR_FLOOR = 0.01
#: Rows that the recorded variance of a fit is stated for.
ROWS_OF_FIT_VARIANCE = 1000.0
#: Probabilities are kept this far from 0 and 1 before they are calibrated.
TINY_PROBABILITY = 1e-3


@dataclass(frozen=True, eq=False)
class Trees:
    """K decision trees as arrays: a node sends ranks x to the left where x[feature] <= threshold; leaves to themselves.

    Attributes
    ----------
    feature, left, right : ndarray of int of shape (K, N)
    threshold : ndarray of shape (K, N)
    leaves : ndarray of int of shape (K, T)
        Leaf of each source task.
    depth : int
        Of the deepest tree.
    """

    feature: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    threshold: Array
    leaves: NDArray[np.int64]
    depth: int

    def leaf(self, ranks: Array) -> NDArray[np.int64]:
        """Leaf of each tree, shape (K,), for a task whose meta-features have these ranks, shape (p,)."""
        trees = np.arange(len(self.feature))
        node = np.zeros(len(trees), dtype=np.int64)
        for _ in range(self.depth):
            left = ranks[self.feature[trees, node]] <= self.threshold[trees, node]
            node = np.where(left, self.left[trees, node], self.right[trees, node])
        return node

    def weights(self, ranks: Array) -> Array:
        """Weights of the source tasks, shape (T,), for a task whose meta-features have these ranks, shape (p,)."""
        together = (self.leaves == self.leaf(ranks)[:, None]).astype(np.float64)
        size = together.sum(axis=1, keepdims=True)
        return np.asarray((together / np.maximum(size, 1.0)).sum(axis=0) / max(1, int((size > 0).sum())))


@dataclass(frozen=True)
class Rule:
    """Settings that leave-family-out cross-validation has selected.

    Attributes
    ----------
    loss_weight : float
        Weight of a loss relative to a gain of the same size.
    slope, intercept : float
        Calibration of probabilities: ``expit(slope * logit(p) + intercept)``.
    interval_share : float
        Probability of the central interval that covered 80 % of the recorded changes.
    """

    loss_weight: float = 1.0
    slope: float = 1.0
    intercept: float = 0.0
    interval_share: float = 0.8


@dataclass(frozen=True, eq=False)
class Improvement:
    """Distribution of the change on one task: a mixture of H normal distributions, one a hypothesis.

    Before any trial the hypotheses are the T source tasks, with their changes and standard errors.

    Attributes
    ----------
    weights : ndarray of shape (H,)
    change, standard_error : ndarray of shape (H, n)
        Means and standard deviations of the distributions.
    reference : int
    rule : Rule
    incumbent : int, default=None
        The best of the reference and what was tried; None: the reference.
    """

    weights: Array
    change: Array
    standard_error: Array
    reference: int
    rule: Rule
    incumbent: int | None = None

    @own_arithmetic()
    def expected(self) -> Array:
        """Mean of the change, shape (n,): .1 is an error that is a tenth smaller than the default's."""
        return np.asarray(self.weights @ self.change)

    @own_arithmetic()
    def median(self) -> Array:
        """Median of the change, shape (n,), in [-1, 1]; 0 for the reference. The interval contains it."""
        median = np.clip(self._quantile(0.5)[0], -1.0, 1.0)
        median[self.reference] = 0.0
        return np.asarray(median)

    @own_arithmetic()
    def utility(self) -> Array:
        """Expected utility, shape (n,); 0 for the incumbent."""
        incumbent = self.reference if self.incumbent is None else self.incumbent
        gap, spread = self.change, self.standard_error  # those of the reference are exact
        if incumbent != self.reference:
            gap = gap - gap[:, [incumbent]]
            spread = np.hypot(spread, spread[:, [incumbent]])
        u = gap / spread
        gain = spread * (np.exp(-0.5 * u * u) / SQRT_2PI + u * ndtr(u))  # E max(g, 0)
        # E min(g, 0) = E g - E max(g, 0)
        utility = self.weights @ (gain + self.rule.loss_weight * (gap - gain))
        utility[incumbent] = 0.0
        return np.asarray(utility)

    @own_arithmetic()
    def p_better(self) -> Array:
        """Probability that the error is smaller than the default's, shape (n,), calibrated; .5 for the default."""
        p = self.weights @ ndtr(self.change / self.standard_error)
        p = expit(self.rule.slope * logit(np.clip(p, TINY_PROBABILITY, 1.0 - TINY_PROBABILITY)) + self.rule.intercept)
        p[self.reference] = 0.5
        return np.asarray(p)

    @own_arithmetic()
    def interval(self) -> tuple[Array, Array]:
        """Bounds, each of shape (n,), between which the change lies with a chance of 80 %; 0 for the reference.

        They lie in [-1, 1], as every change does. The mean can lie outside of them, where a few changes are large.
        """
        tail = 0.5 * (1.0 - self.rule.interval_share)
        below, spread_below = self._quantile(tail)
        above, spread_above = self._quantile(1.0 - tail)
        low, high = np.clip(below - spread_below, -1.0, 1.0), np.clip(above + spread_above, -1.0, 1.0)
        low[self.reference] = high[self.reference] = 0.0
        return low, high

    @own_arithmetic()
    def picks(self, n: int, among: NDArray[np.bool_] | None = None) -> list[int]:
        """At most `n` configurations: the best by utility, then complementary ones.

        Each further one has the largest gain in the expected best change of all picks and the default.

        Parameters
        ----------
        n : int
        among : ndarray of bool of shape (n,), default=None
            Which configurations may be picked, at least one; None: all.
        """
        closed = np.zeros(self.change.shape[1], dtype=bool) if among is None else ~among
        picks = [int(np.argmax(np.where(closed, -np.inf, self.utility())))]
        best = np.maximum(self.change[:, picks[0]], 0.0)
        while len(picks) < min(n, int((~closed).sum())):
            gain = self.weights @ np.maximum(self.change, best[:, None]) - self.weights @ best
            gain = gain + 1e-9 * self.utility()  # without a gain, the better one comes first
            gain[picks] = -np.inf
            gain[closed] = -np.inf
            picks.append(int(np.argmax(gain)))
            best = np.maximum(best, self.change[:, picks[-1]])
        return picks

    def of_columns(self, columns: Sequence[int]) -> Improvement:
        """The distribution for some of the configurations, the reference among them."""
        if list(columns) == list(range(self.change.shape[1])):
            return self
        kept = list(columns)
        return replace(
            self,
            change=np.ascontiguousarray(self.change[:, kept]),
            standard_error=np.ascontiguousarray(self.standard_error[:, kept]),
            reference=kept.index(self.reference),
            incumbent=kept.index(self.incumbent) if self.incumbent in kept else None,
        )

    @own_arithmetic()
    def extended(self, weights: Array, open_share: Array) -> Improvement:
        """The distribution with m configurations more, whose changes are interpolated from those of the others.

        Parameters
        ----------
        weights : ndarray of shape (m, n)
            Weights of the interpolation.
        open_share : ndarray of shape (m,)
            Share of the variance over configurations that the interpolation leaves open.
        """
        change = np.clip(self.change @ weights.T, -1.0, 1.0)
        variance = np.square(self.standard_error) @ np.square(weights).T
        variance += open_share * self.change.var(axis=1, keepdims=True)
        return replace(
            self,
            change=np.concatenate([self.change, change], axis=1),
            standard_error=np.concatenate([self.standard_error, np.sqrt(variance)], axis=1),
        )

    def _quantile(self, q: float) -> tuple[Array, Array]:
        """Quantile of the hypotheses' means, shape (n,), and the standard deviation of each hypothesis there."""
        order = np.argsort(self.change, axis=0, kind="stable")
        share = np.cumsum(self.weights[order], axis=0)
        row = np.minimum((share < q * share[-1]).sum(axis=0), len(order) - 1)
        place = np.take_along_axis(order, row[None], axis=0)
        found, spread = (np.take_along_axis(of, place, axis=0)[0] for of in (self.change, self.standard_error))
        return np.asarray(found), np.asarray(spread)


@dataclass(frozen=True, eq=False)
class ImprovementModel:
    """Predicts by how much configurations improve on the default of a task, before anything is measured on it.

    It is immutable, so threads can share it. Learn one with
    :func:`metahpo.surrogates.fitting.improvement_learning.learn_improvement`.

    Attributes
    ----------
    space_name : str or None
        None: all learners together.
    metric : str
    tasks : tuple of str
        The T source tasks.
    configurations : tuple of str
        The n configurations, as JSON texts of the form that :func:`metahpo.space.configuration.to_json` gives.
    reference : int
        Which of them is the default.
    change, standard_error : ndarray of shape (T, n)
    meta_feature_names : tuple of str
        Of the p meta-features.
    sorted_values : tuple of ndarray
        Known values of each meta-feature on the source tasks, ascending:
        :func:`metahpo.surrogates.meta_feature_values.comparable`.
    trees : Trees
    rule : Rule
        Before any trial.
    encoded : ndarray of shape (n, d)
        The configurations in the unit cube.
    trial_rule : Rule
        After trials.
    residual_share : float
        Share of the variance over source tasks that is left between the new task and the source task it resembles.
    fit_variance : float
        Variance of the change that a single fit on `ROWS_OF_FIT_VARIANCE` rows measures.
    log_rows : ndarray of shape (T,)
        Logarithm of the rows that each source task trains on; NaN where it is not known.
    size_range : float or None
        The h above; None: all sizes weigh alike.
    """

    space_name: str | None
    metric: str
    tasks: tuple[str, ...]
    configurations: tuple[str, ...]
    reference: int
    change: Array
    standard_error: Array
    meta_feature_names: tuple[str, ...]
    sorted_values: tuple[Array, ...]
    trees: Trees
    rule: Rule
    encoded: Array
    trial_rule: Rule
    residual_share: float
    fit_variance: float
    log_rows: Array
    size_range: float | None
    _equal: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = (len(self.tasks), len(self.configurations))
        shapes = self.change.shape, self.standard_error.shape, (*self.log_rows.shape, *self.encoded.shape[:1])
        if shapes != (shape, shape, shape) or not 0 <= self.reference < shape[1]:
            raise DataError(
                f"{shape[0]} tasks and {shape[1]} configurations need changes and standard errors of shape {shape}, "
                f"{shape[1]} encoded rows, {shape[0]} sizes and a reference, but there are changes of shape "
                f"{self.change.shape}, standard errors of shape {self.standard_error.shape}, encoded rows of shape "
                f"{self.encoded.shape}, sizes of shape {self.log_rows.shape} and the reference {self.reference}."
            )
        object.__setattr__(self, "_equal", np.full(shape[0], 1.0 / shape[0]))

    @own_arithmetic()
    def on(self, meta_features: Mapping[str, float] | None = None) -> Improvement:
        """Distribution of the change on a task.

        Parameters
        ----------
        meta_features : mapping of str to float, default=None
            Of the task; None weighs all source tasks alike. Missing and NaN ones count as typical.
        """
        weights = self._equal
        if meta_features and self.meta_feature_names:
            of_trees = self.trees.weights(self._ranks(meta_features))
            weights = of_trees if of_trees.any() else weights  # tasks of all these leaves may have been left out
            log_rows = float(meta_features.get(LOG_ROWS.name, np.nan))
            weights = weights_by_size(weights, self.log_rows, log_rows, self.size_range)
        return Improvement(weights, self.change, self.standard_error, self.reference, self.rule)

    def variance_of_fit(self, rows: float | None = None) -> float:
        """Variance of the change that a single fit measures; it falls with the number of rows (None: not known)."""
        return self.fit_variance if rows is None else self.fit_variance * ROWS_OF_FIT_VARIANCE / rows

    def with_task(
        self, name: str, change: Array, standard_error: Array, meta_features: Mapping[str, float] | None
    ) -> ImprovementModel:
        """The model with one source task more, of changes and standard errors of shape (n,); nothing is trained."""
        features = meta_features or {}
        leaf = self.trees.leaf(self._ranks(features))
        return replace(
            self,
            tasks=(*self.tasks, name),
            log_rows=np.append(self.log_rows, float(features.get(LOG_ROWS.name, np.nan))),
            change=np.concatenate([self.change, change[None]]),
            standard_error=np.concatenate([self.standard_error, standard_error[None]]),
            trees=replace(self.trees, leaves=np.concatenate([self.trees.leaves, leaf[:, None]], axis=1)),
        )

    def _ranks(self, meta_features: Mapping[str, float]) -> Array:
        values = np.array([float(meta_features.get(name, np.nan)) for name in self.meta_feature_names])
        return np.asarray(ranks_among(self.sorted_values, values[None])[0])

    def weights_like(self, task: int) -> Array:
        """Weights of the source tasks, shape (T,), for a task that lies where one of them does."""
        together = (self.trees.leaves == self.trees.leaves[:, [task]]).astype(np.float64)
        weights = (together / together.sum(axis=1, keepdims=True)).mean(axis=0)
        return weights_by_size(weights, self.log_rows, float(self.log_rows[task]), self.size_range)

    def without_tasks(self, names: Collection[str]) -> ImprovementModel | None:
        """The model without some of its source tasks; None where none is left."""
        kept = [i for i, task in enumerate(self.tasks) if task not in names]
        if not kept:
            return None
        if len(kept) == len(self.tasks):
            return self
        return replace(
            self,
            tasks=tuple(self.tasks[i] for i in kept),
            log_rows=self.log_rows[kept],
            change=self.change[kept],
            standard_error=self.standard_error[kept],
            trees=replace(self.trees, leaves=self.trees.leaves[:, kept]),
        )

    def save(self, path: Path | str) -> None:
        """Write it to one file, from which :meth:`load` reads it."""
        lengths = [len(values) for values in self.sorted_values]
        arrays = {
            "change": self.change.astype(STORED),
            "standard_error": self.standard_error.astype(STORED),
            "encoded": self.encoded.astype(np.float32),
            "values": np.concatenate([*self.sorted_values, np.zeros(0)]).astype(np.float32),
            "feature": _short(self.trees.feature),
            "left": _short(self.trees.left),
            "right": _short(self.trees.right),
            "threshold": self.trees.threshold.astype(STORED),
            "leaves": _short(self.trees.leaves),
            "log_rows": self.log_rows.copy(),
        }
        header: dict[str, Any] = {
            "space_name": self.space_name,
            "metric": self.metric,
            "tasks": self.tasks,
            "configurations": self.configurations,
            "reference": self.reference,
            "meta_feature_names": self.meta_feature_names,
            "lengths": lengths,
            "depth": self.trees.depth,
            "rule": vars(self.rule),
            "trial_rule": vars(self.trial_rule),
            "residual_share": self.residual_share,
            "fit_variance": self.fit_variance,
            "size_range": self.size_range,
        }
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        tensor_file.write(Path(path), KIND, tensors, header)

    @classmethod
    def load(cls, path: Path | str) -> ImprovementModel:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ArtefactError
            Not there, damaged, or written by something else.
        """
        tensors, header = tensor_file.read(Path(path))
        if header["kind"] != KIND:
            raise ArtefactError(f"{str(path)!r} holds a {header['kind']!r}; expected {KIND!r}.")
        try:
            parts = {name: tensor.numpy() for name, tensor in tensors.items()}
            whole = {name: parts[name].astype(np.int64) for name in ("feature", "left", "right", "leaves")}
            trees = Trees(**whole, threshold=parts["threshold"].astype(np.float64), depth=int(header["depth"]))
            size_range = header.get("size_range")  # files of earlier versions know no sizes
            unknown = np.full(len(header["tasks"]), np.nan)
            lengths, values = [int(n) for n in header["lengths"]], comparable(parts["values"])
            model = cls(
                header["space_name"],
                str(header["metric"]),
                tuple(map(str, header["tasks"])),
                tuple(map(str, header["configurations"])),
                int(header["reference"]),
                parts["change"].astype(np.float64),
                parts["standard_error"].astype(np.float64),
                tuple(map(str, header["meta_feature_names"])),
                tuple(np.split(values, np.cumsum(lengths)[:-1])) if lengths else (),
                trees,
                _rule(header["rule"]),
                parts["encoded"].astype(np.float64),
                _rule(header["trial_rule"]),
                float(header["residual_share"]),
                float(header["fit_variance"]),
                parts.get("log_rows", unknown).astype(np.float64),
                None if size_range is None else float(size_range),
            )
            _check(model)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ArtefactError(f"{str(path)!r} is incomplete or inconsistent: {error!r}. Train it anew.") from error
        return model


def improvement_path(folder: Path, space: str | None, metric: str) -> Path:
    """File, inside a meta-dataset's folder, of the model for a space (None: all together) and a metric.

    Raises
    ------
    ArtefactError
        A name that is not plain: its file would lie in another folder.
    """
    return tensor_file.path_in(folder, "improvements", space, metric, "file")


def weights_by_size(weights: Array, log_rows: Array, of_task: float, size_range: float | None) -> Array:
    """Weights (T,) of source tasks times a kernel of their sizes, with the same sum: see the symbols above.

    Tasks of unknown size weigh as if they had the size of the new task, `of_task`, which is NaN where it is unknown.
    """
    if size_range is None or math.isnan(of_task):
        return weights
    kernel = np.exp(-np.nan_to_num(np.abs(log_rows - of_task)) / size_range)
    return np.asarray(weights * kernel * (weights.sum() / (weights @ kernel)))


def error_floor(metric: str) -> float:
    """Errors of the default below it count as if they were this large."""
    known = known_metric(metric)
    return ERROR_FLOOR if known is not None and known.best_score == 1.0 else 0.0


def change_of(error: float, default_error: float, metric: str) -> float:
    """Change G of a single error: see the symbols above; -1 for a configuration that failed (NaN)."""
    if math.isnan(error):
        return -1.0
    return float(np.clip((default_error - error) / max(abs(default_error), error_floor(metric), 1e-12), -1.0, 1.0))


def ranks_among(sorted_values: Sequence[Array], values: Array) -> Array:
    """Mid-ranks of values (m, p) among those of the source tasks, in [-.5, .5]; 0, the middle, where unknown.

    The values are rounded as those of the source tasks are: see :mod:`metahpo.surrogates.meta_feature_values`.
    """
    ranks, values = np.zeros(values.shape), comparable(values)
    for j, known in enumerate(sorted_values):
        column = values[:, j]
        below = 0.5 * (np.searchsorted(known, column, "left") + np.searchsorted(known, column, "right"))
        ranks[:, j] = np.where(np.isnan(column), 0.0, below / max(1, len(known)) - 0.5)
    return ranks


def _short(numbers: NDArray[np.int64]) -> NDArray[Any]:
    """Whole numbers from 0 on, in the shortest type that holds them."""
    largest = int(numbers.max(initial=0))
    return numbers.astype(next(kind for kind in (np.uint8, np.int16, np.int32) if largest <= np.iinfo(kind).max))


def _rule(settings: Mapping[str, Any]) -> Rule:
    return Rule(**{name: float(value) for name, value in settings.items()})


def _check(model: ImprovementModel) -> None:
    """Raise ValueError if parts are inconsistent."""
    trees, n_features = model.trees, len(model.meta_feature_names)
    shape = trees.feature.shape
    if len(shape) != 2 or any(part.shape != shape for part in (trees.left, trees.right, trees.threshold)):
        raise ValueError("the trees must be arrays of one shape (K, N)")
    if trees.leaves.shape != (shape[0], len(model.tasks)) or len(model.sorted_values) != n_features:
        raise ValueError("the trees, tasks and meta-features must be of one number each")
    nodes = np.concatenate([trees.left.ravel(), trees.right.ravel()])
    in_range = ((nodes >= 0) & (nodes < shape[1])).all() and (trees.feature >= 0).all()
    if not in_range or (n_features and (trees.feature >= n_features).any()) or not 0 <= trees.depth <= shape[1]:
        raise ValueError("nodes and meta-features of the trees must exist")
    numbers = model.change, model.standard_error, model.encoded, np.array([model.residual_share, model.fit_variance])
    if not all(np.isfinite(part).all() for part in numbers):
        raise ValueError("changes, standard errors, encoded configurations and variances must be finite")
