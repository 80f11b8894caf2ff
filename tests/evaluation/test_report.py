from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.text import Text

from metahpo.evaluation.baselines.catalogue import METHODS as ALL_METHODS
from metahpo.evaluation.figures import search_figure, spread
from metahpo.evaluation.report_page import _explorer
from metahpo.evaluation.result import EvaluationReport
from metahpo.evaluation.settings import EvaluationSettings
from metahpo.evaluation.task_pages import write_task_pages
from metahpo.exceptions import DataError, MissingDependencyError, UnknownNameError
from metahpo.reports.charts import COLOURS, INK, MUTED

METHODS = {"metahpo": 0.1, "gaussian_process": 0.3, "random_search": 0.4}


def made_up(
    spaces: tuple[str, ...] = ("svm", "forest"), methods: tuple[str, ...] = tuple(METHODS), notes: tuple[str, ...] = ()
) -> EvaluationReport:
    """Regrets that fall as 1 / trial, with noise between tasks."""
    rng = np.random.default_rng(0)
    regrets = pd.concat(
        [
            pd.DataFrame(
                {
                    "space": space, "task": f"t{t}", "family": f"f{t // 2}", "method": method, "trial": range(1, 13),
                    "regret": METHODS.get(method, 0.2) * rng.uniform(0.5, 1.5) / np.arange(1, 13),
                }
            )
            for space in spaces
            for t in range(10)
            for method in methods
        ],
        ignore_index=True,
    )  # fmt: skip
    costs = pd.DataFrame({"space": "svm", "method": list(methods), "learn_seconds": 1.0, "suggest_milliseconds": 2.0})
    settings = EvaluationSettings(n_trials=12, metric="accuracy", default_first=False)
    return EvaluationReport(regrets, costs, settings, dict.fromkeys(methods, 1), notes)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    made_up(notes=("space svm: task <b>monks</b> is left out",)).save(path)
    return path.read_text(encoding="utf-8")


def test_page_needs_nothing_from_elsewhere(page: str) -> None:
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses
    assert all(address.startswith("#") for address in addresses)
    assert re.findall(r"https?://[^\s\"'<]+", page.replace("http://www.w3.org/2000/svg", "")) == []
    for loading in ("@import", "url(", "fetch(", "XMLHttpRequest", "import("):
        assert loading not in page


def test_every_figure_of_the_page_has_its_table_and_its_name(page: str) -> None:
    parts = page.split("<section ")[1:]
    with_figures = [part for part in parts if "<figure>" in part]
    assert len(with_figures) == 3
    for part in with_figures:
        assert "<table" in part
        assert part.count("<figcaption>") == part.count("<figure>") == part.count('role="img" aria-label="')


def test_page_can_be_read_by_keyboard_and_in_print(page: str) -> None:
    assert page.count('<div class="scroll" tabindex="0" role="region" aria-label="') == page.count("<table")
    assert '<html lang="en">' in page
    assert 'class="skip" href="#content"' in page
    assert "@media print" in page
    assert "<button type=button aria-pressed=true>" in page
    for number in range(1, page.count("<section ") + 1):
        assert f'href="#s{number}"' in page


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_colours_have_contrast_against_white() -> None:
    def contrast(colour: str) -> float:
        return 1.05 / (luminance(colour) + 0.05)

    assert min(map(contrast, COLOURS)) >= 3.0
    assert min(map(contrast, (INK, MUTED, "#005a8e", "#5a5a5a"))) >= 4.5


def test_summary_is_three_sentences(page: str) -> None:
    told = made_up().summary_sentences()
    assert len(told) == 3
    assert re.match(r"On 10 tasks of 5 families .* metahpo has a mean normalised regret of 0\.0\d+ \(", told[0])
    assert "times as fast" in told[1]
    found = re.search(r'<ul class="findings">(.*?)</ul>', page, re.DOTALL)
    assert found is not None
    assert found[1].count("<li>") == 3
    (alone, _, _) = made_up(methods=("metahpo",)).summary_sentences()
    assert alone.endswith("after 5 trials.")


