from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from metahpo.exceptions import DataError
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.recommendation.probes import Probe
from metahpo.recommendation.recommendation import Recommendation
from metahpo.recommendation.recommendations import Recommendations
from metahpo.recommendation.worth import Worth
from metahpo.reports.recommendation_page import summary as recommendation_summary
from metahpo.reports.recommendation_page import write_recommendation_page
from metahpo.reports.search_page import summary, write_search_page
from metahpo.space.activity import default_configuration
from metahpo.space.design import sobol_design
from metahpo.surrogates.surrogate import TrainedSurrogate
from tests.conftest import toy_space


def searched(n: int = 14, failed: tuple[int, ...] = (2,)) -> SimpleNamespace:
    """A search whose first trial is the default, and whose scores follow from the rate."""
    space = toy_space()
    optimizer = BayesianOptimizer(space, random_state=0)
    for i, configuration in enumerate([default_configuration(space), *sobol_design(space, n, random_state=0)][:n]):
        score = -abs(np.log10(configuration["rate"]) + 1)
        optimizer.tell(configuration, np.nan if i in failed else -score, seconds=1.0 + i)
    return SimpleNamespace(optimizer_=optimizer, notes_=("note <one>",), warm_start=True, space="toy")


def check_page(page: str) -> None:
    """Nothing comes from elsewhere, and every figure has its table."""
    assert all(address.startswith("#") for address in re.findall(r'(?:src|href)="([^"]*)"', page))
    for part in page.split("<section ")[1:]:
        assert "<figure>" not in part or "<table" in part


def test_page_of_a_search_tells_history_incumbents_importance_and_gain(tmp_path: Path) -> None:
    search = searched()
    write_search_page(search, tmp_path / "search.html")
    page = (tmp_path / "search.html").read_text(encoding="utf-8")
    check_page(page)
    for title in ("History", "Incumbents", "Which hyperparameters matter", "All trials", "What experience contributed"):
        assert f"<h2>{title}</h2>" in page
    assert "note &lt;one&gt;" in page
    told = summary(search, search.optimizer_)
    assert len(told) == 3
    scores = -search.optimizer_.history.losses
    assert f"{np.nanmax(scores):.4f}; 1 trials failed" in told[0]
    assert f"That is {np.nanmax(scores) - scores[0]:.4f} more than the library's default, trial 1" in told[2]


def test_axes_are_named_with_their_values_and_a_search_no_better_than_the_default_says_so(tmp_path: Path) -> None:
    search = searched(1, ())
    assert summary(search, search.optimizer_)[2] == "No trial is better than the library's default, trial 1."
    write_search_page(searched(3), tmp_path / "search.html")
    page = (tmp_path / "search.html").read_text(encoding="utf-8")
    for name, known in toy_space().items():
        assert f">{name}: " in page, known
    assert ">1.5<" not in page  # a trial is a whole number


def test_a_page_that_cannot_be_written_is_refused_with_the_reason(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "search.html"):
        with pytest.raises(DataError, match="must be a file in a folder that exists"):
            write_search_page(searched(), path)


@pytest.mark.parametrize(("n", "failed"), [(1, ()), (3, (0, 1, 2)), (5, (0,))])
def test_short_and_failed_searches_have_a_page_too(n: int, failed: tuple[int, ...], tmp_path: Path) -> None:
    write_search_page(searched(n, failed), tmp_path / "search.html")
    check_page((tmp_path / "search.html").read_text(encoding="utf-8"))


def test_a_search_without_trials_has_no_page(tmp_path: Path) -> None:
    for search in (SimpleNamespace(), SimpleNamespace(optimizer_=BayesianOptimizer(toy_space()))):
        with pytest.raises(DataError, match="call fit first"):
            write_search_page(search, tmp_path / "search.html")


