"""What may be asked of a recommender, on experience that ships."""

from __future__ import annotations

import inspect
import json
import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import (
    ConfigurationSpace,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    ForbiddenInClause,
)
from sklearn.base import is_regressor
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from metahpo.exceptions import ArtefactError, DataError, MetaHPOError, SpaceError, UnknownNameError
from metahpo.recommendation import experience
from metahpo.recommendation.probes import Probe
from metahpo.recommendation.recommendations import Recommendations
from metahpo.recommendation.recommender import Recommender, recommend
from metahpo.recommendation.request import Asked, Request
from metahpo.space.configuration import to_json
from metahpo.tasks.task import Task


def table(n_rows: int = 120, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.standard_normal((n_rows, 5)), columns=list("abcde"))
    X["f"] = rng.choice(["red", "green"], n_rows)
    return X, np.where(X["a"] + 0.5 * X["b"] + rng.standard_normal(n_rows) > 0, "yes", "no")


X, Y = table()


@pytest.fixture(scope="module")
def task() -> Task:
    return Task.from_arrays(X, Y, name="own")


@pytest.fixture(scope="module")
def shipped() -> Recommender:
    return Recommender("tabular_classification")


@pytest.fixture(scope="module")
def plain(shipped: Recommender, task: Task) -> Recommendations:
    return shipped.recommend(task, "svm", n=3)


def test_several_learners_compete_among_themselves(shipped: Recommender, task: Task) -> None:
    found = shipped.recommend(task, ["svm", "linear"], n=6)
    assert {item.learner for item in found.items} == {"svm", "linear"}
    with pytest.raises(DataError, match=r"'mlp' was measured apart from linear, .*: ask for it alone"):
        shipped.recommend(task, ["svm", "mlp"])
    with pytest.raises(UnknownNameError, match="unknown learner 'svn'; known are: linear, svm"):
        shipped.recommend(task, ["svn", "linear"])


def test_a_pipeline_gets_parameters_by_the_names_of_its_steps(plain: Recommendations) -> None:
    pipeline = make_pipeline(StandardScaler(), SVC())
    found = recommend(X.drop(columns="f"), Y, estimator=pipeline, n=2)
    assert found.best_learner == "svm"
    assert all(name.startswith("svc__") for name in found.best)
    made = found.estimator(0, random_state=3)
    assert isinstance(made, Pipeline)
    assert made.get_params()["svc__C"] == found.best["svc__C"]
    assert pipeline.get_params()["svc__C"] == 1.0
    made.fit(X.drop(columns="f"), Y)
    with pytest.raises(DataError, match="the estimator is for regression"):
        recommend(X, Y, estimator=LinearRegression(), kind="classification")
    with pytest.raises(DataError, match="give such an estimator"):
        recommend(X, Y, estimator=StandardScaler())


def test_more_configurations_than_there_are_is_said(shipped: Recommender, task: Task) -> None:
    found = shipped.recommend(task, "svm", n=1000)
    assert 3 < len(found) < 1000
    assert f"1000 configurations were asked for, but experience has only {len(found)} such" in found.notes
    assert not any("asked for" in note for note in shipped.recommend(task, "svm", n=3).notes)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*penalty:UserWarning", "ignore:.*max_iter was reached")
@pytest.mark.parametrize(
    ("estimator", "ignored"),
    [
        (LogisticRegression(penalty=None), {"C", "l1_ratio"}),
        (LogisticRegression(penalty="l1", solver="liblinear"), {"l1_ratio"}),
        (LinearRegression(), set[str]()),
    ],
)
def test_what_an_estimator_ignores_makes_no_other_recommendation(estimator: Any, ignored: set[str]) -> None:
    x = X.drop(columns="f")
    found = recommend(x, x.iloc[:, 0] if is_regressor(estimator) else Y, estimator=estimator, n=4)
    parameters = [found.parameters(i) for i in range(len(found))]
    assert len({to_json(one) for one in parameters}) == len(parameters) == (1 if is_regressor(estimator) else 4)
    assert not any(ignored & one.keys() for one in parameters)
    assert [note for note in found.notes if "ignores" in note] == (
        [f"the estimator ignores {' and '.join(sorted(ignored))}, so that they are not chosen"] if ignored else []
    )
    assert found.estimator().fit(x, x.iloc[:, 0] if is_regressor(estimator) else Y)


