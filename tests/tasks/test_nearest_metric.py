"""Which recorded metric stands for a scorer of scikit-learn."""

from __future__ import annotations

import pytest
from sklearn.metrics import get_scorer_names

from metahpo.exceptions import UnknownNameError
from metahpo.tasks.metric import METRICS
from metahpo.tasks.nearest_metric import NEAREST, check_metric, nearest_metric

#: Scorers of clusterings, and of labels that are sets.
OTHERS = {
    "adjusted_mutual_info_score", "adjusted_rand_score", "completeness_score", "fowlkes_mallows_score",
    "homogeneity_score", "mutual_info_score", "normalized_mutual_info_score", "rand_score", "v_measure_score",
    "f1_samples", "jaccard_samples", "precision_samples", "recall_samples",
}  # fmt: skip


def test_every_scorer_has_a_recorded_metric() -> None:
    assert set(get_scorer_names()) - OTHERS <= METRICS.keys() | NEAREST.keys()
    assert not METRICS.keys() & NEAREST.keys()
    for metrics in NEAREST.values():
        assert len({METRICS[metric].kind for metric in metrics}) == 1


@pytest.mark.parametrize(
    ("name", "recorded", "expected"),
    [
        ("roc_auc", ["balanced_accuracy", "roc_auc_ovr"], "roc_auc_ovr"),
        ("roc_auc", ["balanced_accuracy"], "balanced_accuracy"),
        ("roc_auc", ["roc_auc"], "roc_auc"),
        ("f1", ["accuracy", "f1_macro"], "f1_macro"),
        ("neg_mean_squared_error", list(METRICS), "neg_root_mean_squared_error"),
        ("f1_macro", ["accuracy"], "f1_macro"),
        ("speed", ["accuracy"], "speed"),
    ],
)
def test_nearest_metric(name: str, recorded: list[str], expected: str) -> None:
    assert nearest_metric(name, recorded) == expected


def test_a_metric_that_does_not_exist_is_refused() -> None:
    check_metric(None)
    check_metric("r2")
    check_metric("f1")
    with pytest.raises(UnknownNameError, match=r"unknown metric 'speed'; known are: balanced_accuracy, .*as roc_auc"):
        check_metric("speed")
