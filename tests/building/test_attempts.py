"""A trial that ends its worker every time is recorded as crashed, and the trials beside it are not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from metahpo.building import builder
from metahpo.building.attempts import MAX_STARTS, Attempts
from metahpo.building.builder import run_plan
from metahpo.building.claims import claims_of
from metahpo.building.engines.engine import WorkersLostError
from metahpo.building.engines.local import LocalEngine
from metahpo.building.plan import Plan
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.building.worker import Outcome, Workplace
from metahpo.exceptions import StoreError
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

PROTOCOL = Protocol(n_folds=2)
PLANTED = "planted:kill_worker"


def plan_of(cache: Path, learners: list[str], n_configurations: int) -> Plan:
    return make_plan(cache, keys=["s0"], learners=learners, n_configurations=n_configurations, protocol=PROTOCOL)


def statuses(folder: Path) -> dict[str, str]:
    return {trial.key.identity: str(trial.status) for trial in TrialStore(folder)}


def test_a_learner_that_kills_its_worker_is_recorded_and_the_build_goes_on(
    small_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    monkeypatch.setattr(builder, "MAX_STARTS", 2)  # each start takes seconds
    plan = plan_of(small_cache, [PLANTED, "linear"], 1)
    run_plan(plan, tmp_path, engine=LocalEngine(1, apart=True))
    found = {trial.key.learner: trial for trial in TrialStore(tmp_path)}
    assert found["linear"].status is TrialStatus.SUCCESS
    assert found[PLANTED].status is TrialStatus.CRASHED
    assert "the worker that ran it was killed" in found[PLANTED].message
    assert Attempts(tmp_path).starts() == {}


class Fragile:
    """An engine without processes: two trials run side by side, and one of those at fault ends both."""

    def __init__(self, at_fault: set[str]) -> None:
        self.at_fault, self.n_lost = at_fault, 0

    def run(self, batches: Iterator[list[TrialKey]], place: Workplace) -> Iterator[Outcome]:
        attempts, store = Attempts(place.folder), TrialStore(place.folder)
        while pair := [key for batch in islice(batches, 2) for key in batch]:
            attempts.begin(pair)
            if any(key.identity in self.at_fault for key in pair):
                self.n_lost += 1
                raise WorkersLostError("a worker was killed")
            store.append([Trial(key, TrialStatus.SUCCESS, {"error": [0.5, 0.5]}) for key in pair])
            attempts.end(pair)
            yield Outcome(pair[0].learner, len(pair), 0, 0, 0.1)


@pytest.mark.parametrize("n_at_fault", [1, 3])
def test_trials_beside_one_at_fault_are_acquitted(small_cache: Path, tmp_path: Path, n_at_fault: int) -> None:
    plan = plan_of(small_cache, ["linear"], 8)
    keys = [key.identity for key in plan.trials()]
    engine = Fragile(set(keys[3 : 3 + n_at_fault]))
    run_plan(plan, tmp_path, engine=engine)
    assert statuses(tmp_path) == {i: "crashed" if i in engine.at_fault else "success" for i in keys}
    assert engine.n_lost <= MAX_STARTS * n_at_fault
    assert Attempts(tmp_path).starts() == {}


def test_a_trial_that_another_driver_is_running_is_no_suspect(small_cache: Path, tmp_path: Path) -> None:
    plan = plan_of(small_cache, ["linear"], 2)
    elsewhere, own = plan.trials()
    for _ in range(MAX_STARTS):
        Attempts(tmp_path).begin([elsewhere])
    assert claims_of(tmp_path).take(elsewhere.identity)
    try:

        class OneTrial(Fragile):
            def run(self, batches: Iterator[list[TrialKey]], place: Workplace) -> Iterator[Outcome]:
                list(batches)
                return super().run(iter([[own]]), place)

        run_plan(plan, tmp_path, engine=OneTrial(set()))
    finally:
        claims_of(tmp_path).release(elsewhere.identity)
    assert statuses(tmp_path) == {own.identity: "success"}


def test_a_folder_that_is_gone_is_named_with_the_next_step(tmp_path: Path) -> None:
    key = TrialKey("task", "learner", {"alpha": 1.0}, "protocol", 0)
    with pytest.raises(StoreError, match=r"gone.*mend the folder"):
        Attempts(tmp_path / "gone").begin([key])
    Attempts(tmp_path / "gone").end([key])
