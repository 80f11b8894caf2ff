"""The numbers of a datasheet are those of the tables; what ships has a datasheet that is up to date."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from metahpo.metadata.datasheet import overview, provenance, reliability, to_markdown
from metahpo.metadata.meta_dataset import MetaDataset

ROOT = Path(__file__).parents[2]


def test_counts_are_those_of_the_tables(toy: MetaDataset) -> None:
    facts = overview(toy)
    assert facts["Tasks"] == "12"
    assert facts["Task families"] == str(toy.tasks["family"].nunique())
    assert facts["Trials"] == f"{len(toy.trials):,}"
    assert facts["Failed trials"].startswith(f"{(toy.trials['status'] != 'success').sum()} (")
    assert reliability(toy).loc["toy", "tasks"] == 12
    assert reliability(toy)["reliability (median)"].isna().all()
    assert provenance(toy).empty or provenance(toy)["datasets"].sum() <= 12


def test_a_build_knows_fits_reliability_sizes_and_hours(built_meta_dataset: MetaDataset) -> None:
    table = reliability(built_meta_dataset)
    assert (table["fits (median)"] >= 2).all()
    assert table["reliability (median)"].between(-1.0, 1.0).all()
    assert overview(built_meta_dataset)["Rows to test on"] != "none"
    page = to_markdown(built_meta_dataset)
    assert "| Tasks | 4 |" in page
    assert "\n\n|" in page


def test_the_shipped_datasheet_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    script = str(ROOT / "scripts" / "datasheet.py")
    monkeypatch.setattr(sys, "argv", [script, str(ROOT / "meta_datasets"), "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(script, run_name="__main__")
    assert ended.value.code == 0


def test_cells_break_no_table(toy: MetaDataset) -> None:
    tasks = toy.tasks.assign(licence="a|b")
    page = to_markdown(MetaDataset(tasks, toy.trials, toy.meta_features, toy.spaces))
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)
    assert "a/b" in page
