"""Recommendations as text and as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from metahpo.recommendation.recommendation import DEFAULT_REASON
from metahpo.space.configuration import in_words
from metahpo.tasks.task import Task

if TYPE_CHECKING:
    from metahpo.recommendation.recommendations import Recommendations


def task_in_words(task: Task) -> str:
    """What a dataset was understood to be."""
    of_classes = f" of {len(task.classes)} classes" if task.classes else ""
    if task.modality != "table":
        return f"{task.kind}{of_classes}: {task.n_rows} {task.modality}s"
    named = f" ({in_brief(task.categorical)})" if task.categorical else ""
    columns = f"{len(task.numeric)} numeric and {len(task.categorical)} categorical columns{named}"
    return f"{task.kind}{of_classes}: {task.n_rows} rows, {columns}"


def in_lines(recommended: Recommendations) -> str:
    """Recommendations as a terminal shows them."""
    name, _, words = recommended.about.partition("\n")
    many = "" if len(recommended) == 1 else "s"
    lines = [
        f"{len(recommended)} recommendation{many} for {name!r} by {recommended.metric}",
        *([words] if words else []),
    ]
    for rank, item in enumerate(recommended.items, 1):
        low, high = item.interval
        lines.append(f"{rank:>3}. {item.learner}: {in_words(recommended.parameters(rank - 1))}")
        lines.append(f"     better than {item.expected_percentile:.0f} % ({low:.0f}-{high:.0f}); {item.reason}")
        if item.against_default() and item.reason != DEFAULT_REASON:
            lines.append(f"     {item.against_default()}")
    near = ", ".join(f"{task} ({share:.0%})" for task, share in list(recommended.nearest_tasks.items())[:5])
    lines.append(f"nearest tasks: {near or 'none known'}; novelty {recommended.novelty:.2f}")
    if recommended.worth is not None:
        lines.append(str(recommended.worth))
    if recommended.probes:
        sizes = sorted({one.rows for one in recommended.probes})
        spent = sum(one.seconds for one in recommended.probes)
        rows = f"{sizes[0]} rows" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} rows"
        lines.append(f"probes: {len(recommended.probes)} on {rows}, {spent:.1f} seconds")
    lines += [f"note: {note}" for note in recommended.notes]
    return "\n".join(lines)


def in_html(recommended: Recommendations) -> str:
    """Recommendations as a notebook shows them."""
    head = ("", "learner", "parameters", "better than", "better than the default", "error", "reason")
    rows = []
    for rank, item in enumerate(recommended.items, 1):
        known = item.median_change == item.median_change
        rows.append(
            (
                str(rank),
                item.learner,
                in_words(recommended.parameters(rank - 1)),
                f"{item.expected_percentile:.0f} % ({item.interval[0]:.0f}-{item.interval[1]:.0f})",
                f"{item.p_better_than_default:.2f}" if known else "",
                item.change_of_error() if known else "",
                item.reason,
            )
        )
    name, _, words = recommended.about.partition("\n")
    table = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in recommended.notes)
    worth = f"; {recommended.worth}" if recommended.worth is not None else ""
    return (
        f"<div><p><b>{html.escape(name)}</b>, by {html.escape(recommended.metric)}<br>{html.escape(words)}</p>"
        f"<table><thead><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr></thead><tbody>{table}</tbody></table>"
        f"<p>novelty {recommended.novelty:.2f}{html.escape(worth)}</p>{f'<ul>{notes}</ul>' if notes else ''}</div>"
    )


def in_brief(names: Sequence[str], most: int = 20) -> str:
    """The first of many names."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