def test_page_holds_the_regrets_of_every_task(page: str) -> None:
    found = re.search(r'<script type="application/json" id="tasks">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    held = json.loads(found[1])
    assert sorted(held["tasks"]) == [f"t{i}" for i in range(10)]
    assert held["trials"] == [1, 2, 3, 5, 10, 12]
    regrets = made_up().regrets
    for space, method, *values in held["tasks"]["t3"]["rows"]:
        chosen = (regrets["space"] == held["spaces"][space]) & (regrets["task"] == "t3")
        chosen &= regrets["method"].str.replace("_", " ") == held["methods"][method]
        own = regrets[chosen].set_index("trial")["regret"]
        np.testing.assert_allclose(np.array(values) / 1000, own[held["trials"]], atol=5e-4)


def test_names_of_tasks_cannot_end_the_script() -> None:
    report = made_up()
    report.regrets["task"] = report.regrets["task"].replace("t0", "</script><b>")
    assert "</script>" not in _explorer(report)


def test_numbers_are_written_beside_the_page(tmp_path: Path) -> None:
    report = made_up()
    report.save(tmp_path / "r.html")
    regrets = pd.read_csv(tmp_path / "r_tables" / "regret.csv")
    np.testing.assert_allclose(regrets["regret"], report.regrets["regret"])
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["summary"] == report.summary_sentences()
    paired = pd.DataFrame(**{k: v for k, v in told["tables"]["paired"].items() if k != "index"})
    np.testing.assert_allclose(paired["difference"], report.paired()["difference"], atol=1e-6)
    text = (tmp_path / "r.md").read_text()
    assert "## Against each other method" in text
    assert "| trial | method | wins |" in text
    assert (tmp_path / "r_figures" / "regret.svg").read_text().startswith("<?xml")


def test_page_holds_figures_tables_protocol_and_notes(page: str) -> None:
    for text in ("gaussian process", "family are not independent", "5 folds, 12 trials", "Wilcoxon"):
        assert text in page


def test_page_holds_what_intervals_cover(tmp_path: Path) -> None:
    row = {"space": "svm", "task": "t0", "family": "f0", "method": "metahpo", "observations": 5, "log_density": -0.75}
    coverage = pd.DataFrame([{**row, "level": level, "coverage": level + 0.011} for level in (0.5, 0.8)])
    replace(made_up(("svm",)), coverage=coverage).save(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    table = page[page.index("Quality of predictions") :]
    for cell in ('<th scope="col">50 %</th>', ">0.511</td>", ">0.811</td>", ">-0.750</td>", ">5</td>"):
        assert cell in table


def test_page_escapes_what_it_is_given(page: str) -> None:
    assert "&lt;b&gt;monks&lt;/b&gt;" in page


def test_same_result_same_page(page: str, tmp_path: Path) -> None:
    path = tmp_path / "again.html"
    made_up(notes=("space svm: task <b>monks</b> is left out",)).save(path)
    assert path.read_text(encoding="utf-8") == page


def test_findings_name_regrets_and_trials_saved() -> None:
    found = made_up().findings()
    assert found[0].startswith("Mean normalised regret after 1 trial: metahpo 0.1")
    assert any(re.fullmatch(r"metahpo needs \d trials? to be as good as random search after 12\.", f) for f in found)


def exhausted(n_recorded: int | None, last: int) -> EvaluationReport:
    """A report whose methods are alike after `last` of 12 trials."""
    report = made_up(("svm",))
    regrets = report.regrets.assign(regret=report.regrets["regret"].where(report.regrets["trial"] <= last, 0.0))
    return replace(report, regrets=regrets, n_recorded=n_recorded)


def test_trials_saved_are_counted_before_every_recorded_configuration_is_tried(tmp_path: Path) -> None:
    report = exhausted(13, 9)
    told = "metahpo needs 2 trials to be as good as random search after 6."
    reason = (
        "The comparison ends after 6 of 12 trials, because a task has 13 recorded configurations: when more than half "
        "of them are tried, all methods become alike."
    )
    assert told in report.findings()
    assert report.findings()[-1] == reason
    assert report.summary_sentences()[1].endswith(reason)
    assert "of 6 trials it is as good as random search after 6" in report.summary_sentences()[1]
    assert report.speed().set_index("method")["speed_up"]["random_search"] == 3.0
    ends = "The comparison ends after 9 of 12 trials: after more trials all methods have the same regret."
    assert exhausted(None, 9).findings()[-1] == ends
    report.save(tmp_path / "r.html")
    assert "Speed-up: 6 trials of the other method" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_trials_saved_are_not_told_where_methods_are_never_apart() -> None:
    told = (
        "How many trials a method saves cannot be told: all methods have the same regret, up to half of the 1 recorded "
        "configurations of a task."
    )
    report = exhausted(1, 9)
    assert report.findings()[-1] == report.summary_sentences()[1] == told
    assert exhausted(None, 0).findings()[-1].endswith("all methods have the same regret.")


@pytest.mark.parametrize(
    ("spaces", "methods", "drawn"),
    [
        (("svm", "forest"), ("metahpo", "random_search"), ["regret", "regret_by_space", "ranking"]),
        (("svm",), ("metahpo", "random_search"), ["regret", "ranking"]),
        (("svm",), ("metahpo",), ["regret"]),
    ],
)
def test_there_is_a_figure_for_what_can_be_compared(
    spaces: tuple[str, ...], methods: tuple[str, ...], drawn: list[str], tmp_path: Path
) -> None:
    report = made_up(spaces, methods)
    figures = report.figures()
    assert list(figures) == drawn
    assert all(len(figure.table) > 0 for figure in figures.values())
    report.save(tmp_path / "report.html")


def test_lines_are_the_numbers_of_the_table(tmp_path: Path) -> None:
    figure = made_up().figures()["regret"]
    (axes,) = figure.figure.axes
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    for method, rows in figure.table.groupby("method"):
        line = lines[str(method).replace("_", " ")]
        np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), rows["regret"])
    assert {text.get_text() for text in axes.texts} == set(lines)
    figure.save(tmp_path / "regret.png")
    assert (tmp_path / "regret.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("methods", [tuple(ALL_METHODS), tuple(reversed(ALL_METHODS))], ids=["forwards", "backwards"])
def test_names_of_all_methods_are_told_apart_and_fit_into_the_figures(methods: tuple[str, ...]) -> None:
    drawn, names = made_up(methods=methods).figures(), {method.replace("_", " ") for method in methods}
    for figure in (report_figure.figure for report_figure in drawn.values()):
        figure.draw_without_rendering()
        width, height = figure.bbox.size
        written = [text for text in figure.findobj(Text) if isinstance(text, Text)]
        for text in [text for text in written if any(name in text.get_text() for name in names)]:
            box = text.get_window_extent()
            assert box.x0 >= 0 <= box.y0, text
            assert box.x1 <= width, text
            assert box.y1 <= height, text
    (axes,) = drawn["regret"].figure.axes
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}) == len(methods)


