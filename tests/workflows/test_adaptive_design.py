"""The adaptive design: trials beyond the shared ones, where other tasks' experience says that they pay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metahpo.building.assembly import assemble
from metahpo.building.builder import run_plan
from metahpo.building.plan import PLAN_FILE, Plan
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.space.activity import canonical
from metahpo.space.configuration import to_json
from metahpo.surrogates.fitting.training import TrainingSettings
from metahpo.trials.store import TrialStore
from metahpo.workflows.adaptive_design import extend_plan, propose

QUICK = TrainingSettings(kernel_steps=20, component_steps=20)


def test_proposals_lie_in_the_good_region_and_are_new(toy: MetaDataset) -> None:
    small, _ = toy.split(0.5)
    proposals = propose(small, 3, QUICK)
    assert list(proposals) == list(small.tasks.index)
    distance, at_random = [], []
    for task, of_task in proposals.items():
        rows = toy.trials[toy.trials["task"] == task]
        (chosen,) = of_task.values()
        texts = [to_json(configuration) for configuration in chosen]
        assert len({*texts, *rows["configuration"]}) == 3 + len(rows)
        assert [canonical(toy.spaces["toy"], configuration) for configuration in chosen] == chosen
        best = np.log10(_rate_of_best(toy, task))
        distance += [abs(np.log10(configuration["rate"]) - best) for configuration in chosen]
        at_random += [abs(rate - best) for rate in np.linspace(-3, 1, 9)]
    assert np.mean(distance) < 0.5 * np.mean(at_random)


def _rate_of_best(md: MetaDataset, task: str) -> float:
    """The toy task's loss is least at 10 ** (shift - 1): see the fixture."""
    assert md.meta_features is not None
    return float(10 ** (md.meta_features["shift"].to_dict()[task] - 1))


def test_a_build_goes_on_with_its_adaptive_design_and_assembly_holds_it(small_cache: Path, tmp_path: Path) -> None:
    keys = ["s0", "s1", "s2", "s3"]
    plan = make_plan(small_cache, keys=keys, learners=["linear"], n_configurations=8, protocol=Protocol(n_folds=2))
    run_plan(plan, tmp_path, n_jobs=1)
    shared = set(TrialStore(tmp_path).identities())
    extended = extend_plan(tmp_path, 2, n_jobs=1, settings=QUICK)
    assert extended.n_trials == 4 * (8 + 2)
    assert {key.identity for key in extended.trials()} > shared
    run_plan(extended, tmp_path, n_jobs=1)
    run_plan(plan, tmp_path, n_jobs=1)  # the command again, without a word of the adaptive design
    assert Plan.load(tmp_path / PLAN_FILE) == extended
    assert len(TrialStore(tmp_path).identities()) == extended.n_trials
    assert extend_plan(tmp_path, 2, n_jobs=1, settings=QUICK) == extended
    md = assemble(tmp_path, "classification", name="with", n_jobs=1)
    assert md.trials.groupby("task").size().tolist() == [10, 10, 10, 10]


def test_a_build_that_has_nothing_to_learn_from_says_so(small_cache: Path, tmp_path: Path) -> None:
    plan = make_plan(small_cache, keys=["s0"], learners=["linear"], n_configurations=3, protocol=Protocol(2))
    run_plan(plan, tmp_path, n_jobs=1)
    with pytest.raises(DataError, match="tasks of two families"):
        extend_plan(tmp_path, 2, n_jobs=1)
    with pytest.raises(DataError, match="k = 0"):
        extend_plan(tmp_path, 0)
