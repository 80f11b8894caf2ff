"""From a build to a meta-dataset: learning curves come along where learners have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metahpo.building.assembly import assemble
from metahpo.building.builder import run_plan
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.meta_dataset import MetaDataset
from metahpo.trials.store import TrialStore


@pytest.fixture(scope="module")
def networks(small_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished build of linear models and networks over three datasets, one to regress."""
    folder = tmp_path_factory.mktemp("networks")
    plan = make_plan(
        small_cache,
        keys=["s0", "s1", "s4"],
        learners=["linear", "mlp"],
        n_configurations=2,
        protocol=Protocol(n_folds=2),
    )
    run_plan(plan, folder, n_jobs=1)
    return folder


@pytest.mark.parametrize(("kind", "followed"), [("regression", "r2"), ("classification", "validation_loss")])
def test_learning_curves__of_the_default_metric_or_what_was_minimised(
    networks: Path, tmp_path: Path, kind: str, followed: str
) -> None:
    md = assemble(networks, "regression" if kind == "regression" else "classification", name="networks", n_jobs=1)
    keys = set(md.tasks["key"])
    recorded = [t for t in TrialStore(networks) if t.key.task in keys and t.key.learner == "mlp"]
    expected = sorted(tuple(t.learning_curve[followed]) for t in recorded)
    md.save(tmp_path / "networks")
    for meta_dataset in (md, MetaDataset.load(tmp_path / "networks")):
        curves = meta_dataset.learning_curves("mlp")
        assert list(curves) == list(md.tasks.index)
        assert sorted(tuple(c.tolist()) for own in curves.values() for c in own) == expected
        assert all(own == [] for own in meta_dataset.learning_curves("linear").values())
        assert sum(map(len, meta_dataset.learning_curves().values())) == len(expected)


def test_learning_curves__where_none_was_recorded_there_is_no_column(
    networks: Path, built_meta_dataset: MetaDataset, tmp_path: Path
) -> None:
    assert "learning_curve" not in built_meta_dataset.trials.columns
    assert built_meta_dataset.learning_curves("svm") == {}
    both = built_meta_dataset.merge(assemble(networks, "classification", name="networks", n_jobs=1))
    both.save(tmp_path / "both")
    curves = MetaDataset.load(tmp_path / "both").learning_curves()
    assert sorted(len(own) for own in curves.values()) == [0, 0, 2, 2]
    assert all(np.isfinite(curve).all() for own in curves.values() for curve in own)
