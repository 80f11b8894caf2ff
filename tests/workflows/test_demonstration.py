"""What experience is worth on a few tables, as the demonstration tells it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metahpo.datasets.bundled import bundled_task
from metahpo.recommendation.recommender import Recommender
from metahpo.workflows import demonstration
from metahpo.workflows.demonstration import Demonstration, demonstrate


@pytest.fixture(scope="module")
def recommender(trained: Path) -> Recommender:
    return Recommender(trained)


@pytest.fixture(scope="module")
def shown(recommender: Recommender) -> Demonstration:
    cases = [(bundled_task("wine"), "svm"), (bundled_task("iris"), "linear"), (bundled_task("wine"), "linear")]
    return demonstrate(cases, n_trials=3, n_folds=2, recommender=recommender)


def test_it_tells_of_every_case(shown: Demonstration) -> None:
    frame = shown.to_frame()
    assert len(frame) == 3 * 2 * 3
    told = shown.best_so_far()
    assert told[["table", "learner", "search"]].to_numpy().tolist() == [
        [p.task.name, p.learner, search] for p in shown.parts for search in ("warm", "cold")
    ]
    by_search = frame.groupby(["table", "learner", "search"], sort=False)["score"]
    assert by_search.is_monotonic_increasing.all()
    assert shown.comparison()[["table", "learner"]].to_numpy().tolist() == [
        ["wine", "svm"],
        ["iris", "linear"],
        ["wine", "linear"],
    ]
    assert len(shown.findings()) == 3
    for said in ("for 'iris' by balanced_accuracy", "150 rows", "for 'wine' by", "178 rows", "library default"):
        assert said in str(shown)


def test_searches_begin_with_the_recommendation_and_with_the_default(shown: Demonstration) -> None:
    table = shown.comparison()
    first = shown.best_so_far().set_index("search")["@1"]
    np.testing.assert_allclose(first["warm"], table["recommended"])
    np.testing.assert_allclose(first["cold"], table["library default"])
    np.testing.assert_allclose(table["gain"], table["recommended"] - table["library default"])


@pytest.mark.parametrize(
    ("warm", "said"),
    [([0.1, 0.4, 0.5], "reaches in trial 2 the score"), ([0.1, 0.2, 0.3], "does not reach the score")],
)
def test_a_finding_says_when_the_warm_search_is_where_the_cold_one_ends(
    shown: Demonstration, warm: list[float], said: str
) -> None:
    part = replace(
        shown.parts[0],
        recommended=np.array([0.5, 0.75]),
        default=np.array([0.25, 0.5]),
        warm=np.array(warm),
        cold=np.array([0.2, 0.2, 0.4]),
    )
    assert said in part.finding
    assert part.finding.startswith("wine, svm: the first recommendation scores +0.2500 against the library default")
    assert part.finding.endswith("of the cold one after 3 trials.")


def test_it_is_saved_as_a_picture_and_a_page(shown: Demonstration, tmp_path: Path) -> None:
    picture, page = shown.save(tmp_path / "out")
    assert picture.stat().st_size > 1000
    text = page.read_text(encoding="utf-8")
    assert all(f"Recommended for {p.learner} on {p.task.name}" in text for p in shown.parts)
    assert [axes.get_title(loc="left") for axes in shown.figure().figure.axes] == [
        "wine, svm",
        "iris, linear",
        "wine, linear",
    ]


def test_another_process_finds_the_same(shown: Demonstration, recommender: Recommender) -> None:
    *_, last = shown.parts
    again = demonstrate([(last.task, last.learner)], n_trials=3, n_folds=2, recommender=recommender, n_jobs=2)
    assert again.findings() == [last.finding]


def test_a_large_table_is_split_in_rows_to_train_and_rows_to_test(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demonstration, "TRAIN_ROWS", 400)
    digits = bundled_task("digits")
    (part,) = demonstrate([(digits, "svm")], n_trials=1, recommender=recommender).parts
    assert len(part.default) == 2
    assert part.default.min() > 0.9