@pytest.mark.parametrize(
    ("fixed", "name", "value"),
    [
        ({"C": 2.5}, "C", 2.5),
        ({"gamma": "scale"}, "gamma", "scale"),
        ({"gamma": 0.07}, "gamma", 0.07),
        ({"kernel": "linear"}, "kernel", "linear"),
        ({"C": 1e6}, "C", 1e6),
        ({"probability": True}, "probability", True),
    ],
)
def test_fixed_values_stand_in_every_recommendation(
    shipped: Recommender, task: Task, fixed: dict[str, Any], name: str, value: Any
) -> None:
    found = shipped.recommend(task, "svm", n=3, fixed=fixed)
    for i in range(len(found)):
        parameters = found.parameters(i)
        assert parameters.get(name, value) == value
        SVC(**parameters)
    assert name in found.best or name == "gamma"
    assert any("probability" in note for note in found.notes) == (name == "probability")
    assert any("outside of what experience knows" in note for note in found.notes) == (value == 1e6)
    assert all(np.isfinite(item.median_change) for item in found.items)


def test_fixed_values_of_a_pipeline_have_the_names_of_its_steps() -> None:
    pipeline = make_pipeline(StandardScaler(), SVC())
    found = recommend(X.drop(columns="f"), Y, estimator=pipeline, n=2, fixed={"svc__C": 4.0})
    assert found.best["svc__C"] == 4.0


def test_a_space_is_honoured_and_the_rest_stays_at_the_default(shipped: Recommender, task: Task) -> None:
    found = shipped.recommend(task, "svm", n=3, space={"C": (0.1, 0.9), "shrinking": [True, False]})
    assert all(0.1 <= item.configuration["C"] <= 0.9 and item.configuration["kernel"] == "rbf" for item in found.items)
    assert len({item.configuration["C"] for item in found.items}) == 3
    assert "experience knows nothing of shrinking: left at the default" in found.notes
    own = ConfigurationSpace()
    own.add(Float("C", (10.0, 20.0)))
    assert 10.0 <= shipped.recommend(task, "svm", n=1, space=own).best["C"] <= 20.0


