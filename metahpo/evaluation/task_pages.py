"""A page for each task of a report: every method on it, and where it stands among the other tasks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from metahpo.evaluation.baselines.baseline import label_of
from metahpo.evaluation.report_text import AGAINST_DEFAULT, readable
from metahpo.reports.charts import Chart, Line, line_chart, point_chart
from metahpo.reports.page import Section, cell, render

if TYPE_CHECKING:
    from metahpo.evaluation.result import EvaluationReport

#: Neighbours that are marked in the map.
NEIGHBOURS = 5
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.@-]+")


def write_task_pages(report: EvaluationReport, folder: Path, footer: str) -> list[Path]:
    """Write ``TASK.html`` for each task of a report into a folder.

    Returns
    -------
    list of Path
        In the order of the tasks.

    Raises
    ------
    MissingDependencyError
        jinja2 is not installed.
    """
    folder.mkdir(exist_ok=True)
    written: list[Path] = []
    for task, regrets in report.regrets.groupby("task", sort=False):
        name = str(task)
        path = folder / f"{_NOT_PLAIN.sub('-', name)}.html"
        if path in written:  # two names that differ in other signs only
            path = path.with_name(f"{path.stem}-{len(written)}.html")
        page = render(f"Task {name}", summary(report, name, regrets), sections(report, name, regrets), footer)
        path.write_text(page, encoding="utf-8")
        written.append(path)
    return written


def summary(report: EvaluationReport, task: str, regrets: pd.DataFrame) -> list[str]:
    """Up to three sentences: what the task is, how the first method does on it, and its first configuration."""
    told = []
    about = _known(report, task)
    if about:
        told.append(", ".join(f"{label_of(name)}: {cell(value)}" for name, value in about.items()) + ".")
    reference, at = report.methods[0], min(5, report.settings.n_trials)
    means = regrets[regrets["trial"] == at].groupby("method", sort=False)["regret"].mean()
    text = f"After {at} trial{'s' if at > 1 else ''}, {label_of(reference)} has a regret of {means[reference]:.3f}"
    others = means.drop(index=reference)
    if len(others):
        text += f"; the best other method, {label_of(str(others.idxmin()))}, has {others.min():.3f}"
    told.append(f"{text}.")
    first = _against_default(report, task)
    own = first[first["method"] == reference] if len(first) else first
    if len(own):
        verdicts = ", ".join(f"{row.verdict} ({row.space})" for row in own.itertuples())
        told.append(f"Its first configuration against the library's default: {verdicts}.")
    return told


def sections(report: EvaluationReport, task: str, regrets: pd.DataFrame) -> list[Section]:
    """Sections of the page of one task."""
    charts: dict[str, Chart] = {}
    for space, of_space in regrets.groupby("space", sort=False):
        lines = [
            Line(label_of(method), own["trial"].to_numpy(np.float64), own["regret"].to_numpy(np.float64))
            for method in report.methods
            if len(own := of_space[of_space["method"] == method])
        ]
        charts[label_of(str(space))] = line_chart(lines, f"Regret in {space}", "trials", "regret")
    at = regrets[regrets["trial"].isin(report.milestones)]
    table = at.pivot_table("regret", ["space", "method"], "trial", sort=False)[report.milestones]
    table.columns = pd.Index([f"@{trial}" for trial in table.columns])
    made = [Section("Regret over trials", charts=charts, table=readable(table.reset_index()))]
    places = _map(report, task)
    if places is not None:
        made.append(places)
    first = _against_default(report, task)
    if len(first):
        made.append(
            Section("The first configuration against the library's default", [AGAINST_DEFAULT], table=readable(first))
        )
    return made


def _map(report: EvaluationReport, task: str) -> Section | None:
    """Map of tasks with this one, which was held out, and its neighbours; None where its place is not known."""
    places = report.understanding.get("map")
    if places is None or task not in set(places["task"]):
        return None
    names = places["task"].astype(str)
    points = places[["x", "y"]].to_numpy(np.float64)
    family = places.loc[names == task, "family"].iloc[0]
    distance = np.linalg.norm(points - points[(names == task).to_numpy()][0], axis=1)
    strange = (places["family"] != family).to_numpy()
    near = np.flatnonzero(strange)[np.argsort(distance[strange], kind="stable")[:NEIGHBOURS]]
    groups = np.where(names == task, 1, np.where(np.isin(np.arange(len(names)), near), 0, 4)).tolist()
    key = ["a neighbour of another family", "this task", "", "", "other tasks"]
    chart = point_chart(points, names.tolist(), groups, key, "Map of tasks", names.tolist())
    shown = Chart(chart.svg, tuple(entry for entry in chart.key if entry[0]))
    at = report.regrets[(report.regrets["trial"] == min(5, report.settings.n_trials))]
    regret = at[at["method"] == report.methods[0]].groupby("task")["regret"].mean()
    table = pd.DataFrame({"task": names.iloc[near], "distance": distance[near]})
    table[f"regret of {label_of(report.methods[0])}"] = table["task"].map(regret)
    text = (
        "Tasks by the two principal components of their meta-features. No method learnt from this task, nor from "
        "another one of its family."
    )
    return Section("Where it stands", [text], charts={"Each point is a task": shown}, table=table)


def _known(report: EvaluationReport, task: str) -> dict[str, object]:
    if report.tasks is None:
        return {}
    row = report.tasks[report.tasks["task"] == task].drop(columns="task")
    return {str(k): v for k, v in row.iloc[0].items() if not pd.isna(v)} if len(row) else {}


def _against_default(report: EvaluationReport, task: str) -> pd.DataFrame:
    found = report.against_default
    return pd.DataFrame() if found is None else found[found["task"] == task].drop(columns=["task", "family"])
