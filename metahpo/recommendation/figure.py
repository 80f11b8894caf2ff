"""What to expect of each recommendation against the library's default, as a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metahpo.exceptions import MissingDependencyError
from metahpo.recommendation.recommendation import DEFAULT_REASON, Recommendation
from metahpo.space.configuration import in_words

try:
    from matplotlib.figure import Figure as Figure
except ImportError as error:  # pragma: no cover
    raise MissingDependencyError("figures need matplotlib; install it with: pip install 'metahpo[report]'") from error

#: Colours of Okabe and Ito ("Color universal design", 2008).
BETTER, NEUTRAL, WORSE, INK = "#0072B2", "#7A7A7A", "#D55E00", "#222222"
#: Letters of a configuration in a line of a label.
LINE = 60


def figure_of(items: Sequence[Recommendation], parameters: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """A row a recommendation: the median change of the error with its 80 % interval.

    Where no change is known, the expected percentile is shown.
    """
    against = any(not math.isnan(item.median_change) for item in items)
    labels = [_label(i + 1, item, in_words(parameters[i])) for i, item in enumerate(items)]
    height = 1.1 + sum(0.28 + 0.17 * label.count("\n") for label in labels)
    figure = Figure(figsize=(9.0, height), layout="constrained")
    axes = figure.subplots()
    for row, item in enumerate(items):
        if against:
            middle, (low, high) = -100.0 * item.median_change, item.change_interval
            low, high = -100.0 * high, -100.0 * low
        else:
            middle, (low, high) = item.expected_percentile, item.interval
        if math.isnan(middle):
            continue
        is_default = item.reason == DEFAULT_REASON
        colour = NEUTRAL if is_default else BETTER if not against or middle < 0.0 else WORSE
        axes.plot([low, high], [row, row], color=colour, linewidth=2.0, solid_capstyle="butt")
        axes.plot([middle], [row], "o", color=colour, markersize=7)
        if against and not is_default:
            axes.annotate(
                f"p = {item.p_better_than_default:.2f}",
                (middle, row),
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=INK,
            )
    axes.set_yticks(range(len(items)), labels, fontsize=8, ha="left")
    axes.tick_params(axis="y", length=0, pad=330)
    axes.set_ylim(len(items) - 0.4, -0.7)
    if against:
        axes.axvline(0.0, color=INK, linewidth=0.8, linestyle="--")
        axes.set_xlabel("error against the default's, % (left is better)")
    else:
        axes.set_xlabel("better than % of the recorded configurations")
    figure.suptitle(title.replace("\n", ": ", 1), fontsize=9, x=0.01, ha="left")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure


def _label(rank: int, item: Recommendation, parameters: str) -> str:
    words = f"{rank}. {item.learner}"
    words += " (default)" if item.reason == DEFAULT_REASON else ""
    lines, line = [words], ""
    for part in parameters.split(", "):
        if line and len(line) + len(part) > LINE:
            lines.append(line)
            line = ""
        line += f"{', ' if line else ''}{part}"
    return "\n    ".join([*lines, line])