@pytest.mark.parametrize(
    ("learner", "space", "message"),
    [
        ("svm", {"C": (0.1, 0.9), "shrinkin": [True, False]}, r"\['shrinkin'\], .* svm. .*for 'shrinkin': 'shrinking'"),
        ("svm", {"cost": (0.1, 0.9)}, "for 'cost': 'C'"),
        ("boosting", {"eta": (0.1, 0.2)}, "for 'eta': 'learning_rate'"),
        ("svm", {"xyz": [1, 2]}, r"no parameters of svm. Its hyperparameters are \['C', 'class_weight'"),
        (None, {"n_estimator": (50, 60)}, "for 'n_estimator': 'n_estimators'"),
    ],
)
def test_a_space_with_a_name_that_stands_for_nothing_is_refused_with_those_that_are_near(
    shipped: Recommender, task: Task, learner: str | None, space: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        shipped.recommend(task, learner, n=1, space=space)


def test_names_of_a_pipeline_are_those_of_all_of_its_steps() -> None:
    pipeline = make_pipeline(StandardScaler(), SVC())
    asked: dict[str, Any] = {"estimator": pipeline, "n": 1}
    given = {"svc__C": (1.0, 2.0), "standardscaler__with_mean": [True, False]}
    found = recommend(X.drop(columns="f"), Y, **asked, space=given)
    assert "experience knows nothing of standardscaler__with_mean: left at the default" in found.notes
    with pytest.raises(SpaceError, match="for 'kernl': 'svc__kernel'"):
        recommend(X.drop(columns="f"), Y, **asked, space={"svc__kernl": ["rbf"]})


def test_combinations_that_a_space_forbids_are_not_recommended() -> None:
    own = ConfigurationSpace({"svc__kernel": ["rbf", "linear", "poly"], "svc__class_weight": [None, "balanced"]})
    one, other = own["svc__kernel"], own["svc__class_weight"]
    own.add(ForbiddenAndConjunction(ForbiddenInClause(one, ["rbf", "poly"]), ForbiddenEqualsClause(other, "balanced")))
    pipeline = make_pipeline(StandardScaler(), SVC())
    found = recommend(X.drop(columns="f"), Y, estimator=pipeline, n=6, space=own)
    chosen = {(found.parameters(i)["svc__kernel"], found.parameters(i)["svc__class_weight"]) for i in range(len(found))}
    assert chosen == {("rbf", None), ("poly", None), ("linear", None), ("linear", "balanced")}


def test_integers_stay_integers_in_a_space(shipped: Recommender, task: Task) -> None:
    found = shipped.recommend(task, "random_forest", n=3, space={"n_estimators": (40, 60), "min_samples_leaf": [3, 7]})
    for i in range(len(found)):
        parameters = found.parameters(i)
        assert isinstance(parameters["n_estimators"], int)
        assert 40 <= parameters["n_estimators"] <= 60
        assert parameters.get("min_samples_leaf") in (3, 7)


def test_limits_are_kept_or_exceeded_least(shipped: Recommender, task: Task) -> None:
    free = shipped.recommend(task, n=5)
    limit = 0.5 * max(item.expected_train_seconds for item in free.items)
    tight = shipped.recommend(task, n=5, max_train_seconds=limit)
    assert all(item.expected_train_seconds <= limit for item in tight.items)
    least = shipped.recommend(task, n=2, max_train_seconds=1e-9, max_memory=1.0)
    assert any("no configuration keeps all limits" in note for note in least.notes)
    assert any("no costs for max_memory" in note for note in least.notes)
    assert least.items[0].reason == "exceeds the limits least"
    assert least.items[0].expected_train_seconds <= least.items[1].expected_train_seconds


def test_a_scorer_is_named_or_replaced(shipped: Recommender, task: Task) -> None:
    assert shipped.recommend(task, "svm", n=1, metric=get_scorer("accuracy")).metric == "accuracy"
    unnamed = shipped.recommend(task, "svm", n=1, metric=lambda estimator, X, y: 0.0)
    assert unnamed.metric == "balanced_accuracy"
    assert any("stands for it" in note for note in unnamed.notes)


def test_excluded_tasks_leave_the_answer(shipped: Recommender, task: Task, plain: Recommendations) -> None:
    gone = [name for name, share in plain.nearest_tasks.items() if share > 0.02]
    without = shipped.recommend(task, "svm", n=3, exclude=gone)
    assert not set(gone) & set(without.nearest_tasks)
    assert shipped.recommend(task, "svm", n=3).nearest_tasks == plain.nearest_tasks  # nothing is remembered
    with pytest.raises(UnknownNameError, match="unknown task or family 'nobody'"):
        shipped.recommend(task, "svm", exclude="nobody")
    with pytest.raises(DataError, match="exclude fewer"):
        shipped.recommend(task, "svm", exclude=[str(name) for name in shipped.meta_dataset.tasks.index])


def test_parts_of_an_experience_are_not_kept_for_ever(shipped: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experience, "MAX_PARTS", 2)
    whole = experience.Experience(shipped.folder)
    one, two, three = (frozenset([str(name)]) for name in shipped.meta_dataset.tasks.index[:3])
    first, second = whole.without(one), whole.without(two)
    assert whole.without(one) is first
    whole.without(three)
    assert whole.without(one) is first
    assert whole.without(two) is not second


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"n": 0}, DataError, "n must be at least 1"),
        ({"n": 2.5}, DataError, "n must be a whole number"),
        ({"known": "maybe"}, DataError, "known must be 'use' or 'exclude'"),
        ({"n_jobs": 0}, DataError, "n_jobs must be a number of processes, -1"),
        ({"max_train_seconds": -1}, DataError, "max_train_seconds must be a positive number"),
        ({"max_memory": float("nan")}, DataError, "max_memory must be a positive number"),
        ({"metric": 3}, DataError, "metric must be the name of a scorer"),
        ({"random_state": "0"}, DataError, "random_state must be a whole number"),
        ({"learner": ["svm", 3]}, DataError, "learner must be a name or names"),
        ({"learner": 3}, DataError, "learner must be a name or names"),
        ({"learner": []}, DataError, "learner must hold a name, or be left out for all learners"),
        ({"learner": SVC()}, DataError, r"an estimator is given as estimator=SVC\(\)"),
        ({"recommender": "mine"}, DataError, "recommender must be a Recommender"),
        ({"exclude": 3}, DataError, "exclude must be a name or names"),
        ({"space": {"C": (3.0, 1.0)}}, SpaceError, "from its smaller to its larger end"),
        ({"space": {"C": []}}, SpaceError, "no value to choose from"),
        ({"space": 3}, SpaceError, "space must be a ConfigurationSpace or a dictionary"),
        ({"space": {"C": (1.0, 2.0)}, "fixed": {"C": 5.0}}, SpaceError, "but `space` allows from 1.0 to 2.0 only"),
        ({"learner": "svm", "fixed": {"Q": 1}}, SpaceError, "'Q' cannot be fixed"),
        ({"learner": "svm", "fixed": {"C": "abc"}}, SpaceError, "'C' of svm cannot be 'abc': .* must be a float"),
        ({"learner": "svm", "fixed": {"tol": -1.0}}, SpaceError, "'tol' of svm cannot be -1.0"),
        ({"learner": "svm", "space": {"kernel": ["rbf", "foo"]}}, SpaceError, "'kernel' of svm cannot be 'foo'"),
        ({"estimator": SVC(), "fixed": {"C": -1.0}}, SpaceError, "'C' of svm cannot be -1.0"),
        (
            {"estimator": LogisticRegression(solver="saga", penalty="l1"), "fixed": {"solver": "lbfgs"}},
            SpaceError,
            r"'solver' is asked to be one of \['lbfgs'\], but the estimator holds 'saga': leave it out of `fixed`",
        ),
        ({"estimator": SVC}, DataError, "must be an unfitted estimator"),
        ({"estimator": SVC(), "learner": ["svm", "linear"]}, DataError, "an estimator has one learner"),
    ],
)
def test_bad_requests_are_refused_with_a_reason(asked: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        recommend(X, Y, **asked)


def test_every_way_to_ask_has_the_same_parameters_with_the_same_defaults() -> None:
    whole, checked = (inspect.signature(function).parameters for function in (recommend, Request.of))
    assert {*checked} == {*whole} - {"X", "y", "kind", "recommender"}
    assert {name: one.default for name, one in checked.items()} == {name: whole[name].default for name in checked}
    assert {*Asked.__annotations__} == {*checked} - {"learner", "n", "metric", "random_state"}


def test_recommendations_go_through_json_and_pickle(plain: Recommendations) -> None:
    text = plain.to_json()
    read = Recommendations.from_json(text)
    assert read.to_json() == text
    assert json.loads(text)["items"][0]["parameters"] == plain.best == read.best
    assert str(read) == str(plain)
    for call in (read.estimator, read.space, read.explain):
        with pytest.raises(DataError, match="read from JSON"):
            call()
    for wrong in ("{}", "[1]", "no JSON"):
        with pytest.raises(ArtefactError):
            Recommendations.from_json(wrong)
    again = pickle.loads(pickle.dumps(plain))
    assert again.best == plain.best
    assert again.space(0.9) == plain.space(0.9)


def test_probes_go_through_json(plain: Recommendations) -> None:
    probes = (
        Probe("svm", {"C": 1.0}, 60, "success", 0.2, 0.2, 0.1),
        Probe("svm", {"C": 9.0}, 60, "failed", math.nan, 0.2, math.nan, "no memory"),
    )
    probed = replace(plain, probes=probes)
    read = Recommendations.from_json(probed.to_json())
    assert str(read.probes) == str(probes)
    assert read.to_json() == probed.to_json()
    older = {name: value for name, value in json.loads(plain.to_json()).items() if name != "probes"}
    assert Recommendations.from_json(json.dumps(older)).probes == ()


def test_an_index_beyond_the_last_is_refused_with_their_number(plain: Recommendations) -> None:
    for use in (plain.parameters, plain.estimator, plain.__getitem__):
        with pytest.raises(IndexError, match=f"there are {len(plain)} recommendations, from 0 on, but the index is 99"):
            use(99)
    assert tuple(plain[i] for i in range(len(plain))) == plain.items


def test_recommendations_are_shown_in_words_and_pictures(plain: Recommendations) -> None:
    page = plain._repr_html_()
    assert page.count("<tr>") == 4
    assert "svm" in page
    pytest.importorskip("matplotlib")
    figure = plain.plot()
    assert len(figure.axes[0].get_yticklabels()) == 3
    assert "%" in str(plain.explain())


@pytest.mark.parametrize("learner", ["svm", "random_forest", "boosting", "linear"])
def test_a_narrowed_space_is_smaller_and_legal(shipped: Recommender, task: Task, learner: str) -> None:
    found = shipped.recommend(task, learner, n=1)
    wide, narrow, tight = shipped.meta_dataset.spaces[learner], found.space(0.95), found.space(0.5)
    narrow.get_default_configuration().check_valid_configuration()
    for space in (narrow, tight):
        for configuration in space.sample_configuration(30):
            values = {k: v.item() if isinstance(v, np.generic) else v for k, v in dict(configuration).items()}
            for name, value in values.items():
                assert wide[name].legal_value(value)
    assert narrow != wide
    with pytest.raises(DataError, match="share must lie in"):
        found.space(0.0)
    with pytest.raises(UnknownNameError, match="These were asked for"):
        found.space(0.9, learner="nobody")


def small(n_rows: int, n_columns: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n_rows, n_columns)), np.arange(n_rows) % n_classes


