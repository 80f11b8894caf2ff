"""The figures of the report, each with the table it was drawn from.

Figures are built without pyplot, so that no global state is touched. Colours are those of Okabe and Ito ("Color
universal design", 2008), which colour-blind readers tell apart; every line carries its name at its end.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.evaluation.methods.method import label_of
from metahpo.evaluation.ranking import Ranking
from metahpo.evaluation.regret import ALL_SPACES
from metahpo.exceptions import MissingDependencyError

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
except ImportError as error:  # pragma: no cover
    raise MissingDependencyError("figures need matplotlib; install it with: pip install 'metahpo[report]'") from error

#: The first method's colour, then the others' in turn; methods beyond them have the same again, and broken lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7A7A7A", "#E69F00", "#56B4E9", "#000000")
INK, MUTED, GRID = "#222222", "#5A5A5A", "#E3E3E3"
#: Names longer than this are cut in figures; tables have them whole.
MAX_LABEL = 21
#: Names in one row of a legend, and the height of a row in inches.
LEGEND_COLUMNS, LEGEND_ROW = 4, 0.21
#: Regrets below this are drawn at it: a logarithmic axis has no zero.
FLOOR = 1e-4
TICKS_OF_REGRET = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
TICKS_OF_TRIALS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class ReportFigure:
    """A figure, what it shows in words, and the numbers in it.

    Attributes
    ----------
    title, caption : str
    figure : matplotlib.figure.Figure
    table : DataFrame
    """

    title: str
    caption: str
    figure: Figure
    table: pd.DataFrame

    def save(self, path: str | Path) -> None:
        """Write the figure; the suffix says the format (.png, .svg, .pdf)."""
        self.figure.savefig(path, dpi=150)

    def svg(self) -> str:
        """Return the figure as SVG text, the same text for the same figure."""
        buffer = io.StringIO()
        with rc_context({"svg.hashsalt": self.title, "svg.fonttype": "path"}):
            self.figure.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()


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
    _head(
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
    figure, panels = _panels(
        len(spaces), "Mean normalised regret by search space", same_scale=True, n_lines=table["method"].nunique()
    )
    for axes, space in zip(panels, spaces, strict=True):
        part = table[table["space"] == space]
        _draw_regret(axes, part)
        _scale(axes, table)
        axes.set_title(f"{label_of(space)}  ({part['n_tasks'].iloc[0]} tasks)", loc="left", fontsize=10, color=INK)
    _legend(figure, panels[0])
    return ReportFigure(
        "Regret by search space",
        "As above, for each search space on its own; all panels share their axes.",
        figure,
        table,
    )


def search_figure(scores: pd.DataFrame, task: str, metric: str) -> ReportFigure:
    """Best score of one dataset over trials, with experience (warm) and without (cold): one panel a learner.

    Parameters
    ----------
    scores : DataFrame
        Columns learner, search, trial, score (best so far, higher is better); the first search is drawn strongest.
    task, metric : str
        Names for the title.
    """
    learners = list(scores["learner"].unique())
    figure, panels = _panels(
        len(learners), f"Best {label_of(metric)} found on {task}", same_scale=False, n_lines=scores["search"].nunique()
    )
    for axes, learner in zip(panels, learners, strict=True):
        part = scores[scores["learner"] == learner]
        for i, (search, line) in enumerate(part.groupby("search", sort=False)):
            (drawn,) = axes.step(line["trial"], line["score"], where="post", color=PALETTE[i % len(PALETTE)])
            drawn.set(label=_short(str(search)), linewidth=1.7 if i else 2.6, zorder=3 - 0.1 * i)
        _plain(axes)
        _scale_trials(axes, int(scores["trial"].max()))
        axes.set_title(label_of(str(learner)), loc="left", fontsize=10, color=INK)
    _legend(figure, panels[0])
    return ReportFigure(
        "Search with and without experience",
        f"Best cross-validated {label_of(metric)} found so far; higher is better. Each panel has a scale of its own.",
        figure,
        scores,
    )


def ranking_figure(rankings: Sequence[Ranking]) -> ReportFigure:
    """Average ranks after several numbers of trials; a bar joins methods that are not told apart."""
    methods = list(rankings[0].ranks.sort_index().index)
    height = 0.9 + sum(_ranking_height(ranking) for ranking in rankings)
    figure = Figure(figsize=(8, height))
    figure.text(0.03, 1 - 0.14 / height, "Average rank over tasks", fontsize=13, weight="bold", color=INK, va="top")
    figure.text(
        0.03,
        1 - 0.45 / height,
        "1 = best; bars join methods that Nemenyi's test does not tell apart (5 % level)",
        fontsize=9.5,
        color=MUTED,
        va="top",
    )
    top = height - 0.75
    for ranking in rankings:
        needed = _ranking_height(ranking)
        axes = figure.add_axes((0.03, (top - needed) / height, 0.94, needed / height))
        _draw_ranking(axes, ranking, len(methods), needed)
        top -= needed
    table = pd.DataFrame(
        [
            {
                "trial": r.trial,
                "method": method,
                "rank": rank,
                "n_families": r.n_families,
                "critical_difference": r.critical_difference,
                "friedman_p": r.p_value,
            }
            for r in rankings
            for method, rank in r.ranks.items()
        ]
    )
    return ReportFigure(
        "Ranking",
        "Average rank of each method over held-out tasks (first averaged within a family). Methods joined by a bar "
        "differ by less than Nemenyi's critical difference.",
        figure,
        table,
    )


def _short(method: str) -> str:
    label = label_of(method)
    return label if len(label) <= MAX_LABEL else label[: MAX_LABEL - 1] + "…"


def _panels(n: int, title: str, *, same_scale: bool, n_lines: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of `n` small panels over trials, with a title above and room for a legend of `n_lines`."""
    n_columns = n if n < 3 else 2 if n == 4 else 3
    n_rows = -(-n // n_columns)
    head = 1.05 + LEGEND_ROW * ((n_lines - 1) // LEGEND_COLUMNS)
    height = 2.5 * n_rows + head + 0.05
    figure = Figure(figsize=(9, height))
    grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=same_scale, squeeze=False)
    figure.subplots_adjust(left=0.08, right=0.98, top=1 - head / height, bottom=0.55 / height, hspace=0.3)
    figure.subplots_adjust(wspace=0.14 if same_scale else 0.3)
    figure.text(0.08, 1 - 0.14 / height, title, fontsize=13, weight="bold", color=INK, va="top")
    panels = list(grid.flat)
    for axes in panels[n:]:
        axes.remove()
    for axes in panels[max(n - n_columns, 0) : n]:  # the lowest of each column
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("Trials", color=MUTED)
    return figure, panels[:n]


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(0.08, 1 - 0.46 / figure.get_figheight()),
        ncol=min(len(labels), LEGEND_COLUMNS),
        frameon=False,
        fontsize=9.5,
        handlelength=1.6,
        columnspacing=1.6,
        borderaxespad=0,
        borderpad=0,
    )


