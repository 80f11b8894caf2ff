from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from metahpo.evaluation.baselines.baseline import Policy
from metahpo.evaluation.baselines.catalogue import METHODS
from metahpo.evaluation.baselines.own_method import MetaLearned
from metahpo.evaluation.baselines.random_search import RandomSearch
from metahpo.evaluation.cross_validation import evaluate
from metahpo.evaluation.result import EvaluationReport
from metahpo.exceptions import DataError, UnknownNameError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from tests.conftest import QUICK

COLD = ["portfolio", "random_search"]
#: Folder of recorded benchmarks in the layout of HPO-B, where there is one.
SVM = Path(os.environ.get("METAHPO_RECORDED", "absent")) / "svm.json.gz"


@dataclass
class Witness:
    """Random search that keeps a record of the tasks it learnt from and of the meta-features it met."""

    name: str = "witness"
    n_replays: int = 1
    learnt: list[list[TaskTable]] = field(default_factory=list)
    met: list[tuple[int, Mapping[str, float] | None]] = field(default_factory=list)

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> Policy:
        self.learnt.append(list(tables))
        return self

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> Witness:
        self.met.append((len(self.learnt) - 1, meta_features))
        return self

    def suggest(self, X_obs: NDArray[np.float64], loss_obs: NDArray[np.float64], X_pool: NDArray[np.float64]) -> int:
        return 0


@pytest.fixture(scope="module")
def report(toy: MetaDataset) -> EvaluationReport:
    return evaluate(toy, methods=COLD, n_trials=6, n_folds=3)


def test_every_task_is_held_out_once_and_no_relative_of_it_is_learnt_from(toy: MetaDataset) -> None:
    witness = Witness()
    evaluate(toy, methods=[witness], n_trials=2, n_folds=3)
    family_of_shift = {t.meta_features["shift"]: t.family for t in toy.tables("toy") if t.meta_features}
    held_out = []
    for fold, meta_features in witness.met:
        assert meta_features is not None
        held_out.append(meta_features["shift"])
        assert family_of_shift[meta_features["shift"]] not in {t.family for t in witness.learnt[fold]}
    assert len(set(held_out)) == 12


def test_frame_is_tidy(report: EvaluationReport) -> None:
    frame = report.to_frame()
    assert list(frame.columns) == ["space", "task", "family", "method", "trial", "regret"]
    assert len(frame) == 12 * 2 * 6
    assert not frame.duplicated(["space", "task", "method", "trial"]).any()
    assert frame["regret"].between(0, 1).all()
    assert frame.sort_values("trial").groupby(["task", "method"])["regret"].is_monotonic_decreasing.all()


def test_summary_tells_that_experience_helps(report: EvaluationReport) -> None:
    summary = report.summary().set_index(["method", "trial"])
    assert summary["regret"]["portfolio", 1] == summary["regret"]["random_search", 1]  # the default is first in both
    assert summary["regret"]["portfolio", 2] < 0.5 * summary["regret"]["random_search", 2]
    assert (summary["n_tasks"] == 12).all()
    assert report.ranking(3).ranks.index[0] == "portfolio"
    wins = report.comparison(trials=[2]).iloc[0]
    assert wins["wins"] > wins["losses"]
    assert report.n_recorded == 24
    assert report.trials_to_match("random_search").set_index("method")["trials"]["portfolio"] <= 4


def test_result_depends_on_the_random_state_alone(toy: MetaDataset, report: EvaluationReport) -> None:
    parallel = evaluate(toy, methods=COLD, n_trials=6, n_folds=3, n_jobs=2)
    pd.testing.assert_frame_equal(parallel.to_frame(), report.to_frame())
    other = evaluate(toy, methods=COLD, n_trials=6, n_folds=3, random_state=1)
    assert not np.allclose(other.to_frame()["regret"], report.to_frame()["regret"])


def test_honest_regret_chooses_by_one_half_of_the_fits_and_judges_by_the_other(toy: MetaDataset) -> None:
    """One configuration is lucky in the even fits, another in the odd ones: found by one half, bad by the other."""
    trials = toy.trials.copy()
    ordinary = [[0.5, 0.5, 0.5, 0.5]] * len(trials)
    for _, rows in trials.groupby("task"):
        first, second = rows.index[:2]
        ordinary[first], ordinary[second] = [0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]
    trials["folds.r2"], trials["loss.r2"] = ordinary, 0.5
    trials.loc[trials.groupby("task").head(3).index, "loss.r2"] = [0.4, 0.4, 0.6] * trials["task"].nunique()
    lucky = MetaDataset(toy.tasks, trials, toy.meta_features, toy.spaces)
    usual = evaluate(lucky, methods=["random_search"], n_trials=24, n_folds=2).summary().set_index("trial")["regret"]
    honest = evaluate(lucky, methods=["random_search"], n_trials=24, n_folds=2, honest=True)
    assert usual[24] == 0.0
    assert honest.summary().set_index("trial")["regret"][24] == 1.0
    assert "chosen by one half" in honest.protocol()
    plain = MetaDataset(toy.tasks, trials.drop(columns="folds.r2"), toy.meta_features, toy.spaces)
    with pytest.raises(DataError, match="records no losses per fit"):
        evaluate(plain, methods=["random_search"], n_trials=2, honest=True)


