"""The report as one HTML page: sections of text, figure and table in a template; nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from metahpo.exceptions import DataError, MissingDependencyError
from metahpo.reports.charts import Chart

TEMPLATE = Path(__file__).with_name("template.html.jinja")


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes
    ----------
    title : str
    paragraphs : sequence of str
        Plain text.
    svg : str or None
        A figure of another library.
    table : DataFrame or None
    folded : bool
        Whether the table is hidden until asked for.
    charts : mapping of str to Chart
        By caption.
    tables : mapping of str to DataFrame
        Further tables, by caption.
    explorer : str or None
        JSON of what is known of each task, to be chosen from.
    """

    title: str
    paragraphs: Sequence[str] = ()
    svg: str | None = None
    table: pd.DataFrame | None = None
    folded: bool = False
    charts: Mapping[str, Chart] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    explorer: str | None = None


def check_available() -> None:
    """Raise before the work starts what :func:`render` would raise after it.

    Raises
    ------
    MissingDependencyError
        jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingDependencyError("a report needs jinja2; install it with: pip install 'metahpo[report]'") from error


def check_page(path: str | Path) -> None:
    """Raise before the work starts what would be raised when a page is written after it.

    Raises
    ------
    MissingDependencyError
        jinja2 is not installed.
    DataError
        The path is a folder, or lies in none that can be written.
    """
    check_available()
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise DataError(f"the report {str(path)!r} must be a file in a folder that exists and can be written.")


def render(title: str, findings: Sequence[str], sections: Sequence[Section], footer: str) -> str:
    """Return the page; text is escaped, figures are embedded.

    Raises
    ------
    MissingDependencyError
        jinja2 is not installed.
    """
    check_available()
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["data_uri"] = data_uri
    environment.filters["cell"] = cell
    environment.filters["spaced"] = spaced
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(title=title, findings=findings, sections=sections, footer=footer)


def embedded(value: Any) -> str:
    """Return JSON that can stand inside a page."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def data_uri(svg: str) -> str:
    """Return an SVG figure as the address of an image that holds itself."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def spaced(name: Any) -> str:
    """Return the name of a column as words, which a browser can break into lines."""
    return str(name).replace("_", " ")


def cell(value: Any) -> str:
    """Return a value as it stands in a table."""
    if pd.isna(value):
        return "–"
    if isinstance(value, float):
        return f"{value:.2g}" if 0 < abs(value) < 1e-3 else f"{value:.3f}"
    return str(value).replace(" ± ", "\u00a0±\u00a0")  # a number and its error stay in one line
