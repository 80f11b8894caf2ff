"""Which rows trials train and test on, and how often they are fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metahpo.building.builder import run_plan
from metahpo.building.measurement import Measuring
from metahpo.building.plan import PLAN_FILE, OtherProtocolError, Plan
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol, dataset_and_size, task_key
from metahpo.building.reliability import fits_needed, reliabilities
from metahpo.building.repetition import run_until_reliable, shared_design_losses, with_more_repeats
from metahpo.datasets.cache import write_task
from metahpo.exceptions import DataError
from metahpo.learners.registry import learner_named
from metahpo.space.activity import default_configuration
from metahpo.tasks.metric import metric_names
from metahpo.tasks.task import Task
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialStatus


def task_of(counts: list[int]) -> Task:
    y = np.repeat(np.arange(len(counts)), counts)
    return Task.from_arrays(np.arange(float(len(y)))[:, None], y, kind="classification")


# --- sizes and splits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_rows", "sizes"),
    [
        (120, (None,)),
        (399, (None,)),
        (400, (300,)),
        (1599, (300,)),
        (1600, (300, 1200)),
        (5999, (300, 1200)),
        (6000, (300, 1200, 5000)),
        (21000, (300, 1200, 5000, 20000)),
    ],
)
def test_sizes__as_far_as_the_dataset_has_the_rows(n_rows: int, sizes: tuple[int | None, ...]) -> None:
    assert Protocol().sizes(n_rows) == sizes


def test_sizes__a_small_dataset_makes_no_task_of_large_sizes() -> None:
    assert Protocol().sizes(500, [5000, 1200]) == ()
    assert Protocol().sizes(6500, [5000, 1200]) == (1200, 5000)


def test_splits__small_training_sets_are_nested_and_tested_on_many_other_rows() -> None:
    protocol, task = Protocol(), task_of([6000, 3000, 5])
    for repeat in range(2):
        small, large = (protocol.splits(task, size, repeat) for size in (300, 5000))
        for (train, test), (more, fewer) in zip(small, large, strict=True):
            assert len(train) == 300
            assert len(test) == 5000
            assert len(more) == 5000
            assert len(fewer) == 9005 - 5000
            assert set(train) < set(more)
            assert set(fewer) < set(test)
            assert not set(more) & set(fewer)
    assert not np.array_equal(protocol.splits(task, 300, 0)[0][0], protocol.splits(task, 300, 1)[0][0])
    assert np.array_equal(protocol.splits(task, 300, 1)[0][0], protocol.splits(task, 300, 1)[0][0])


@pytest.mark.parametrize(("counts", "size"), [([700, 200, 4], 300), ([250, 140, 30], 300), ([100, 30], None)])
def test_splits__every_class_is_trained_on_and_tested_on_in_its_share(counts: list[int], size: int | None) -> None:
    protocol, task = Protocol(), task_of(counts)
    share = np.array(counts) / sum(counts)
    for repeat in range(3):
        for train, test in protocol.splits(task, size, repeat):
            assert len(train) == size or size is None
            for rows in (train, test):
                of_class = np.bincount(task.y[rows], minlength=len(counts))
                assert of_class.min() >= 1
                assert np.abs(of_class - share * len(rows)).max() <= len(counts) + 1


def test_splits__of_a_small_dataset_are_a_cross_validation_repeated_with_another_shuffle() -> None:
    protocol, task = Protocol(), task_of([250, 170])
    first, second = (protocol.splits(task, 300, repeat) for repeat in (0, 1))
    assert len(first) == 4
    assert sorted(np.concatenate([test for _, test in first])) == list(range(420))
    assert not np.array_equal(first[0][1], second[0][1])
    assert protocol.fits_of_repeat(420, 300) == 4
    assert protocol.fits_of_repeat(1420, 300) == 2


def test_splits__regression_and_bad_input() -> None:
    rows = np.random.default_rng(0).standard_normal((700, 2))
    task = Task.from_arrays(rows, rows.sum(axis=1), kind="regression")
    for train, test in Protocol().splits(task, 300):
        assert (len(train), len(test), len(set(train) | set(test))) == (300, 400, 700)
    many = task_of([12] * 60)
    with pytest.raises(DataError, match=r"a training set of 100 rows is too small for the 60 classes .* 120 in all"):
        Protocol().splits(many, 100)
    with pytest.raises(DataError, match="at least 2 folds, but n_folds = 1"):
        Protocol(n_folds=1)


def test_prepare__drops_classes_with_fewer_rows_than_folds() -> None:
    assert Protocol(n_folds=3).prepare(task_of([150, 148, 2])).classes == (0, 1)
    with pytest.raises(DataError, match="fewer than two classes"):
        Protocol().prepare(task_of([150, 3]))


def test_task_keys__come_back() -> None:
    for dataset, size in (("31", 300), ("a-b%40c", None), ("x", 20000)):
        assert dataset_and_size(task_key(dataset, size)) == (dataset, size)


def test_measuring__trains_on_the_size(small_cache: Path) -> None:
    task = task_of([400, 300])
    learner = learner_named("linear", "classification")
    measured = Measuring(task, Protocol(), 300).measure(learner, default_configuration(learner.space))
    assert len(measured.fold_losses["accuracy"]) == 2


# --- reliability ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_fits", "noise"), [(2, 1.0), (4, 1.0), (12, 1.0), (4, 0.5)])
def test_reliability__is_that_of_a_known_signal_in_known_noise(n_fits: int, noise: float) -> None:
    rng = np.random.default_rng(0)
    tasks = {
        f"t{i}": rng.normal(size=(48, 1)) + noise * rng.normal(size=(48, n_fits)) + 3.0 * np.arange(48)[:, None]
        for i in range(60)
    }
    # Far apart means do not tie the tasks: their common part is taken away.
    common = {name: losses - 3.0 * np.arange(48)[:, None] for name, losses in tasks.items()}
    expected = n_fits / (n_fits + noise**2)
    assert np.mean(list(reliabilities(common).values())) == pytest.approx(expected, abs=0.06)
    assert np.mean(list(reliabilities(tasks).values())) < expected


def test_reliability__without_signal_or_fits() -> None:
    rng = np.random.default_rng(0)
    noise = {f"t{i}": rng.normal(size=(48, 4)) for i in range(30)}
    assert abs(np.mean(list(reliabilities(noise).values()))) < 0.1
    few = reliabilities(
        {
            "one fit": np.ones((9, 1)),
            "failed": np.full((9, 4), np.nan),
            "none": np.ones((9, 0)),
            "tied": np.ones((9, 4)),
        }
    )
    assert np.isnan([few["one fit"], few["failed"], few["none"]]).all()
    assert few["tied"] == 0.0


def test_fits_needed__is_the_inverse_of_spearman_and_brown() -> None:
    assert fits_needed(0.75, 4, 0.9) == 12
    assert fits_needed(0.95, 4, 0.9) == 4
    assert fits_needed(float("nan"), 2, 0.9) == fits_needed(-0.3, 2, 0.9) == fits_needed(0.05, 2, 0.9)


# --- repeats --------------------------------------------------------------------------------------------------------


def losses(kind: str, values: list[float]) -> dict[str, list[float]]:
    return dict.fromkeys(metric_names("regression" if kind == "regression" else "classification"), values)


def noisy_run(folder: Path, calls: list[int]):  # type: ignore[no-untyped-def]
    """Records the pending trials of a plan: `s0` has clear ranks, `s1` only noise and one failing configuration."""

    def run(plan: Plan) -> None:
        plan.save(folder / PLAN_FILE)
        store = TrialStore(folder)
        pending = list(plan.pending(set(store.identities())))
        calls.append(len(pending))
        trials = []
        for key in pending:
            place = plan.designs["classification"]["linear"].index(key.configuration)
            rng = np.random.default_rng([place, key.seed])
            level = 0.01 * place if key.task == "s0" else 0.5
            scale = 1e-4 if key.task == "s0" else 0.1
            if key.task == "s1" and place == 2:
                trials.append(Trial(key, TrialStatus.TIMEOUT, message="stopped after 1 s"))
            else:
                values = list(level + scale * rng.standard_normal(4))
                trials.append(Trial(key, TrialStatus.SUCCESS, losses("classification", values), [1.0] * 4))
        store.append(trials)

    return run


def test_repeats__are_added_to_noisy_tasks_alone_and_failures_are_not_repeated(
    small_cache: Path, tmp_path: Path
) -> None:
    plan = make_plan(small_cache, keys=["s0", "s1"], learners=["linear"], n_configurations=8)
    calls: list[int] = []
    done = run_until_reliable(plan, tmp_path, noisy_run(tmp_path, calls), wave=1)
    assert calls == [8, 8, 2 * 7]  # a wave a task; the second task gets the two repeats that make it 12 fits
    tasks = {task.key: task for task in done.tasks}
    assert done.n_repeats("linear", tasks["s0"]) == 1
    assert done.n_repeats("linear", tasks["s1"]) == 3
    assert done.opened is None
    assert done.n_trials == len(list(done.trials())) == 8 + 8 + 14
    assert not list(done.pending(set(TrialStore(tmp_path).identities())))
    matrices = shared_design_losses(done, tmp_path)["classification", "linear"]
    assert matrices["s0"].shape == (8, 4)
    assert matrices["s1"].shape == (8, 12)
    assert np.flatnonzero(np.isnan(matrices["s1"]).any(axis=1)).tolist() == [2]
    # Started again, nothing runs.
    calls.clear()
    run_until_reliable(plan.with_progress_of(Plan.load(tmp_path / PLAN_FILE)), tmp_path, noisy_run(tmp_path, calls), 1)
    assert sum(calls) == 0
    assert with_more_repeats(done, tmp_path) is None


def test_repeats__a_task_that_owes_trials_is_left_as_it_is(small_cache: Path, tmp_path: Path) -> None:
    plan = make_plan(small_cache, keys=["s1"], learners=["linear"], n_configurations=8)
    keys = list(plan.trials())
    TrialStore(tmp_path).append(
        Trial(key, TrialStatus.SUCCESS, losses("classification", [0.1, 0.2, 0.3, 0.4]), [1.0] * 4) for key in keys[1:]
    )
    assert with_more_repeats(plan, tmp_path) is None


# --- stores and plans of other rules --------------------------------------------------------------------------------


def test_another_protocol_is_refused_with_the_reason(small_cache: Path, tmp_path: Path) -> None:
    plan = make_plan(small_cache, keys=["s0"], learners=["linear"], n_configurations=2)
    old = tmp_path / "old"
    key = replace(next(plan.trials()), protocol="v1-cv3-rows2000")
    TrialStore(old).append([Trial(key, TrialStatus.SUCCESS, losses("classification", [0.1, 0.2, 0.3]), [1.0] * 3)])
    with pytest.raises(OtherProtocolError, match=r"holds trials of protocol v1-cv3-rows2000.*in another folder"):
        run_plan(plan, old, n_jobs=1)
    (tmp_path / PLAN_FILE).write_text('{"cache": "c", "tasks": [], "learners": [], "designs": {}, "protocol": {}}')
    with pytest.raises(OtherProtocolError, match=r"plan of version 1, and this metahpo runs version 2"):
        run_plan(plan, tmp_path, n_jobs=1)
    Plan.save(plan, tmp_path / PLAN_FILE)
    with pytest.raises(OtherProtocolError, match="started under protocol v2-cv4"):
        run_plan(replace(plan, protocol=Protocol(n_folds=2)), tmp_path, n_jobs=1)


def test_other_sizes_are_refused_where_tasks_would_be_lost(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(2400.0), "target": np.arange(2400) % 2})
    about = {"name": "d", "kind": "classification", "n_rows": 2400, "n_features": 1, "n_classes": 2}
    write_task(tmp_path / "cache", "d", frame, "target", about)
    small, both = (
        make_plan(tmp_path / "cache", learners=["linear"], n_configurations=2, sizes=sizes)
        for sizes in ([300], [300, 1200])
    )
    assert [task.key for task in both.tasks] == ["d@300", "d@1200"]
    assert both.with_progress_of(small).tasks == both.tasks
    with pytest.raises(OtherProtocolError, match=r"1 of its tasks, such as 'd@1200'"):
        small.with_progress_of(both)
    with pytest.raises(DataError, match="has the rows for a task of the sizes"):
        make_plan(tmp_path / "cache", sizes=[20000])
    with pytest.raises(DataError, match="sizes are numbers of rows"):
        make_plan(tmp_path / "cache", sizes=[0])