def test_few_rows_get_configurations_that_make_sense() -> None:
    for i, item in enumerate(recommend(*small(20, 3, 2), n=5).items):
        leaf = item.configuration.get("min_samples_leaf", 1)
        assert item.reason == "library default" or 2 * leaf <= 16, i


@pytest.mark.parametrize(
    "data",
    [
        small(20, 4, 2),
        small(60, 1, 2),
        small(1000, 3, 500),
        (pd.DataFrame({"a": list("xyzw") * 20, "b": list("pq") * 40}), np.arange(80) % 2),
        (pd.DataFrame({"a": np.ones(60), "b": np.arange(60.0)}), np.arange(60) % 3),
        (pd.DataFrame({"a": [1, "x", None, 2.5] * 20, "b": np.arange(80.0)}), np.arange(80) % 2),
    ],
    ids=["20 rows", "one column", "500 classes", "all categorical", "a constant column", "mixed types"],
)
def test_odd_tables_are_answered(data: tuple[Any, Any]) -> None:
    found = recommend(*data, learner="random_forest", n=2, kind="classification")
    assert len(found) == 2
    RandomForestClassifier(**found.best)


def test_many_columns_are_answered() -> None:
    assert len(recommend(*small(40, 10_000, 2), learner="linear", n=2)) == 2


