"""The recorded metric that is nearest to a scikit-learn scorer.

Nearest is what ranks configurations most alike: the order of the recorded metrics in `ALIKE` is that of the mean rank
correlation of their losses within a task and search space, over the tables that ship. A scorer that is not recorded is
mapped to the recorded one that measures the same property: hits, hits within each class, order, or probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.metrics import get_scorer, get_scorer_names

from metahpo.exceptions import UnknownNameError
from metahpo.tasks.metric import METRICS, asked_metric, metric_of_scorer
from metahpo.tasks.task import TaskKind

#: Recorded metric -> the other recorded ones, most alike first.
ALIKE: Mapping[str, tuple[str, ...]] = {
    "balanced_accuracy": ("recall_macro", "f1_macro", "roc_auc_ovr", "accuracy", "neg_log_loss"),
    "recall_macro": ("balanced_accuracy", "f1_macro", "roc_auc_ovr", "accuracy", "neg_log_loss"),
    "precision_macro": ("f1_macro", "accuracy", "balanced_accuracy", "roc_auc_ovr", "neg_log_loss"),
    "accuracy": ("neg_log_loss", "f1_macro", "roc_auc_ovr", "balanced_accuracy"),
    "f1_macro": ("balanced_accuracy", "accuracy", "roc_auc_ovr", "neg_log_loss"),
    "roc_auc_ovr": ("balanced_accuracy", "f1_macro", "neg_log_loss", "accuracy"),
    "neg_log_loss": ("accuracy", "roc_auc_ovr", "f1_macro", "balanced_accuracy"),
    "r2": ("neg_root_mean_squared_error", "neg_mean_absolute_error"),
    "neg_root_mean_squared_error": ("r2", "neg_mean_absolute_error"),
    "neg_mean_absolute_error": ("neg_root_mean_squared_error", "r2"),
    "neg_median_absolute_error": ("neg_mean_absolute_error", "neg_root_mean_squared_error", "r2"),
}

#: Recorded metric -> scorers that rank the models of a task in the same way.
SAME: Mapping[str, tuple[str, ...]] = {
    "accuracy": ("f1_micro", "precision_micro", "recall_micro", "recall_weighted", "jaccard_micro"),
    "balanced_accuracy": ("recall_macro",),
    "roc_auc_ovr": ("roc_auc",),
    "neg_log_loss": ("d2_log_loss_score",),
    "neg_root_mean_squared_error": ("neg_mean_squared_error",),
    "neg_mean_absolute_error": ("d2_absolute_error_score",),
}

#: Recorded metric -> scorers that it is nearest to.
NEAR: Mapping[str, tuple[str, ...]] = {
    "accuracy": (
        "top_k_accuracy",
        "f1_weighted",
        "f1_samples",
        "precision_weighted",
        "precision_samples",
        "recall_samples",
        "jaccard_weighted",
        "jaccard_samples",
        # Those of clusterings compare predicted with true labels as well.
        "adjusted_mutual_info_score",
        "adjusted_rand_score",
        "completeness_score",
        "fowlkes_mallows_score",
        "homogeneity_score",
        "mutual_info_score",
        "normalized_mutual_info_score",
        "rand_score",
        "v_measure_score",
    ),
    "balanced_accuracy": ("recall", "positive_likelihood_ratio", "neg_negative_likelihood_ratio"),
    "f1_macro": ("f1", "precision", "jaccard", "jaccard_macro", "matthews_corrcoef"),
    "roc_auc_ovr": ("roc_auc_ovo", "roc_auc_ovo_weighted", "roc_auc_ovr_weighted", "average_precision"),
    "neg_log_loss": ("neg_brier_score", "d2_brier_score"),
    "r2": ("explained_variance",),
    "neg_root_mean_squared_error": ("neg_max_error", "neg_mean_poisson_deviance", "neg_mean_gamma_deviance"),
    "neg_mean_absolute_error": (
        "neg_mean_absolute_percentage_error",
        "neg_mean_squared_log_error",
        "neg_root_mean_squared_log_error",
    ),
}

#: What an estimator's own ``score`` is, in scikit-learn.
OWN_SCORE: Mapping[TaskKind, str] = {"classification": "accuracy", "regression": "r2"}

_RECORDED = {
    **{scorer: metric for table in (NEAR, SAME) for metric, scorers in table.items() for scorer in scorers},
    **{name: name for name in METRICS},
}


def check_scorer(name: str | None, kind: TaskKind | None = None) -> None:
    """Raise an error for a name that is no scorer, or a scorer for another kind of task. None is accepted.

    Raises
    ------
    UnknownNameError
        The message lists those that exist, for the kind where it is given.
    """
    if name is None:
        return
    metric = asked_metric(name)
    if metric is not None and kind in (None, metric.kind):
        return
    if name not in get_scorer_names() or (kind is not None and _kind_of(name) not in (kind, None)):
        known = [n for n in get_scorer_names() if kind is None or _kind_of(n) in (kind, None)]
        raise UnknownNameError(f"{kind} metric" if kind else "metric", name, known, "They are scikit-learn's scorers.")


def name_of(scorer: Any) -> str | None:
    """Name of a scorer that ``make_scorer`` made; None for any other function, and for scorers without a name."""
    of_other_package = metric_of_scorer(scorer)
    if of_other_package is not None or not hasattr(scorer, "_score_func"):
        return of_other_package
    known: dict[str, Any] = {name: get_scorer(name) for name in get_scorer_names()}
    alike = [n for n, s in known.items() if (s._score_func, s._sign) == (scorer._score_func, scorer._sign)]
    exact = [n for n in alike if _averaging(known[n]) == _averaging(scorer)]
    return next(iter([*exact, *alike]), None)


def _averaging(scorer: Any) -> dict[str, Any]:
    """Arguments of the function of a scorer, without the name of the positive class."""
    return {name: value for name, value in scorer._kwargs.items() if name != "pos_label"}


def nearest_metric(scorer: str | None, kind: TaskKind, recorded: Sequence[str]) -> tuple[str, bool]:
    """The recorded metric that ranks models most like a scorer does.

    Parameters
    ----------
    scorer : str or None
        scikit-learn scorer name; None, or a name that the package does not know, is nothing that is known.
    kind : {"classification", "regression"}
    recorded : sequence of str
        Metrics to choose from; at least one. What is known of none of them, they are chosen in this order.

    Returns
    -------
    metric : str
    same : bool
        Whether it ranks the models of a task in the same way as the scorer.
    """
    wanted = _RECORDED.get(scorer or "")
    if wanted is None and scorer is not None:
        if scorer in recorded:
            return scorer, True
        metric = asked_metric(scorer)
        wanted = None if metric is None else metric.near
    if wanted is None or METRICS[wanted].kind != kind:
        return recorded[0], False
    order = [*(m for m in (wanted, *ALIKE[wanted]) if m in recorded), *recorded]
    return order[0], order[0] == scorer or scorer in SAME.get(order[0], ())


def _kind_of(name: str) -> TaskKind | None:
    """Kind of task that a scorer is for; None for one that a later scikit-learn has added."""
    metric = _RECORDED.get(name)
    return None if metric is None else METRICS[metric].kind
