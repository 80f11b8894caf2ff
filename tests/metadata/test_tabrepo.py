"""Tables in the layout of TabRepo and TabArena."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metahpo.evaluation import evaluate
from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset

CONFIGS: dict[str, dict[str, Any]] = {
    "LightGBM_c1_BAG_L1": {"model_type": "GBM", "hyperparameters": {"ag_args": {"priority": 1}}},
    **{
        f"LightGBM_r{i}_BAG_L1": {
            "model_type": "GBM",
            "hyperparameters": {"learning_rate": 0.01 * i, "num_leaves": 8 * i, "ag_args": {"name_suffix": f"_r{i}"}},
        }
        for i in range(1, 7)
    },
    "RandomForest_r1_BAG_L1": {"model_type": "RF", "hyperparameters": {"max_leaf_nodes": 100, "max_features": 0.5}},
    "RandomForest_r2_BAG_L1": {"model_type": "RF", "hyperparameters": {"max_leaf_nodes": 900, "max_features": 0.9}},
}


def results(name: str = "framework") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {
            "dataset": dataset, "fold": fold, name: framework, "metric_error": rng.random(), "metric": metric,
            "problem_type": kind, "time_train_s": 2.0, "time_infer_s": 0.1,
        }
        for dataset, kind, metric in (("adult", "binary", "roc_auc"), ("wine", "regression", "rmse"))
        for framework in [*CONFIGS, "AutoGluon_best"]
        for fold in (2, 0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("name", ["framework", "method"])
def test_configurations_are_trials_and_types_of_models_are_spaces(name: str) -> None:
    frame = results(name)
    frame.loc[(frame[name] == "LightGBM_r6_BAG_L1") & (frame["dataset"] == "wine"), "metric_error"] = np.nan
    md = MetaDataset.from_tabrepo(frame, CONFIGS)
    assert list(md.spaces) == ["GBM", "RF"]
    assert sorted(md.space("GBM")) == ["learning_rate", "num_leaves"]
    assert md.tasks["kind"].to_dict() == {"adult": "classification", "wine": "regression"}
    own = md.trials[(md.trials["task"] == "adult") & (md.trials["space"] == "GBM")]
    assert len(own) == 6  # the default has no hyperparameters here, and a system has none at all
    first = frame[(frame["dataset"] == "adult") & (frame[name] == "LightGBM_r1_BAG_L1")].set_index("fold")
    assert json.loads(own["configuration"].iloc[0]) == {"learning_rate": 0.01, "num_leaves": 8}
    np.testing.assert_allclose(own["folds.metric_error"].iloc[0], first["metric_error"].sort_index())
    assert own["loss.metric_error"].iloc[0] == pytest.approx(first["metric_error"].mean())
    assert own["seconds"].iloc[0] == 6.0
    assert (md.trials["status"] == "crashed").sum() == 1
    assert [len(table.loss) for table in md.tables("RF")] == [2, 2]


def test_a_report_is_made_of_files_of_it(tmp_path: Path) -> None:
    results().to_csv(tmp_path / "df_results.csv", index=False)
    (tmp_path / "configs_hyperparameters.json").write_text(json.dumps(CONFIGS))
    md = MetaDataset.from_tabrepo(tmp_path / "df_results.csv", tmp_path / "configs_hyperparameters.json")
    md.save(tmp_path / "saved")
    report = evaluate(MetaDataset.load(tmp_path / "saved"), ["portfolio", "random_search"], n_trials=2, n_folds=2)
    assert set(report.to_frame()["space"]) == {"GBM", "RF"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"frame": results().drop(columns="metric_error")}, r"lack \['metric_error'\]"),
        ({"configs": {"other": {"model_type": "GBM", "hyperparameters": {"a": 1}}}}, "name no configuration"),
        ({"configs": {"LightGBM_r1_BAG_L1": [1]}}, "must be given by name"),
        ({"configs": "nowhere.json"}, "cannot be read as JSON"),
        ({"frame": "nowhere.parquet"}, "cannot be read as a table"),
    ],
)
def test_another_layout_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        MetaDataset.from_tabrepo(change.get("frame", results()), change.get("configs", CONFIGS))
