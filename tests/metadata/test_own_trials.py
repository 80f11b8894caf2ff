"""Trials of other libraries become meta-datasets."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import Float
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from metahpo.exceptions import DataError, MissingDependencyError
from metahpo.metadata.meta_dataset import MetaDataset


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 3))
    return X, np.where(X[:, 0] > 0, "yes", "no")


X, Y = data()


def test_candidates_of_a_search() -> None:
    pipeline = make_pipeline(StandardScaler(), SVC())
    grid = {"svc__C": [0.1, 1.0], "svc__gamma": ["scale", 0.1], "svc__shrinking": [True]}
    search = GridSearchCV(pipeline, grid, cv=2, scoring="accuracy").fit(X, Y)
    md = MetaDataset.from_cv_results(search, X, Y, name="mine")
    assert list(md.spaces) == ["svm"]
    assert md.metrics == ["accuracy"]
    assert len(md.trials) == 4
    np.testing.assert_allclose(sorted(md.trials["loss.accuracy"]), sorted(1.0 - search.cv_results_["mean_test_score"]))
    assert md.fold_losses("svm")["mine"].shape == (4, 2)
    assert md.tasks.loc["mine", "n_rows"] == 80
    assert md.meta_features is not None
    with pytest.raises(DataError, match="a fitted search"):
        MetaDataset.from_cv_results(pipeline, X, Y)


def test_a_study_of_optuna() -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.disable_default_handler()
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial: Any) -> float:
        C: float = trial.suggest_float("C", 1e-2, 1e2, log=True)
        if C > 30.0:
            raise ValueError("too large")
        return 1.0 / (1.0 + C)

    study.optimize(objective, n_trials=8, catch=(ValueError,))
    md = MetaDataset.from_optuna(study, X, Y, learner="svm")
    assert len(md.trials) == 8
    assert md.metrics == ["balanced_accuracy"]
    failed = md.trials["status"] == "crashed"
    assert md.trials.loc[failed, "loss.balanced_accuracy"].isna().all()
    assert md.trials["loss.balanced_accuracy"].min() == pytest.approx(1.0 - study.best_value)
    own = MetaDataset.from_optuna(study, kind="regression")
    assert isinstance(own.spaces["own"]["C"], type(Float("C", (0.0, 1.0))))
    minimised = optuna.create_study(direction="minimize")
    minimised.enqueue_trial({"C": 1.0})
    minimised.optimize(lambda trial: trial.suggest_float("C", 0.5, 2.0), n_trials=2)
    lowest = MetaDataset.from_optuna(minimised, X, Y, learner="svm").trials["loss.balanced_accuracy"].min()
    assert lowest == minimised.best_value


def test_rows_of_a_frame() -> None:
    frame = pd.DataFrame({"params.C": [0.1, 1.0, 1.0, 5.0], "value": [0.7, 0.8, 0.8, math.nan], "seconds": 0.5})
    md = MetaDataset.from_frame(frame, X, Y, learner="svm")
    assert md.trials["loss.balanced_accuracy"].tolist() == pytest.approx([0.3, 0.2, math.nan], nan_ok=True)
    several = frame.assign(task=["a", "a", "b", "b"], loss=[1.0, 2.0, 3.0, 4.0]).drop(columns="value")
    of_tasks = MetaDataset.from_frame(several, kind="regression")
    assert of_tasks.tasks.index.tolist() == ["a", "b"]
    assert of_tasks.trials["loss.r2"].tolist() == [1.0, 2.0, 3.0, 4.0]
    for wrong, message in (
        (frame.drop(columns="value"), "no column 'value'"),
        (frame[["value"]], "no columns params.NAME"),
        (frame.iloc[:0], "no trials"),
        (frame.assign(**{"params.C": -1.0}), "none of 4 trials lies in the space"),
    ):
        with pytest.raises(DataError, match=message):
            MetaDataset.from_frame(wrong, X, Y, learner="svm")
    with pytest.raises(DataError, match="kind must say"):
        MetaDataset.from_frame(frame)


def test_runs_of_mlflow_hold_texts() -> None:
    runs = pd.DataFrame({"params.C": ["0.1", "1"], "params.kernel": ["rbf", None], "metrics.accuracy": [0.5, 0.75]})
    md = MetaDataset.from_mlflow(runs, X, Y, learner="svm", metric="accuracy")
    assert md.trials["loss.accuracy"].tolist() == [0.5, 0.25]
    try:
        import mlflow  # noqa: F401
    except ImportError:
        with pytest.raises(MissingDependencyError, match="pip install mlflow"):
            MetaDataset.from_mlflow("experiment", X, Y)


def test_own_trials_stand_beside_others() -> None:
    first = MetaDataset.from_frame(
        pd.DataFrame({"params.C": [0.1, 1.0], "value": [0.7, 0.8]}), X, Y, learner="svm", name="a"
    )
    second = MetaDataset.from_frame(pd.DataFrame({"params.C": [3.0], "value": [0.6]}), X, Y, learner="svm", name="b")
    both = first.append(second)
    assert both.tasks.index.tolist() == ["a", "b"]
    assert len(both.trials) == 3
    assert both.drop(tasks=["a"]).tasks.index.tolist() == ["b"]
    with pytest.raises(DataError, match="the trials are missing"):
        first.append(second.tasks)


def test_what_the_searched_estimator_holds_is_part_of_each_configuration() -> None:
    search = GridSearchCV(make_pipeline(SVC(kernel="linear", tol=0.01)), {"svc__C": [0.1, 1.0]}, cv=2).fit(X, Y)
    configurations = [json.loads(text) for text in MetaDataset.from_cv_results(search, X, Y).trials["configuration"]]
    assert [c["kernel"] for c in configurations] == ["linear", "linear"]
    for estimator, expected in (
        (Lasso(), {"model": "lasso", "l1_alpha": 0.1}),
        (ElasticNet(l1_ratio=0.25), {"model": "elastic_net", "l1_alpha": 0.1, "l1_ratio": 0.25}),
        (Ridge(), {"model": "ridge", "alpha": 0.1}),
    ):
        of_quantity = GridSearchCV(estimator, {"alpha": [0.1, 0.2]}, cv=2, scoring="r2").fit(X, X[:, 1])
        first = MetaDataset.from_cv_results(of_quantity, X, X[:, 1]).trials["configuration"].iloc[0]
        assert json.loads(first) == expected
    of_tolerance = GridSearchCV(Lasso(), {"tol": [1e-4]}, cv=2, scoring="r2").fit(X, X[:, 1])
    with pytest.warns(UserWarning, match="the space of 'linear' has no tol"):
        only = MetaDataset.from_cv_results(of_tolerance, X, X[:, 1]).trials["configuration"].iloc[0]
    assert json.loads(only) == {"model": "lasso", "l1_alpha": 1.0}


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*penalty:UserWarning", "ignore:The max_iter was reached")
@pytest.mark.parametrize(
    ("settings", "grid", "ratio"),
    [
        ({"penalty": "l1", "solver": "saga"}, {}, 1.0),
        ({"penalty": "l1", "solver": "liblinear"}, {}, 1.0),
        ({"solver": "saga"}, {"penalty": ["l1"]}, 1.0),
        ({"solver": "saga"}, {"penalty": ["l2"]}, 0.0),
        ({"solver": "saga"}, {}, 0.0),
        ({"solver": "saga", "penalty": "elasticnet", "l1_ratio": 0.3}, {}, 0.3),
        ({"solver": "saga", "l1_ratio": 0.3}, {}, 0.3),
        ({"solver": "saga"}, {"l1_ratio": [0.7]}, 0.7),
        ({}, {}, None),
    ],
)
def test_a_penalty_given_by_name_is_recorded_as_the_ratio_that_it_is(
    settings: dict[str, Any], grid: dict[str, Any], ratio: float | None
) -> None:
    search = GridSearchCV(LogisticRegression(max_iter=20, **settings), {"C": [0.1], **grid}, cv=2).fit(X, Y)
    (text,) = MetaDataset.from_cv_results(search, X, Y).trials["configuration"]
    assert json.loads(text).get("l1_ratio") == ratio


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*penalty.*:UserWarning")
def test_trials_without_a_penalty_lie_outside_of_the_space() -> None:
    search = GridSearchCV(LogisticRegression(penalty=None), {"class_weight": [None, "balanced"]}, cv=2).fit(X, Y)
    with pytest.raises(DataError, match="none of 2 trials lies in the space of 'linear'"):
        MetaDataset.from_cv_results(search, X, Y)


def test_what_the_space_does_not_hold_is_said() -> None:
    frame = pd.DataFrame(
        {"params.C": [1.0, 1e9], "params.c": [1.0, 2.0], "params.tol": [1e-3, 0.1], "value": [0.7, 0.8]}
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        md = MetaDataset.from_frame(frame, X, Y, learner="svm")
    assert len(md.trials) == 1
    assert "1 of 2 trials lie outside of the space of 'svm' and are left out, such as {'C': 1000000000.0" in str(
        told[0].message
    )
    assert str(told[1].message) == "the space of 'svm' has no c, tol: the trials are recorded without."
    assert {Path(warning.filename).name for warning in told} == {Path(__file__).name}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([{"params.C": 1.0, "value": 0.5}], "a DataFrame with a row a trial is expected, but got list"),
        (
            pd.DataFrame({"params.C": [1.0], "value": ["good"]}),
            "the column 'value' must hold numbers, but holds 'good'",
        ),
        (
            pd.DataFrame({"params.C": [1.0], "value": [1.0], "seconds": ["1 h"]}),
            "the column 'seconds' must hold numbers",
        ),
    ],
)
def test_frames_that_are_none_are_refused(frame: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        MetaDataset.from_frame(frame, X, Y, learner="svm")


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    with pytest.raises(DataError, match="there is no database"):
        MetaDataset.from_optuna(f"sqlite:///{tmp_path / 'none.db'}", X, Y, learner="svm")
    assert not [*tmp_path.iterdir()]


def test_tasks_of_one_name_and_of_other_data_are_not_mixed() -> None:
    frame = pd.DataFrame({"params.C": [0.1, 1.0], "value": [0.7, 0.8]})
    first = MetaDataset.from_frame(frame, X, Y, learner="svm")
    with pytest.raises(DataError, match="the task 'own' of 'own' is of other data than that of 'own'"):
        first.append(MetaDataset.from_frame(frame, X + 1.0, Y, learner="svm"))
    more = MetaDataset.from_frame(frame.assign(**{"params.C": [2.0, 3.0]}), X[:60], Y[:60], learner="svm")
    assert len(first.append(more).trials) == 4


def test_an_own_space_holds_every_trial() -> None:
    frame = pd.DataFrame(
        {
            "params.a": [36.905577292137636, 0.012345678901234567],
            "params.b": [1e-17, 1.0],
            "params.c": [-3.0, 12345678901.123456],
            "params.d": [1, 1000],
            "value": [0.1, 0.2],
        }
    )
    assert len(MetaDataset.from_frame(frame, kind="regression").trials) == 2