def test_page_of_a_recommendation_tells_what_to_expect_and_why(tmp_path: Path) -> None:
    item = Recommendation(
        "svm", {"C": 0.123456, "class_weight": None, "gamma_rule": "scale", "kernel": "rbf"}, 91.0, (60.0, 99.0), 0.1,
        "best guess", 0.8, 0.1, (-0.02, 0.3),
    )  # fmt: skip
    rec = Recommendations(
        (item,), "accuracy", {"wine": 0.4, "iris": 0.1}, 0.3, {"load": 0.1}, ("a note",), None, {"n_rows": 100.0},
        about="<mine>\nclassification of 2 classes", worth=Worth(0.5, 0.1, 0.07, 0.02, 30),
        probes=(Probe("svm", {"C": 2.0}, 300, "success", 0.25, 0.5, 0.1),),
    )  # fmt: skip
    write_recommendation_page(rec, tmp_path / "rec.html")
    page = (tmp_path / "rec.html").read_text(encoding="utf-8")
    check_page(page)
    assert "Hyperparameters for &lt;mine&gt;" in page
    assert "C=0.1235, class_weight=None, kernel=rbf, gamma=scale" in page
    assert (
        "Measured on other datasets: on 30 recorded tasks that are about as unfamiliar as this dataset, the best guess "
        "of the experience had a smaller error than the default in 50% of cases and a larger one in 10%; on average "
        "its error was 7.0 % smaller."
    ) in page
    beyond = str(Worth(0.3, 0.4, -0.05, 0.02, 30, beyond=True))
    assert "no recorded task is as unfamiliar as this dataset; on the 30 most unfamiliar ones, the best" in beyond
    assert beyond.endswith("its error was 5.0 % larger")
    assert re.search(r">median change of the error \(%\)<.*>-10\.000<", page, re.DOTALL)  # with the sign of the summary
    assert re.search(r"<h2>Probes</h2>.*>300<.*>0\.250<.*>0\.500<", page, re.DOTALL)
    skewed = replace(item, change_interval=(0.11, 0.3), median_change=0.12, expected_change=-0.2)
    assert skewed.change_of_error() == "-12.0 % (-30.0 to -11.0), +20.0 % on average"
    told = recommendation_summary(rec)
    assert told[1].endswith("the median change of its error is -10.0 % (-30.0 to +2.0).")
    of_skewed = recommendation_summary(replace(rec, items=(skewed, *rec.items[1:])))
    assert of_skewed[1].endswith("the median change of its error is -12.0 % (-30.0 to -11.0), +20.0 % on average.")
    assert told[2] == "30 % of the recorded tasks are more familiar than this dataset; it is most like wine."


def test_page_of_a_warm_search_tells_what_each_source_task_contributed(
    toy_surrogate: TrainedSurrogate, tmp_path: Path
) -> None:
    optimizer = BayesianOptimizer(toy_space(), toy_surrogate, {"shift": 0.2}, random_state=0)
    assert optimizer.task_weights() == optimizer.task_weights(0) == toy_surrogate.task_weights(None, {"shift": 0.2})
    for rate in (0.1, 0.01, 0.5):
        optimizer.tell({**default_configuration(toy_space()), "rate": rate}, abs(np.log10(rate) + 1))
    after, before = optimizer.task_weights(), optimizer.task_weights(0)
    assert after != before
    assert optimizer.task_weights(3) == after
    assert BayesianOptimizer(toy_space()).task_weights() == {}
    write_search_page(SimpleNamespace(optimizer_=optimizer), tmp_path / "search.html")
    page = (tmp_path / "search.html").read_text(encoding="utf-8")
    check_page(page)
    part = page.split("<h2>Which recorded tasks say so</h2>")[1].split("</section>")[0]
    assert next(iter(after)) in part
    assert f"sum to {sum(before.values()):.2f} before and {sum(after.values()):.2f} after" in part


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "which experience had proposed."),
        ({"space": toy_space()}, "the default of the space."),
        ({"space": [{"rate": [0.1]}]}, "the default of the space."),
        ({"space": None, "param_distributions": {"rate": [0.1]}}, "the default of the space."),
        ({"notes_": ("the search starts cold, because of nothing",)}, "without experience."),
        ({"warm_start": False}, "without experience."),
    ],
)
def test_the_page_says_where_the_first_trial_came_from(changes: dict[str, object], words: str) -> None:
    search = searched(2, ())
    vars(search).update(changes)
    assert summary(search, search.optimizer_)[1].endswith(words)
