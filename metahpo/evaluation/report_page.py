"""The page of an evaluation: its summary, and its sections of charts and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from metahpo.evaluation.baselines.baseline import label_of
from metahpo.evaluation.ranking import nemenyi_p_values
from metahpo.evaluation.report_text import AGAINST_DEFAULT, CALIBRATION, COST, PROTOCOL, readable, why_not_all_trials
from metahpo.evaluation.statistics.bayesian import REGION
from metahpo.reports.charts import (
    Chart,
    Line,
    interval_chart,
    line_chart,
    parallel_chart,
    point_chart,
    rank_chart,
    share_chart,
)
from metahpo.reports.page import Section, embedded

if TYPE_CHECKING:
    from metahpo.evaluation.result import EvaluationReport

#: Rows of a table on the page, at most; files beside the page have all.
MAX_ROWS = 60
PAIRED = (
    "Regret of {reference} minus that of each other method at the same number of trials, in the mean over tasks: below "
    "0 it is better. Intervals hold the truth in 95 % of cases (bootstrap over families). Wins, ties and losses count "
    "tasks. p: paired Wilcoxon signed-rank test over families, and after Holm's correction. The last columns are the "
    "probabilities that {reference} is better, equivalent or worse over families (Bayesian signed-rank test; regrets "
    "that differ by less than {region} are equivalent)."
)
RANKS = (
    "Average rank over tasks, first averaged within families; 1 is best. A bar joins methods that Nemenyi's test does "
    "not tell apart at the 5 % level; they are closer than the critical difference."
)
PARTS = (
    "The same searches with one part left out: mean regret without the part minus that with all, paired, with 95 % "
    "intervals over families. Above 0, the part helps. An interval that holds 0 means that no worth was shown. "
    "Probes are not replayed, because they need fits on rows of the table itself: "
    "`scripts/evaluate_recommend.py --probe-seconds` measures them on real tables."
)
SECONDS = (
    "A budget counts the recorded seconds of the trials made, and only trials that were finished. Searches make {n} "
    "trials at most, so that quick learners do not use up large budgets."
)
HURTS = "The tasks on which {reference} loses most against the best of the other methods after {trial} trials, by name."


def summary_sentences(report: EvaluationReport) -> list[str]:
    """Three sentences: how good the first method is, how soon, and where it fails."""
    reference, last = report.methods[0], report.settings.n_trials
    at = min(5, last)
    name = label_of(reference)
    n_tasks, n_families = report.regrets["task"].nunique(), report.regrets["family"].nunique()
    kind = "honest regret" if report.settings.honest else "regret"
    means = report.intervals([at]).set_index("method")
    own = means.loc[reference]
    first = (
        f"On {n_tasks} tasks of {n_families} families that it has not learnt from, {name} has a mean normalised {kind} "
        f"of {own['regret']:.3f} ({own['low']:.3f} to {own['high']:.3f}) after {at} trial{'s' if at > 1 else ''}"
    )
    if len(report.methods) == 1:
        return [f"{first}.", "No other method was evaluated beside it.", _where_it_fails(report, at)]
    others = means.drop(index=reference)
    rival = str(others["regret"].idxmin())
    compared = report.paired([at]).set_index("method").loc[rival]
    certain = compared["low"] > 0 or compared["high"] < 0
    which = "lower" if compared["difference"] < 0 else "higher"
    told = f"{which} by {abs(compared['difference']):.3f}" + ("" if certain else ", a difference that may be chance")
    first += (
        f"; that is {told}, compared with the best other method, {label_of(rival)} "
        f"({float(others['regret'][rival]):.3f})."
    )
    until = report.compared_at
    if until is None:
        return [first, why_not_all_trials(last, None, report.n_recorded), _where_it_fails(report, at)]
    speed = report.speed().set_index("method")
    baseline = next((m for m in ("random_search", "gaussian_process", "default") if m in speed.index), rival)
    row = speed.loc[baseline]
    if bool(speed["trials"].isna()[baseline]):
        second = f"In {until} trials, {name} does not become as good as {label_of(baseline)} is after {until}."
    else:
        second = (
            f"After {row['trials']:.0f} of {until} trials it is as good as {label_of(baseline)} after {until}, "
            f"which is {row['speed_up']:.1f} times as fast (95 % interval {row['low']:.1f} to {row['high']:.1f})."
        )
    if until < last:
        second = f"{second} {why_not_all_trials(last, until, report.n_recorded)}"
    return [first, second, _where_it_fails(report, at)]


def _where_it_fails(report: EvaluationReport, at: int) -> str:
    name = label_of(report.methods[0])
    verdicts = report.default_verdicts()
    parts = []
    if verdicts is not None and report.methods[0] in set(verdicts["method"]):
        own = verdicts[verdicts["method"] == report.methods[0]][["better", "equal", "worse"]].sum()
        parts.append(
            f"its first configuration is better than the library's default on {own['better']}, equal on {own['equal']} "
            f"and worse on {own['worse']} of {own.sum()} tasks"
        )
    hurts = report.where_it_hurts(at, n=1)
    if len(hurts):
        worst = hurts.iloc[0]
        parts.append(
            f"after {at} trial{'s' if at > 1 else ''} it loses most on {worst['task']}, with a regret of "
            f"{worst['regret']:.2f} against {worst['regret_against']:.2f} of {label_of(worst['against'])}"
        )
    if not parts:
        return f"There is no task on which {name} is behind after {at} trial{'s' if at > 1 else ''}."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def sections(report: EvaluationReport) -> list[Section]:
    """Sections of the page, in the order in which a reader asks."""
    made = [_over_trials(report)]
    if report.over_seconds is not None:
        made.append(_over_seconds(report))
    if len(report.methods) > 1:
        made += [_paired(report), _ranking(report), _targets(report)]
    made += [section for section in (_against_default(report), _parts(report)) if section is not None]
    made.append(_hurts(report))
    made += _groups(report)
    calibrated = report.calibration()
    if calibrated is not None:
        made.append(Section("Quality of predictions", [CALIBRATION], table=readable(calibrated)))
    made += _understanding(report)
    made.append(
        Section(
            "Task by task",
            [
                "Choose a task to see the regret of every method on it after so many trials. In a map of tasks above, "
                "the chosen task is marked; a point can be clicked.",
                "The folder NAME_tasks beside this page holds a page of each task.",
            ],
            explorer=_explorer(report),
        )
    )  # fmt: skip
    made.append(Section("Cost", [COST], table=readable(report.costs.round(3))))
    return [*made, *_method(report)]


def _lines(curves: pd.DataFrame, x: str, order: list[str]) -> list[Line]:
    return [
        Line(
            label_of(method),
            own[x].to_numpy(np.float64),
            own["regret"].to_numpy(np.float64),
            own["low"].to_numpy(np.float64),
            own["high"].to_numpy(np.float64),
        )
        for method in order
        if len(own := curves[curves["method"] == method])
    ]


def _over_trials(report: EvaluationReport) -> Section:
    every = report.intervals()
    charts = {
        "All spaces together": line_chart(
            _lines(every, "trial", report.methods), "Mean normalised regret over trials", "trials",
            "mean normalised regret",
        )
    }  # fmt: skip
    spaces = list(report.regrets["space"].unique())
    if len(spaces) > 1:
        summary = report.summary()
        for space in spaces:
            own = summary[summary["space"] == space]
            lines = [
                Line(label_of(m), rows["trial"].to_numpy(np.float64), rows["regret"].to_numpy(np.float64))
                for m, rows in own.groupby("method", sort=False)
            ]
            n = own["n_tasks"].iloc[0]
            charts[f"{label_of(space)}, {n} tasks"] = line_chart(lines, f"Regret in {space}", "trials", "regret")
    else:
        charts = {f"{label_of(spaces[0])}, {report.regrets['task'].nunique()} tasks": charts["All spaces together"]}
    text = [
        "Mean normalised regret of the best configuration found so far on held-out tasks; 0 is the best recorded "
        "configuration of a task, 1 the worst. Both axes are logarithmic. Bands are 95 % intervals over families."
    ]
    tables = {}
    if report.usual is not None:
        text.append(
            "This is honest regret: configurations are chosen by one half of the fits and judged by the other, so that "
            "luck in choosing earns nothing. The usual regret, chosen and judged by all fits, stands below it."
        )
        tables["The usual regret"] = readable(report.in_brief(report.usual_summary()))
    if report.settings.default_first:
        text.append("The first trial of every method is the library's default, where it was recorded.")
    return Section("Regret over trials", text, charts=charts, table=readable(report.in_brief()), tables=tables)


def _over_seconds(report: EvaluationReport) -> Section:
    assert report.over_seconds is not None
    table = report.intervals(column="seconds")
    chart = line_chart(_lines(table, "seconds", report.methods), "Regret over recorded seconds", "seconds", "regret")
    wide = table.pivot_table("regret", "method", "seconds", sort=False)
    wide.columns = pd.Index([f"{seconds:g} s" for seconds in wide.columns])
    return Section(
        "Regret over recorded seconds", [SECONDS.format(n=report.settings.n_trials)],
        charts={"Mean over tasks": chart}, table=readable(wide.reset_index()), folded=True,
    )  # fmt: skip


def _paired(report: EvaluationReport) -> Section:
    reference = label_of(report.methods[0])
    compared = report.paired()
    charts = {}
    for trial in report.moments:
        own = compared[compared["trial"] == trial]
        named = f"after {trial} trial{'s' if trial > 1 else ''}"
        charts[f"{reference} minus each other, {named}"] = interval_chart(
            [label_of(m) for m in own["method"]], own["difference"].to_numpy(), own["low"].to_numpy(),
            own["high"].to_numpy(), f"Differences {named}", "difference of regret (below 0: it is better)",
        )  # fmt: skip
    text = PAIRED.format(reference=reference, region=REGION)
    return Section("Against each other method", [text], charts=charts, table=readable(compared))


def _ranking(report: EvaluationReport) -> Section:
    charts, tables = {}, {}
    for trial in report.moments:
        ranking = report.ranking(trial)
        order = list(ranking.ranks.index)
        groups = [(order.index(group[0]), order.index(group[-1]) + 1) for group in ranking.groups()]
        caption = f"After {trial} trial{'s' if trial > 1 else ''}"
        charts[f"{caption} (critical difference {ranking.critical_difference:.2f})"] = rank_chart(
            [label_of(m) for m in order], ranking.ranks.to_numpy(np.float64), groups, f"Average ranks, {caption}"
        )
        p = nemenyi_p_values(ranking.ranks, ranking.n_families)
        found = pd.DataFrame({"method": order, "rank": ranking.ranks.to_numpy()})
        for method in order[:4]:
            found[f"p, against {label_of(method)}"] = p[method].to_numpy()
        tables[f"{caption}: {ranking.n_families} families, Friedman's p {ranking.p_value:.2g}"] = readable(found)
    return Section("Ranking", [RANKS], charts=charts, tables=tables)


def _targets(report: EvaluationReport) -> Section:
    compared = report.compared_at or report.settings.n_trials
    text = [
        f"Speed-up: {compared} trials of the other method, divided by the trials after which "
        f"{label_of(report.methods[0])} is as good in the mean. Area: mean regret over all trials. Targets: on which "
        "share of tasks a regret is reached at all, and after how many trials (seconds) on the middle one of all tasks."
    ]
    tables = {"Area under the curve": readable(report.area())}
    targets = report.targets()
    tables["Trials to reach a regret"] = readable(targets)
    if report.over_seconds is not None:
        tables["Recorded seconds to reach a regret"] = readable(report.targets("seconds"))
    return Section("How soon", text, table=readable(report.speed()), tables=tables)


def _against_default(report: EvaluationReport) -> Section | None:
    verdicts = report.default_verdicts()
    if verdicts is None:
        return None
    total = verdicts.groupby("method", sort=False)[["better", "equal", "worse"]].sum()
    shares = total.to_numpy(np.float64) / total.sum(axis=1).to_numpy()[:, None]
    chart = share_chart(
        [label_of(str(m)) for m in total.index], shares, ["better", "equal", "worse"], "First pick against the default"
    )
    return Section(
        "The first configuration against the library's default", [AGAINST_DEFAULT],
        charts={"All spaces": chart}, table=readable(verdicts), folded=True,
    )  # fmt: skip


def _parts(report: EvaluationReport) -> Section | None:
    worth = report.parts()
    if worth is None:
        return None
    charts = {}
    for trial in sorted(worth["trial"].unique()):
        own = worth[worth["trial"] == trial]
        charts[f"Worth after {trial} trial{'s' if trial > 1 else ''}"] = interval_chart(
            [f"without {w}" for w in own["without"]], own["worth"].to_numpy(), own["low"].to_numpy(),
            own["high"].to_numpy(), "Worth of parts", "regret without it minus regret with it",
        )  # fmt: skip
    return Section("What each part is worth", [PARTS], charts=charts, table=readable(worth))


def _hurts(report: EvaluationReport) -> Section:
    trial = report.moments[min(1, len(report.moments) - 1)]
    text = HURTS.format(reference=label_of(report.methods[0]), trial=trial)
    found = report.where_it_hurts(trial)
    if not len(found):
        return Section("Where it hurts", [text, "There is no such task."])
    return Section("Where it hurts", [text], table=readable(found))


def _groups(report: EvaluationReport) -> list[Section]:
    trial = report.moments[min(1, len(report.moments) - 1)]
    groups = report.by_groups(trial)
    if not groups:
        return []
    charts: dict[str, Chart] = {}
    for name, table in groups.items():
        own = table[table["method"] == report.methods[0]]
        if name == "family":
            own = own.sort_values("regret", ascending=False).head(10)
        charts[f"{label_of(report.methods[0])} by {name}" + (", the ten worst" if name == "family" else "")] = (
            interval_chart(
                [f"{g} ({n} task{'s' if n > 1 else ''})" for g, n in zip(own["group"], own["n_tasks"], strict=True)],
                own["regret"].to_numpy(), own["low"].to_numpy(), own["high"].to_numpy(), f"Regret by {name}",
                "mean normalised regret",
            )
        )  # fmt: skip
    wide = {
        f"By {name}": readable(
            table.pivot_table("regret", ["group", "n_tasks", "n_families"], "method", sort=False)
            .rename(columns=label_of).reset_index().rename_axis(columns=None).head(MAX_ROWS)
        )
        for name, table in groups.items()
        if name != "family"
    }  # fmt: skip
    if "family" in groups:
        table = groups["family"]
        own = table[table["method"] == report.methods[0]].sort_values("regret", ascending=False).head(10)
        wide["By family, the ten worst"] = readable(own.drop(columns="method"))
    text = (
        f"Mean regret after {trial} trials of groups of tasks. Novelty: the share of recorded tasks that are more "
        "familiar than the task; above 0.95 it is unlike all that was recorded."
    )
    return [Section("For which tasks", [text], charts=charts, tables=wide)]


def _understanding(report: EvaluationReport) -> list[Section]:
    known = report.understanding
    made: list[Section] = []
    importance = known.get("importance")
    if importance is not None and len(importance):
        charts = {
            label_of(str(space)): interval_chart(
                own["hyperparameters"].tolist(), own["share"].to_numpy(), own["low"].to_numpy(), own["high"].to_numpy(),
                f"Importance in {space}", "share of variance", zero=0.0,
            )
            for space, own in importance.groupby("space", sort=False)
        }  # fmt: skip
        text = (
            "Share of the variance of a task's scores that a hyperparameter, or a pair of them beyond their single "
            "effects, explains: mean over tasks, and the range of 80 % of the tasks (functional analysis of variance)."
        )
        made.append(
            Section("Which hyperparameters matter", [text], charts=charts, table=readable(importance), folded=True)
        )
    defaults = known.get("tuned_defaults")
    if defaults is not None and len(defaults):
        text = (
            "The configuration with the lowest mean regret over the tasks of each size: a better default for them. "
            "“Left out” is the regret of the configuration chosen without the family of each task, which is what a new "
            "task can expect. Good ranges hold 80 % of the best tenth of each task's configurations."
        )
        ranges = known.get("good_ranges")
        tables = {} if ranges is None or not len(ranges) else {"Good ranges": readable(ranges)}
        charts = {}
        for name, table in known.items():
            if name.startswith("parallel."):
                space = name.removeprefix("parallel.")
                columns = [c for c in table.columns if c != "good"]
                charts[f"{label_of(space)}: each line is a configuration"] = parallel_chart(
                    columns,
                    table[columns].to_numpy(np.float64),
                    table["good"].to_numpy(bool),
                    f"Configurations of {space}",
                )
        made.append(
            Section("Better defaults, and good ranges", [text], charts=charts, table=readable(defaults), tables=tables)
        )
    curves = known.get("learning_curves")
    if curves is not None and len(curves):
        lines = [
            Line(label_of(str(s)), *(own[c].to_numpy(np.float64) for c in ("share_of_epochs", "loss", "low", "high")))
            for s, own in curves.groupby("space", sort=False)
        ]
        chart = line_chart(lines, "Learning curves", "share of the epochs", "loss", log_x=False, log_y=False)
        text = "Loss after a share of the epochs, relative to that of the first epoch (1) and the best (0)."
        made.append(Section("Learning curves", [text], charts={"Mean over trials": chart}, table=curves, folded=True))
    sizes = known.get("size_curves")
    if sizes is not None and len(sizes):
        made.append(_size_curves(sizes))
    places = known.get("map")
    if places is not None:
        made.append(_map(report, places))
    return made


def _size_curves(sizes: pd.DataFrame) -> Section:
    lines = [
        Line(label_of(str(s)), *(own[c].to_numpy(np.float64) for c in ("rows", "loss", "low", "high")))
        for s, own in sizes.groupby("space", sort=False)
    ]
    chart = line_chart(lines, "Loss by rows trained on", "rows", "loss, relative to the fewest rows")
    text = (
        "Loss after training on so many rows, divided by that of the same configuration on the fewest rows of the same "
        "dataset: mean over datasets and configurations, and the range of 80 % of the datasets. Correlation: of the "
        "ranks of the configurations with their ranks on the most rows."
    )
    return Section("Size curves", [text], charts={"Mean over datasets": chart}, table=readable(sizes.round(3)))


def _map(report: EvaluationReport, places: pd.DataFrame) -> Section:
    trial = report.moments[min(1, len(report.moments) - 1)]
    at = report.regrets[(report.regrets["trial"] == trial) & (report.regrets["method"] == report.methods[0])]
    regret = at.groupby("task")["regret"].mean()
    bounds = [0.05, 0.2]
    values = places["task"].map(regret)
    groups = np.where(values.isna(), 3, np.digitize(values.fillna(0.0), bounds)).astype(int)
    labels = [
        f"{task}: regret {value:.3f}" if np.isfinite(value) else str(task)
        for task, value in zip(places["task"], values, strict=True)
    ]
    chart = point_chart(
        places[["x", "y"]].to_numpy(np.float64), labels, groups.tolist(),
        ["regret below 0.05", "0.05 to 0.2", "above 0.2", "not replayed"], "Map of tasks", places["task"].tolist(),
    )  # fmt: skip
    text = (
        "Tasks by the two principal components of their meta-features; near ones look alike. The colour is the regret "
        f"of {label_of(report.methods[0])} after {trial} trials, when the task was held out."
    )
    table = places.assign(regret=values.to_numpy()).round(3)
    return Section("Map of tasks", [text], charts={"Each point is a task": chart}, table=table, folded=True)


def _explorer(report: EvaluationReport) -> str:
    """Regrets of all tasks at the milestones, in thousandths, as JSON."""
    trials, methods = report.milestones, report.methods
    spaces = list(report.regrets["space"].unique())
    at = report.regrets[report.regrets["trial"].isin(trials)]
    tasks: dict[str, Any] = {}
    about = {}
    if report.tasks is not None:
        for row in report.tasks.to_dict("records"):
            told = [f"{label_of(str(k))} {v:g}" if isinstance(v, float) else f"{label_of(str(k))} {v}"
                    for k, v in row.items() if k != "task" and not pd.isna(v)]  # fmt: skip
            about[str(row["task"])] = ", ".join(told)
    wide = at.pivot_table("regret", ["task", "space", "method"], "trial", sort=False)
    thousandths = (1000 * wide[trials]).round().astype(int).to_numpy().tolist()
    for (task, space, method), values in zip(wide.index, thousandths, strict=True):
        found = tasks.setdefault(str(task), {"about": about.get(str(task), ""), "rows": []})
        found["rows"].append([spaces.index(space), methods.index(method), *values])
    named = [label_of(m) for m in methods]
    return embedded({"trials": trials, "methods": named, "spaces": [label_of(s) for s in spaces], "tasks": tasks})


def _method(report: EvaluationReport) -> list[Section]:
    text = [PROTOCOL, report.protocol(), *report.notes]
    tables = {}
    if report.failures is not None and len(report.failures):
        text.append("Some searches failed; they keep what they had found, or are left out where all failed.")
        tables["Searches that failed"] = readable(report.failures.head(MAX_ROWS))
    made = [Section("How it was measured", text, tables=tables)]
    if report.provenance is not None:
        made.append(Section("Where the numbers come from", table=report.provenance.to_frame()))
    return made
