"""A released meta-dataset on disk: damage, gaps and foreign files are found before anything is believed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from metahpo.exceptions import ArtefactError, DataError, StoreError, UnknownNameError
from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.numerics.rounding import rounded


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
    assert names == [
        "configurations.parquet",
        "manifest.json",
        "metafeatures.parquet",
        "tasks.parquet",
        "trials.parquet",
    ]
    manifest = release.read_manifest(folder)
    assert {f"{name}.parquet" for name in manifest["files"]} | {"manifest.json"} == set(names)
    assert manifest["files"]["tasks"]["rows"] == 12
    assert manifest["files"]["tasks"]["sha256"] == release.checksum(folder / "tasks.parquet")


def test_equal_content_gives_equal_files(folder: Path, toy: MetaDataset, tmp_path: Path) -> None:
    toy.save(tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("name", ["tasks", "configurations", "trials", "metafeatures"])
def test_one_changed_bit_is_found(folder: Path, name: str) -> None:
    path = folder / f"{name}.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)
    with pytest.raises(ArtefactError, match=rf"{name}.parquet' is damaged: expected SHA-256 [0-9a-f]+, found"):
        MetaDataset.load(folder)


@pytest.mark.parametrize("name", ["tasks", "configurations", "trials", "metafeatures"])
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
            "format version 99, this package reads 1, 2, 3; install the version of metahpo that wrote",
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


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/secret", "..", ".hidden", "a/b", "a\\b", "", "a\nb", "a\0b", "a" * 300, "\ud800"]
)
@pytest.mark.parametrize("place", ["key", "file", "space"])
def test_names_that_are_not_plain_are_refused(folder: Path, name: str, place: str) -> None:
    for secret in (folder.parent / "secret.parquet", folder.parent / "secret"):
        secret.write_bytes((folder / "tasks.parquet").read_bytes())
    manifest = release.read_manifest(folder)
    files, spaces = manifest["files"], manifest["spaces"]
    if place == "key":
        files[name] = {key: value for key, value in files["tasks"].items() if key != "file"}
    elif place == "file":
        files["tasks"]["file"] = name
    else:
        spaces[name] = spaces["toy"]
    change_manifest(folder, files=files, spaces=spaces)
    with pytest.raises(ArtefactError, match=r"toy.* (is damaged: files: |has search spaces named)"):
        MetaDataset.load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": []},
        {"files": {"tasks": None}},
        {"files": {"tasks": {"sha256": 7}}},
        {"spaces": [1]},
        {"spaces": {"toy": None}},
        {"spaces": {"toy": {"hyperparameters": [{"type": "float"}]}}},
        {"spaces": {}},
        {"name": None},
        {"version": 1},
        {"protocol": []},
        {"format_version": [1]},
        {"format_version": None},
    ],
    ids=str,
)
def test_a_damaged_manifest_is_an_error_that_names_its_folder(folder: Path, changes: dict[str, Any]) -> None:
    change_manifest(folder, **changes)
    with pytest.raises(ArtefactError, match="toy"):
        MetaDataset.load(folder)


def test_a_name_of_a_space_that_cannot_be_loaded_is_not_saved(toy: MetaDataset, tmp_path: Path) -> None:
    spaces = {"../toy": toy.spaces["toy"]}
    other = MetaDataset(toy.tasks, toy.trials.assign(space="../toy"), None, spaces)
    with pytest.raises(ArtefactError, match="expected plain names"):
        other.save(tmp_path / "other")


def test_version_one_without_names_of_files_is_read(folder: Path) -> None:
    files = release.read_manifest(folder)["files"]
    first = {name: {key: entry[key] for key in ("sha256", "rows")} for name, entry in files.items()}
    change_manifest(folder, files=first, format_version=1)
    assert len(MetaDataset.load(folder).tasks) == 12


def test_a_newer_meta_dataset_takes_the_place_of_an_older_one(folder: Path, toy: MetaDataset) -> None:
    smaller = toy.drop(tasks=["task0"])
    for md in (smaller, toy, toy, smaller):
        (folder / ".trials.123.part").write_bytes(b"left by a kill")
        (folder / f"trials-{'0' * 16}.parquet").write_bytes(b"left by a kill")
        md.save(folder)
        assert MetaDataset.load(folder).trials["loss.r2"].equals(md.trials["loss.r2"])
        files = {entry["file"] for entry in release.read_manifest(folder)["files"].values()}
        assert {path.name for path in folder.iterdir()} == files | {"manifest.json"}


def test_a_file_of_the_same_name_that_is_not_of_a_meta_dataset_stays(toy: MetaDataset, tmp_path: Path) -> None:
    (tmp_path / "trials.parquet").write_bytes(b"mine")
    toy.save(tmp_path)
    assert (tmp_path / "trials.parquet").read_bytes() == b"mine"
    assert len(MetaDataset.load(tmp_path).trials) == len(toy.trials)


def test_a_table_that_fails_on_its_way_leaves_the_older_meta_dataset(folder: Path, toy: MetaDataset) -> None:
    def blocks() -> Iterator[pd.DataFrame]:
        yield toy.trials
        raise DataError("no more")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    header = {"name": "x", "version": "1", "protocol": "", "spaces": {}}
    with pytest.raises(DataError, match="no more"):
        release.write(folder, header, [("tasks", [toy.tasks.head(2)]), ("trials", blocks())])
    with pytest.raises(DataError, match="the tasks table cannot be written as Parquet"):
        release.write(folder, header, [("tasks", [pd.DataFrame({"a": [1, "b", {}]})])])
    assert before.items() <= {path.name: path.read_bytes() for path in folder.iterdir()}.items()
    toy.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_blocks_make_one_table_whatever_lists_come_first(tmp_path: Path) -> None:
    first = pd.DataFrame({"a": range(30), "folds.r2": [[]] * 30, "learning_curve": [None] * 30})
    second = pd.DataFrame({"a": range(2), "folds.r2": [[0.5], []], "learning_curve": [[1.0, 0.5], None]})
    header = {"name": "x", "version": "1", "protocol": "", "spaces": {}}
    release.write(tmp_path, header, [("trials", (first if i < 800 else second for i in range(900)))])
    table = release.read(tmp_path)[1]["trials"]
    assert len(table) == 30 * 800 + 2 * 100
    assert table.index.equals(pd.RangeIndex(len(table)))
    assert table["learning_curve"].iloc[-2].tolist() == [1.0, 0.5]
    assert table["folds.r2"].iloc[0].tolist() == []


SAVER = """
import sys
from metahpo.metadata.meta_dataset import MetaDataset

