"""The figures of the report, each with the table it was drawn from: regret over trials, and a search with and without.

Every line carries its name at its end, or in a legend above several panels.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.evaluation.baselines.baseline import label_of
from metahpo.evaluation.canvas import (
    INK,
    MUTED,
    PALETTE,
    Axes,
    Figure,
    ReportFigure,
    heading,
    legend_above,
    panels_over_trials,
    plain,
    scale_trials,
    short_label,
    tick_at,
)
from metahpo.evaluation.regret import ALL_SPACES

#: Regrets below this are drawn at it: a logarithmic axis has no zero.
FLOOR = 1e-4
#: Labels of lines are not written below this height; 0 is the lower end of the axis.
LOWEST_LABEL = -0.1
TICKS_OF_REGRET = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)


def regret_figure(summary: pd.DataFrame) -> ReportFigure:
    """Mean normalised regret over trials: one panel, over all spaces (or the only one).

    Parameters
    ----------
    summary : DataFrame
        What :func:`~metahpo.evaluation.regret.mean_regret` returns; the first method is drawn strongest.
    """
    space = ALL_SPACES if ALL_SPACES in set(summary["space"]) else str(summary["space"].iloc[0])
    table = summary[summary["space"] == space].reset_index(drop=True)
    figure = Figure(figsize=(8, 5))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.085, right=0.74, top=0.86, bottom=0.12)
    _draw_regret(axes, table)
    _scale(axes, table)
    _label_lines(axes, table)
    axes.set_xlabel("Trials", color=MUTED)
    heading(
        figure,
        axes,
        "Mean normalised regret of the incumbent",
        f"{space}; lower is better; bands are one standard error",
    )
    return ReportFigure(
        "Regret over trials",
        "Mean normalised regret of the best configuration found so far on held-out tasks, on logarithmic axes. Bands: "
        "one standard error over task families.",
        figure,
        table,
    )


def regret_by_space_figure(summary: pd.DataFrame) -> ReportFigure:
    """Mean normalised regret over trials: one small panel a search space, all on the same axes."""
    table = summary[summary["space"] != ALL_SPACES].reset_index(drop=True)
    spaces = list(table["space"].unique())
    figure, panels = panels_over_trials(
        len(spaces), "Mean normalised regret by search space", same_scale=True, n_lines=table["method"].nunique()
    )
    for axes, space in zip(panels, spaces, strict=True):
        part = table[table["space"] == space]
        _draw_regret(axes, part)
        _scale(axes, table)
        axes.set_title(f"{label_of(space)}  ({part['n_tasks'].iloc[0]} tasks)", loc="left", fontsize=10, color=INK)
    legend_above(figure, panels[0])
    return ReportFigure(
        "Regret by search space",
        "As above, for each search space on its own; all panels share their axes.",
        figure,
        table,
    )


def search_figure(scores: pd.DataFrame) -> ReportFigure:
    """Best score over trials, with experience (warm) and without (cold): one panel a table and learner.

    Parameters
    ----------
    scores : DataFrame
        Columns table, learner, metric, search, trial, score (best so far, higher is better); the first search is drawn
        strongest.
    """
    parts = list(scores.groupby(["table", "learner", "metric"], sort=False))
    figure, panels = panels_over_trials(
        len(parts), "Best score found so far", same_scale=False, n_lines=scores["search"].nunique()
    )
    for axes, ((table, learner, metric), part) in zip(panels, parts, strict=True):
        for i, (search, line) in enumerate(part.groupby("search", sort=False)):
            (drawn,) = axes.step(line["trial"], line["score"], where="post", color=PALETTE[i % len(PALETTE)])
            drawn.set(label=short_label(str(search)), linewidth=1.7 if i else 2.6, zorder=3 - 0.1 * i)
        plain(axes)
        scale_trials(axes, int(scores["trial"].max()))
        axes.set_ylabel(label_of(str(metric)), color=MUTED)
        axes.set_title(f"{label_of(str(table))}, {label_of(str(learner))}", loc="left", fontsize=10, color=INK)
    legend_above(figure, panels[0])
    return ReportFigure(
        "Search with and without experience",
        "Best score found so far, on rows held out; higher is better. Each panel has a scale of its own.",
        figure,
        scores,
    )


def _draw_regret(axes: Axes, table: pd.DataFrame) -> None:
    methods = list(table["method"].unique())
    for i, method in enumerate(methods):
        line = table[table["method"] == method]
        trials = line["trial"].to_numpy()
        mean = line["regret"].to_numpy()
        error = line["standard_error"].fillna(0.0).to_numpy()
        colour = PALETTE[i % len(PALETTE)]
        axes.fill_between(trials, _on_axis(mean - error), _on_axis(mean + error), color=colour, alpha=0.15, linewidth=0)
        width = 2.6 if i == 0 else 1.7
        (drawn,) = axes.plot(trials, _on_axis(mean), color=colour, linewidth=width, label=short_label(method))
        drawn.set(zorder=3 - i / len(methods), linestyle="-" if i < len(PALETTE) else "--")
    plain(axes)


def _scale(axes: Axes, table: pd.DataFrame) -> None:
    """Logarithmic axes that hold every line of the table."""
    lowest = _on_axis(table["regret"].to_numpy()).min()
    axes.set_yscale("log")
    axes.set_ylim(0.8 * lowest, 1.15 * float((table["regret"] + table["standard_error"].fillna(0.0)).max()))
    tick_at(axes.yaxis, TICKS_OF_REGRET)
    scale_trials(axes, int(table["trial"].max()))


def _on_axis(regret: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(regret, FLOOR)


def _label_lines(axes: Axes, table: pd.DataFrame) -> None:
    """Write each method's name at the end of its line, pushed apart where the lines end close together."""
    methods = list(table["method"].unique())
    last = table[table["trial"] == table["trial"].max()].set_index("method")["regret"]
    low, high = np.log10(axes.get_ylim())
    ends = (np.log10(_on_axis(last[methods].to_numpy())) - low) / (high - low)
    heights = spread(ends, gap=0.055)
    for i, height in enumerate(heights + max(0.0, LOWEST_LABEL - float(heights.min()))):
        axes.annotate(
            short_label(methods[i]),
            xy=(1, ends[i]),
            xytext=(1.03, height),
            xycoords="axes fraction",
            va="center",
            fontsize=10.5,
            color=PALETTE[i % len(PALETTE)],
            weight="bold" if i == 0 else "normal",
            arrowprops={
                "arrowstyle": "-",
                "relpos": (0, 0.5),
                "color": PALETTE[i % len(PALETTE)],
                "lw": 0.8,
                "shrinkA": 1,
                "shrinkB": 0,
            },
        )


def spread(positions: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Move positions, by least squares, to be at least `gap` apart in the same order (pool adjacent violators)."""
    order = np.argsort(positions, kind="stable")
    shifted = positions[order] - gap * np.arange(len(positions))
    blocks: list[list[float]] = []
    for value in shifted:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    moved = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks]) + gap * np.arange(len(positions))
    result = np.empty(len(positions))
    result[order] = moved
    return result
