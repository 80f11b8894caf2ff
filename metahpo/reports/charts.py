"""Charts as SVG text. They need no library, and stay legible on a phone and in print.

A chart is drawn on a canvas of 440 units with letters of 11 to 12 units. A screen of 400 pixels shows it at about its
own size, and a wide screen shows two charts beside each other. Colours have a contrast of at least 3 to 1 against
white; no chart needs them alone to be understood: lines differ in their dashes as well, and every chart has its table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Colours of lines, the first for the method that the report is about; after Okabe and Ito, darker where too light.
COLOURS = ("#0072B2", "#C04E00", "#007A5A", "#B0407F", "#6B6B6B", "#8A6500", "#2F6F9F", "#000000")
DASHES = ("", "6 2", "2 2", "8 2 2 2", "4 3", "1 2", "10 3", "")
INK, MUTED, GRID = "#222222", "#5A5A5A", "#DDDDDD"
WIDTH = 440
#: Steps between ticks of a logarithmic axis that spans little.
HALVES = tuple(step / 2 for step in range(2, 20))
#: Names longer than this are cut; the table has them whole.
MAX_LABEL = 26


@dataclass(frozen=True)
class Line:
    """A named line, with a band around it where there is one.

    Attributes
    ----------
    label : str
    x, y : ndarray of shape (n,)
    low, high : ndarray of shape (n,), or None
    """

    label: str
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None


@dataclass(frozen=True)
class Chart:
    """A drawn chart.

    Attributes
    ----------
    svg : str
    key : tuple of (str, str, str)
        Label, colour and dashes of each line, for the legend; empty where names stand in the chart.
    toggles : bool
        Whether the entries of the legend hide and show its lines.
    """

    svg: str
    key: tuple[tuple[str, str, str], ...] = ()
    toggles: bool = False


def line_chart(
    lines: Sequence[Line], title: str, x_title: str, y_title: str, *, log_x: bool = True, log_y: bool = True
) -> Chart:
    """Lines over a common axis; on a logarithmic axis, values at or below 0 lie on its lower end.

    Where all `x` are whole numbers, so are the ticks below them.
    """
    height, right, top, bottom = 290, 14, 14, 44
    xs = np.concatenate([line.x for line in lines])
    ys = np.concatenate([v for line in lines for v in (line.y, line.low, line.high) if v is not None])
    ys = ys[np.isfinite(ys)]
    up = _Axis.over(ys, height - bottom, top, log_y)
    left = 30 + 7 * max((len(f"{tick:g}") for tick in up.ticks()), default=0)  # the title of the axis, then its ticks
    across = _Axis.over(xs, left, WIDTH - right, log_x)
    whole = bool((xs == np.round(xs)).all())
    ticks = [tick for tick in across.ticks() if not whole or tick == round(tick)]
    parts = [_grid(across, up, left, WIDTH - right, top, height - bottom, ticks)]
    for i, line in reversed(list(enumerate(lines))):  # the first is on top
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
        x, y = across(line.x), up(line.y)
        drawn = ""
        if line.low is not None and line.high is not None and np.isfinite(line.low).all():
            border = [*zip(x, up(line.high), strict=True), *reversed(list(zip(x, up(line.low), strict=True)))]
            drawn += f'<polygon points="{_points(border)}" fill="{colour}" opacity="0.13"/>'
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        drawn += (
            f'<polyline points="{_points(zip(x, y, strict=True))}" fill="none" stroke="{colour}" '
            f'stroke-width="{2.6 if i == 0 else 1.7}"{dashes}/>'
        )
        for at, (px, py) in enumerate(zip(x, y, strict=True)):
            told = f"{line.label}: {line.y[at]:.3f} at {line.x[at]:g}"
            if len(line.x) <= 16 or at % max(1, len(line.x) // 12) == 0:
                drawn += (
                    f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}" opacity="0">'
                    f"<title>{escape(told)}</title></circle>"
                )
        parts.append(f'<g data-line="{i}">{drawn}</g>')
    parts.append(_text((left + WIDTH - right) / 2, height - 8, x_title, "middle"))
    parts.append(
        f'<text x="12" y="{(top + height - bottom) / 2}" text-anchor="middle" font-size="12" fill="{MUTED}" '
        f'transform="rotate(-90 12 {(top + height - bottom) / 2})">{escape(y_title)}</text>'
    )
    key = tuple((line.label, COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]) for i, line in enumerate(lines))
    return Chart(_svg(height, title, parts), key, toggles=True)


def interval_chart(
    labels: Sequence[str], means: Array, low: Array, high: Array, title: str, x_title: str, zero: float | None = 0.0
) -> Chart:
    """A point and an interval for each label, below each other; NaN bounds are left out."""
    row, top, bottom, left, right = 40, 10, 44, 16, 16
    height = top + row * len(labels) + bottom
    values = np.concatenate([means, low, high, [] if zero is None else [zero]])
    across = _Axis.over(values[np.isfinite(values)], left, WIDTH - right, log=False)
    parts = [_grid(across, None, left, WIDTH - right, top, height - bottom)]
    if zero is not None:
        x = float(across(np.array([zero]))[0])
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - bottom}" stroke="{INK}"/>')
    for i, label in enumerate(labels):
        y = top + row * i
        x, x0, x1 = (float(across(np.array([v]))[0]) if np.isfinite(v) else np.nan for v in (means[i], low[i], high[i]))
        told = f"{label}: {means[i]:.4f} ({low[i]:.4f} to {high[i]:.4f})"
        parts.append(_halo(_text(left, y + 12, _cut(label, 60), "start", INK)))
        if np.isfinite(x0) and np.isfinite(x1):
            parts.append(
                f'<line x1="{x0:.1f}" x2="{x1:.1f}" y1="{y + 22}" y2="{y + 22}" '
                f'stroke="{COLOURS[0]}" stroke-width="3"/>'
            )
        if np.isfinite(x):
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y + 22}" r="5" fill="{COLOURS[0]}"><title>{escape(told)}</title></circle>'
            )
    parts.append(_text((left + WIDTH - right) / 2, height - 8, x_title, "middle"))
    return Chart(_svg(height, title, parts))


def share_chart(labels: Sequence[str], shares: Array, names: Sequence[str], title: str) -> Chart:
    """A bar a label, divided into shares (n, k) that sum to 1; their percentages stand in the bars."""
    row, top = 42, 6
    colours = (COLOURS[2], "#B8B8B8", COLOURS[1])
    parts = []
    for i, label in enumerate(labels):
        y = top + row * i
        parts.append(_text(6, y + 12, _cut(label, 60), "start", INK))
        x = 6.0
        for k, share in enumerate(shares[i]):
            width = float(share) * (WIDTH - 12)
            told = f"{label}: {names[k]} {100 * share:.0f} %"
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 17}" width="{width:.1f}" height="18" fill="{colours[k % 3]}">'
                f"<title>{escape(told)}</title></rect>"
            )
            if width > 30:
                ink = INK if k % 3 == 1 else "#FFFFFF"
                parts.append(_text(x + width / 2, y + 30, f"{100 * share:.0f} %", "middle", ink))
            x += width
    key = tuple((name, colours[k % 3], "") for k, name in enumerate(names))
    return Chart(_svg(top + row * len(labels), title, parts), key)


def rank_chart(labels: Sequence[str], ranks: Array, groups: Sequence[tuple[int, int]], title: str) -> Chart:
    """Average ranks on a line, best first; a bar joins the methods from `start` to before `stop` of each group."""
    k, row, left, right = len(labels), 20, 20, 20
    top = 34 + 9 * len(groups)
    height = top + row * k + 8
    across = _Axis(1.0, float(max(k, 2)), left, WIDTH - right, log=False)
    parts = [f'<line x1="{left}" x2="{WIDTH - right}" y1="22" y2="22" stroke="{INK}"/>']
    for rank in range(1, k + 1):
        x = float(across(np.array([rank]))[0])
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="18" y2="22" stroke="{INK}"/>' + _text(x, 13, str(rank), "middle")
        )
    for g, (start, stop) in enumerate(groups):
        a, b = across(ranks[[start, stop - 1]])
        parts.append(
            f'<line x1="{a - 4:.1f}" x2="{b + 4:.1f}" y1="{31 + 9 * g}" y2="{31 + 9 * g}" stroke="{INK}" '
            'stroke-width="4"/>'
        )
    for i, label in enumerate(labels):
        x, y = float(across(np.array([ranks[i]]))[0]), top + row * i + 12
        named = f"{_cut(label)}  {ranks[i]:.2f}"
        on_right = x < WIDTH / 2
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="22" y2="{y - 4}" stroke="{MUTED}" stroke-dasharray="2 2"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y - 4}" r="4" fill="{COLOURS[0]}"/>')
        parts.append(_text(x + (8 if on_right else -8), y, named, "start" if on_right else "end", INK))
    return Chart(_svg(height, title, parts))


def point_chart(
    points: Array, labels: Sequence[str], groups: Sequence[int], names: Sequence[str], title: str, ids: Sequence[str]
) -> Chart:
    """A map of points (n, 2). Each has the colour of its group, and shows its label when the mouse is on it."""
    height, pad = 320, 14
    across = _Axis.over(points[:, 0], pad, WIDTH - pad, log=False, tight=True)
    up = _Axis.over(points[:, 1], height - pad, pad, log=False, tight=True)
    parts = [f'<rect x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" fill="none" stroke="{GRID}"/>']
    for (x, y), label, group, name in zip(points, labels, groups, ids, strict=True):
        at = f"{across(np.array([x]))[0]:.1f}", f"{up(np.array([y]))[0]:.1f}"
        shape = f'cx="{at[0]}" cy="{at[1]}" r="4.5"'
        parts.append(
            f'<circle {shape} fill="{COLOURS[group % len(COLOURS)]}" fill-opacity="0.75" data-task="{escape(name)}">'
            f"<title>{escape(label)}</title></circle>"
        )
    key = tuple((name, COLOURS[i % len(COLOURS)], "") for i, name in enumerate(names))
    return Chart(_svg(height, title, parts), key)


def parallel_chart(
    columns: Sequence[str], rows: Array, good: NDArray[np.bool_], title: str, good_name: str = "the best tenth"
) -> Chart:
    """Parallel coordinates: rows (n, d) in the unit cube; NaN is not drawn; the good ones are strong, and on top.

    A column is named above its axis, best with the values of its two ends.
    """
    d = len(columns)
    row, top, left, right = 44, 20, 12, 12
    faint = min(
        0.8, max(0.25, 12.0 / max(1, len(rows)))
    )  # few lines must be seen, and many must not hide the good ones
    height = top + row * max(d - 1, 1) + 26
    parts = []
    for i in range(d):
        y = top + row * i
        parts.append(f'<line x1="{left}" x2="{WIDTH - right}" y1="{y}" y2="{y}" stroke="{GRID}"/>')
    for chosen in (False, True):
        colour, opacity, width = (COLOURS[0], 0.7, 1.4) if chosen else ("#9A9A9A", faint, 0.9)
        for values in rows[good == chosen]:
            seen = [(left + v * (WIDTH - left - right), top + row * i) for i, v in enumerate(values) if np.isfinite(v)]
            parts.append(
                f'<polyline points="{_points(seen)}" fill="none" stroke="{colour}" stroke-opacity="{opacity}" '
                f'stroke-width="{width}"/>'
            )
    for i, column in enumerate(columns):
        parts.append(_halo(_text(left, top + row * i - 5, _cut(column, 60), "start", INK)))
    key = ((good_name, COLOURS[0], ""), ("the others", "#9A9A9A", ""))
    return Chart(_svg(height, title, parts), key)


@dataclass(frozen=True)
class _Axis:
    """From numbers to units of the canvas."""

    low: float
    high: float
    start: float
    stop: float
    log: bool

    @classmethod
    def over(cls, values: Array, start: float, stop: float, log: bool, tight: bool = False) -> _Axis:
        finite = values[np.isfinite(values)]
        if log:
            finite = finite[finite > 0]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.1, 1.0)
        if high <= low:
            low, high = (low / 1.5, high * 1.5) if log else (low - 0.5, high + 0.5)
        elif not tight and not log:
            low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
        return cls(low, high, start, stop, log)

    def __call__(self, values: Array) -> Array:
        scale: Callable[[Array], Array] = np.log if self.log else np.asarray
        held = np.maximum(values, self.low) if self.log else values
        low, high = scale(np.array([self.low, self.high]))
        return np.asarray(self.start + (scale(held) - low) / (high - low) * (self.stop - self.start))

    def ticks(self, most: int = 6) -> list[float]:
        if self.log:
            decades = range(int(np.floor(np.log10(self.low))), int(np.ceil(np.log10(self.high))) + 1)
            for steps in (HALVES, tuple(range(1, 10)), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
                found = [s * 10.0**k for k in decades for s in steps if self.low <= s * 10.0**k <= self.high * 1.0001]
                if len(found) <= most + 1:
                    break
            return found[:: max(1, -(-len(found) // (most + 1)))]
        rough = (self.high - self.low) / most
        size = 10.0 ** np.floor(np.log10(rough))
        step = float(min((s * size for s in (1, 2, 5, 10)), key=lambda s: abs(s - rough)))
        return [float(round(t, 10)) + 0.0 for t in np.arange(np.ceil(self.low / step) * step, self.high + 1e-12, step)]


def _grid(
    across: _Axis,
    up: _Axis | None,
    left: float,
    right: float,
    top: float,
    bottom: float,
    ticks: Sequence[float] | None = None,
) -> str:
    parts = []
    for tick in across.ticks() if ticks is None else ticks:
        x = float(across(np.array([tick]))[0])
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" stroke="{GRID}"/>')
        label = f"{tick:,g}"
        parts.append(_text(min(x, WIDTH - 3.5 * len(label)), bottom + 15, label, "middle"))
    for tick in up.ticks() if up is not None else ():
        y = float(up(np.array([tick]))[0]) if up is not None else 0.0
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(_text(left - 5, y + 4, f"{tick:g}", "end"))
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str, colour: str = MUTED) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="12" fill="{colour}">{escape(text)}</text>'


def _halo(text: str) -> str:
    """A text that stays legible on lines."""
    return text.replace("<text ", '<text paint-order="stroke" stroke="#fff" stroke-width="5" ', 1)


def _cut(label: str, most: int = MAX_LABEL) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"


def _points(pairs: object) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)  # type: ignore[attr-defined]


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
