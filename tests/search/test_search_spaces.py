"""What can be searched: lists and distributions, several learners, and what is refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, ForbiddenEqualsClause
from scipy.stats import expon, loguniform, norm, poisson, randint, uniform
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from metahpo.exceptions import DataError, SpaceError, UnknownNameError
from metahpo.learners.registry import learner_named
from metahpo.search import MetaSearchCV
from metahpo.search.distributions import space_of

X, y = load_iris(return_X_y=True)


@pytest.mark.parametrize(
    ("given", "own", "default"),
    [
        (loguniform(1e-3, 10), 1.0, 1.0),
        (loguniform(1e-3, 10), 100.0, 0.1),
        (uniform(0, 1), 1, 1.0),
        (uniform(0, 1), "scale", 0.5),
        (randint(1, 8), 3, 3),
        (randint(1, 8), 3.5, 4),
        (randint(0, 8), True, 4),
        (norm(0, 1), 0.5, 0.5),
        (["a", "b", None], "b", "b"),
        (["a", "b", None], None, None),
        (["a", "b"], "c", "a"),
        ([1, 2.0], 2, 2.0),
        ([SVC(), LogisticRegression()], LogisticRegression(), None),
    ],
)
def test_the_estimators_own_value_is_the_default_where_it_may_be_chosen(given: Any, own: Any, default: Any) -> None:
    found = space_of({"h": given}, {"h": own, "other": 3})["h"].default_value
    assert found is given[0] if isinstance(own, LogisticRegression) else found == pytest.approx(default)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (uniform(1, 3), "Type: UniformFloat, Range: [1.0, 4.0], Default: 2.5"),
        (loguniform(1e-3, 10), "Type: UniformFloat, Range: [0.001, 10.0]"),
        (randint(1, 5), "Type: UniformInteger, Range: [1, 4]"),
        (norm(2, 1), "Type: NormalFloat, Mu: 2.0, Sigma: 1.0"),
        (expon(scale=2), "Type: UniformFloat, Range: [0.0, 13.8155"),
        (poisson(3), "Type: UniformInteger, Range: [0, 10]"),
        (["a", None, (1, 2), "a"], "Type: Categorical, Choices: {a, None, (1, 2)}"),
        (np.array([3]), "Type: Constant, Value: 3"),
        (Float("h", (0.0, 1.0)), "Type: UniformFloat, Range: [0.0, 1.0]"),
    ],
)
def test_what_randomized_search_takes_becomes_a_space(given: Any, expected: str) -> None:
    assert expected in str(space_of({"h": given})["h"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"h": (1, 2)}, "may mean a range or two choices"),
        ({"h": []}, "the list is empty"),
        ({"h": "gini"}, "must be a list of choices, a distribution"),
        ({"h": 3}, "must be a list of choices, a distribution"),
        ({1: [2]}, "named by a str"),
        ({"h": Float("g", (0.0, 1.0))}, "is named 'g'"),
    ],
)
def test_what_is_no_distribution_is_refused(given: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        space_of(given)


def test_distributions_are_searched_by_either_name() -> None:
    given = {"max_depth": randint(1, 8), "criterion": ["gini", "entropy"]}
    model = DecisionTreeClassifier(random_state=0)
    one = MetaSearchCV(model, given, n_trials=4, cv=2, random_state=0, engine="random").fit(X, y)
    other = MetaSearchCV(model, param_distributions=given, n_trials=4, cv=2, random_state=0, engine="random").fit(X, y)
    assert one.cv_results_["params"] == other.cv_results_["params"]
    assert {type(parameters["max_depth"]) for parameters in one.cv_results_["params"]} == {int}
    with pytest.raises(DataError, match="either space or param_distributions"):
        MetaSearchCV(model, given, param_distributions=given).fit(X, y)


@pytest.mark.parametrize(
    ("model", "space", "advice"),
    [
        (DecisionTreeClassifier(), {"max_dept": [1, 2]}, r"It has \['ccp_alpha'"),
        (DecisionTreeClassifier(), {"Max_Depth": [1, 2]}, "for 'Max_Depth': 'max_depth'"),
        (DecisionTreeClassifier(), ConfigurationSpace({"tree__max_depth": (1, 2)}), "for 'tree__max_depth': 'max_dep"),
        (make_pipeline(StandardScaler(), SVC()), {"C": [1.0, 2.0]}, "for 'C': 'svc__C'"),
        (make_pipeline(StandardScaler(), SVC()), learner_named("svm", "classification").space, "space='svm', or give"),
    ],
)
def test_names_that_the_estimator_does_not_have_are_refused_before_any_trial(
    model: Any, space: Any, advice: str
) -> None:
    search = MetaSearchCV(model, space)
    with pytest.raises(DataError, match=f"no parameters of {type(model).__name__}.*{advice}"):
        search.fit(X, y)
    assert not hasattr(search, "optimizer_")


def test_several_learners_in_a_pipeline() -> None:
    pipeline = Pipeline([("scale", StandardScaler()), ("model", "passthrough")])
    search = MetaSearchCV(pipeline, ["svm", "knn"], n_trials=4, cv=2, warm_start=False, random_state=0).fit(X, y)
    tried = {type(parameters["model"]).__name__ for parameters in search.cv_results_["params"]}
    assert tried == {"SVC", "KNeighborsClassifier"}
    assert {configuration["learner"] for configuration in search.optimizer_.history.configurations} == {"svm", "knn"}
    assert search.best_score_ > 0.9
    assert search.estimator is pipeline


def test_several_learners_prepare_the_columns_of_a_table_themselves() -> None:
    frame = pd.DataFrame(X, columns=list("abcd")).assign(colour=["red" if label else "blue" for label in y])
    search = MetaSearchCV(None, ["svm", "random_forest"], n_trials=2, cv=2, random_state=0).fit(frame, y)
    assert search.notes_ == ()
    assert search.predict(frame.iloc[:3]).shape == (3,)
    assert search.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("estimator", "space", "message"),
    [
        (SVC(), ["svm", "knn"], "empty place"),
        (None, ["svm", "svm"], "each learner once"),
        (None, [], "each learner once"),
        (None, {"C": [1.0]}, "an estimator must be given"),
    ],
)
def test_several_learners_that_cannot_be_are_refused(estimator: Any, space: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        MetaSearchCV(estimator, space).fit(X, y)
    with pytest.raises(UnknownNameError, match="unknown classification learner 'tree'"):
        MetaSearchCV(None, ["svm", "tree"]).fit(X, y)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.c_[y, y], "y must be of shape"),
        (np.full(len(y), np.inf), "y holds infinite values"),
        (pd.date_range("2020", periods=len(y)), "values of type datetime64"),
        (None, "needs a target y"),
    ],
)
def test_what_is_no_target_is_refused_with_the_reason(target: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        MetaSearchCV(None, "svm").fit(X, target)


def test_whole_numbers_that_are_taken_for_a_quantity_are_noted() -> None:
    options: dict[str, Any] = {"n_trials": 1, "cv": 2, "warm_start": False, "random_state": 0}
    search = MetaSearchCV(None, "svm", **options).fit(X, np.arange(len(y)) % 30)
    assert search.notes_[0].startswith("y is taken for a quantity (regression); if its numbers are names of classes")
    assert MetaSearchCV(None, "svm", **options).fit(X, (np.arange(len(y)) % 30).astype(str)).notes_ == ()
    assert MetaSearchCV(None, "svm", **options).fit(X, X[:, 0]).notes_ == ()


@pytest.mark.parametrize(
    "target", [np.where(y > 0, "yes", "no"), np.where(y > 0, 1.0, 0.0), X[:, 0]], ids=["text", "number", "quantity"]
)
def test_rows_without_a_target_are_left_out_by_learners_that_read_the_columns(target: Any) -> None:
    gaps = pd.Series(target).mask(np.arange(len(y)) % 50 == 3)
    known = gaps.notna().to_numpy()
    groups = np.arange(len(y)) % 4
    options: dict[str, Any] = {"n_trials": 1, "cv": GroupKFold(2), "warm_start": False, "random_state": 0}
    search = MetaSearchCV(None, "svm", **options).fit(X, gaps, groups=groups)
    same = MetaSearchCV(None, "svm", **options).fit(X[known], gaps[known], groups=groups[known])
    assert search.notes_ == ("3 rows without a target are left out",)
    assert search.best_score_ == same.best_score_
    with pytest.raises(DataError, match="drop these rows first"):
        MetaSearchCV(None, "svm", n_trials=1, cv=list(KFold(2).split(X))).fit(X, gaps)


def test_parameters_of_fit_for_learners_that_read_the_columns_are_named_by_their_step() -> None:
    search = MetaSearchCV(None, "svm", n_trials=1, cv=2, warm_start=False, random_state=0)
    with pytest.raises(DataError, match="named by their step: learner__learner__sample_weight"):
        search.fit(X, y, sample_weight=np.ones(len(y)))
    plain = search.fit(X, y).decision_function(X)
    weights = np.where(y == 0, 50.0, 0.1)
    assert not np.allclose(plain, search.fit(X, y, learner__learner__sample_weight=weights).decision_function(X))


def test_an_estimator_among_the_choices_is_not_changed() -> None:
    given = SVC(C=3.0)
    space = {"model": [given], "model__C": [0.1, 0.01]}
    MetaSearchCV(Pipeline([("model", SVC())]), space, n_trials=2, cv=2, random_state=0).fit(X, y)
    assert given.C == 3.0


def test_conditions_and_forbidden_combinations_of_a_space_hold() -> None:
    space = ConfigurationSpace({"max_features": (1, 2), "max_depth": (1, 3)})
    space.add(Categorical("splitter", ["best", "random"], default="best"))
    space.add(EqualsCondition(space["max_features"], space["splitter"], "random"))
    space.add(ForbiddenEqualsClause(space["max_depth"], 3))
    search = MetaSearchCV(DecisionTreeClassifier(), space, n_trials=20, cv=2, engine="grid", random_state=0)
    with pytest.warns(UserWarning, match="the search ends after 6 of 20 trials"):
        tried = search.fit(X, y).cv_results_["params"]
    assert {p["max_depth"] for p in tried} == {1, 2}
    assert all(("max_features" in p) == (p["splitter"] == "random") for p in tried)


def notes_on_effects(search: MetaSearchCV) -> list[str]:
    return [note for note in search.notes_ if "has no effect" in note]


@pytest.mark.parametrize(
    ("estimator", "given", "number", "parent", "counts"),
    [
        (SVC(), {"gamma": loguniform(0.1, 1.0), "kernel": ["rbf", "linear"]}, "gamma", "kernel", {"rbf"}),
        (
            make_pipeline(StandardScaler(), SGDClassifier(random_state=0)),
            {"sgdclassifier__l1_ratio": uniform(0, 1), "sgdclassifier__penalty": ["l1", "l2", "elasticnet"]},
            "sgdclassifier__l1_ratio",
            "sgdclassifier__penalty",
            {"elasticnet"},
        ),
    ],
)
def test_numbers_that_the_estimator_ignores_are_not_varied(
    estimator: Any, given: Any, number: str, parent: str, counts: set[str]
) -> None:
    search = MetaSearchCV(estimator, given, n_trials=8, cv=2, engine="random", random_state=0).fit(X, y)
    tried = search.cv_results_["params"]
    assert {p[parent] for p in tried if number in p} == counts
    assert {p[parent] for p in tried} > counts
    assert not notes_on_effects(search)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_number_that_is_always_ignored_is_said() -> None:
    given = {"C": [0.1, 1.0], "degree": randint(2, 5)}
    search = MetaSearchCV(SVC(), given, n_trials=1, cv=2, random_state=0).fit(X, y)
    assert notes_on_effects(search) == ["degree has no effect, because kernel is 'rbf'"]
    assert "degree" in search.best_params_
    free = MetaSearchCV(LogisticRegression(penalty=None), {"C": loguniform(0.1, 1)}, n_trials=1, cv=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn says the same of each fit
        assert notes_on_effects(free.fit(X, y)) == ["C has no effect, because penalty is None"]
    mixed = {"l1_ratio": uniform(0, 1)}
    saga = LogisticRegression(solver="saga", max_iter=5)
    assert not notes_on_effects(MetaSearchCV(saga, mixed, n_trials=1, cv=2, random_state=0).fit(X, y))
    given["kernel"] = ["linear", "poly"]
    assert not notes_on_effects(MetaSearchCV(SVC(), given, n_trials=1, cv=2, random_state=0).fit(X, y))
