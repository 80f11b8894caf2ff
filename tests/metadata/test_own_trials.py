"""Trials of other libraries become meta-datasets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import Float
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