def _head(figure: Figure, axes: Axes, title: str, subtitle: str) -> None:
    left = axes.get_position().x0
    figure.text(left, 0.965, title, fontsize=13, weight="bold", color=INK, va="top")
    figure.text(left, 0.907, subtitle, fontsize=9.5, color=MUTED, va="top")


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
        (drawn,) = axes.plot(trials, _on_axis(mean), color=colour, linewidth=width, label=_short(method))
        drawn.set(zorder=3 - i / len(methods), linestyle="-" if i < len(PALETTE) else "--")
    _plain(axes)


def _plain(axes: Axes) -> None:
    """Light horizontal lines, no frame."""
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=9.5, length=0)


def _scale(axes: Axes, table: pd.DataFrame) -> None:
    """Logarithmic axes that hold every line of the table."""
    lowest = _on_axis(table["regret"].to_numpy()).min()
    axes.set_yscale("log")
    axes.set_ylim(0.8 * lowest, 1.15 * float((table["regret"] + table["standard_error"].fillna(0.0)).max()))
    axes.yaxis.set_major_locator(FixedLocator(TICKS_OF_REGRET))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _scale_trials(axes, int(table["trial"].max()))


def _scale_trials(axes: Axes, last: int) -> None:
    """Logarithmic, because the first trials are what experience is about."""
    axes.set_xscale("log")
    axes.set_xlim(1, max(last, 2))
    axes.xaxis.set_major_locator(FixedLocator([t for t in TICKS_OF_TRIALS if t <= last]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _on_axis(regret: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(regret, FLOOR)


def _label_lines(axes: Axes, table: pd.DataFrame) -> None:
    """Write each method's name at the end of its line, pushed apart where the lines end close together."""
    methods = list(table["method"].unique())
    last = table[table["trial"] == table["trial"].max()].set_index("method")["regret"]
    low, high = np.log10(axes.get_ylim())
    ends = (np.log10(_on_axis(last[methods].to_numpy())) - low) / (high - low)
    for i, height in enumerate(spread(ends, gap=0.055)):
        axes.annotate(
            _short(methods[i]),
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


def _ranking_height(ranking: Ranking) -> float:
    """Inches: a scale, half the methods to either side, and the bars."""
    return 0.75 + 0.24 * (-(-len(ranking.ranks) // 2)) + 0.12 * len(ranking.groups())


def _draw_ranking(axes: Axes, ranking: Ranking, k: int, height: float) -> None:
    """A critical-difference diagram (Demšar 2006, figure 1), in inches from the top."""
    axes.set_xlim(0, 10)
    axes.set_ylim(height, 0)
    axes.axis("off")
    left, right, scale = 2.7, 7.2, 0.5

    def position(rank: float) -> float:
        return left + (right - left) * (rank - 1) / max(k - 1, 1)

    axes.text(
        0, 0.12, f"after {ranking.trial} trial{'s' if ranking.trial > 1 else ''}", fontsize=10.5, color=INK, va="center"
    )
    axes.plot([left, right], [scale, scale], color=INK, linewidth=1)
    for rank in range(1, k + 1):
        axes.plot([position(rank)] * 2, [scale - 0.06, scale], color=INK, linewidth=1)
        axes.text(position(rank), scale - 0.1, str(rank), ha="center", va="bottom", fontsize=9, color=MUTED)
    groups = ranking.groups()
    for i, group in enumerate(groups):
        y = scale + 0.1 + 0.12 * i
        ends = ranking.ranks[group[0]], ranking.ranks[group[-1]]
        axes.plot(
            [position(ends[0]) - 0.06, position(ends[1]) + 0.06],
            [y, y],
            color=INK,
            linewidth=3.2,
            solid_capstyle="butt",
        )
    below = scale + 0.1 + 0.12 * len(groups)
    n_left = -(-k // 2)
    for i, (method, rank) in enumerate(ranking.ranks.items()):
        on_left = i < n_left
        y = below + 0.12 + 0.24 * (i if on_left else k - 1 - i)
        edge = left - 0.15 if on_left else right + 0.15
        axes.plot([position(rank), position(rank), edge], [scale, y, y], color=MUTED, linewidth=0.9)
        axes.text(
            edge + (-0.1 if on_left else 0.1),
            y,
            f"{_short(str(method))}  {rank:.2f}" if on_left else f"{rank:.2f}  {_short(str(method))}",
            ha="right" if on_left else "left",
            va="center",
            fontsize=10,
            color=INK,
        )
