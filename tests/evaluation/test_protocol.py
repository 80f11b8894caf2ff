"""The protocol of an evaluation: what every method tries first, what is kept on disk, and methods that fail."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from metahpo.cli import main
from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.baselines.cold_gaussian_process import ColdGaussianProcess
from metahpo.evaluation.baselines.greedy_portfolio import GreedyPortfolio
from metahpo.evaluation.baselines.own_method import MetaLearned
from metahpo.evaluation.baselines.random_search import RandomSearch
from metahpo.evaluation.baselines.sequential_search import ModelRun
from metahpo.evaluation.baselines.sharing import shared_training
from metahpo.evaluation.cross_validation import evaluate
from metahpo.evaluation.default_comparison import default_rows
from metahpo.evaluation.evaluation_plan import make_plan
from metahpo.evaluation.predictive_calibration import ScorePredictor
from metahpo.evaluation.quick import quick_look
from metahpo.evaluation.regret import regret_over_seconds
from metahpo.evaluation.replay import search
from metahpo.evaluation.settings import EvaluationSettings, SettingChanges
from metahpo.evaluation.unit import carry_out
from metahpo.exceptions import DataError, PluginError, StoreError, UnknownNameError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.space.encoding import unit_cube_space
from tests.conftest import QUICK, toy_meta_dataset
from tests.evaluation.bowls import bowl

Array = NDArray[np.float64]
COLD = ["portfolio", "random_search"]


@dataclass
class Scripted:
    """A method of a user's whose suggestions are given by a function of the number of trials."""

    name: str
    answer: Any
    n_replays: int = 1
    fails_to_learn: bool = False

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> Scripted:
        if self.fails_to_learn:
            raise ZeroDivisionError("no tasks like these")
        return self

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> Scripted:
        return self

    def suggest(self, X_obs: Array, loss_obs: Array, X_pool: Array) -> Any:
        return self.answer(len(X_obs)) if callable(self.answer) else self.answer


def test_every_search_begins_with_the_default(toy: MetaDataset) -> None:
    rows = default_rows(toy, "toy")
    methods = ["portfolio", "random_search", "gaussian_process"]
    regrets = evaluate(toy, methods, n_trials=3, n_folds=2).to_frame()
    first = regrets[regrets["trial"] == 1].pivot_table("regret", "task", "method")
    for table in toy.tables("toy"):
        losses = table.loss[np.isfinite(table.loss)]
        expected = (table.loss[rows[table.task]] - losses.min()) / (losses.max() - losses.min())
        np.testing.assert_allclose(first.loc[table.task], expected)
    free = evaluate(toy, methods, n_trials=3, n_folds=2, default_first=False).to_frame()
    assert not np.allclose(free[free["trial"] == 1].pivot_table("regret", "task", "method"), first)


def test_a_default_before_them_takes_no_place_of_a_portfolio() -> None:
    tasks = [bowl(f"t{i}", 0.7, n=30) for i in range(4)]
    policy = GreedyPortfolio(n_picks=2).learn(tasks, "s", 0)
    free: list[int] = []
    search(policy, tasks[0], 2, 0, free)
    behind = next(row for row in range(30) if row not in free)
    picked: list[int] = []
    search(policy, tasks[0], 3, 0, picked, default=behind)
    assert picked == [behind, *free]
    repeated: list[int] = []
    search(policy, tasks[0], 2, 0, repeated, default=free[0])
    assert repeated == free  # the default was its first pick


def test_the_joint_space_begins_with_the_default_of_the_learner_whose_default_is_best(
    built_meta_dataset: MetaDataset,
) -> None:
    plan = make_plan(built_meta_dataset, ["random_search"], EvaluationSettings(2, 2, spaces=(None,)))
    tables = {table.task: table for table in plan.spaces[0].tables}
    for unit in plan.units:
        assert set(unit.defaults) == {table.task for table in unit.held_out}
        rows = {tuple(tables[task].X[row]) for task, row in unit.defaults.items()}
        assert len(rows) == 1


@pytest.mark.parametrize("answer", [-1, 99, 0.5, None, "first", True, np.nan])
def test_a_suggestion_that_is_no_row_of_the_pool_is_refused(answer: object) -> None:
    with pytest.raises(PluginError, match="must pick a row of the pool, a whole number from 0 to 39"):
        search(Scripted("odd", answer), bowl("t", 0.5), 3, 0, [])


