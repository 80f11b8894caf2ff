"""Training of all models of a meta-dataset: the same files from one process and from several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

from metahpo.exceptions import ArtefactError, UnknownNameError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.fitting.release_training import train_release
from metahpo.surrogates.fitting.training import TrainingSettings

SETTINGS = TrainingSettings(n_reference=30, kernel_steps=20, component_steps=10, batch_trials=12)


def files(folder: Path) -> dict[str, bytes]:
    """Content of every model in a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for room in ("surrogates", "improvements", "costs")
        for path in sorted((folder / room).glob("*"))
    }


def test_train_release__files_do_not_depend_on_processes(built_meta_dataset: MetaDataset, tmp_path: Path) -> None:
    found = {}
    for n_jobs in (1, 2):
        folder = tmp_path / str(n_jobs) / "small"
        built_meta_dataset.save(folder)
        trained = list(train_release(folder, settings=SETTINGS, random_state=3, n_jobs=n_jobs))
        assert {one.space for one in trained} == {"linear", "svm", "all"}
        assert all(one.path.is_file() for one in trained)
        found[n_jobs] = files(folder)
    assert len(found[1]) >= 6
    assert found[1] == found[2]


def test_train_release__tells_validations_of_other_processes(toy: MetaDataset, tmp_path: Path) -> None:
    toy.save(tmp_path / "toy")
    settings = replace(SETTINGS, validation_share=0.3)
    kept = tmp_path / "kept"
    metrics = [toy.metrics[0]]
    trained = list(
        train_release(tmp_path / "toy", ["toy", "all"], metrics, settings=settings, checkpoints=kept, n_jobs=2)
    )
    assert all(one.validations[-1].stage == "components" for one in trained)
    assert list(kept.iterdir()) == []


def test_train_release__leaves_the_threads_of_the_caller(toy: MetaDataset, tmp_path: Path) -> None:
    toy.save(tmp_path / "toy")
    before = [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]
    list(train_release(tmp_path / "toy", ["toy"], settings=SETTINGS, n_jobs=1))
    after = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
    assert [(path, after[path]) for path, _ in before] == before


def test_train_release__names_are_checked_before_anything_is_trained(toy: MetaDataset, tmp_path: Path) -> None:
    toy.save(tmp_path / "toy")
    with pytest.raises(UnknownNameError, match="unknown search space 'nonsense'; known are: toy"):
        next(train_release(tmp_path / "toy", ["toy", "nonsense"], settings=SETTINGS, n_jobs=1))
    with pytest.raises(UnknownNameError, match="unknown recorded metric 'speed'"):
        next(train_release(tmp_path / "toy", ["toy"], ["r2", "speed"], settings=SETTINGS, n_jobs=1))
    assert not files(tmp_path / "toy")


def test_train_release__error_of_another_process_is_told(toy: MetaDataset, tmp_path: Path) -> None:
    toy.save(tmp_path / "toy")
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "all.r2.checkpoint").write_bytes(b"nonsense")
    with pytest.raises(ArtefactError, match="no checkpoint, or damaged"):
        list(train_release(tmp_path / "toy", ["toy", "all"], settings=SETTINGS, checkpoints=kept, n_jobs=2))
