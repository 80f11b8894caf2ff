"""Stored surrogates: self-describing, small, and refused when anything is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from metahpo.exceptions import ArtefactError, StoreError
from metahpo.surrogates.artefact import load_surrogate, surrogate_path
from metahpo.surrogates.fitting.training import train_on_tables
from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate
from tests.surrogates.recorded_world import QUICK, world


@pytest.fixture(scope="module")
def trained() -> MetaLearnedSurrogate:
    return train_on_tables(
        world(6), space_name="bowls", metric="r2", meta_dataset="world 1", random_state=7, settings=QUICK
    )


@pytest.fixture(scope="module")
def stored(trained: MetaLearnedSurrogate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("surrogates") / "bowls.safetensors"
    trained.save(path)
    return path


def header_of(path: Path) -> dict[str, object]:
    with safe_open(path, framework="pt") as file:
        header: dict[str, object] = json.loads(file.metadata()["metahpo"])
    return header


def rewrite(source: Path, target: Path, changes: dict[str, object], drop: str = "") -> None:
    tensors = load_file(source)
    tensors.pop(drop, None)
    save_file(tensors, target, metadata={"metahpo": json.dumps(header_of(source) | changes)})


def test_the_header_tells_what_it_is(stored: Path) -> None:
    header = header_of(stored)
    assert header["space_name"] == "bowls"
    assert header["metric"] == "r2"
    assert header["tasks"] == [f"task{i}" for i in range(6)]
    assert header["families"] == [f"task{i}" for i in range(6)]
    assert header["meta_feature_names"] == ["where", "noise", "sometimes"]
    assert header["meta_dataset"] == "world 1"
    assert header["random_state"] == 7
    assert header["format_version"] == 2
    for part in ("kind", "space", "versions", "settings", "calibration"):
        assert header[part]


def test_it_is_small_and_readable_by_others(stored: Path) -> None:
    assert stored.stat().st_size < 100_000
    assert list(stored.parent.iterdir()) == [stored]  # nothing temporary is left


def test_loading_gives_back_what_was_saved(stored: Path) -> None:
    loaded = load_surrogate(stored)
    weights = loaded.task_weights(meta_features={"where": 0.2})
    assert set(weights) == {f"task{i}" for i in range(6)}
    assert np.isfinite(loaded.posterior(np.full((2, 3), 0.5)).mean).all()


def test_a_loaded_surrogate_predicts_exactly_what_the_trained_one_does(
    stored: Path, trained: MetaLearnedSurrogate
) -> None:
    loaded, rng = load_surrogate(stored), np.random.default_rng(0)
    rows, seen = rng.random((20, 3)), (rng.random((3, 3)), np.array([0.3, 0.1, 0.2]))
    for meta_features in (None, {"where": 0.2}, {"where": 0.2, "noise": 1 / 3}):
        for observed in (None, seen):
            of_loaded, of_trained = (s.posterior(rows, observed, meta_features) for s in (loaded, trained))
            np.testing.assert_array_equal(of_loaded.mixture_mean(), of_trained.mixture_mean())
            np.testing.assert_array_equal(of_loaded.std, of_trained.std)


def test_a_file_in_full_precision_is_read_too(stored: Path, trained: MetaLearnedSurrogate, tmp_path: Path) -> None:
    tensors = load_file(stored)
    wide = {name: t.double() if name.startswith("similarity") else t.float() for name, t in tensors.items()}
    wide["reference"] = tensors["reference"].double()
    wide["similarity.values"] *= 1.0 + 1e-5
    save_file(wide, tmp_path / "wide", metadata={"metahpo": json.dumps(header_of(stored))})
    rows = np.random.default_rng(0).random((20, 3))
    found = load_surrogate(tmp_path / "wide").posterior(rows, None, {"where": 0.2}).mixture_mean()
    np.testing.assert_allclose(found, trained.posterior(rows, None, {"where": 0.2}).mixture_mean(), atol=1e-6)


@pytest.mark.parametrize("keep", [0, 7, 100, -10])
def test_a_file_cut_short_is_refused(stored: Path, tmp_path: Path, keep: int) -> None:
    (tmp_path / "cut").write_bytes(stored.read_bytes()[:keep])
    with pytest.raises(ArtefactError, match="cut"):
        load_surrogate(tmp_path / "cut")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no such"):
        load_surrogate(tmp_path / "no such")


def test_tensors_of_someone_else_are_refused(tmp_path: Path) -> None:
    save_file({"weights": torch.ones(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ArtefactError, match="not written by metahpo"):
        load_surrogate(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("change", "message"), [({"format_version": 99}, "layout version 99"), ({"kind": "oracle"}, "'oracle'")]
)
def test_another_layout_or_kind_is_refused(
    stored: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    rewrite(stored, tmp_path / "changed", change)
    with pytest.raises(ArtefactError, match=message):
        load_surrogate(tmp_path / "changed")


def test_columns_are_named_and_others_are_refused(stored: Path, tmp_path: Path) -> None:
    assert header_of(stored)["columns"] == ["x0", "x1", "x2"]
    rewrite(stored, tmp_path / "changed", {"columns": ["x0", "x2", "x1"]})
    with pytest.raises(ArtefactError, match=r"the columns \['x0', 'x2', 'x1'\], but its space \['x0', 'x1', 'x2'\]"):
        load_surrogate(tmp_path / "changed")


@pytest.mark.parametrize("part", ["weights", "kernel.log_noise", "components.slope", "similarity.values"])
def test_a_missing_part_is_refused(stored: Path, tmp_path: Path, part: str) -> None:
    rewrite(stored, tmp_path / "partial", {}, drop=part)
    with pytest.raises(ArtefactError, match="incomplete"):
        load_surrogate(tmp_path / "partial")


def test_a_place_that_cannot_be_written_is_an_error(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        load_surrogate(stored).save(tmp_path / "file" / "surrogate.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"space": None},
        {"space": {"hyperparameters": [{"type": "float"}]}},
        {"meta_feature_names": 7},
        {"meta_feature_names": []},
        {"meta_feature_shrinkage": "x"},
        {"calibration": [1.0]},
        {"calibration": [1.0, -1.0, 1.0]},
        {"tasks": []},
        {"tasks": None},
        {"families": [1, 2, 3, 4, 5, 6]},
        {"metric": None},
        {"versions": None, "format_version": 99},
    ],
    ids=str,
)
def test_a_header_that_does_not_fit_is_refused(stored: Path, tmp_path: Path, change: dict[str, object]) -> None:
    rewrite(stored, tmp_path / "changed", change)
    with pytest.raises(ArtefactError, match="changed"):
        load_surrogate(tmp_path / "changed")


@pytest.mark.parametrize("header", ["{", "[]", "null", "{}", "[" * 100_000, '{"kind": "x", "format_version": 1}'])
def test_a_header_of_nonsense_is_refused(tmp_path: Path, header: str) -> None:
    save_file({"weights": torch.ones(3)}, tmp_path / "odd.safetensors", metadata={"metahpo": header})
    with pytest.raises(ArtefactError, match=r"the header of .*odd.safetensors' is damaged"):
        load_surrogate(tmp_path / "odd.safetensors")


@pytest.mark.parametrize(("space", "metric"), [("../PWNED", "r2"), ("svm", "../../r2"), (".x", "r2"), ("a/b", "r2")])
def test_the_file_of_a_surrogate_stays_in_its_folder(tmp_path: Path, space: str, metric: str) -> None:
    with pytest.raises(ArtefactError, match="expected a plain name"):
        surrogate_path(tmp_path, space, metric)