def test_numbers_of_numpy_are_rows() -> None:
    tried: list[int] = []
    search(Scripted("fine", np.int32(1)), bowl("t", 0.5), 3, 0, tried)
    assert tried == [1, 2, 3]


def test_a_method_that_fails_in_the_middle_is_reported_and_the_rest_stays(toy: MetaDataset) -> None:
    stops = Scripted("stops", lambda n: 23 - n if n < 3 else 1 / 0)  # none of the last rows is a best one
    report = evaluate(toy, [*COLD, stops], n_trials=6, n_folds=2)
    assert report.failures is not None
    assert set(report.failures["method"]) == {"stops"}
    assert set(report.failures["after"]) == {3}
    assert "ZeroDivisionError" in report.failures["error"].iloc[0]
    assert report.methods == COLD
    assert any(note.startswith("stops failed on 12 tasks of toy") and "left out" in note for note in report.notes)
    pd.testing.assert_frame_equal(report.to_frame(), evaluate(toy, COLD, n_trials=6, n_folds=2).to_frame())


def test_a_search_that_fails_on_some_tasks_keeps_what_it_had_found(toy: MetaDataset) -> None:
    class Picky(Scripted):
        def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> Scripted:
            assert meta_features is not None
            return Scripted("", 99 if meta_features["shift"] > 0 else 0)

    report = evaluate(toy, ["random_search", Picky("picky", 0)], n_trials=3, n_folds=2)
    assert report.methods == ["random_search", "picky"]
    assert report.failures is not None
    failed = set(report.failures["task"])
    assert 0 < len(failed) < 12
    curves = report.to_frame().query("method == 'picky' and task in @failed").pivot_table("regret", "task", "trial")
    assert (curves.nunique(axis=1) == 1).all()
    assert any("keeps what it had found" in note for note in report.notes)


def test_where_every_method_fails_there_is_no_report(toy: MetaDataset) -> None:
    with pytest.raises(DataError, match=r"no method could be replayed.*no tasks like these"):
        evaluate(toy, [Scripted("broken", 0, fails_to_learn=True)], n_trials=2, n_folds=2)


@pytest.mark.parametrize(
    "method", [Scripted("", 0), Scripted("none", 0, n_replays=0), Scripted(3, 0), object()]  # type: ignore[arg-type]
)  # fmt: skip
def test_methods_without_name_or_repetitions_are_refused(toy: MetaDataset, method: Any) -> None:
    with pytest.raises(DataError, match="a method needs a name"):
        make_plan(toy, [method])


def test_an_evaluation_that_was_ended_goes_on(toy: MetaDataset, tmp_path: Path) -> None:
    settings = EvaluationSettings(n_trials=4, n_folds=3, n_seeds=2)
    whole = evaluate(toy, COLD, settings)
    evaluate(toy, COLD[:1], settings, folder=tmp_path)
    kept = sorted(tmp_path.glob("*.json"))
    assert len(kept) == 6
    kept[0].write_text(kept[0].read_text()[:100])  # cut off
    (tmp_path / ".x.json.1.part").write_text("{")
    plan = make_plan(toy, COLD, settings, folder=tmp_path)
    cost = plan.cost()
    assert (cost.n_units, cost.n_kept) == (12, 5)
    assert "12 units of work, 5 of them kept from before" in str(cost)
    again = evaluate(toy, COLD, settings, folder=tmp_path)
    pd.testing.assert_frame_equal(again.to_frame(), whole.to_frame())
    assert make_plan(toy, COLD, settings, folder=tmp_path).cost().n_kept == 12
    assert json.loads(kept[0].read_text())["failure"] is None


@pytest.mark.parametrize(
    "change", [{"n_trials": 5}, {"default_first": False}, {"random_state": 1}, {"honest": True}, {"n_folds": 2}]
)
def test_what_another_protocol_has_left_is_not_taken(toy: MetaDataset, tmp_path: Path, change: dict[str, Any]) -> None:
    settings = EvaluationSettings(n_trials=2, n_folds=3)

    def n_kept(md: MetaDataset, n_replays: int, asked: EvaluationSettings) -> int:
        return make_plan(md, [RandomSearch(n_replays=n_replays)], asked, folder=tmp_path).cost().n_kept

    evaluate(toy, [RandomSearch(n_replays=1)], settings, folder=tmp_path)
    assert n_kept(toy, 1, settings) == 3
    assert n_kept(toy, 1, settings.but(**change)) == 0
    assert n_kept(toy, 2, settings) == 0
    assert n_kept(toy.drop(tasks=["task0"]), 1, settings) == 0


