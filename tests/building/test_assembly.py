"""From a build to a meta-dataset: learning curves come along where learners have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metahpo.building.assembly import BITS_OF_LOSS, assemble
from metahpo.building.builder import run_plan
from metahpo.building.learnability import cross_validated_best
from metahpo.building.plan import PLAN_FILE, Plan
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.building.publication import publish
from metahpo.building.trial_process import Limits
from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.numerics.rounding import rounded
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialStatus


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
    run_plan(plan, folder, n_jobs=1, limits=Limits(seconds=600.0))  # the first network may have to be compiled
    return folder


@pytest.mark.parametrize(("kind", "followed"), [("regression", "r2"), ("classification", "validation_loss")])
def test_learning_curves__of_the_default_metric_or_what_was_minimised(
    networks: Path, tmp_path: Path, kind: str, followed: str
) -> None:
    md = assemble(networks, "regression" if kind == "regression" else "classification", name="networks", n_jobs=1)
    keys = set(md.tasks["key"])
    recorded = [t for t in TrialStore(networks) if t.key.task in keys and t.key.learner == "mlp"]
    expected = sorted(tuple(rounded(t.learning_curve[followed], BITS_OF_LOSS).tolist()) for t in recorded)
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
    assert sorted(len(own) for own in curves.values()) == [2, 2]  # only its tasks were measured with a second learner
    assert all(np.isfinite(curve).all() for own in curves.values() for curve in own)


def test_what_is_published_is_what_is_assembled_whatever_is_read_at_a_time(
    built: Path, built_meta_dataset: MetaDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metahpo.building.assembly.TRIALS_AT_A_TIME", 15)  # a task has twelve
    published = publish(built, "classification", tmp_path / "small", min_skill=-9.0, n_jobs=1)
    assert str(published) == "released 'small': 4 tasks, 48 trials"
    loaded = MetaDataset.load(tmp_path / "small")
    pd.testing.assert_frame_equal(loaded.tasks, built_meta_dataset.tasks, check_dtype=False)
    assert loaded.meta_features is not None
    assert built_meta_dataset.meta_features is not None
    pd.testing.assert_frame_equal(loaded.meta_features, built_meta_dataset.meta_features)
    columns = [c for c in map(str, built_meta_dataset.trials.columns) if not c.startswith("folds.")]
    pd.testing.assert_frame_equal(loaded.trials[columns], built_meta_dataset.trials[columns], check_dtype=False)
    for task, folds in built_meta_dataset.fold_losses().items():
        np.testing.assert_array_equal(loaded.fold_losses()[task], folds)
    assert loaded.spaces == built_meta_dataset.spaces
    assert loaded.protocol == built_meta_dataset.protocol


def test_tasks_that_cannot_be_learnt_are_left_out_and_an_older_release_stays_where_none_can(
    built: Path, built_meta_dataset: MetaDataset, tmp_path: Path
) -> None:
    folds = built_meta_dataset.fold_losses(None, "balanced_accuracy")
    skills = {task: 1.0 - cross_validated_best(losses) / 0.5 for task, losses in folds.items()}
    worst = min(skills, key=lambda task: skills[task])
    published = publish(built, "classification", tmp_path / "some", min_skill=skills[worst] + 1e-9, n_jobs=1)
    assert published.left_out == {worst: pytest.approx(skills[worst])}
    assert (published.n_tasks, published.n_trials) == (3, 36)
    before = {path.name: path.read_bytes() for path in (tmp_path / "some").iterdir()}
    with pytest.raises(DataError, match="nothing is left to release"):
        publish(built, "classification", tmp_path / "some", min_skill=2.0, n_jobs=1)
    assert before.items() <= {path.name: path.read_bytes() for path in (tmp_path / "some").iterdir()}.items()


def test_half_a_character_in_a_message_does_not_stop_a_release(small_cache: Path, built: Path, tmp_path: Path) -> None:
    plan = Plan.load(built / PLAN_FILE)
    plan.save(tmp_path / PLAN_FILE)
    store = TrialStore(tmp_path)
    store.append(Trial(key, TrialStatus.CRASHED, message="half \ud800") for key in plan.trials())
    publish(tmp_path, "regression", tmp_path / "out", n_jobs=1)
    assert set(MetaDataset.load(tmp_path / "out").trials["message"]) == {"half \\ud800"}
