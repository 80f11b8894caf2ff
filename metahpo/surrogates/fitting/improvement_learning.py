"""Learning of the improvement on the default: trees and a decision rule, by leave-family-out cross-validation.

For each group of families, trees are grown on the tasks of the other groups, with each candidate for the size of leaves
and for the size range. On every task of the group, each candidate rule selects one configuration, which is judged by
its recorded change. A selection wins (loses) if it is better (worse) than the default by more than one standard error
of their difference. A rule is admissible if it loses on at most `MOST_LOSSES` of the tasks and wins at least
`WINS_PER_LOSS` times as often as it loses. The admissible rule with the largest mean change is chosen. If no rule is
admissible, the one with the best balance of wins and losses is chosen.

The rule that decides after trials of the new task is chosen in the same way, together with the share of the residual:
on each held-out task, the first `SIMULATED_TRIALS` picks are given with the noise of two fits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit, ndtr
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from metahpo.metadata.families import family_groups
from metahpo.metadata.fit_losses import as_rows, standard_errors
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metafeatures.classes import LOG_ROWS
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.numerics.rounding import rounded
from metahpo.space.activity import default_configuration
from metahpo.space.cash import to_cash
from metahpo.space.configuration import to_json
from metahpo.surrogates.fitting.small_forest import extra_trees
from metahpo.surrogates.improvement import (
    BITS_OF_STANDARD_ERROR,
    MIN_STANDARD_ERROR,
    ROWS_OF_FIT_VARIANCE,
    STEP_OF_CHANGE,
    STORED,
    TINY_PROBABILITY,
    Improvement,
    ImprovementModel,
    Rule,
    Trees,
    error_floor,
    ranks_among,
    weights_by_size,
)
from metahpo.surrogates.improvement_on_task import MeasuredChanges, condition, residual_covariance
from metahpo.surrogates.meta_feature_values import comparable
from metahpo.tasks.metric import known_metric

Array = NDArray[np.float64]
S = TypeVar("S")

#: Trees of the forest; principal components of the changes that it predicts; share of meta-features a split looks at.
TREES, COMPONENTS, FEATURE_SHARE = 100, 10, 0.5
#: Candidates for the fewest tasks in a leaf, and for the weight of losses.
LEAVES, LOSS_WEIGHTS = (4, 10, None), (1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
#: Candidates for the size range, where the source tasks differ in size.
SIZE_RANGES = (None, 2.0, 1.0, 0.5)
#: Candidates for the share of the residual, and trials of a held-out task by which the rule after trials is chosen.
RESIDUAL_SHARES, SIMULATED_TRIALS = (0.3, 1.0, 2.0), 6
#: Groups of families, at most, of which each is left out in turn.
GROUPS = 10
#: Conditions for an admissible rule: see above.
MOST_LOSSES, WINS_PER_LOSS = 0.12, 3.0
#: A configuration that so large a share of the tasks recorded is a candidate.
RECORDED_SHARE = 0.9
#: Fewest tasks and configurations to learn from.
MIN_TASKS, MIN_CONFIGURATIONS = 8, 2
#: Configurations of a task, the best by utility, by which probabilities and intervals are calibrated.
CALIBRATED = 5
#: Candidates for the share of the distribution that covers 80 % of what comes true.
INTERVAL_SHARES = (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)


@own_arithmetic()
def learn_improvement(
    md: MetaDataset, space: str | None, metric: str | None = None, random_state: int = 0
) -> ImprovementModel | None:
    """Learn by how much the shared configurations of a space improve on the library's default.

    Parameters
    ----------
    md : MetaDataset
    space : str or None
        None: all learners together. The reference is then the default that is best on average.
    metric : str, default=None
        None takes the default metric.
    random_state : int, default=0

    Returns
    -------
    ImprovementModel or None
        None where fewer than eight tasks recorded the default and another configuration in common.
    """
    metric = md.metric(metric)
    shared = _shared_errors(md, space, metric)
    if shared is None:
        return None
    reference = shared.reference
    exact = relative_changes(shared.errors, shared.gap_errors, reference, error_floor(metric))
    # They are the same after they were saved.
    change = STEP_OF_CHANGE * np.round(exact[0] / STEP_OF_CHANGE)
    spread = rounded(exact[1], BITS_OF_STANDARD_ERROR).astype(STORED).astype(np.float64)
    names, values = _meta_features(md, shared.tasks)
    sorted_values = tuple(np.sort(column[~np.isnan(column)]) for column in comparable(values).T)
    ranks = ranks_among(sorted_values, values)
    families = md.tasks.loc[shared.tasks, "family"].astype(str).tolist()
    configurations = [_configuration(key, cash=space is None) for key in shared.keys]
    encoded = md.encoder(space).encode([json.loads(text) for text in configurations])
    variance = _fit_variance(md, shared, spread)
    n_tasks = len(shared.tasks)
    log_rows = values[:, names.index(LOG_ROWS.name)] if LOG_ROWS.name in names else np.full(n_tasks, np.nan)
    chosen = _chosen_rules(change, spread, reference, ranks, log_rows, families, encoded, variance, random_state)
    return ImprovementModel(
        space,
        metric,
        tuple(shared.tasks),
        tuple(configurations),
        reference,
        change,
        spread,
        tuple(names),
        sorted_values,
        grow(ranks, change, chosen.leaf, random_state),
        chosen.rule,
        encoded,
        chosen.trial_rule,
        chosen.residual_share,
        variance,
        log_rows,
        chosen.size_range,
    )


def relative_changes(errors: Array, gap_errors: Array, reference: int, floor: float) -> tuple[Array, Array]:
    """Changes G and their standard errors S, each of shape (T, n).

    Where the reference failed, every configuration that succeeded is better by 1.

    Parameters
    ----------
    errors : ndarray of shape (T, n)
        NaN where a configuration failed.
    gap_errors : ndarray of shape (T, n)
        Standard errors of the differences to the reference; NaN where they are not known.
    reference : int
    floor : float
        Errors of the reference below it count as if they were this large.
    """
    base = errors[:, [reference]]
    unit = np.maximum(np.abs(base), max(floor, 1e-12))
    change = np.clip((base - errors) / unit, -1.0, 1.0)
    spread = np.minimum(gap_errors / unit, 1.0)
    change = np.where(np.isnan(errors), -1.0, np.where(np.isnan(base), 1.0, change))
    change[:, reference] = 0.0
    return change, np.maximum(np.nan_to_num(spread), MIN_STANDARD_ERROR)


def grow(ranks: Array, change: Array, leaf: int | None, random_state: int) -> Trees:
    """Trees that predict changes (T, n) from ranks of meta-features (T, p); one leaf where `leaf` is None."""
    n_tasks, n_features = ranks.shape
    if leaf is None or not n_features or n_tasks < 2 * leaf:
        nothing = np.zeros((1, 1), dtype=np.int64)
        return Trees(nothing, nothing, nothing, np.zeros((1, 1)), np.zeros((1, n_tasks), dtype=np.int64), 0)
    left, size, _ = np.linalg.svd(change - change.mean(axis=0), full_matrices=False)
    components = (left * size)[:, :COMPONENTS]
    trees = extra_trees(ranks, components, TREES, random_state, min_samples_leaf=leaf, max_features=FEATURE_SHARE)
    width = max(tree.node_count for tree in trees)
    shape = (len(trees), width)
    feature, to_left, to_right = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    threshold = np.zeros(shape)
    for k, tree in enumerate(trees):
        own, inner = np.arange(tree.node_count), tree.children_left >= 0
        feature[k, own] = np.where(inner, tree.feature, 0)
        threshold[k, own] = np.where(inner, tree.threshold, 0.0)
        to_left[k, own] = np.where(inner, tree.children_left, own)
        to_right[k, own] = np.where(inner, tree.children_right, own)
    depth, threshold = max(tree.max_depth for tree in trees), threshold.astype(STORED).astype(np.float64)
    grown = Trees(feature, to_left, to_right, threshold, np.zeros((len(trees), 0), dtype=np.int64), depth)
    return replace(grown, leaves=np.stack([grown.leaf(own) for own in ranks], axis=1))  # by the rounded thresholds


class _Chosen(NamedTuple):
    """Settings that leave-family-out cross-validation has selected."""

    leaf: int | None
    size_range: float | None
    rule: Rule
    residual_share: float
    trial_rule: Rule


def _chosen_rules(
    change: Array,
    spread: Array,
    reference: int,
    ranks: Array,
    log_rows: Array,
    families: Sequence[str],
    encoded: Array,
    variance: float,
    random_state: int,
) -> _Chosen:
    groups = family_groups(families, GROUPS, np.random.default_rng(random_state))
    of_leaf = {
        leaf: _left_out(change, spread, reference, ranks, log_rows, groups, leaf, random_state) for leaf in LEAVES
    }
    predictions = {(leaf, size_range): each for leaf, found in of_leaf.items() for size_range, each in found.items()}
    (leaf, size_range), rule = _best_rule(predictions, change, spread)
    # The tasks of a group are predicted from the same tasks, and the covariance is proportional to the share.
    of_group = {group: residual_covariance(change[groups != group], encoded, reference, 1.0) for group in set(groups)}
    residuals = [of_group[group] for group in groups]
    after = {
        share: _after_trials(predictions[leaf, size_range], change, residuals, rule, share, variance, random_state)
        for share in RESIDUAL_SHARES
    }
    share, trial_rule = _best_rule(after, change, spread)
    return _Chosen(leaf, size_range, rule, share, trial_rule)


def _best_rule(predictions: Mapping[S, Sequence[Improvement]], change: Array, spread: Array) -> tuple[S, Rule]:
    """The setting and the rule with the best decisions on held-out tasks, calibrated on them."""
    rows = np.arange(len(change))
    found: list[tuple[tuple[bool, float], S, Rule]] = []
    for setting, predicted in predictions.items():
        for loss_weight in LOSS_WEIGHTS:
            rule = Rule(loss_weight=loss_weight)
            picks = [int(np.argmax(replace(one, rule=rule).utility())) for one in predicted]
            came_true, noise = change[rows, picks], spread[rows, picks]
            wins, losses = (came_true > noise).mean(), (came_true < -noise).mean()
            fit = bool(losses <= MOST_LOSSES and wins >= WINS_PER_LOSS * losses)
            quality = (fit, float(came_true.mean()) if fit else float(wins - WINS_PER_LOSS * losses))
            found.append((quality, setting, rule))
    _, setting, rule = max(found, key=lambda one: one[0])
    return setting, _calibrated(rule, predictions[setting], change)


def _after_trials(
    predicted: Sequence[Improvement],
    change: Array,
    residuals: Sequence[Array],
    rule: Rule,
    share: float,
    variance: float,
    random_state: int,
) -> list[Improvement]:
    """Predictions for held-out tasks after simulated trials of the first picks, each of two fits.

    `residuals` are the covariances (n, n) of the residuals of each task where their share is 1.
    """
    rng = np.random.default_rng(random_state)
    found = []
    for task, (before, residual) in enumerate(zip(predicted, residuals, strict=True)):
        picks = [i for i in replace(before, rule=rule).picks(SIMULATED_TRIALS + 1) if i != before.reference]
        places = np.array(picks[:SIMULATED_TRIALS], dtype=np.intp)
        if not len(places):
            found.append(before)
            continue
        noise = np.full(len(places), 0.5 * variance)
        measured = change[task, places] + rng.normal(scale=np.sqrt(noise))
        trials = MeasuredChanges(places, np.ones(len(places)), measured, noise)
        found.append(condition(before, share * residual, trials, 1.0)[0])
    return found


def _fit_variance(md: MetaDataset, shared: SharedErrors, spread: Array) -> float:
    """Median over tasks of the variance of the change that one fit on `ROWS_OF_FIT_VARIANCE` rows measures."""
    others = np.delete(spread, shared.reference, axis=1)
    of_one_fit = np.median(others**2, axis=1) * shared.n_fits
    if "n_rows" in md.tasks:
        of_one_fit *= md.tasks.loc[shared.tasks, "n_rows"].to_numpy(np.float64) / ROWS_OF_FIT_VARIANCE
    return float(np.median(of_one_fit))


def _left_out(
    change: Array,
    spread: Array,
    reference: int,
    ranks: Array,
    log_rows: Array,
    groups: NDArray[np.intp],
    leaf: int | None,
    random_state: int,
) -> dict[float | None, list[Improvement]]:
    """For each size range, the prediction for each task from the tasks of other groups."""
    ranges = SIZE_RANGES if len(np.unique(log_rows[~np.isnan(log_rows)])) > 1 else (None,)
    found: dict[float | None, dict[int, Improvement]] = {size_range: {} for size_range in ranges}
    for group in np.unique(groups):
        known = groups != group
        known_change, known_spread, known_rows = change[known], spread[known], log_rows[known]
        trees = grow(ranks[known], known_change, leaf, random_state)
        for task in map(int, np.flatnonzero(~known)):
            of_trees = trees.weights(ranks[task])
            for size_range in ranges:
                weights = weights_by_size(of_trees, known_rows, float(log_rows[task]), size_range)
                found[size_range][task] = Improvement(weights, known_change, known_spread, reference, Rule())
    return {size_range: [own[task] for task in range(len(change))] for size_range, own in found.items()}


def _calibrated(rule: Rule, predicted: Sequence[Improvement], change: Array) -> Rule:
    """Calibrate the probabilities and intervals of a rule on held-out tasks."""
    p: list[float] = []
    better: list[bool] = []
    weight: list[float] = []
    covered, n_pairs = dict.fromkeys(INTERVAL_SHARES, 0), 0
    for task, one in enumerate(predicted):
        utility = replace(one, rule=rule).utility()
        utility[one.reference] = -np.inf
        top = np.argsort(-utility, kind="stable")[:CALIBRATED]
        probability = one.weights @ ndtr(one.change / one.standard_error)
        others = np.setdiff1d(np.arange(len(utility)), [*top, one.reference])
        for some in (top, others):
            p += probability[some].tolist()
            better += (change[task, some] > 0.0).tolist()
            weight += [1.0 / max(len(some), 1)] * len(some)  # the first ones count as much as all others
        n_pairs += len(top)
        for share in INTERVAL_SHARES:
            low, high = replace(one, rule=replace(rule, interval_share=share)).interval()
            covered[share] += int(((low <= change[task]) & (change[task] <= high))[top].sum())
    share = min(INTERVAL_SHARES, key=lambda s: abs(covered[s] / n_pairs - 0.8))
    rule = replace(rule, interval_share=share)
    if len(set(better)) < 2:
        return rule
    odds = logit(np.clip(p, TINY_PROBABILITY, 1.0 - TINY_PROBABILITY))[:, None]
    fit = LogisticRegression(C=1e3).fit(odds, better, sample_weight=weight)
    # A slope below zero would reverse the order.
    return replace(rule, slope=max(0.0, float(fit.coef_[0, 0])), intercept=float(fit.intercept_[0]))


class SharedErrors(NamedTuple):
    """Errors of the configurations that all tasks recorded.

    Attributes
    ----------
    tasks, keys : list of str
        The T tasks, and ``LEARNER|JSON`` of the n configurations.
    errors, gap_errors : ndarray of shape (T, n)
        Errors, NaN where a configuration failed, and standard errors of their differences to the reference.
    n_fits : ndarray of int of shape (T,)
        Fits that the errors are means of; 1 where single fits were not recorded.
    reference : int
        Index of the library's default.
    """

    tasks: list[str]
    keys: list[str]
    errors: Array
    gap_errors: Array
    n_fits: NDArray[np.int64]
    reference: int


def _shared_errors(md: MetaDataset, space: str | None, metric: str) -> SharedErrors | None:
    trials = md.trials_of(space)
    keys = trials["space"] + "|" + trials["configuration"]
    frame = pd.DataFrame({"task": trials["task"], "key": keys, "error": trials[f"loss.{metric}"].astype(np.float64)})
    frame["se"] = trials[f"se.{metric}"].astype(np.float64) if f"se.{metric}" in trials else np.nan
    frame["fits"] = trials.get(f"folds.{metric}")
    frame = frame.drop_duplicates(["task", "key"])
    n_tasks = frame["task"].nunique()
    recorded = frame.groupby("key", sort=False)["task"].count()
    shared = list(recorded.index[recorded >= RECORDED_SHARE * n_tasks])
    frame = frame[frame["key"].isin(shared)]
    whole = frame.groupby("task")["key"].count() == len(shared)
    tasks = [str(task) for task in md.tasks.index if whole.get(task, False)]
    standard = {f"{name}|{to_json(default_configuration(one))}" for name, one in md.spaces.items()}
    defaults = [i for i, key in enumerate(shared) if key in standard]
    if len(tasks) < MIN_TASKS or len(shared) < MIN_CONFIGURATIONS or not defaults:
        return None
    tables = frame.set_index(["task", "key"]).unstack("key")
    errors, own = (tables[column].loc[tasks, shared].to_numpy(np.float64) for column in ("error", "se"))
    known = known_metric(metric)
    errors = errors if known is None else known.capped(errors)
    ranks = rankdata(np.nan_to_num(errors[:, defaults], nan=np.inf), axis=1)
    reference = defaults[int(ranks.mean(axis=0).argmin())]
    if f"folds.{metric}" in trials:
        rows = tables["fits"].loc[tasks, shared]
        by_task = [as_rows(fits) for fits in rows.to_numpy()]
        gap_errors = np.array([_paired_errors(fits, reference) for fits in by_task])
        n_fits = np.array([fits.shape[1] for fits in by_task])
    else:  # the noise of both counts as independent, which overstates that of the difference
        gap_errors, n_fits = np.hypot(own, own[:, [reference]]), np.ones(len(tasks), dtype=np.int64)
    return SharedErrors(tasks, shared, errors, gap_errors, n_fits, reference)


def _paired_errors(fits: Array, reference: int) -> Array:
    """Standard errors (n,) of the mean differences to the reference, from losses (n, F) of the same fits."""
    return standard_errors(fits - fits[reference])


def _configuration(key: str, *, cash: bool) -> str:
    """JSON text of a configuration of the space, or of the CASH space."""
    learner, _, text = key.partition("|")
    return to_json(to_cash(learner, json.loads(text))) if cash else text


def _meta_features(md: MetaDataset, tasks: Sequence[str]) -> tuple[list[str], Array]:
    """Names of the meta-features that vary over the tasks, and their values (T, p)."""
    if md.meta_features is None:
        return [], np.zeros((len(tasks), 0))
    table = md.meta_features.reindex(list(tasks)).astype(float)
    names = [name for name in map(str, table.columns) if table[name].nunique() > 1]
    return names, table[names].to_numpy(np.float64)
