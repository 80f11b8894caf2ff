"""Every scorer of scikit-learn has a nearest recorded metric."""

from __future__ import annotations

import pytest
from sklearn.metrics import fbeta_score, get_scorer, get_scorer_names, log_loss, make_scorer

from metahpo.exceptions import UnknownNameError
from metahpo.tasks.metric import METRICS, metric_names
from metahpo.tasks.scorers import ALIKE, check_scorer, name_of, nearest_metric
from metahpo.tasks.task import KINDS


@pytest.mark.parametrize("name", get_scorer_names())
def test_every_scorer_is_near_to_a_metric_of_one_kind(name: str) -> None:
    known = [kind for kind in KINDS if _is_known(name, kind)]
    assert len(known) == 1
    metric, _ = nearest_metric(name, known[0], metric_names(known[0]))
    assert METRICS[metric].kind == known[0]
    assert name_of(get_scorer(name)) == name


def _is_known(name: str, kind: str) -> bool:
    try:
        check_scorer(name, "regression" if kind == "regression" else "classification")
    except UnknownNameError:
        return False
    return True


def test_alike__knows_every_metric_and_lists_others_of_its_kind_once() -> None:
    assert ALIKE.keys() == METRICS.keys()
    for name, others in ALIKE.items():
        assert set(others) <= set(metric_names(METRICS[name].kind)) - {name}
        assert len(set(others)) == len(others) > 1


def test_nearest_metric() -> None:
    every = metric_names("classification")
    assert nearest_metric("roc_auc", "classification", every) == ("roc_auc_ovr", True)
    assert nearest_metric("accuracy", "classification", every) == ("accuracy", True)
    assert nearest_metric("f1", "classification", every) == ("f1_macro", False)
    assert nearest_metric("f1", "classification", ["accuracy", "balanced_accuracy"]) == ("balanced_accuracy", False)
    assert nearest_metric(None, "classification", every) == ("balanced_accuracy", False)
    assert nearest_metric("neg_mean_squared_error", "regression", metric_names("regression"))[0].startswith("neg_root")


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown metric 'auc'; known are: .*roc_auc"):
        check_scorer("auc")
    with pytest.raises(UnknownNameError, match=r"unknown regression metric 'accuracy'; known are: .*r2"):
        check_scorer("accuracy", "regression")


def test_name_of__functions_of_the_users_have_none() -> None:
    assert name_of(lambda model, X, y: 0.0) is None
    assert name_of(make_scorer(fbeta_score, beta=2)) is None
    assert name_of(make_scorer(log_loss, greater_is_better=False, response_method="predict_proba")) == "neg_log_loss"
