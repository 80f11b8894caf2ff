"""Pages: self-contained HTML with charts, each with its table; of an evaluation, a search, or a recommendation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.reports.charts import (
        Chart,
        Line,
        interval_chart,
        line_chart,
        parallel_chart,
        point_chart,
        rank_chart,
        share_chart,
    )
    from metahpo.reports.page import Section, cell, check_available, check_page, embedded, render
    from metahpo.reports.recommendation_page import write_recommendation_page
    from metahpo.reports.search_page import write_search_page

__all__ = [
    "Chart",
    "Line",
    "Section",
    "cell",
    "check_available",
    "check_page",
    "embedded",
    "interval_chart",
    "line_chart",
    "parallel_chart",
    "point_chart",
    "rank_chart",
    "render",
    "share_chart",
    "write_recommendation_page",
    "write_search_page",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