def test_regret_of_zero_is_drawn_on_the_logarithmic_axis() -> None:
    report = made_up()
    report.regrets.loc[report.regrets["trial"] > 5, "regret"] = 0.0
    (axes,) = report.figures()["regret"].figure.axes
    assert all((np.asarray(line.get_ydata(), dtype=float) > 0).all() for line in axes.get_lines())


def test_search_figure_has_a_panel_a_table_and_learner_and_a_step_a_search() -> None:
    panels = {("iris", "random_forest"): "balanced_accuracy", ("diabetes", "svm"): "r2", ("iris", "svm"): "accuracy"}
    scores = pd.DataFrame(
        [
            {"table": table, "learner": learner, "metric": metric, "search": search, "trial": trial, "score": score}
            for (table, learner), metric in panels.items()
            for search in ("warm", "cold")
            for trial, score in ((trial, trial / 10 + (search == "warm")) for trial in range(1, 6))
        ]
    )
    drawn = search_figure(scores)
    titles = [axes.get_title(loc="left") for axes in drawn.figure.axes]
    assert titles == ["iris, random forest", "diabetes, svm", "iris, svm"]
    assert [axes.get_ylabel() for axes in drawn.figure.axes] == ["balanced accuracy", "r2", "accuracy"]
    for axes in drawn.figure.axes:
        warm, cold = axes.get_lines()
        np.testing.assert_allclose(np.asarray(warm.get_ydata()), np.asarray(cold.get_ydata()) + 1)


