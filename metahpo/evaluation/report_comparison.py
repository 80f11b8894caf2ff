"""Two saved reports against each other: the same methods on the same tasks, before a change and after it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from metahpo.evaluation.baselines.baseline import label_of
from metahpo.evaluation.report_text import readable
from metahpo.evaluation.statistics.bayesian import signed_rank_probabilities
from metahpo.evaluation.statistics.bootstrap import mean_intervals
from metahpo.exceptions import DataError
from metahpo.reports.charts import interval_chart
from metahpo.reports.page import Section, check_page, render

#: Settings in which two reports should agree.
SETTINGS = ("sample", "metric", "n_trials", "n_folds", "n_seeds", "random_state", "honest", "default_first")


@dataclass(frozen=True, eq=False)
class ReportComparison:
    """What two reports tell of the methods and tasks that both hold.

    Attributes
    ----------
    names : pair of str
        What the reports are called.
    differences : DataFrame
        Columns method, trial, first, second (mean regrets), difference (second minus first; negative: the second is
        better), low, high (95 % bootstrap interval over families), p_better, p_equivalent, p_worse (of the second).
    notes : tuple of str
        In what the two differ besides.
    """

    names: tuple[str, str]
    differences: pd.DataFrame
    notes: tuple[str, ...]

    def __str__(self) -> str:
        title = f"{self.names[1]} minus {self.names[0]} (negative: {self.names[1]} is better)"
        return "\n".join([title, self.differences.round(4).to_string(index=False), *self.notes])

    def save(self, path: Path | str) -> None:
        """Write it as one HTML file that needs no network.

        Raises
        ------
        MissingDependencyError
            jinja2 is not installed.
        DataError
            The path is a folder, or lies in none that can be written.
        """
        check_page(path)
        charts = {}
        for trial, own in self.differences.groupby("trial"):
            charts[f"After {trial} trials"] = interval_chart(
                [label_of(m) for m in own["method"]], own["difference"].to_numpy(), own["low"].to_numpy(),
                own["high"].to_numpy(), f"Differences after {trial} trials", "difference of regret",
            )  # fmt: skip
        text = f"Mean regret of {self.names[1]} minus that of {self.names[0]} on the tasks of both, paired."
        sections = [
            Section("Differences", [text], charts=charts, table=readable(self.differences)),
            Section("In what they differ", list(self.notes) or ["Both were made alike, of the same trials."]),
        ]
        page = render(
            f"{self.names[1]} against {self.names[0]}", self.sentences(), sections, "metahpo evaluate compare"
        )
        Path(path).write_text(page, encoding="utf-8")

    def sentences(self) -> list[str]:
        """What changed for each method after the last number of trials."""
        last = self.differences[self.differences["trial"] == self.differences["trial"].max()]
        told = []
        for row in last.itertuples():
            change = "lower" if row.difference < 0 else "higher"
            certain = "" if row.low > 0 or row.high < 0 else ", which may be chance"
            told.append(
                f"{label_of(str(row.method))}: mean regret after {row.trial} trials is {change} by "
                f"{abs(float(row.difference)):.4f} ({row.low:.4f} to {row.high:.4f}){certain}."
            )
        return told


def compare_reports(first: Path | str, second: Path | str) -> ReportComparison:
    """Compare two reports by the JSON files that were written beside their pages.

    Parameters
    ----------
    first, second : path
        ``NAME.json``, or ``NAME.html`` with the JSON file beside it.

    Raises
    ------
    DataError
        A file that is not there or no report, or two reports without a common method, task and number of trials.
    """
    a, b = _read(Path(first)), _read(Path(second))
    key = ["space", "task", "family", "method", "trial"]
    joined = a["regret"].merge(b["regret"], on=key, suffixes=("_first", "_second"))
    if joined.empty:
        raise DataError(
            f"{str(first)!r} and {str(second)!r} have no method, task and number of trials in common, so that they "
            "cannot be compared."
        )
    order = {method: i for i, method in enumerate(a["regret"]["method"].unique())}
    wide = joined.assign(difference=joined["regret_second"] - joined["regret_first"]).pivot_table(
        ["regret_first", "regret_second", "difference"], ["space", "family", "task"], ["method", "trial"], sort=False
    )
    complete = wide["difference"].dropna()
    differences = complete if len(complete) else wide["difference"].dropna(axis=1)
    intervals = mean_intervals(differences)
    rows = []
    for method, trial in sorted(intervals.index, key=lambda pair: (pair[1], order[pair[0]])):
        values = differences[method, trial]
        better, equivalent, worse = signed_rank_probabilities(values.groupby(level="family").mean().to_numpy())
        rows.append(
            {
                "method": method,
                "trial": int(trial),
                "first": _mean(wide["regret_first"].loc[differences.index], method, trial),
                "second": _mean(wide["regret_second"].loc[differences.index], method, trial),
                "difference": intervals.loc[(method, trial), "mean"],
                "low": intervals.loc[(method, trial), "low"],
                "high": intervals.loc[(method, trial), "high"],
                "p_better": better,
                "p_equivalent": equivalent,
                "p_worse": worse,
            }
        )
    names = (Path(first).stem, Path(second).stem)
    if names[0] == names[1]:
        names = (str(first), str(second))
    return ReportComparison(names, pd.DataFrame(rows), tuple(_notes(a, b, names, len(differences))))


def _mean(regrets: pd.DataFrame, method: str, trial: int) -> float:
    return float(regrets[[(method, trial)]].pipe(mean_intervals)["mean"].iloc[0])


def _notes(a: dict[str, Any], b: dict[str, Any], names: Sequence[str], n_tasks: int) -> list[str]:
    notes = [f"{n_tasks} tasks (a task counts once in each space) are in both"]
    for setting in SETTINGS:
        values = [report["settings"].get(setting) for report in (a, b)]
        if setting == "sample":
            values = [value or "all of the meta-dataset" for value in values]
        if values[0] != values[1]:
            notes.append(f"{setting} is {values[0]} in {names[0]}, and {values[1]} in {names[1]}")
    for what in ("meta_dataset", "checksum"):
        made_of = [(report["provenance"] or {}).get(what) for report in (a, b)]
        if made_of[0] != made_of[1]:
            notes.append(f"{what.replace('_', '-')} is {made_of[0]} in {names[0]}, and {made_of[1]} in {names[1]}")
    versions = [(report["provenance"] or {}).get("versions", {}) for report in (a, b)]
    for name in sorted(versions[0].keys() | versions[1].keys()):
        values = [own.get(name) for own in versions]
        if values[0] != values[1]:
            notes.append(f"the version of {name} is {values[0]} in {names[0]}, and {values[1]} in {names[1]}")
    for one, other, name in ((a, b, names[0]), (b, a, names[1])):
        alone = [m for m in one["regret"]["method"].unique() if m not in set(other["regret"]["method"])]
        if alone:
            notes.append(f"only in {name}: {', '.join(alone)}")
    return notes


def _read(path: Path) -> dict[str, Any]:
    file = path.with_suffix(".json")
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["format"] != "metahpo evaluation":
            raise ValueError(f"its format is {told['format']!r}")
        table = told["tables"]["regret"]
        regret = pd.DataFrame(table["data"], columns=table["columns"])
        if int(told["format_version"]) > 1:
            raise ValueError("it was written by a newer metahpo; upgrade to read it")
        return {"settings": dict(told["settings"]), "provenance": told["provenance"], "regret": regret}
    except FileNotFoundError as error:
        raise DataError(
            f"{str(file)!r} is not there; `metahpo evaluate --report` writes it beside the page."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{str(file)!r} is no report of an evaluation, or is damaged: {error}.") from error