def test_first_picks_are_held_against_the_library_default(report: EvaluationReport) -> None:
    verdicts = report.default_verdicts()
    assert verdicts is not None
    counts = verdicts.set_index("method")
    assert (counts[["better", "equal", "worse"]].sum(axis=1) == 12).all()
    assert counts["better"]["portfolio"] > counts["worse"]["portfolio"]


def test_a_scorer_that_was_not_recorded_is_answered_by_the_nearest_metric(toy: MetaDataset) -> None:
    found = evaluate(toy, methods=["random_search"], n_trials=1, n_folds=3, metric="explained_variance")
    assert found.settings.metric == "r2"
    assert found.notes[0] == "'explained_variance' was not recorded: the nearest, 'r2', stands for it"


def test_the_default_as_a_method_equals_itself(toy: MetaDataset) -> None:
    verdicts = evaluate(toy, methods=["default"], n_trials=1).default_verdicts()
    assert verdicts is not None
    assert verdicts["equal"].tolist() == [12]


def test_coverage_is_measured_where_a_method_predicts_scores(toy: MetaDataset, report: EvaluationReport) -> None:
    assert report.calibration() is None
    told = evaluate(
        toy, methods=[MetaLearned(settings=QUICK), "random_search"], spaces=["toy", None], n_trials=1, n_folds=2
    )
    assert told.coverage is not None
    assert not told.coverage.duplicated(["space", "task", "method", "observations", "level"]).any()
    calibrated = told.calibration()
    assert calibrated is not None
    assert set(calibrated["method"]) == {"metahpo"}
    assert set(calibrated["space"]) == {"toy", "joint", "all spaces"}
    assert set(calibrated["observations"]) == {0, 5}  # 24 configurations are too few for 20 and as many to be asked
    assert (calibrated["50 %"] < calibrated["80 %"]).all()
    assert (calibrated["80 %"] < calibrated["95 %"]).all()
    assert "Coverage of intervals" in str(told)
    assert "Coverage of intervals" not in str(report)


def test_tasks_that_tell_nothing_are_noted_and_left_out(toy: MetaDataset) -> None:
    trials = toy.trials.copy()
    trials.loc[trials["task"] == "task5", "loss.r2"] = 1.0
    flat = MetaDataset(toy.tasks, trials, toy.meta_features, toy.spaces)
    report = evaluate(flat, methods=["random_search"], n_trials=2)
    assert "task5" not in set(report.to_frame()["task"])
    assert len(report.notes) == 1
    assert "task5" in report.notes[0]


@pytest.fixture
def quick_metahpo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "metahpo", lambda: MetaLearned(settings=QUICK))


@pytest.mark.usefixtures("quick_metahpo")
def test_all_methods_are_evaluated_unless_some_are_named(toy: MetaDataset) -> None:
    report = evaluate(toy, n_trials=2, n_folds=2, default_first=False)
    assert report.methods == ["metahpo", "portfolio", "gaussian_process", "default", "random_search"]
    regret = report.summary().set_index(["trial", "method"])["regret"]
    assert regret[1, "metahpo"] < 0.5 * regret[1, "random_search"]


def recorded(n_tasks: int = 6, seed: int = 0) -> dict[str, dict[str, dict[str, list[list[float]]]]]:
    rng = np.random.default_rng(seed)
    tables = {}
    for t in range(n_tasks):
        X = rng.random((12, 2))
        tables[f"t{t}"] = {"X": X.tolist(), "y": (-((X - 0.3) ** 2).sum(axis=1, keepdims=True)).tolist()}
    return {"bowls": tables}


@pytest.mark.usefixtures("quick_metahpo")
def test_recorded_benchmarks_have_neither_defaults_nor_folds() -> None:
    md = MetaDataset.from_hpob(recorded())
    report = evaluate(md, n_trials=3, n_folds=2)
    assert "default" not in report.methods
    assert report.default_verdicts() is None


def test_joint_space_is_evaluated_like_any_other(toy: MetaDataset) -> None:
    report = evaluate(toy, methods=COLD, spaces=["toy", None], n_trials=2, n_folds=2)
    assert set(report.to_frame()["space"]) == {"toy", "joint"}
    assert set(report.summary()["space"]) == {"toy", "joint", "all spaces"}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"methods": []}, DataError),
        ({"methods": ["random_search", RandomSearch()]}, DataError),
        ({"methods": ["grid"]}, UnknownNameError),
        ({"n_trials": 0}, DataError),
        ({"spaces": ["forest"]}, UnknownNameError),
        ({"metric": "speed"}, UnknownNameError),
        ({"n_folds": 7}, DataError),
    ],
)
def test_wrong_requests_are_refused_before_work_begins(
    toy: MetaDataset, arguments: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        evaluate(toy, **{"methods": ["random_search"], "n_trials": 2, **arguments})  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.skipif(not SVM.exists(), reason="METAHPO_RECORDED names no folder with svm.json.gz")
def test_portfolio_and_chance_are_where_others_measured_them_on_recorded_support_vector_machines() -> None:
    report = evaluate(MetaDataset.from_hpob(SVM), methods=COLD, n_trials=5, n_folds=3)
    regret = report.summary().set_index(["method", "trial"])["regret"]
    assert regret["portfolio", 1] == pytest.approx(0.149, abs=0.04)
    assert regret["portfolio", 5] == pytest.approx(0.075, abs=0.02)
    assert regret["random_search", 1] == pytest.approx(0.533, abs=0.06)
    assert regret["random_search", 5] == pytest.approx(0.192, abs=0.04)
