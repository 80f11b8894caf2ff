"""The dataset cache: what was written comes back; damage, gaps and foreign files are named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metahpo.datasets.cache import (
    cached_keys,
    forget_refusal,
    read_refusals,
    read_sidecar,
    read_task,
    read_tasks,
    verify,
    write_refusal,
    write_task,
)
from metahpo.exceptions import DataError, StoreError
from metahpo.tasks.task import Task

FRAME = pd.DataFrame(
    {
        "size": [1.5, np.nan, 3.0, 4.0],
        "colour": pd.Categorical(["red", None, "blue", "red"]),
        "zip": [8001, 8002, 8001, 8002],
        "class": ["yes", "no", "yes", "no"],
    }
)
ABOUT: dict[str, Any] = {
    "name": "toys",
    "kind": "classification",
    "family": "play",
    "data_id": 7,
    "categorical": ["zip"],
    "licence": "CC0",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_task(tmp_path, "toys", FRAME, "class", ABOUT)
    return tmp_path


def test_a_dataset_comes_back_as_the_task_it_was(folder: Path) -> None:
    task = read_task(folder, "toys")
    direct = Task.from_arrays(FRAME.drop(columns="class"), FRAME["class"], categorical=["zip"])
    pd.testing.assert_frame_equal(task.X, direct.X)
    assert (task.name, task.family, task.data_id, task.kind) == ("toys", "play", 7, "classification")
    assert (task.fingerprint, task.classes) == (direct.fingerprint, ("no", "yes"))
    assert read_sidecar(folder, "toys")["licence"] == "CC0"
    assert read_sidecar(folder, "toys")["target"] == "class"


def test_writing_leaves_nothing_else_and_writing_again_replaces(folder: Path) -> None:
    write_task(folder, "toys", FRAME.iloc[:3], "class", ABOUT)
    assert read_task(folder, "toys").n_rows == 3
    assert sorted(p.name for p in folder.iterdir()) == ["toys.json", "toys.parquet"]


def test_what_a_killed_writer_left_is_no_dataset(folder: Path) -> None:
    (folder / ".other.123.parquet").write_bytes(b"half")
    (folder / ".other.123.json").write_text("{}")
    (folder / "lonely.parquet").write_bytes((folder / "toys.parquet").read_bytes())
    (folder / "lost.json").write_text("{}")
    (folder / "notes.txt").write_text("x")
    assert cached_keys(folder) == ["toys"]
    assert [t.name for t in read_tasks(folder)] == ["toys"]


def test_images_and_texts_are_passed_over_unless_asked_for(folder: Path) -> None:
    pixels = pd.DataFrame(np.eye(4), columns=list("abcd")).assign(target=[0, 1, 0, 1])
    write_task(folder, "pictures", pixels, "target", {"name": "pictures", "kind": "image"})
    write_task(folder, "strips", pixels, "target", {"name": "strips", "kind": "image", "image_shape": [1, 2, 2]})
    write_task(folder, "words", FRAME[["colour", "size", "class"]], "class", {"name": "words", "kind": "text"})
    assert [t.name for t in read_tasks(folder)] == ["toys"]
    found = list(read_tasks(folder, ["pictures", "strips", "words"]))
    assert [t.kind for t in found] == ["classification"] * 3
    assert [t.modality for t in found] == ["image", "image", "text"]
    assert [t.image_shape for t in found] == [(2, 2, 1), (1, 2, 2), None]
    assert found[2].categorical == ("colour",)
    write_task(folder, "noises", FRAME, "class", {"name": "noises", "kind": "sound"})
    with pytest.raises(DataError, match="'noises' is of kind 'sound'; tasks can be made of"):
        read_task(folder, "noises")


def change_sidecar(folder: Path, **changes: Any) -> None:
    path = folder / "toys.json"
    path.write_text(json.dumps({k: v for k, v in (json.loads(path.read_text()) | changes).items() if v is not ...}))


def test_damaged_data_are_refused_by_checksum(folder: Path) -> None:
    data = bytearray((folder / "toys.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "toys.parquet").write_bytes(data)
    with pytest.raises(StoreError, match=r"toys.parquet' is damaged: expected SHA-256 [0-9a-f]{64}, found"):
        read_task(folder, "toys")


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "toys.parquet").unlink()
    with pytest.raises(StoreError, match=r"toys.parquet' is missing; fetch the dataset again"):
        read_task(folder, "toys")
    with pytest.raises(StoreError, match=r"no dataset 'trains' in .*; there are"):
        read_task(folder, "trains")
    with pytest.raises(StoreError, match=r"is not a folder; expected KEY\.parquet and KEY\.json"):
        cached_keys(folder / "nowhere")
    (folder / "toys.parquet").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        read_task(folder, "toys")


@pytest.mark.parametrize("content", [b"{", b"[]", b"3", b"\xff\xfe\x00", b'{"name": "toys"}', b""])
def test_a_foreign_sidecar_is_refused(folder: Path, content: bytes) -> None:
    (folder / "toys.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"toys.json'.*delete it and fetch the dataset again"):
        read_task(folder, "toys")


def test_a_sidecar_that_does_not_fit_its_data_is_refused(folder: Path) -> None:
    change_sidecar(folder, target="price")
    with pytest.raises(DataError, match="'toys' has no target column 'price'; its columns are"):
        read_task(folder, "toys")
    change_sidecar(folder, target="class", categorical=["weight"])
    with pytest.raises(DataError, match=r"\['weight'\] are not in X"):
        read_task(folder, "toys")


def test_what_is_not_known_has_a_default(folder: Path) -> None:
    change_sidecar(folder, family=..., data_id=..., categorical=None)
    task = read_task(folder, "toys")
    assert (task.family, task.data_id, task.categorical) == ("toys", None, ("colour",))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"'toys.parquet' cannot be written to .*file"):
        write_task(tmp_path / "file", "toys", FRAME, "class", ABOUT)


@pytest.mark.parametrize(
    ("key", "wanted"),
    [("31", "--data-ids 31"), ("task-7", "--task-ids 7"), ("toys2", "")],
)
def test_what_is_missing_names_the_command_that_brings_it(folder: Path, key: str, wanted: str) -> None:
    with pytest.raises(StoreError, match=f"no dataset '{key}'") as error:
        read_task(folder, key)
    assert (f"`metahpo build prefetch --cache {folder} {wanted}` brings" in str(error.value)) == bool(wanted)


def test_a_refusal_is_told_until_the_dataset_comes(folder: Path) -> None:
    write_refusal(folder, "31", "it has no target")
    assert read_refusals(folder) == {"31": {"reason": "it has no target"}}
    assert cached_keys(folder) == ["toys"]
    with pytest.raises(DataError, match="dataset '31' cannot be used: it has no target"):
        read_task(folder, "31")
    write_task(folder, "31", FRAME, "class", ABOUT)
    assert read_refusals(folder) == {}
    forget_refusal(folder, "31")
    (folder / "refusals" / "32.json").write_text("{")
    (folder / "refusals" / "33.json").write_text("[]")
    assert read_refusals(folder) == {}


def test_verify_finds_what_reading_would(folder: Path) -> None:
    assert verify(folder, "toys")["name"] == "toys"
    data = folder / "toys.parquet"
    data.write_bytes(data.read_bytes()[:-10])
    with pytest.raises(StoreError, match="is damaged"):
        verify(folder, "toys")
    change_sidecar(folder, sha256=hashlib.sha256(data.read_bytes()).hexdigest())
    assert verify(folder, "toys")
    with pytest.raises(StoreError, match="cannot be read as Parquet"):
        read_task(folder, "toys")


def test_columns_that_parquet_cannot_hold_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    for frame in (
        pd.DataFrame({"a": [1, "x", [2]]}, dtype=object),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"a": pd.Series(["\ud800"], dtype=object)}),
    ):
        with pytest.raises(DataError, match=r"'bad.parquet' cannot be written as Parquet: .* of different names"):
            write_task(tmp_path, "bad", frame, "a", ABOUT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["../secret", "/etc/passwd", ".hidden", "a/b", ""])
def test_a_key_that_leads_out_of_the_cache_is_refused(folder: Path, key: str) -> None:
    write_task(folder.parent, "secret", FRAME, "class", ABOUT)
    for use in (read_sidecar, read_task, verify, forget_refusal):
        with pytest.raises(StoreError, match="cannot be the key of a dataset"):
            use(folder, key)
    with pytest.raises(StoreError, match="cannot be the key of a dataset"):
        write_task(folder, key, FRAME, "class", ABOUT)
    with pytest.raises(StoreError, match="cannot be the key of a dataset"):
        write_refusal(folder, key, "why")


@pytest.mark.parametrize(
    "tasks", [{"1": {"file": "../secret.parquet", "sha256": "0"}}, {"1": {"file": "x"}}, {"1": 7}, {"x": None}, []]
)
def test_splits_that_lie_elsewhere_or_are_no_record_are_damage(folder: Path, tasks: object) -> None:
    sidecar = json.loads((folder / "toys.json").read_text())
    (folder / "toys.json").write_text(json.dumps({**sidecar, "tasks": tasks}))
    for use in (read_sidecar, verify):
        with pytest.raises(StoreError, match=r"toys.json' must hold .* plain names"):
            use(folder, "toys")


@pytest.mark.parametrize("killed_before", ["the sidecar", "the rename"])
def test_a_dataset_stays_until_the_next_version_is_whole(
    folder: Path, killed_before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    real = Path.replace
    if killed_before == "the sidecar":
        monkeypatch.setattr("metahpo.datasets.cache.write_json_file", killed)
    else:
        monkeypatch.setattr(
            Path, "replace", lambda p, to: killed() if p.name == "toys.following.parquet" else real(p, to)
        )
    with pytest.raises(KeyboardInterrupt):
        write_task(folder, "toys", FRAME.iloc[[0, 1, 2]], "class", ABOUT)
    monkeypatch.undo()
    assert cached_keys(folder) == ["toys"]
    verify(folder, "toys")
    assert len(read_task(folder, "toys").X) == (4 if killed_before == "the sidecar" else 3)
    write_task(folder, "toys", FRAME.iloc[[0, 1]], "class", ABOUT)
    assert len(read_task(folder, "toys").X) == 2
    assert not list(folder.glob("*.following.parquet"))
