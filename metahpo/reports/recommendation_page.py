"""The page of a recommendation: its configurations, what to expect of them, and which recorded tasks say so."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metahpo.reports.charts import interval_chart
from metahpo.reports.page import Section, check_page, render
from metahpo.space.configuration import in_words

#: Tasks listed, at most.
NEAREST = 15


def write_recommendation_page(recommended: Any, path: Path | str) -> None:
    """Write the page of recommendations as one HTML file that needs no network.

    Parameters
    ----------
    recommended : Recommendations
        See :class:`metahpo.recommendation.recommendations.Recommendations`.
    path : path

    Raises
    ------
    MissingDependencyError
        jinja2 is not installed.
    DataError
        The path is a folder, or lies in none that can be written.
    """
    check_page(path)
    name, _, _ = recommended.about.partition("\n")
    title = f"Hyperparameters for {name}"
    page = render(title, summary(recommended), sections(recommended), f"metahpo {version('metahpo')}")
    Path(path).write_text(page, encoding="utf-8")


def summary(recommended: Any) -> list[str]:
    """Three sentences: what is recommended, what to expect of it, and how familiar the dataset is."""
    first = recommended.items[0]
    told = [
        f"{first.learner} with {in_words(recommended.parameters(0))} is recommended first, for {recommended.metric}; "
        f"the reason: {first.reason}."
    ]
    if np.isfinite(first.median_change):
        told.append(
            f"It is better than the library's default with a probability of {first.p_better_than_default:.2f}; the "
            f"median change of its error is {first.change_of_error()}."
        )
    else:
        told.append(
            f"It is expected to be better than {first.expected_percentile:.0f} % of the recorded configurations; what "
            "it is against the default is not known."
        )
    novelty = recommended.novelty
    if np.isfinite(novelty):
        near = next(iter(recommended.nearest_tasks), None)
        told.append(
            f"{100 * novelty:.0f} % of the recorded tasks are more familiar than this dataset"
            + (f"; it is most like {near}." if near else ".")
        )
    else:
        told.append("How familiar the dataset is, is not known.")
    return told


def sections(recommended: Any) -> list[Section]:
    """Sections of the page."""
    frame: pd.DataFrame = recommended.to_frame()
    labels = [f"{number}. {learner.replace('_', ' ')}" for number, learner in enumerate(frame["learner"], 1)]
    charts = {
        "Expected percentile among recorded configurations (80 % interval)": interval_chart(
            labels, frame["expected_percentile"].to_numpy(np.float64), frame["lower"].to_numpy(np.float64),
            frame["upper"].to_numpy(np.float64), "Expected percentile", "better than so many percent", zero=None,
        )
    }  # fmt: skip
    changes = np.array([item.median_change for item in recommended.items], dtype=np.float64)
    if np.isfinite(changes).any():
        low, high = np.array([item.change_interval for item in recommended.items], dtype=np.float64).T
        charts["Median change of the error against the default (80 % interval)"] = interval_chart(
            labels, -100 * changes, -100 * high, -100 * low, "Change of the error", "percent; below 0 is better"
        )
    table = pd.DataFrame(
        {
            "number": range(1, len(frame) + 1),
            "learner": frame["learner"],
            "parameters": [in_words(p) for p in frame["parameters"]],
            "better_than_(%)": frame["expected_percentile"].round().astype("Int64"),
            "from_(%)": frame["lower"].round().astype("Int64"),
            "to_(%)": frame["upper"].round().astype("Int64"),
            "seconds_of_a_fit": frame["expected_train_seconds"],
            "chance_to_beat_the_default": frame["p_better_than_default"],
            "median_change_of_the_error_(%)": -100 * frame["median_change"] + 0.0,  # no negative zero
            "reason": frame["reason"],
        }
    )
    made = [Section("Recommended configurations", charts=charts, table=table)]
    nearest = list(recommended.nearest_tasks.items())[:NEAREST]
    if nearest:
        near = pd.DataFrame(nearest, columns=["task", "share"])
        nothing = np.full(len(near), np.nan)
        chart = interval_chart(
            near["task"].tolist(),
            near["share"].to_numpy(np.float64),
            nothing,
            nothing,
            "Nearest tasks",
            "share",
        )
        text = "Recorded tasks on which the recommendation leans, and their shares in the prediction."
        told = "" if recommended.worth is None else str(recommended.worth)
        worth = [f"{told[0].upper()}{told[1:]}."] if told else []
        charts = {"Shares": chart}
        made.append(Section("Which recorded tasks say so", [text, *worth], charts=charts, table=near, folded=True))
    if recommended.probes:
        made.append(_probes(recommended))
    features = pd.DataFrame(recommended.meta_features.items(), columns=["meta-feature", "value"])
    made.append(Section("The dataset in numbers", table=features, folded=True))
    seconds = pd.DataFrame(recommended.timings.items(), columns=["step", "seconds"])
    made.append(Section("What to know", [*map(str, recommended.notes)] or ["There are no notes."], table=seconds))
    return made


def _probes(recommended: Any) -> Section:
    """What was measured on few rows of the dataset."""
    table = pd.DataFrame(
        {
            "learner": [probe.learner for probe in recommended.probes],
            "configuration": [in_words(probe.configuration) for probe in recommended.probes],
            "rows": [probe.rows for probe in recommended.probes],
            "loss": [probe.loss for probe in recommended.probes],
            "loss_of_the_default": [probe.default_loss for probe in recommended.probes],
            "seconds": [probe.seconds for probe in recommended.probes],
            "status": [probe.status for probe in recommended.probes],
        }
    )
    text = "Fits on few rows of this dataset. The default was measured on the same rows, because the change counts."
    return Section("Probes", [text], table=table, folded=True)