def test_histories_need_a_folder_that_can_be_written(toy: MetaDataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="histories cannot be kept"):
        make_plan(toy, COLD, folder=tmp_path / "file")


def test_families_are_left_out_one_by_one(toy: MetaDataset) -> None:
    plan = make_plan(toy, ["random_search"], EvaluationSettings(n_folds="family"))
    assert len(plan.units) == 6
    for unit in plan.units:
        assert len({table.family for table in unit.held_out}) == 1
    with pytest.raises(DataError, match="has one"):
        make_plan(toy.drop(families=[f"family{i}" for i in range(1, 6)]), ["random_search"], plan.settings)


def test_honest_regret_comes_beside_the_usual(toy: MetaDataset) -> None:
    honest = evaluate(toy, COLD, n_trials=4, n_folds=3, honest=True)
    usual = evaluate(toy, COLD, n_trials=4, n_folds=3)
    assert honest.usual is not None
    assert usual.usual is None
    pd.testing.assert_frame_equal(honest.usual, usual.to_frame())
    assert not np.allclose(honest.to_frame()["regret"], usual.to_frame()["regret"])


def test_budgets_in_seconds_count_finished_trials() -> None:
    curve, seconds = np.array([0.8, 0.5, 0.2, 0.2]), np.array([2.0, 1.0, 4.0])
    found = regret_over_seconds(curve, seconds, np.array([1.9, 2.0, 3.0, 6.9, 7.0, 99.0]))
    assert found.tolist() == [1.0, 0.8, 0.5, 0.5, 0.2, 0.2]


def test_regret_is_told_after_seconds_too(toy: MetaDataset) -> None:
    report = evaluate(toy, COLD, n_trials=6, n_folds=2)
    assert report.over_seconds is not None
    table = report.over_seconds.pivot_table("regret", ["task", "method"], "seconds")
    assert (np.diff(table.to_numpy(), axis=1) <= 1e-12).all()
    last = report.to_frame().query("trial == 6").set_index(["task", "method"])["regret"]
    fast = table[table.columns[-1]].xs("task0")  # 0.1 seconds a trial: the largest budget holds all trials
    np.testing.assert_allclose(fast, last.loc["task0"].loc[fast.index])


def test_without_recorded_defaults_a_note_says_so() -> None:
    rng = np.random.default_rng(0)
    X = {f"t{i}": rng.random((9, 2)) for i in range(4)}
    md = MetaDataset.from_hpob({"s": {t: {"X": x.tolist(), "y": x.sum(axis=1).tolist()} for t, x in X.items()}})
    assert (
        "s records no defaults, so that no search begins with one"
        in make_plan(md, COLD, EvaluationSettings(n_folds=2)).notes
    )


def test_a_report_names_what_it_was_made_of(toy: MetaDataset) -> None:
    report = evaluate(toy, ["random_search"], n_trials=2, n_folds=2)
    assert report.provenance is not None
    assert report.provenance.meta_dataset == "toy 1"
    assert len(report.provenance.checksum) == 16
    assert "UTC" in report.provenance.date
    assert report.tasks is not None
    assert report.tasks["novelty"].between(0, 1).all()


