"""``cv_results_``: one row a trial, with the columns of GridSearchCV, and what a trial has beyond them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.model_selection._search import _yield_masked_array_for_each_param

from metahpo.search.search_trial import SearchTrial, SearchTrials, mean

#: Places of trials in the order of ranks, before their scores count.
_PLACE = {"complete": 0, "stopped": 1, "failed": 2}


def cv_results(trials: SearchTrials, error_score: float, *, train_scores: bool) -> dict[str, Any]:
    """Rows of the trials.

    A failed trial has `error_score` for the folds without a score, and the last rank. A trial that was stopped has NaN
    for the folds that were not made; its mean is of the others, and its rank comes after all that were finished. With a
    fidelity, trials on more resources rank before those on fewer.
    """
    ended = trials.ended
    rows: dict[str, Any] = {}
    for name in ("fit_time", "score_time"):
        times = [[fold[name] for fold in trial.folds.values()] or [trial.seconds / trials.n_splits] for trial in ended]
        if name == "score_time":
            times = [row if trial.folds else [0.0] for row, trial in zip(times, ended, strict=True)]
        rows[f"mean_{name}"] = np.array([np.mean(row) for row in times])
        rows[f"std_{name}"] = np.array([np.std(row) for row in times])
    parameters = [dict(trial.parameters) for trial in ended]
    rows.update(_yield_masked_array_for_each_param(parameters))
    rows["params"] = parameters
    metrics: list[str | None] = [*trials.names] or [None]
    for metric in metrics:
        name = metric or "score"
        _add_scores(rows, f"test_{name}", _scores(trials, "test_scores", metric, error_score), ended)
        rows[f"rank_test_{name}"] = _ranks(ended, rows[f"mean_test_{name}"])
        if train_scores:
            _add_scores(rows, f"train_{name}", _scores(trials, "train_scores", metric, error_score), ended)
    rows["status"] = np.array([trial.status for trial in ended], dtype=object)
    if any(trial.proposal.resources is not None for trial in ended):
        rows["iter"] = np.array([trial.proposal.iteration for trial in ended])
        rows["bracket"] = np.array([trial.proposal.bracket for trial in ended])
        rows["n_resources"] = np.array([trial.proposal.resources for trial in ended])
    return rows


def _scores(trials: SearchTrials, kind: str, metric: str | None, error_score: float) -> NDArray[np.float64]:
    """Scores of shape (n_trials, n_splits), NaN for folds that were left out."""
    scores = np.full((len(trials), trials.n_splits), np.nan)
    for i, trial in enumerate(trials.ended):
        if trial.status == "failed":
            scores[i] = error_score
        for fold, result in trial.folds.items():
            value = result.get(kind, error_score)
            value = value[metric] if isinstance(value, Mapping) else value
            scores[i, fold] = value if result["fit_error"] is None else error_score
    return scores


def _add_scores(rows: dict[str, Any], name: str, scores: NDArray[np.float64], ended: Sequence[SearchTrial]) -> None:
    for fold in range(scores.shape[1]):
        rows[f"split{fold}_{name}"] = scores[:, fold]
    made = [row[sorted(trial.folds)] if trial.folds else row for row, trial in zip(scores, ended, strict=True)]
    means = np.array([mean(row) for row in made])
    with np.errstate(over="ignore"):  # the spread of huge scores is infinite
        rows[f"std_{name}"] = np.array(
            [np.sqrt(mean((row - m) ** 2)) if np.isfinite(m) else np.nan for row, m in zip(made, means, strict=True)]
        )
    rows[f"mean_{name}"] = means
    if not np.isfinite(means).all():
        kind = name.partition("_")[0]
        warnings.warn(f"One or more of the {kind} scores are non-finite: {means}", UserWarning, stacklevel=6)


def _ranks(ended: Sequence[SearchTrial], means: NDArray[np.float64]) -> NDArray[np.int32]:
    """Ranks from 1 on, ties with the lower one."""
    keys = [
        (_PLACE[t.status], -(t.proposal.resources or 0), -m if np.isfinite(m) else np.inf)
        if t.status != "failed"
        else (_PLACE[t.status], 0, 0.0)
        for t, m in zip(ended, means, strict=True)
    ]
    place = {key: i for i, key in enumerate(sorted(set(keys)))}
    return rankdata([place[key] for key in keys], method="min").astype(np.int32)
