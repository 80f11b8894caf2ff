"""The figure of average ranks, with the table it was drawn from."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from metahpo.evaluation.canvas import INK, MUTED, Axes, Figure, ReportFigure, short_label
from metahpo.evaluation.ranking import Ranking


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
            f"{short_label(str(method))}  {rank:.2f}" if on_left else f"{rank:.2f}  {short_label(str(method))}",
            ha="right" if on_left else "left",
            va="center",
            fontsize=10,
            color=INK,
        )
