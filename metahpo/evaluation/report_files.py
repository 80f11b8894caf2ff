"""The numbers of a report in files beside its page: JSON, Markdown, tables in CSV, and figures."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from metahpo.evaluation.report_text import readable
from metahpo.evaluation.task_pages import write_task_pages

if TYPE_CHECKING:
    from metahpo.evaluation.result import EvaluationReport

#: Version of the JSON file's layout.
FORMAT = 1


def write_beside(report: EvaluationReport, page: Path) -> None:
    """Write ``NAME.json``, ``NAME.md``, and folders of tables, figures and pages of tasks beside ``NAME.html``."""
    tables = report.tables()
    folder = page.with_name(f"{page.stem}_tables")
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    page.with_suffix(".json").write_text(json.dumps(as_json(report, tables), allow_nan=False), encoding="utf-8")
    page.with_suffix(".md").write_text(as_markdown(report), encoding="utf-8")
    write_task_pages(report, page.with_name(f"{page.stem}_tasks"), footer(report))
    figures = page.with_name(f"{page.stem}_figures")
    figures.mkdir(exist_ok=True)
    for name, drawn in report.figures().items():
        (figures / f"{name}.svg").write_text(drawn.svg(), encoding="utf-8")


def footer(report: EvaluationReport) -> str:
    """Version, meta-dataset and date, for the foot of a page."""
    told = f"metahpo {version('metahpo')}"
    if report.provenance is not None:
        told += f"; {report.provenance.meta_dataset} ({report.provenance.checksum}); {report.provenance.date}"
    return told


def as_json(report: EvaluationReport, tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """All of a report but the curves between milestones: columns and rows of each table."""
    told: dict[str, Any] = {
        "format": "metahpo evaluation",
        "format_version": FORMAT,
        "summary": report.summary_sentences(),
        "settings": asdict(report.settings) | {"n_replays": dict(report.n_replays)},
        "provenance": None if report.provenance is None else asdict(report.provenance),
        "notes": list(report.notes),
        "tables": {},
    }
    for name, table in tables.items():
        shown = table[table["trial"].isin(report.milestones)] if "trial" in table else table
        told["tables"][name] = json.loads(shown.to_json(orient="split", index=False, double_precision=6))
    return told


def as_markdown(report: EvaluationReport) -> str:
    """Summary, main tables and protocol as Markdown."""
    parts = ["# Hyperparameter optimisation on held-out tasks", *(f"- {text}" for text in report.summary_sentences())]
    shown: list[tuple[str, pd.DataFrame | None]] = [("Mean normalised regret after n trials", report.in_brief())]
    if len(report.methods) > 1:
        shown += [("Against each other method", report.paired()), ("How soon", report.speed())]
    shown += [
        ("The first configuration against the library's default", report.default_verdicts()),
        ("What each part is worth", report.parts()),
        ("Where it hurts", report.where_it_hurts()),
        ("Quality of predictions", report.calibration()),
        ("Cost", report.costs),
    ]
    for title, table in shown:
        if table is not None and len(table):
            parts += ["", f"## {title}", "", _table(readable(table))]
    parts += ["", "## How it was measured", "", report.protocol()]
    parts += [f"\n- {note}" for note in report.notes]
    if report.provenance is not None:
        parts += ["", _table(report.provenance.to_frame())]
    return "\n".join(parts) + "\n"


def _table(table: pd.DataFrame) -> str:
    rows = [list(map(str, table.columns)), ["---"] * table.shape[1]]
    rows += [[_cell(value) for value in row] for row in table.itertuples(index=False, name=None)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
