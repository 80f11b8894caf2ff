"""Drawing of figures: file type, style, and panels over trials. No other file imports matplotlib.

Figures are built without pyplot, so that no global state is touched. Colours are those of Okabe and Ito ("Color
universal design", 2008), which colour-blind readers tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metahpo.evaluation.baselines.baseline import label_of
from metahpo.exceptions import MissingDependencyError

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes as Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Figure
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


def short_label(method: str) -> str:
    """Name for a figure, cut where it is long."""
    label = label_of(method)
    return label if len(label) <= MAX_LABEL else label[: MAX_LABEL - 1] + "…"


def panels_over_trials(n: int, title: str, *, same_scale: bool, n_lines: int) -> tuple[Figure, list[Axes]]:
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


def legend_above(figure: Figure, axes: Axes) -> None:
    """Legend of one panel's lines, under the title of all."""
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


def heading(figure: Figure, axes: Axes, title: str, subtitle: str) -> None:
    """Title and subtitle, flush with the panel."""
    left = axes.get_position().x0
    figure.text(left, 0.965, title, fontsize=13, weight="bold", color=INK, va="top")
    figure.text(left, 0.907, subtitle, fontsize=9.5, color=MUTED, va="top")


def plain(axes: Axes) -> None:
    """Light horizontal lines, no frame."""
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=9.5, length=0)


def scale_trials(axes: Axes, last: int) -> None:
    """Logarithmic, because the first trials are what experience is about."""
    axes.set_xscale("log")
    axes.set_xlim(1, max(last, 2))
    tick_at(axes.xaxis, [t for t in TICKS_OF_TRIALS if t <= last])


def tick_at(axis: Axis, ticks: Sequence[float]) -> None:
    """Ticks there and nowhere else, each with its number in full."""
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
