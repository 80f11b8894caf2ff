"""Trials that train at once: what each records, how a build of them goes on, and what becomes of those that fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metahpo.building.builder import run_plan
from metahpo.building.measurement import DivergedError, Measuring
from metahpo.building.plan import Plan
from metahpo.building.planning import make_plan, trained_together
from metahpo.building.protocol import Protocol
from metahpo.building.trial_batches import MAX_BATCH, Pace, in_batches
from metahpo.building.trial_process import Limits, TrialProcess
from metahpo.datasets.cache import read_task
from metahpo.exceptions import DataError
from metahpo.learners.registry import CLASSICAL, learner_named
from metahpo.space.activity import default_configuration
from metahpo.space.configuration import Configuration
from metahpo.trials.records import TaskRefusal
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

PROTOCOL = Protocol(n_folds=2)
LOG_LOSS = "neg_log_loss"


def key(task: str = "s0", learner: str = "mlp", fidelity: float = 1.0, **configuration: Any) -> TrialKey:
    return TrialKey(task, learner, configuration, PROTOCOL.name, fidelity=fidelity)


def network(kind: str = "classification", **changed: Any) -> Configuration:
    """A small configuration, quickly trained."""
    space = learner_named("mlp", "regression" if kind == "regression" else "classification").space
    small = {"epochs": 6, "width": 16, "depth": 1}
    return {k: v for k, v in (default_configuration(space) | small | changed).items() if k != "residual"}


def wild() -> Configuration:
    """A configuration that diverges on any regression task."""
    return network("regression", optimiser="sgd", learning_rate=1e8, activation="relu", schedule="constant")


def measured(process: TrialProcess, keys: list[TrialKey]) -> list[Trial]:
    trials = process.run(keys)
    assert isinstance(trials, list)
    assert [trial.key for trial in trials] == keys
    return trials


@pytest.fixture(scope="module")
def process(small_cache: Path) -> Iterator[TrialProcess]:
    """One process for many tests: it takes seconds to start, and starts again by itself where it has died."""
    process = TrialProcess(small_cache, PROTOCOL, Limits(seconds=120.0))
    yield process
    process.close()


def test_every_trial_records_its_curve_its_seconds_and_what_it_ran_on(process: TrialProcess) -> None:
    keys = [key(**network(width=width, epochs=epochs)) for width, epochs in ((8, 4), (16, 6), (24, 6))]
    for trial in measured(process, keys):
        assert (trial.status, trial.message, trial.device) == (TrialStatus.SUCCESS, "", "cpu")
        assert process._child is not None  # a learner of ours leaves nothing behind for which it would be replaced
        epochs = trial.key.configuration["epochs"]
        assert {name: len(curve) for name, curve in trial.learning_curve.items()} == dict.fromkeys(
            ("train_loss", "validation_loss", "accuracy"), epochs
        )
        assert trial.learning_curve["train_loss"][-1] < trial.learning_curve["train_loss"][0]
        # The curve ends at what was measured of the trained network, on the same rows.
        assert trial.learning_curve["validation_loss"][-1] == pytest.approx(trial.loss(LOG_LOSS), abs=1e-4)
        assert trial.learning_curve["accuracy"][-1] == pytest.approx(trial.loss("accuracy"), abs=1e-4)
        assert "torch" in trial.versions
        assert len(trial.fit_seconds) == len(trial.predict_seconds) == 2
        assert 0.0 < sum(trial.fit_seconds) <= trial.seconds
    assert "torch" not in measured(process, [key(learner="linear")])[0].versions


def test_a_trial_of_a_smaller_fidelity_trains_for_fewer_epochs(process: TrialProcess) -> None:
    half, whole = measured(process, [key(**network(), fidelity=0.5), key(**network())])
    assert len(half.learning_curve["train_loss"]) == 3
    assert len(whole.learning_curve["train_loss"]) == 6
    assert half.key.identity != whole.key.identity
    learner = learner_named("mlp", "regression")
    assert learner.at_fidelity({"epochs": 5}, 0.01) == {"epochs": 1}
    with pytest.raises(DataError, match="fidelity must be 1 for 'svm'"):
        learner_named("svm", "regression").at_fidelity({}, 0.5)


def test_a_diverging_configuration_is_recorded_as_such_and_hinders_no_other(process: TrialProcess) -> None:
    calm = [key("s4", **network("regression", width=width)) for width in (8, 16)]
    first, bad, last = measured(process, [calm[0], key("s4", **wild()), calm[1]])
    assert bad.status is TrialStatus.DIVERGED
    assert "training diverged in epoch" in bad.message
    assert not bad.fold_losses
    assert len(bad.learning_curve["train_loss"]) < 6
    for beside, alone in zip((first, last), measured(process, calm), strict=True):
        assert beside.status is TrialStatus.SUCCESS
        assert beside.loss("r2") == pytest.approx(alone.loss("r2"), abs=1e-3)


@pytest.mark.filterwarnings("ignore:training diverged")
def test_measuring_one_gives_what_measuring_together_gives(small_cache: Path) -> None:
    measuring = Measuring(PROTOCOL.prepare(read_task(small_cache, "s4")), PROTOCOL)
    learner = learner_named("mlp", "regression")
    together = measuring.measure_together(learner, [network("regression"), wild()])
    alone = measuring.measure(learner, network("regression"))
    np.testing.assert_allclose(together[0].fold_losses["r2"], alone.fold_losses["r2"], atol=1e-3)
    with pytest.raises(DivergedError, match="training diverged in epoch"):
        measuring.measure(learner, wild())


def test_a_faulty_configuration_ends_alone(process: TrialProcess) -> None:
    widths = (8, -1, 16, 2_000_000)
    keys = [key(**network(width=width, depth=2)) for width in widths]
    measured(process, keys[:1])
    child = process._child
    measured(process, keys[:2])
    assert process._child is child  # what is invalid is refused before it can leave anything behind
    trials = measured(process, keys)
    assert [str(t.status) for t in trials] == ["success", "invalid", "success", "out_of_memory"]
    assert "The 'width' parameter of NetworkClassifier must be" in trials[1].message
    assert "does not fit into memory" in trials[3].message


@pytest.fixture(scope="module")
def planted(small_cache: Path) -> Iterator[TrialProcess]:
    """A process that finds the learners that misbehave."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    process = TrialProcess(small_cache, PROTOCOL, Limits(seconds=120.0), {"PYTHONPATH": path})
    yield process
    process.close()


