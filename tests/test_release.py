"""A released meta-dataset on disk: damage, gaps and foreign files are found before anything is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metahpo import release
from metahpo.exceptions import ArtefactError, StoreError, UnknownNameError
from metahpo.meta_dataset import MetaDataset


@pytest.fixture
def folder(toy: MetaDataset, tmp_path: Path) -> Path:
    toy.save(tmp_path / "toy")
    return tmp_path / "toy"


def change_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not ...}))


def test_files_are_those_of_the_manifest_and_no_other(folder: Path) -> None:
    names = sorted(p.name for p in folder.iterdir())
    assert names == ["manifest.json", "metafeatures.parquet", "tasks.parquet", "trials.parquet"]
    manifest = release.read_manifest(folder)
    assert {f"{name}.parquet" for name in manifest["files"]} | {"manifest.json"} == set(names)
    assert manifest["files"]["tasks"]["rows"] == 12
    assert manifest["files"]["tasks"]["sha256"] == release.checksum(folder / "tasks.parquet")


def test_equal_content_gives_equal_files(folder: Path, toy: MetaDataset, tmp_path: Path) -> None:
    toy.save(tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("name", ["tasks", "trials", "metafeatures"])
def test_one_changed_bit_is_found(folder: Path, name: str) -> None:
    path = folder / f"{name}.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)
    with pytest.raises(ArtefactError, match=rf"{name}.parquet' is damaged: expected SHA-256 [0-9a-f]+, found"):
        MetaDataset.load(folder)


@pytest.mark.parametrize("name", ["tasks", "trials", "metafeatures"])
def test_a_missing_table_is_named(folder: Path, name: str) -> None:
    (folder / f"{name}.parquet").unlink()
    with pytest.raises(ArtefactError, match=rf"lacks {name}.parquet; install or copy it again"):
        MetaDataset.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "another"}, "is not the manifest of a meta-dataset"),
        ({"format": ...}, "is not the manifest of a meta-dataset"),
        (
            {"format_version": 99},
            "format version 99, this package reads 1 and 2; install the version of metahpo that wrote",
        ),
        ({"spaces": ...}, r"is damaged: it lacks \['spaces'\]"),
        ({"files": ...}, r"is damaged: it lacks \['files'\]"),
        ({"files": {}}, r"lists no table \['tasks', 'trials'\]"),
    ],
)
def test_a_foreign_or_newer_manifest_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    change_manifest(folder, **changes)
    with pytest.raises(ArtefactError, match=message):
        MetaDataset.load(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_an_unreadable_manifest_is_named(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"manifest\.json'"):
        MetaDataset.load(folder)


def test_a_folder_without_a_manifest_or_an_unknown_name_lists_what_ships(tmp_path: Path) -> None:
    for name in (tmp_path, "no-such-meta-dataset"):
        with pytest.raises(UnknownNameError, match=r"unknown meta-dataset .*; known are: .*Give one of these names"):
            MetaDataset.load(name)


def test_what_ships_can_be_located_and_is_whole() -> None:
    for name in release.shipped_names():
        manifest, parts = release.read(release.locate(name))
        assert manifest["name"] == name
        assert {"tasks", "trials"} <= parts.keys()


def test_a_folder_that_cannot_be_written_is_named(toy: MetaDataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="the meta-dataset cannot be written to"):
        toy.save(tmp_path / "file")