def test_duplicate_names_are_refused() -> None:
    with pytest.raises(DataError, match="column names must differ"):
        recommend(pd.DataFrame(np.ones((30, 2)), columns=["a", "a"]), np.arange(30) % 2)


def test_a_column_that_holds_the_target_is_warned_of() -> None:
    rows, y = table()
    leaky = rows.assign(copy=np.where(y == "yes", 1.5, -2.0))
    assert "column 'copy' tells y exactly: drop it if it is not known before y is" in recommend(leaky, y, n=1).notes
    assert not any("tells y" in note for note in recommend(rows, y, n=1).notes)
    number = rows["a"].to_numpy() ** 3
    notes = recommend(rows.drop(columns="a").assign(twice=7.0 - 2.0 * number), number, n=1).notes
    assert any("'twice' tells y" in note for note in notes)


def test_a_column_that_numbers_the_rows_is_warned_of() -> None:
    rows, y = table()
    numbered = rows.assign(index=np.arange(len(rows)) + 1, turned=np.arange(len(rows))[::-1])
    assert "column 'index' numbers the rows: drop it if that says nothing of y" in recommend(numbered, y, n=1).notes
    late = numbered.assign(index=np.r_[np.arange(len(rows) - 1), 0])
    assert not any("numbers the rows" in note for note in recommend(late, y, n=1).notes)


def test_an_artefact_of_another_version_is_refused(tmp_path: Any) -> None:
    (tmp_path / "manifest.json").write_text('{"format": "metahpo meta-dataset", "format_version": 99}')
    with pytest.raises(ArtefactError, match="format version 99"):
        Recommender(tmp_path)
    assert issubclass(ArtefactError, MetaHPOError)


def test_none_is_a_value_that_may_be_fixed() -> None:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    found = recommend(X, y, "svm", n=3, fixed={"class_weight": None})
    assert [found.parameters(i)["class_weight"] for i in range(len(found))] == [None] * 3
