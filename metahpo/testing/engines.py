"""The contract of an engine: a subclass gives the fixture `engine` and inherits the tests.

They run a build of six short trials, which takes some seconds. The engine must see the folders that pytest makes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metahpo.building.builder import run_plan
from metahpo.building.engines.engine import Engine
from metahpo.building.engines.local import LocalEngine
from metahpo.building.plan import Plan
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.datasets.cache import write_task
from metahpo.trials.store import TrialStore


def small_plan(cache: Path) -> Plan:
    """A build of three trials on each of two small datasets, which are written to the folder `cache`."""
    rng = np.random.default_rng(0)
    for kind in ("classification", "regression"):
        X = pd.DataFrame(rng.standard_normal((80, 3)), columns=["a", "b", "c"])
        signal = X["a"] + 0.3 * rng.standard_normal(80)
        target = signal if kind == "regression" else np.where(signal > 0, "yes", "no")
        about: dict[str, object] = {
            "name": kind,
            "kind": kind,
            "family": kind,
            "n_rows": 80,
            "n_features": 3,
            "n_classes": None if kind == "regression" else 2,
            "categorical": [],
        }
        write_task(cache, kind, X.assign(target=target), "target", about)
    return make_plan(cache, learners=["linear"], n_configurations=3, protocol=Protocol(n_folds=2), min_rows=50)


def losses_in(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Identity of each recorded trial -> its losses."""
    return {t.key.identity: {m: list(losses) for m, losses in t.fold_losses.items()} for t in TrialStore(folder)}


class EngineContract:
    """Contract of :class:`metahpo.building.engines.engine.Engine`; give the fixture ``engine``."""

    @pytest.fixture
    def engine(self) -> Engine:
        """The engine under test."""
        raise NotImplementedError

    def test_gives_the_store_that_one_process_gives_and_runs_no_trial_twice(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        (tmp_path / "cache").mkdir()
        plan = small_plan(tmp_path / "cache")
        run_plan(plan, tmp_path / "build", engine=engine)
        found = losses_in(tmp_path / "build")
        assert found.keys() == {key.identity for key in plan.trials()}
        run_plan(plan, tmp_path / "build", engine=engine)
        assert len(list(TrialStore(tmp_path / "build"))) == len(found)
        run_plan(plan, tmp_path / "expected", engine=LocalEngine(1))
        assert found == losses_in(tmp_path / "expected")
