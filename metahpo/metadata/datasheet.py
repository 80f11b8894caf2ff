"""The numbers of a datasheet: content, reliability and provenance of a meta-dataset.

The questions follow "Datasheets for datasets" (Gebru et al., Communications of the ACM 2021).
"""

from __future__ import annotations

import pandas as pd

from metahpo.metadata.meta_dataset import MetaDataset


def overview(md: MetaDataset) -> pd.Series:
    """Counts and ranges of a meta-dataset, as texts by their names."""
    tasks, trials = md.tasks, md.trials
    failed = trials["status"].ne("success")
    facts = {
        "Protocol": md.protocol or "not known",
        "Tasks": str(len(tasks)),
        "Datasets": str(tasks["dataset"].nunique()) if "dataset" in tasks else "not known",
        "Task families": str(tasks["family"].nunique()),
        "Rows to train on": _range(tasks, "n_rows"),
        "Tasks of 5,000 rows and more": _share(tasks["n_rows"] >= 5000) if "n_rows" in tasks else "not known",
        "Rows to test on": _range(tasks, "n_test_rows"),
        "Columns": _range(tasks, "n_features"),
        "Classes": _range(tasks[tasks["n_classes"] > 0], "n_classes") if "n_classes" in tasks else "not known",
        "Learners": ", ".join(md.spaces),
        "Trials": f"{len(trials):,}",
        "Failed trials": _share(failed),
        "Metrics, the default first": ", ".join(md.metrics),
        "Meta-features": "none" if md.meta_features is None else str(md.meta_features.shape[1]),
        "Hours of fitting on one core": f"{_hours(md):.1f}",
    }
    return pd.Series({name: text for name, text in facts.items() if text != "none"}, name=md.name)


def reliability(md: MetaDataset) -> pd.DataFrame:
    """One row a learner: its configurations and tasks, and the median of fits and of reliability over the tasks.

    Reliability is the correlation of two halves of a task's fits, stepped up to all fits: see
    :mod:`metahpo.building.reliability`. NaN where it was not recorded.
    """
    rows = []
    for learner in md.spaces:
        own = md.trials[md.trials["space"] == learner]
        fits, values = (md.tasks.get(f"{name}.{learner}") for name in ("fits", "reliability"))
        rows.append(
            {
                "learner": learner,
                "configurations": own["configuration"].nunique(),
                "tasks": own["task"].nunique(),
                "fits (median)": float("nan") if fits is None else fits.median(),
                "reliability (median)": float("nan") if values is None else values.median(),
                "reliability of .9": float("nan") if values is None else (values.dropna() >= 0.9).mean(),
            }
        )
    return pd.DataFrame(rows).set_index("learner")


def provenance(md: MetaDataset) -> pd.DataFrame:
    """Number of datasets by licence, largest first; empty if licences were not recorded."""
    if "licence" not in md.tasks:
        return pd.DataFrame({"datasets": []})
    datasets = md.tasks.drop_duplicates("dataset") if "dataset" in md.tasks else md.tasks
    counts = datasets["licence"].fillna("").replace("", "not stated").value_counts()
    return pd.DataFrame({"datasets": counts}).rename_axis("licence")


def to_markdown(md: MetaDataset) -> str:
    """The tables of a meta-dataset's datasheet, as Markdown."""
    about = [f"### {md.name}", "", "| | |", "|--|--|", *(f"| {name} | {text} |" for name, text in overview(md).items())]
    measured = _table(reliability(md).reset_index())
    licences = _table(provenance(md).reset_index())
    return "\n".join([*about, "", *measured, "", *licences])


def _table(frame: pd.DataFrame) -> list[str]:
    cells = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    return [
        f"| {' | '.join(map(str, frame.columns))} |",
        "|" + "--|" * len(frame.columns),
        *(f"| {' | '.join(row)} |" for row in cells),
    ]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.0f}" if value.is_integer() and value > 1 else f"{value:.2f}"
    return str(value).replace("|", "/")


def _range(tasks: pd.DataFrame, column: str) -> str:
    known = tasks[column].dropna() if column in tasks else pd.Series(dtype=float)
    if not len(known):
        return "none"
    return f"{known.min():,.0f} to {known.max():,.0f} (median {known.median():,.0f})"


def _share(which: pd.Series) -> str:
    return f"{int(which.sum()):,} ({100 * which.mean():.1f} %)"


def _hours(md: MetaDataset) -> float:
    """Hours of all fits: the mean seconds of one, times the fits of the task and learner (1 where not known)."""
    hours = 0.0
    for learner in md.spaces:
        own = md.trials[md.trials["space"] == learner]
        fits = md.tasks.get(f"fits.{learner}")
        times = 1.0 if fits is None else own["task"].map(fits).fillna(1.0)
        hours += float((own["seconds"] * times).sum()) / 3600.0
    return hours
