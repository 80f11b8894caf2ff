"""Recorded benchmarks in HPO-B's layout: what is in them comes out, turned into losses; the rest is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metahpo.exceptions import DataError, StoreError
from metahpo.metadata.hpob import SPLITS
from metahpo.metadata.meta_dataset import MetaDataset

RNG = np.random.default_rng(0)
BENCHMARK: dict[str, dict[str, dict[str, Any]]] = {
    "4796": {
        "3549": {"X": RNG.random((5, 3)).tolist(), "y": [[v] for v in RNG.random(5)]},  # HPO-B's y is a column
        "3918": {"X": RNG.random((4, 3)).tolist(), "y": RNG.random(4).tolist()},
    },
    "5527": {"3549": {"X": RNG.random((2, 6)).tolist(), "y": RNG.random(2).tolist()}},
}


def written(tmp_path: Path, form: str) -> Any:
    if form == "mapping":
        return BENCHMARK
    path = tmp_path / f"recorded.{form}"
    content = json.dumps(BENCHMARK).encode()
    path.write_bytes(gzip.compress(content) if form == "json.gz" else content)
    return str(path) if form == "json" else path


@pytest.mark.parametrize("form", ["mapping", "json", "json.gz"])
def test_rows_and_values_come_out_as_they_went_in(tmp_path: Path, form: str) -> None:
    source = written(tmp_path, form)
    md = MetaDataset.from_hpob(source) if form == "mapping" else MetaDataset.load(source)
    assert (md.metrics, list(md.spaces), md.name) == (["y"], ["4796", "5527"], "4796+5527")
    assert list(md.tasks.index) == ["3549", "3918"]
    for space, tables in BENCHMARK.items():
        for table in md.tables(space):
            np.testing.assert_allclose(table.X, tables[table.task]["X"], rtol=0, atol=1e-15)
            np.testing.assert_array_equal(table.loss, -np.ravel(tables[table.task]["y"]))
            assert table.family == table.task
            assert table.meta_features is None


def test_a_benchmark_survives_a_save(tmp_path: Path) -> None:
    md = MetaDataset.from_hpob(BENCHMARK, {"3918": {"size": 2.0, "skew": None}, "unknown": {"size": 1.0}})
    md.save(tmp_path / "saved")
    again = MetaDataset.load(tmp_path / "saved")
    for before, after in zip(md.tables("4796"), again.tables("4796"), strict=True):
        np.testing.assert_array_equal(before.X, after.X)
        np.testing.assert_array_equal(before.loss, after.loss)
    features = {t.task: t.meta_features for t in again.tables("4796")}
    assert features["3549"] is None
    assert features["3918"] == pytest.approx({"size": 2.0, "skew": np.nan}, nan_ok=True)


def test_a_value_that_is_not_finite_is_a_failed_trial() -> None:
    md = MetaDataset.from_hpob({"s": {"t": {"X": [[0.0], [0.5], [1.0]], "y": [0.5, None, float("-inf")]}}})
    assert md.trials["status"].tolist() == ["success", "crashed", "crashed"]
    np.testing.assert_array_equal(md.tables("s")[0].loss, [-0.5, np.nan, np.nan])


def test_rounding_beyond_the_cube_is_forgiven() -> None:
    md = MetaDataset.from_hpob({"s": {"t": {"X": [[-1e-9], [1.0 + 1e-9]], "y": [1, 2]}}})
    assert md.tables("s")[0].X.tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("benchmark", "message"),
    [
        ({}, "holds no task"),
        ({"s": {}}, "holds no task"),
        ({"s": []}, "a benchmark must be {space"),
        ({"s": {"t": []}}, "task 't' of space 's' must hold numeric X and y"),
        ({"s": {"t": {"X": [[0.5]]}}}, "must hold numeric X and y, but: KeyError"),
        ({"s": {"t": {"X": [["a"]], "y": [1]}}}, "must hold numeric X and y"),
        ({"s": {"t": {"X": [[0.5], [0.5, 0.5]], "y": [1, 2]}}}, "must hold numeric X and y"),
        ({"s": {"t": {"X": [[0.5], [0.6]], "y": [1]}}}, r"but they are \(2, 1\) and \(1,\)"),
        ({"s": {"t": {"X": [0.5, 0.6], "y": [1, 2]}}}, r"but they are \(2,\) and \(2,\)"),
        ({"s": {"t": {"X": [], "y": []}}}, "X must be of shape"),
        ({"s": {"t": {"X": [[1.5]], "y": [1]}}}, r"must lie in the unit cube, but spans 1.5..1.5"),
        ({"s": {"t": {"X": [[None]], "y": [1]}}}, "must lie in the unit cube"),
        (
            {"s": {"t": {"X": [[0.5]], "y": [1]}, "u": {"X": [[0.5, 0.5]], "y": [1]}}},
            "task 'u' of space 's' has 2 columns, others have 1",
        ),
    ],
)
def test_another_layout_is_refused(benchmark: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        MetaDataset.from_hpob(benchmark)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{"),
        ("a.json", b"\xff\xfe"),
        ("a.json.gz", b"not gzip"),
        ("a.json.gz", gzip.compress(json.dumps(BENCHMARK).encode(), mtime=0)[:100]),
        ("missing.json", None),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}' cannot be read as"):
        MetaDataset.from_hpob(tmp_path / name)


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(DataError, match="a benchmark must be"):
        MetaDataset.from_hpob(tmp_path / "list.json")


def test_a_small_file_that_unpacks_to_a_large_one_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(64):
            file.write(b" " * (1 << 20))
        file.write(b"{}")
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"bomb.json.gz' unpacks to more than \d+ bytes, 50 times its size"):
        MetaDataset.load(path)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"s": {"t": {"X": [[1e999]], "y": [1]}}}'])
def test_a_file_of_nonsense_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.json").write_bytes(content)
    with pytest.raises(DataError):
        MetaDataset.load(tmp_path / "odd.json")


def test_a_folder_in_the_layout_of_hpob_is_read_back(toy: MetaDataset, tmp_path: Path) -> None:
    toy.to_hpob(tmp_path)
    parts = {part: json.loads((tmp_path / f"meta-{part}-dataset.json").read_text()) for part in SPLITS}
    tasks = [set(content["toy"]) for content in parts.values()]
    assert set().union(*tasks) == set(toy.tasks.index)
    assert sum(map(len, tasks)) == 12
    families = [set(toy.tasks.loc[sorted(names), "family"]) for names in tasks]
    assert sum(map(len, families)) == 6
    features = json.loads((tmp_path / "metafeatures.json").read_text())
    recorded = {table.task: table for table in toy.tables("toy")}
    for part in SPLITS:
        md = MetaDataset.from_hpob(tmp_path / f"meta-{part}-dataset.json", features)
        for table in md.tables("toy"):
            own = recorded[table.task]
            known = np.isfinite(own.loss)
            np.testing.assert_allclose(table.X, own.X[known])
            np.testing.assert_allclose(table.loss, own.loss[known])
            assert table.meta_features is not None
            assert own.meta_features is not None
            assert table.meta_features["shift"] == own.meta_features["shift"]
    initial = json.loads((tmp_path / "bo-initializations.json").read_text())["toy"]
    assert set(initial) == set(parts["test"]["toy"])
    for task, seeds in initial.items():
        assert list(seeds) == [f"test{k}" for k in range(5)]
        for rows in seeds.values():
            assert len(set(rows)) == 5
            assert max(rows) < len(parts["test"]["toy"][task]["y"])


def test_a_folder_that_cannot_be_written_is_named(toy: MetaDataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        toy.to_hpob(tmp_path / "file")