def test_the_command_says_the_cost_first_and_can_stop_there(
    toy: MetaDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.save(tmp_path / "toy")
    asked = ["evaluate", str(tmp_path / "toy"), "--methods", "random_search", "--folds", "family", "--jobs", "1"]
    assert main([*asked, "--seeds", "2", "--trials", "3", "--dry-run"]) == 0
    assert capsys.readouterr().out == "12 units of work: up to 216 suggestions, some seconds on 1 process\n"


def test_a_quick_look_takes_whole_families_and_one_space(toy: MetaDataset) -> None:
    quick = quick_look(toy)
    assert len(quick.md.tasks) == 12
    assert quick.settings.spaces == ("toy",)
    assert [method.name for method in quick.methods] == ["metahpo", "portfolio", "random_search"]
    few = quick_look(toy_meta_dataset(n_tasks=60, n_configurations=4), ["random_search"])
    assert len(few.md.tasks) == 30
    assert (few.md.tasks.groupby("family").size() == 2).all()
    report = evaluate(few.md, few.methods, few.settings.but(n_trials=2))
    assert "This is a quick look at 30 of 60 tasks (15 of 30 families" in report.protocol()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_trials": 0}, "n_trials must be at least 1"),
        ({"n_seeds": 0}, "n_seeds must be at least 1"),
        ({"n_trials": 2.5}, "n_trials must be a whole number, but is 2.5"),
        ({"n_folds": 2.5}, "n_folds must be a number of at least 2"),
        ({"random_state": None}, "random_state must be a whole number from 0 on, but is None"),
        ({"n_folds": 1}, "n_folds must be a number of at least 2"),
        ({"n_folds": "task"}, "n_folds must be a number of at least 2"),
        ({"spaces": "svm"}, "write a list"),
    ],
)
def test_settings_are_checked_when_they_are_made(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        EvaluationSettings(**change)


def test_settings_change_by_the_names_that_there_are() -> None:
    assert set(SettingChanges.__annotations__) == {field.name for field in fields(EvaluationSettings)}
    assert EvaluationSettings().but(n_trials=3, spaces=["a", None]) == EvaluationSettings(3, spaces=("a", None))
    with pytest.raises(UnknownNameError, match="n_trials"):
        EvaluationSettings().but(trials=3)  # type: ignore[call-arg]  # wrong on purpose


def test_a_number_in_place_of_settings_is_refused(toy: MetaDataset) -> None:
    with pytest.raises(DataError, match="give single ones by name"):
        evaluate(toy, ["random_search"], 3)  # type: ignore[arg-type]  # wrong on purpose


def test_methods_that_train_alike_share_the_training_and_learn_what_they_would_alone(toy: MetaDataset) -> None:
    short = replace(QUICK, kernel_steps=5, component_steps=5)
    methods: list[Method] = [MetaLearned(settings=short), MetaLearned(settings=short, label="twin")]
    tables = toy.tables("toy")[:6]
    with shared_training() as trainings:
        first, second = (method.learn(tables, "toy", 0) for method in methods)
        assert len(trainings.made) == 1
        assert trainings.seconds_saved > 0
    alone = methods[1].learn(tables, "toy", 0)
    X = tables[0].X
    for policy in (first, second):
        assert isinstance(policy, ScorePredictor)
        assert isinstance(alone, ScorePredictor)
        found, expected = (p.score_posterior(X, (X[:0], np.zeros(0)), None) for p in (policy, alone))
        np.testing.assert_array_equal(found.mean, expected.mean)
    plan = make_plan(toy, [*methods, "random_search"], EvaluationSettings(n_folds=2))
    assert [len(job) for job in plan.jobs(range(len(plan.units)))] == [2, 1, 2, 1]


def test_seeds_of_a_method_share_their_fits_and_pick_what_they_would_alone(toy: MetaDataset) -> None:
    plan = make_plan(toy, ["constant", "random_search"], EvaluationSettings(n_trials=6, n_folds=2, n_seeds=2))
    jobs = plan.jobs(range(len(plan.units)))
    assert [len(job) for job in jobs] == [2, 1, 1, 2, 1, 1]
    first, second = (plan.units[i] for i in jobs[0])
    assert (first.seed, second.seed) == (0, 1)
    with shared_training() as shared:
        together = [carry_out(unit) for unit in (first, second)]
        assert shared.seconds_saved > 0
    for unit, found in zip((first, second), together, strict=True):
        assert [h.picks for h in found.histories] == [h.picks for h in carry_out(unit).histories]


def test_replays_are_shared_out_among_the_seeds(toy: MetaDataset) -> None:
    report = evaluate(toy, ["random_search", "portfolio"], n_trials=2, n_folds=2, n_seeds=3)
    assert dict(report.n_replays) == {"random_search": 6, "portfolio": 3}
    assert "random search 6, portfolio 3" in report.protocol()


def test_a_cold_search_predicts_as_that_of_a_user_does() -> None:
    table = bowl("t", 0.5)
    run = ColdGaussianProcess().learn([], "s", 0).start(None, 0)
    user = BayesianOptimizer(unit_cube_space(2), random_state=0)
    assert isinstance(run, ModelRun)
    assert type(run.model) is type(user._surrogate)
    assert run.n_initial == user._n_initial
    assert 0 <= run.suggest(table.X[:6], table.loss[:6], table.X[6:]) < 34