def test_a_ranking_of_one_method_and_an_unknown_reference_are_refused() -> None:
    with pytest.raises(DataError, match="at least two"):
        made_up(methods=("metahpo",)).ranking()
    with pytest.raises(UnknownNameError, match="gaussian_process"):
        made_up().comparison(reference="grid")
    with pytest.raises(UnknownNameError):
        made_up().trials_to_match("grid")


@pytest.mark.parametrize(
    ("package", "modules"), [("jinja2", []), ("matplotlib", ["canvas", "figures", "ranking_figure"])]
)
def test_a_missing_package_is_answered_with_its_extra(
    package: str, modules: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for module in modules:
        monkeypatch.delitem(sys.modules, f"metahpo.evaluation.{module}", raising=False)
    with pytest.raises(MissingDependencyError, match=r"metahpo\[report\]"):
        made_up().save(tmp_path / "report.html")


@given(arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 1)))
def test_labels_are_spread_apart_in_order_and_around_where_they_were(positions: np.ndarray) -> None:
    moved = spread(positions, 0.1)
    order = np.argsort(positions, kind="stable")
    assert (np.diff(moved[order]) >= 0.1 - 1e-9).all()
    assert moved.mean() == pytest.approx(positions.mean())


def test_each_task_has_a_page_that_shows_where_it_stands(tmp_path: Path) -> None:
    report = made_up()
    tasks = [f"t{i}" for i in range(10)]
    families = [f"f{i // 2}" for i in range(10)]
    places = pd.DataFrame({"task": tasks, "family": families, "x": np.arange(10.0), "y": np.zeros(10)})
    known = pd.DataFrame({"task": tasks, "family": families, "kind": "regression", "n_rows": range(100, 110)})
    told = replace(report, tasks=known, understanding={"map": places})
    written = write_task_pages(told, tmp_path / "tasks", "foot")
    assert [path.name for path in written] == [f"{task}.html" for task in tasks]
    page = written[4].read_text(encoding="utf-8")
    assert "family: f2, kind: regression, n rows: 104." in page
    at = report.regrets[(report.regrets["task"] == "t4") & (report.regrets["trial"] == 5)].groupby("method")["regret"]
    assert f"metahpo has a regret of {at.mean()['metahpo']:.3f}" in page
    near = page.split("<h2>Where it stands</h2>")[1].split("<tbody>")[1].split("</tbody>")[0]
    assert re.findall(r"t\d(?=</td>)", near) == ["t3", "t2", "t6", "t1", "t7"]  # t5 is of its family
    assert re.findall(r'<circle[^>]*fill="#C04E00"[^>]*data-task="([^"]*)"', page) == ["t4"]


def test_names_of_tasks_become_names_of_files(tmp_path: Path) -> None:
    report = made_up()
    renamed = report.regrets.assign(task=report.regrets["task"].replace({"t0": "a/b", "t1": "a?b", "t2": "../c"}))
    written = write_task_pages(replace(report, regrets=renamed), tmp_path / "tasks", "")
    assert len(set(written)) == 10
    assert {path.parent for path in written} == {tmp_path / "tasks"}
    assert all(path.is_file() for path in written)


def test_a_report_that_cannot_be_written_is_refused_with_the_reason(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "report.html"):
        with pytest.raises(DataError, match="must be a file in a folder that exists"):
            made_up().save(path)