mds = [MetaDataset.load(folder) for folder in sys.argv[2:]]
print("ready", flush=True)
for i in range(10**6):
    mds[i % 2].save(sys.argv[1])
"""


def test_numbers_in_single_precision_come_back_exactly_and_take_little_room(tmp_path: Path) -> None:
    single = np.random.default_rng(0).lognormal(size=2000).astype(np.float32)
    short = rounded(single, 10)
    short[7] = np.nan
    table = pd.DataFrame(
        {
            "task": "a",
            "loss.a": short,
            "folds.a": [*short[1:].reshape(-1, 1), None],
            "n": np.arange(2000),
            "double": single.astype(np.float64),
        }
    )
    release.write(tmp_path, {"name": "x", "version": "1", "protocol": "p", "spaces": {}}, [("trials", [table])])
    back = release.read(tmp_path)[1]["trials"]
    assert back.dtypes.to_dict() == table.dtypes.to_dict()
    for name in ("loss.a", "n", "double"):
        np.testing.assert_array_equal(back[name], table[name])
    np.testing.assert_array_equal(np.concatenate(back["folds.a"][:-1].to_list()), short[1:])
    assert back["folds.a"].iloc[-1] is None
    columns = pq.read_metadata(tmp_path / "trials.parquet").row_group(0)
    sizes = {c.path_in_schema: c.total_compressed_size for c in map(columns.column, range(columns.num_columns))}
    assert sizes["loss.a"] < 2.2 * 2000
    assert sizes["folds.a.list.element"] < 2.2 * 2000


def test_tables_of_another_codec_are_read(folder: Path, toy: MetaDataset) -> None:
    path, manifest = folder / "trials.parquet", release.read_manifest(folder)
    pq.write_table(pq.read_table(path), path, compression="snappy")
    entry = manifest["files"]["trials"] | {"sha256": release.checksum(path)}
    change_manifest(folder, files=manifest["files"] | {"trials": entry})
    pd.testing.assert_frame_equal(MetaDataset.load(folder).trials, toy.trials)


def test_a_kill_while_saving_leaves_the_older_or_the_newer_and_readers_see_no_other(
    folder: Path, toy: MetaDataset, tmp_path: Path
) -> None:
    target = tmp_path / "both"
    toy.drop(tasks=["task0"]).save(tmp_path / "other")
    toy.save(target)
    for seconds in (0.31, 0.47):
        command = [sys.executable, "-c", SAVER, str(target), str(folder), str(tmp_path / "other")]
        saver = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert saver.stdout is not None
            assert saver.stdout.readline() == b"ready\n"
            end = time.monotonic() + seconds
            while time.monotonic() < end:  # beside the writer
                assert len(MetaDataset.load(target).tasks) in (11, 12)
        finally:
            saver.kill()
            saver.communicate()
        assert len(MetaDataset.load(target).tasks) in (11, 12)
    toy.save(target)
    assert len(list(target.iterdir())) == 5  # nothing that a kill has left


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


def test_the_wheel_ships_every_meta_dataset_and_no_parts() -> None:
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    included = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"])
    released = {f"meta_datasets/{path.parent.name}" for path in (root / "meta_datasets").glob("*/manifest.json")}
    assert included == {*released, "meta_datasets/README.md"}
