"""Pages in a real browser: no error, and nothing cut, on a wide screen, on a phone and on paper."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metahpo.reports.charts import Line, line_chart
from metahpo.reports.page import Section, render
from metahpo.reports.search_page import sections, summary
from tests.evaluation.test_report import made_up
from tests.reports.test_search_page import searched

BROWSER = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

#: Tells errors, what is wider than its box, and letters of figures outside of them.
PROBE = """<script>
const errors = []; addEventListener("error", event => errors.push(event.message));
addEventListener("load", () => {
  const cut = [];
  document.querySelectorAll("details").forEach(one => one.open = true);
  document.querySelectorAll("body, .scroll, th, td, p, li, figcaption").forEach(one => {
    if (one.closest("thead") && getComputedStyle(one.closest("thead")).position === "absolute") return;
    if (one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline")
      cut.push(one.tagName + ": " + one.textContent.trim().slice(0, 60)); });
  document.querySelectorAll("figure svg[role=img] text").forEach(text => {
    const box = text.getBBox(), view = text.ownerSVGElement.viewBox.baseVal;
    if (!text.hasAttribute("transform") && (box.x < -1 || box.x + box.width > view.width + 1))
      cut.push("text: " + text.textContent); });
  parent.document.body.dataset.told = JSON.stringify({errors, cut, width: innerWidth});
});
</script>"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made_up(methods=("metahpo", "gaussian_process", "random_search", "recommended_without_meta_features")).save(
        folder / "evaluation.html", beside=False
    )
    search = searched(30)
    page = render("A search", summary(search, search.optimizer_), sections(search, search.optimizer_), "")
    (folder / "search.html").write_text(page, encoding="utf-8")
    for path in folder.glob("*.html"):
        probed = path.read_text(encoding="utf-8").replace("<head>", f"<head>{PROBE}", 1)
        path.write_text(probed, encoding="utf-8")
    return {path.stem: path for path in folder.glob("*.html")}


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    assert BROWSER is not None
    asked = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]
    profile = f"--user-data-dir={page.parent / 'profile'}"
    return subprocess.run([*asked, profile, *options, page.as_uri()], capture_output=True, check=True, timeout=120)


def looked_at(page: Path, width: int) -> dict[str, Any]:
    """What the probe tells of a page in a frame; a window may not be narrower than 500 pixels."""
    frame = page.with_name(f"{page.stem}.{width}.frame.html")
    inside = escape(page.read_text(encoding="utf-8"))
    frame.write_text(
        f'<meta charset="utf-8"><body><iframe width="{width}" height="900" style="border:0" srcdoc="{inside}"></iframe>'
    )
    done = browse(frame, "--window-size=1400,1000", "--dump-dom")
    assert b"CONSOLE" not in done.stderr
    found = re.search(r'<body[^>]* data-told="([^"]*)"', done.stdout.decode())
    assert found is not None
    told: dict[str, Any] = json.loads(unescape(found[1]))
    return told


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", ["evaluation", "search"])
def test_nothing_is_cut_and_nothing_fails(pages: dict[str, Path], name: str, width: int) -> None:
    assert looked_at(pages[name], width) == {"errors": [], "cut": [], "width": width}


def test_the_page_fits_on_paper(pages: dict[str, Path]) -> None:
    paper = pages["evaluation"].with_suffix(".pdf")
    browse(pages["evaluation"], f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    boxes = re.findall(rb"/MediaBox \[([\d. ]+)\]", paper.read_bytes())
    assert boxes
    for box in boxes:  # A4 in points; a browser makes the paper no larger, and what does not fit is made smaller
        np.testing.assert_allclose([float(number) for number in box.split()], [0, 0, 595, 842], atol=2)


def test_a_picture_of_the_page_shows_it(pages: dict[str, Path]) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    picture = pages["evaluation"].with_suffix(".png")
    browse(pages["evaluation"], "--window-size=400,1600", f"--screenshot={picture}")
    shown = imread(picture)
    assert shown.shape[:2] == (1600, 400)
    assert (shown[..., :3].min(axis=2) < 0.9).any(axis=1).mean() > 0.5  # it is not blank
    assert (shown[:, -6:, :3] > 0.95).all()  # its right margin is


def test_what_is_cut_is_noticed(tmp_path: Path) -> None:
    wide = pd.DataFrame({f"a_column_{i}": [f"{i}" * 60] for i in range(3)})
    page = render("Wide", ["x"], [Section("Wide", table=wide)], "").replace("<head>", f"<head>{PROBE}", 1)
    (tmp_path / "wide.html").write_text(page.replace("overflow-wrap: anywhere", ""), encoding="utf-8")
    assert looked_at(tmp_path / "wide.html", 400)["cut"]


def test_long_names_and_wide_ticks_stay_inside(tmp_path: Path) -> None:
    name = "GAMETES_Heterogeneity_20atts_1600_Het_0.4_0.2_50_EDM-2_001@1200"
    table = pd.DataFrame([[name, "family", 0.1, 0.2]], columns=["task", "family", "regret", "regret against"])
    chart = line_chart([Line("method", np.array([500.0, 5000.0]), np.array([0.2, 0.1]))], "By size", "rows", "regret")
    page = render("Wide", [], [Section("Tasks", charts={"By size": chart}, table=table)], "")
    path = tmp_path / "wide.html"
    path.write_text(page.replace("<head>", f"<head>{PROBE}", 1), encoding="utf-8")
    assert looked_at(path, 400)["cut"] == []