def misbehaving(amount: float) -> TrialKey:
    return key(learner="planted:misbehave_together", amount=amount)


def test_the_memory_limit_and_a_dying_process_end_only_those_at_fault(planted: TrialProcess) -> None:
    planted.limits = Limits(seconds=120.0, memory_bytes=900 << 20)
    trials = measured(planted, [misbehaving(amount) for amount in (2000.0, 0.0, 1.0)])
    assert [str(t.status) for t in trials] == ["out_of_memory", "success", "crashed"]
    assert "the limit is 900 MiB" in trials[0].message
    assert "SIGSEGV" in trials[2].message


def test_limits_hold_for_each_of_them(planted: TrialProcess) -> None:
    """One sleeps for longer than both may take, beside one that does nothing."""
    planted.limits = Limits(seconds=1.0)
    quick, stopped = measured(planted, [misbehaving(0.0), misbehaving(0.5)])
    assert quick.status is TrialStatus.SUCCESS
    assert (stopped.status, stopped.message) == (TrialStatus.TIMEOUT, "stopped after 1 s")


def test_a_task_that_cannot_be_measured_is_refused_for_all(process: TrialProcess) -> None:
    assert isinstance(process.run([key("s9"), key("s9", width=8)]), TaskRefusal)


def plan_of(cache: Path, n_configurations: int) -> Plan:
    return make_plan(
        cache, keys=["s0", "s4"], learners=["mlp", "linear"], n_configurations=n_configurations, protocol=PROTOCOL
    )


def test_a_build_of_networks_goes_on_where_it_was(process: TrialProcess, small_cache: Path, tmp_path: Path) -> None:
    run_plan(plan_of(small_cache, 1), tmp_path, n_jobs=1, limits=process.limits)
    before = {trial.key.identity: trial.to_json() for trial in TrialStore(tmp_path)}
    assert len(before) == 4
    plan = plan_of(small_cache, 3)
    run_plan(plan, tmp_path, n_jobs=1, limits=process.limits)
    after = {trial.key.identity: trial for trial in TrialStore(tmp_path)}
    assert len(after) == plan.n_trials == 12
    assert all(after[identity].to_json() == line for identity, line in before.items())  # nothing ran twice
    assert {bool(trial.learning_curve) for trial in after.values() if trial.key.learner == "mlp"} == {True}
    chosen = [k for k in plan.trials() if k.learner == "mlp" and k.task == "s0"]
    for one in chosen[-2:]:
        alone, recorded = measured(process, [one])[0], after[one.identity]
        assert alone.status == recorded.status
        assert alone.loss("accuracy") == pytest.approx(recorded.loss("accuracy"), abs=0.03)


def test_batches_of_networks_are_as_large_as_they_may_be(small_cache: Path) -> None:
    plan = plan_of(small_cache, 70)
    assert trained_together(plan) == {"mlp"}
    sizes = [(b[0].learner, len(b)) for b in in_batches(plan.trials(), Pace(trained_together(plan)))]
    assert sizes[:2] == [("mlp", MAX_BATCH), ("mlp", 70 - MAX_BATCH)]
    assert {size for learner, size in sizes if learner == "linear"} == {1}


def test_a_plan_that_names_no_learner_is_of_the_classical_ones(small_cache: Path) -> None:
    assert make_plan(small_cache, keys=["s0"]).learners == CLASSICAL
