"""A build: its pending trials, resuming after a kill, its status, and the meta-dataset that it makes."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import cross_validate

from metahpo.building.assembly import BITS_OF_LOSS, BITS_OF_SPREAD, assemble
from metahpo.building.builder import run_plan
from metahpo.building.measurement import Measuring
from metahpo.building.plan import PLAN_FILE, Plan
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.building.status import status
from metahpo.datasets.cache import read_task, write_refusal, write_task
from metahpo.exceptions import DataError, MissingDependencyError, SpaceError, StoreError, UnknownNameError
from metahpo.learners.registry import learner_named
from metahpo.numerics.rounding import rounded
from metahpo.space.activity import default_configuration
from metahpo.space.configuration import to_json
from metahpo.space.design import sobol_design
from metahpo.tasks.metric import METRICS, metric_names
from metahpo.tasks.task import TaskKind
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

KEYS = [f"s{i}" for i in range(6)]


def small_plan(cache: Path, n_configurations: int = 6) -> Plan:
    """The plan of the fixture `built`."""
    return make_plan(
        cache,
        keys=KEYS,
        learners=["linear", "svm"],
        n_configurations=n_configurations,
        protocol=Protocol(n_folds=2),
    )


def record(key: TrialKey, status: TrialStatus = TrialStatus.SUCCESS) -> Trial:
    """A finished trial of that key, without the work."""
    kind: TaskKind = "regression" if key.task in ("s4", "s5") else "classification"
    losses = {m: [0.25, 0.75] for m in metric_names(kind)} if status is TrialStatus.SUCCESS else {}
    seconds = [1.0, 2.0] if losses else []
    return Trial(key, status, fold_losses=losses, fit_seconds=seconds, message="" if losses else "why")


# --- plan -----------------------------------------------------------------------------------------------------------


def test_every_task_of_a_kind_gets_the_same_design_default_first(small_cache: Path) -> None:
    keys = list(small_plan(small_cache).trials())
    assert len(keys) == 6 * 2 * 6
    assert len({k.identity for k in keys}) == len(keys)
    kinds: dict[str, TaskKind] = {"s0": "classification", "s3": "classification", "s5": "regression"}
    for task, kind in kinds.items():
        for learner in ("linear", "svm"):
            space = learner_named(learner, kind).space
            made = [k.configuration for k in keys if (k.task, k.learner) == (task, learner)]
            assert made == sobol_design(space, 6)
            assert made[0] == default_configuration(space)


def test_owed_is_the_design_minus_the_store(small_cache: Path) -> None:
    plan = small_plan(small_cache)
    keys = list(plan.trials())
    assert plan.n_trials == len(keys) == 72
    done = {k.identity for k in keys[::3]}
    assert [k.identity for k in plan.pending(done)] == [k.identity for k in keys if k.identity not in done]
    assert list(plan.pending({k.identity for k in keys})) == []


def test_more_configurations_keep_the_trials_that_are_made(small_cache: Path) -> None:
    few = {k.identity for k in small_plan(small_cache, 4).trials()}
    many = {k.identity for k in small_plan(small_cache, 9).trials()}
    assert few < many


def test_a_plan_comes_back_from_its_file_and_damage_is_named(small_cache: Path, tmp_path: Path) -> None:
    plan = small_plan(small_cache)
    path = tmp_path / PLAN_FILE
    plan.save(path)
    assert Plan.load(path) == plan
    assert [p.name for p in tmp_path.iterdir()] == [PLAN_FILE]
    for damage in ("{", "[]", "{}", json.dumps({"cache": "c", "tasks": [{"key": 1}]})):
        path.write_text(damage)
        with pytest.raises(StoreError, match=r"plan.json' is damaged"):
            Plan.load(path)
    with pytest.raises(
        StoreError, match=r"not the folder of a build .*; start one with `metahpo build run FOLDER --cache"
    ):
        status(tmp_path / "nowhere")


def test_limits_choose_the_datasets(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(8.0), "target": [0, 1] * 4})
    usual: dict[str, Any] = {"kind": "classification", "n_rows": 200, "n_features": 5, "n_classes": 2}
    unusual: dict[str, dict[str, Any]] = {
        "few": {"n_rows": 119},
        "wide": {"n_features": 1001},
        "classy": {"n_classes": 51},
        "image": {"kind": "image"},
        "held": {"family": "held out"},
        "f1": {"family": "f", "n_rows": 400},
        "f2": {"family": "f", "n_rows": 300},
        "f3": {"family": "f", "n_rows": 500},
        "f4": {"family": "f", "n_rows": 600},
        "plain": {},
    }
    for key, about in unusual.items():
        write_task(tmp_path, key, frame, "target", {"name": key, **usual, **about})
    plan = make_plan(tmp_path, exclude_families=["held out"], max_per_family=3)
    # Cheap tasks come first. The three largest datasets of a family are taken.
    assert [t.key for t in plan.tasks] == ["plain", "f1@300", "f3@300", "f4@300"]
    assert [t.fits for t in plan.tasks] == [4, 4, 4, 2]
    assert [t.key for t in make_plan(tmp_path, keys=["few", "wide"]).tasks] == ["few", "wide"]
    with pytest.raises(DataError, match="none of the 10 datasets"):
        make_plan(tmp_path, min_rows=10**6)


def test_wrong_names_are_refused_before_anything_runs(small_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown classification learner 'forest'; known are: linear"):
        make_plan(small_cache, keys=KEYS, learners=["forest"])
    with pytest.raises(StoreError, match="no dataset 's9'"):
        make_plan(small_cache, keys=["s9"])
    with pytest.raises(StoreError, match="is not a folder"):
        make_plan(tmp_path / "nowhere")
    with pytest.raises(SpaceError, match="n = 0"):
        list(make_plan(small_cache, keys=KEYS, n_configurations=0).trials())


def test_configurations_near_the_default_follow_the_even_ones_on_every_task(small_cache: Path) -> None:
    even = make_plan(small_cache, keys=["s0", "s1"], learners=["svm"], n_configurations=4)
    both = make_plan(small_cache, keys=["s0", "s1"], learners=["svm"], n_configurations=4, n_near_default=3)
    first, second = (list(both.design("svm", task)) for task in both.tasks)
    assert first == second
    assert first[:4] == list(even.design("svm", even.tasks[0]))
    assert len({to_json(configuration) for configuration in first}) == 7
    recorded = {key.identity for key in even.trials()}
    assert both.n_trials - even.n_trials == len(list(both.pending(recorded))) == 6  # a build is extended by them


# --- measurement ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "learner"), [("s1", "random_forest"), ("s1", "svm"), ("s4", "linear"), ("s5", "boosting")]
)
def test_losses_are_those_of_scikit_learns_cross_validation(small_cache: Path, key: str, learner: str) -> None:
    protocol = Protocol(n_folds=3)
    task = protocol.prepare(read_task(small_cache, key))
    chosen = learner_named(learner, task.kind)
    configuration = sobol_design(chosen.space, 3)[-1]
    measured = Measuring(task, protocol).measure(chosen, configuration, repeat=2)
    of_probabilities = {"neg_log_loss", "roc_auc_ovr"} if learner == "svm" else set()  # which it does not have
    metrics = [m for m in metric_names(task.kind) if m not in of_probabilities]
    for fit, split in enumerate(protocol.splits(task, None, repeat=2)):  # each fit has a seed of its own
        model = chosen.pipeline(configuration, task, 3 * 2 + fit)
        scores = cross_validate(model, task.X, task.y, cv=[split], scoring=metrics)
        for metric in metrics:
            expected = METRICS[metric].best_score - scores[f"test_{metric}"][0]
            assert measured.fold_losses[metric][fit] == pytest.approx(expected, abs=1e-9), metric


# --- run, kill, go on -----------------------------------------------------------------------------------------------


def test_a_build_that_goes_on_without_a_library_that_it_needs_is_refused_at_once(
    small_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(small_cache, keys=["s0"], learners=["lightgbm"], n_configurations=1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda library: None if library == "lightgbm" else library)
    with pytest.raises(MissingDependencyError, match=r"pip install 'metahpo\[lightgbm\]'"):
        run_plan(plan, tmp_path, n_jobs=1)
    TrialStore(tmp_path).append([record(key) for key in plan.pending(set())])
    run_plan(plan, tmp_path, n_jobs=1)  # no trials are pending


def test_a_finished_build_has_nothing_left_to_do(built: Path, small_cache: Path) -> None:
    before = sorted((p.name, p.stat().st_size) for p in built.glob("trials-*"))
    run_plan(small_plan(small_cache), built, n_jobs=1)
    assert sorted((p.name, p.stat().st_size) for p in built.glob("trials-*")) == before
    table = status(built).by_learner
    assert list(table.loc["all", ["planned", "done", "pending", "success"]]) == [72, 72, 0, 72]


def test_a_task_that_cannot_be_measured_is_named_and_the_build_goes_on_and_tries_it_again(
    tmp_path: Path, small_cache: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for key in ("s0", "s1"):
        for suffix in (".json", ".parquet"):
            (cache / f"{key}{suffix}").write_bytes((small_cache / f"{key}{suffix}").read_bytes())
    plan = make_plan(cache, keys=["s0", "s1"], learners=["linear"], n_configurations=20, protocol=Protocol(n_folds=2))
    write_refusal(cache, "404", "unknown to OpenML")
    (cache / "s2.json").write_text("{damaged")
    (cache / "s2.parquet").write_bytes(b"")
    assert make_plan(cache, min_rows=10, n_configurations=20, protocol=Protocol(n_folds=2)).tasks == plan.tasks
    whole = (cache / "s0.parquet").read_bytes()
    (cache / "s0.parquet").write_bytes(b"damaged")
    for _ in range(2):
        run_plan(plan, tmp_path / "build", n_jobs=1)
        state = status(tmp_path / "build")
        assert state.by_task["linear"].to_dict() == {"s0": "0/20", "s1": "20/20"}
        assert list(state.refusals) == ["s0"]
        assert "s0.parquet' is damaged" in state.refusals["s0"]
        assert "task s0 cannot be measured" in str(state)
        assert state.left_out["404"] == "unknown to OpenML"
        assert "s2.json' cannot be read" in state.left_out["s2"]
        assert "dataset 404 is in no plan: unknown to OpenML" in str(state)
    lines = [line for p in (tmp_path / "build").glob("*.jsonl") for line in p.read_text().splitlines()]
    assert len(lines) == 21  # twenty trials, and one refusal, not one at each start
    (cache / "s0.parquet").write_bytes(whole)
    run_plan(plan, tmp_path / "build", n_jobs=1)
    state = status(tmp_path / "build")
    assert state.by_learner.loc["all", "done"] == 40
    assert state.refusals == {}


def test_a_folder_that_cannot_be_written_is_named(small_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file' is not a folder; name the folder of a build, or a new one"):
        run_plan(small_plan(small_cache), tmp_path / "file", n_jobs=1)


def recorded_build(folder: Path, cache: Path, keep: float = 1.0) -> list[TrialKey]:
    """A build whose trials were not measured but written; every fifth failed; the last ones are pending."""
    plan = small_plan(cache)
    store = TrialStore(folder)
    plan.save(folder / PLAN_FILE)
    keys = list(plan.trials())
    keys = keys[: round(keep * len(keys))]
    store.append(record(k, TrialStatus.TIMEOUT if i % 5 == 4 else TrialStatus.SUCCESS) for i, k in enumerate(keys))
    return keys


def test_status_counts_what_is_planned_done_owed_and_failed(tmp_path: Path, small_cache: Path) -> None:
    folder = tmp_path / "build"
    recorded_build(folder, small_cache, keep=0.0)
    nothing = status(folder).by_learner
    assert list(nothing.loc["all", ["planned", "done", "pending"]]) == [72, 0, 72]
    keys = recorded_build(folder, small_cache, keep=0.5)
    TrialStore(folder).append([record(TrialKey("else", "svm", {}, "v1"))])  # of another plan: not counted
    table = status(folder).by_learner
    assert list(table.index) == ["linear", "svm", "all"]
    assert list(table.loc["all", ["planned", "done", "pending", "success", "timeout"]]) == [72, 36, 36, 29, 7]
    assert table.loc["svm", "done"] == sum(k.learner == "svm" for k in keys)


def test_status_tells_how_reliable_ranks_are(built: Path) -> None:
    assert status(built).reliability is None
    table = status(built, reliability=True).reliability
    assert table is not None
    assert {"linear", "svm"} == set(table.index.get_level_values("learner"))
    assert (table["fits"] >= 2).all()
    assert table["reliability"].between(-1.0, 1.0).all()
    assert table["reliable"].between(0.0, 1.0).all()
    assert "reliable" in str(status(built, reliability=True))


# --- assembly -------------------------------------------------------------------------------------------------------


def test_a_meta_dataset_holds_every_trial_of_the_complete_tasks(tmp_path: Path, small_cache: Path) -> None:
    keys = recorded_build(tmp_path, small_cache, keep=0.9)  # the tasks come cheap first: the last is not complete
    planned = [t for t in small_plan(small_cache).tasks if t.kind == "classification"]
    complete = [t.key for t in planned if sum(k.task == t.key for k in keys) == 12]
    md = assemble(tmp_path, "classification", name="small", n_jobs=1)
    assert md.tasks["key"].tolist() == complete
    assert len(md.trials) == 12 * len(complete)
    assert md.metrics == metric_names("classification")
    counts = md.trials.groupby(["task", "space"]).size()
    assert (counts == 6).all()
    failed = md.trials["status"] == "timeout"
    assert failed.sum() == sum(i % 5 == 4 and k.task in complete for i, k in enumerate(keys))
    assert md.trials.loc[failed, "loss.accuracy"].isna().all()
    assert (md.trials.loc[failed, "message"] == "why").all()
    assert md.trials.loc[~failed, "loss.accuracy"].tolist() == [0.5] * int((~failed).sum())
    assert md.trials.loc[~failed, "seconds"].tolist() == [1.5] * int((~failed).sum())  # of a fit, in the mean
    assert md.meta_features is not None
    assert md.meta_features.index.tolist() == md.tasks.index.tolist()


def test_a_learner_is_released_on_the_tasks_where_it_is_complete(tmp_path: Path, small_cache: Path) -> None:
    keys = recorded_build(tmp_path, small_cache)
    last = [t.key for t in small_plan(small_cache).tasks if t.kind == "classification"][-1]
    shutil.rmtree(tmp_path)
    small_plan(small_cache).save(tmp_path / PLAN_FILE)
    kept = [k for k in keys if (k.task, k.learner) != (last, "svm")]
    TrialStore(tmp_path).append(map(record, kept))
    md = assemble(tmp_path, "classification", name="small", n_jobs=1)
    assert md.tasks["key"].tolist()[-1] == last
    alone = md.tasks.index[-1]
    assert set(md.trials.loc[md.trials["task"] == alone, "space"]) == {"linear"}
    assert md.tasks["fits.svm"].isna()[alone]
    assert md.tasks.at[alone, "fits.linear"] == 2
    assert [t.task for t in md.tables("linear")] == list(md.tasks.index)
    assert [t.task for t in md.tables("svm")] == [t.task for t in md.tables(None)] == list(md.tasks.index[:-1])


def test_measured_trials_reach_the_tables(built: Path) -> None:
    md = assemble(built, "regression", name="small", n_jobs=1)
    stored = {(t.key.task, t.key.learner, to_json(t.key.configuration)): t for t in TrialStore(built)}
    for name, table, folds in ((t.task, t, md.fold_losses("svm", "r2")[t.task]) for t in md.tables("svm", "r2")):
        rows = md.trials[(md.trials["task"] == name) & (md.trials["space"] == "svm")]
        for i, configuration in enumerate(rows["configuration"]):
            trial = stored[str(md.tasks.at[name, "key"]), "svm", configuration]
            assert table.loss[i] == rounded(min(trial.loss("r2"), 1.0), BITS_OF_LOSS)
            assert folds[i].tolist() == [rounded(min(loss, 1.0), BITS_OF_LOSS) for loss in trial.fold_losses["r2"]]
            row, seconds = rows.iloc[i], sum(trial.fit_seconds) / len(trial.fit_seconds)
            assert row["seconds"] == pytest.approx(seconds, rel=2.0**-BITS_OF_SPREAD)
            spread = np.std(trial.fold_losses["r2"], ddof=1) / len(trial.fold_losses["r2"]) ** 0.5
            assert row["se.r2"] == pytest.approx(spread, rel=2.0**-BITS_OF_SPREAD)
    numbers = md.trials.filter(regex=r"^(loss|se)\.|seconds$")
    assert set(numbers.dtypes) == {np.dtype(np.float32)}
    assert md.tasks["n_classes"].tolist() == [0, 0]
    assert md.tasks["n_rows"].tolist() == [65, 70]
    assert md.tasks["n_test_rows"].tolist() == [65, 70]
    assert md.tasks["fits.svm"].tolist() == [2, 2]
    assert md.tasks["reliability.svm"].between(-1.0, 1.0).all()
    assert sorted(md.tasks["n_rows_of_dataset"]) == [130, 140]
    assert md.protocol == "v2-cv2-holdout2x5000"


def test_tasks_of_one_name_are_told_apart_by_their_keys(tmp_path: Path, small_cache: Path) -> None:
    cache = tmp_path / "cache"
    for key in ("k1", "k2", "k3"):
        frame = pd.read_parquet(small_cache / "s0.parquet")
        about = {"name": "single" if key == "k3" else "twin", "kind": "classification", "categorical": ["colour"]}
        write_task(cache, key, frame, "target", about)
    plan = make_plan(cache, keys=["k1", "k2", "k3"], learners=["linear"], n_configurations=2, protocol=Protocol(2))
    store = TrialStore(tmp_path / "build")
    plan.save(tmp_path / "build" / PLAN_FILE)
    store.append(record(k) for k in plan.trials())
    md = assemble(tmp_path / "build", "classification", name="twins", n_jobs=1)
    assert sorted(md.tasks.index) == ["single", "twin_k1", "twin_k2"]
    with pytest.raises(
        DataError,
        match=r"no learner is complete on a regression task .*`metahpo status` shows",
    ):
        assemble(tmp_path / "build", "regression", name="none", n_jobs=1)
