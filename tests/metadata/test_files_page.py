"""The page that describes the files of a meta-dataset names what is in them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from metahpo.metadata.meta_dataset import MetaDataset

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "files.md"


@pytest.mark.parametrize("table", ["tasks", "trials", "configurations", "metafeatures"])
def test_columns_are_those_that_are_written(toy: MetaDataset, tmp_path: Path, table: str) -> None:
    toy.save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    written = set(pq.read_schema(tmp_path / manifest["files"][table]["file"]).names)
    section = re.search(rf"## `{table}`\n(.*?)(?=\n## |\Z)", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert section is not None
    named = {name.replace("METRIC", "r2") for name in re.findall(r"`([a-z_]+(?:\.METRIC)?)`", section[1])}
    extra = {
        "task",
        "data_id",
        "__index_level_0__",
        *(toy.meta_features.columns if toy.meta_features is not None else ()),
    }
    assert written <= named | extra, written - named


def test_keys_of_the_manifest_are_named(toy: MetaDataset, tmp_path: Path) -> None:
    toy.save(tmp_path)
    page = PAGE.read_text(encoding="utf-8")
    assert [key for key in json.loads((tmp_path / "manifest.json").read_text()) if f"`{key}`" not in page] == []
