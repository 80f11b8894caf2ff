"""TensorBoard and MLflow: each trial once, below one run, also where a search goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from metahpo import MetaSearchCV
from metahpo.evaluation import evaluate
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.trials.history import TrialHistory


def history(n: int) -> TrialHistory:
    made = TrialHistory()
    for i in range(n):
        made.append({"C": 1.0 + i, "kernel": "rbf"}, float("nan") if i == 1 else 0.5 / (i + 1), 2.0)
    return made


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_tensorboard_has_each_trial_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from metahpo.integrations.tensorboard import TensorBoardCallback

    callback = TensorBoardCallback(tmp_path)
    callback(history(1))
    callback(history(3))
    found = scalars(tmp_path)
    assert found["score"] == [(0, -0.5), (2, pytest.approx(-1 / 6))]
    assert [step for step, _ in found["best_score"]] == [0, 1, 2]
    assert found["parameters/C"] == [(0, 1.0), (1, 2.0), (2, 3.0)]
    TensorBoardCallback(tmp_path)(history(4))  # of the search that goes on
    assert [step for step, _ in scalars(tmp_path)["parameters/C"]] == [0, 1, 2, 3]
    X, y = load_iris(return_X_y=True)
    written = TensorBoardCallback(tmp_path / "search")
    search = MetaSearchCV(SVC(), "svm", n_trials=2, cv=2, warm_start=False, callback=written, random_state=0).fit(X, y)
    assert [value for _, value in scalars(tmp_path / "search")["score"]] == pytest.approx(
        list(search.cv_results_["mean_test_score"])
    )


def test_tensorboard_lays_the_methods_of_an_evaluation_over_each_other(toy: MetaDataset, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from metahpo.integrations.tensorboard import write_report

    report = evaluate(toy, ["portfolio", "random_search"], n_trials=3, n_folds=2)
    write_report(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["portfolio", "random_search"]
    curve = report.summary().query("method == 'portfolio'")
    found = scalars(tmp_path / "portfolio")["regret/toy"]
    assert [step for step, _ in found] == [1, 2, 3]
    assert [value for _, value in found] == pytest.approx(curve["regret"].tolist(), rel=1e-5)


def test_mlflow_has_one_parent_run_and_each_trial_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    from metahpo.integrations.mlflow import MLflowCallback

    uri = (tmp_path / "runs").as_uri()
    callback = MLflowCallback("trees", tracking_uri=uri)
    callback(history(1))
    resumed = MLflowCallback("trees", tracking_uri=uri, parent_run_id=callback.parent_run_id)
    resumed(history(3))
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("trees")
    assert experiment is not None
    runs: list[Any] = list(client.search_runs([experiment.experiment_id]))
    children = {r.data.tags["number"]: r for r in runs if "mlflow.parentRunId" in r.data.tags}
    (parent,) = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert sorted(children) == ["0", "1", "2"]
    assert {r.data.tags["mlflow.parentRunId"] for r in children.values()} == {parent.info.run_id}
    assert children["2"].data.params == {"C": "3.0", "kernel": "rbf"}
    assert [children[k].info.status for k in "012"] == ["FINISHED", "FAILED", "FINISHED"]
    assert parent.data.metrics["best_score"] == pytest.approx(-1 / 6)
    assert parent.info.status == "FINISHED"
