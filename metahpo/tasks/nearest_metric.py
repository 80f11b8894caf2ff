"""Which recorded metric stands for a scorer that no experience was recorded by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metahpo.exceptions import UnknownNameError
from metahpo.tasks.metric import METRICS

_RANKING = ("roc_auc_ovr", "neg_log_loss", "balanced_accuracy")
_PROBABILITY = ("neg_log_loss", "roc_auc_ovr", "accuracy")
_BALANCED = ("balanced_accuracy", "f1_macro", "accuracy")
_PER_CLASS = ("f1_macro", "balanced_accuracy", "accuracy")
_HITS = ("accuracy", "balanced_accuracy")
_SQUARES = ("neg_root_mean_squared_error", "r2", "neg_mean_absolute_error")
_DEVIATIONS = ("neg_mean_absolute_error", "neg_root_mean_squared_error", "r2")

#: scikit-learn scorer name -> recorded metrics, the nearest first.
NEAREST: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("roc_auc", "roc_auc_ovo", "roc_auc_ovr_weighted", "roc_auc_ovo_weighted"), _RANKING),
    "average_precision": _RANKING,
    **dict.fromkeys(("neg_brier_score", "d2_log_loss_score", "d2_brier_score"), _PROBABILITY),
    **dict.fromkeys(("recall_macro", "matthews_corrcoef", "neg_negative_likelihood_ratio"), _BALANCED),
    "positive_likelihood_ratio": _BALANCED,
    **dict.fromkeys(("f1", "precision", "recall", "jaccard", "precision_macro", "jaccard_macro"), _PER_CLASS),
    **dict.fromkeys(("f1_weighted", "precision_weighted", "jaccard_weighted"), ("f1_macro", *_HITS)),
    **dict.fromkeys(("f1_micro", "precision_micro", "recall_micro", "jaccard_micro", "recall_weighted"), _HITS),
    "top_k_accuracy": ("neg_log_loss", *_HITS),
    "explained_variance": ("r2", *_SQUARES),
    **dict.fromkeys(("neg_mean_squared_error", "neg_max_error"), _SQUARES),
    **dict.fromkeys(("neg_mean_squared_log_error", "neg_root_mean_squared_log_error"), _SQUARES),
    **dict.fromkeys(("neg_mean_poisson_deviance", "neg_mean_gamma_deviance"), _SQUARES),
    **dict.fromkeys(("neg_median_absolute_error", "neg_mean_absolute_percentage_error"), _DEVIATIONS),
    "d2_absolute_error_score": _DEVIATIONS,
}


def check_metric(name: str | None) -> None:
    """Refuse a name that no experience can be asked for, before anything is loaded.

    Raises
    ------
    UnknownNameError
        Neither a recorded metric nor a scorer that one stands for.
    """
    if name is not None and name not in METRICS and name not in NEAREST:
        hint = "Other scorers of scikit-learn, as roc_auc and f1, are answered by the nearest of these."
        raise UnknownNameError("metric", name, [*METRICS], hint)


def nearest_metric(name: str, recorded: Sequence[str]) -> str:
    """The metric of that name where it is recorded, or is none that stands for another; else the nearest recorded one.

    Parameters
    ----------
    name : str
        scikit-learn scorer name.
    recorded : sequence of str
    """
    return next((metric for metric in NEAREST.get(name, ()) if name not in recorded and metric in recorded), name)
