"""What a search starts with: the learner found in wrappers, the nearest experience, or a warning why there is none."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, LogisticRegressionCV, Ridge
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, SVR, NuSVC

from metahpo.exceptions import DataError, UnknownNameError, WarmStartWarning
from metahpo.learners.extras import missing_libraries
from metahpo.learners.linear_regressor import LinearRegressor
from metahpo.learners.place import learner_in
from metahpo.learners.registry import learner_named, learner_names
from metahpo.recommendation.recommender import Recommender, recommend
from metahpo.search import MetaSearchCV
from metahpo.tasks.task import KINDS, Task, TaskKind

X, y = load_iris(return_X_y=True)
TEXTS = [f"flower of kind {kind} number {i}" for i, kind in enumerate(y)]


class TakesAnything(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """As some boosting libraries: any parameter is taken, and unknown ones have no effect."""

    def set_params(self, **parameters: Any) -> TakesAnything:
        return self

    def fit(self, X: Any, y: Any) -> TakesAnything:
        raise AssertionError("a trial was made")


def searched(model: Any, X: Any, y: Any, space: str | None = "svm", **parameters: Any) -> MetaSearchCV:
    return MetaSearchCV(model, space, n_trials=1, cv=2, random_state=0, **parameters).fit(X, y)


@pytest.mark.parametrize(
    ("estimator", "space", "prefix"),
    [
        (SVC(), "svm", ""),
        (SVC(), None, ""),
        (make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), SVC())), "svm", "pipeline__svc__"),
        (OneVsRestClassifier(SVC()), None, "estimator__"),
        (CalibratedClassifierCV(make_pipeline(StandardScaler(), SVC())), "svm", "estimator__svc__"),
        (BaggingClassifier(SVC()), "svm", "estimator__"),
        (TunedThresholdClassifierCV(LogisticRegression()), "linear", "estimator__"),
        (TransformedTargetRegressor(make_pipeline(StandardScaler(), SVR())), "svm", "regressor__svr__"),
        (VotingClassifier([("a", SVC()), ("b", LogisticRegression())]), "linear", "b__"),
        (
            make_pipeline(SelectFromModel(RandomForestClassifier()), RandomForestClassifier()),
            None,
            "randomforestclassifier__",
        ),
    ],
)
def test_the_learner_is_found_wherever_it_lies(estimator: Any, space: str | None, prefix: str) -> None:
    assert learner_in(estimator, space).prefix == prefix


@pytest.mark.parametrize("kind", KINDS)
def test_the_estimator_of_every_learner_is_known_as_its_own(kind: TaskKind) -> None:
    learners = [learner_named(name, kind) for name in learner_names(kind)]
    for learner in learners:
        if not missing_libraries(learner):
            assert learner_in(learner.estimator_class(), learner.name).learner is learner
            assert learner_in(learner.estimator_class(), None).learner is learner


@pytest.mark.parametrize(
    ("estimator", "space", "message"),
    [
        (TakesAnything(), "boosting", "is for HistGradientBoostingClassifier, but the estimator is TakesAnything"),
        (NuSVC(), "svm", "is for SVC, but the estimator is NuSVC"),
        (ExtraTreesClassifier(), "random_forest", "is for RandomForestClassifier, but the estimator is ExtraTrees"),
        (LogisticRegressionCV(), "linear", "is for LogisticRegression, but the estimator is LogisticRegressionCV"),
        (make_pipeline(SVC(), StandardScaler()), "svm", "but the estimator is Pipeline of StandardScaler"),
        (Pipeline([("a", StandardScaler()), ("b", None)]), None, "but the estimator is Pipeline of None"),
        (
            VotingClassifier([("a", SVC()), ("b", SVC())]),
            "svm",
            "holds 2 estimators that could be searched, as 'a', 'b'",
        ),
    ],
)
def test_an_estimator_that_is_not_the_learners_is_refused_by_name(estimator: Any, space: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        searched(estimator, X, y, space)


@pytest.mark.parametrize("warm_start", [True, False])
@pytest.mark.parametrize(
    ("estimator", "varied"),
    [
        (Ridge(solver="svd"), {"alpha"}),
        (Lasso(fit_intercept=False), {"alpha"}),
        (make_pipeline(StandardScaler(), ElasticNet()), {"elasticnet__alpha", "elasticnet__l1_ratio"}),
        (LinearRegression(), set[str]()),
    ],
)
@pytest.mark.filterwarnings("ignore:the search ends after 1 of", "ignore:Objective did not converge")
def test_scikit_learns_linear_models_are_searched_in_their_part_of_the_space(
    estimator: Any, varied: set[str], warm_start: bool
) -> None:
    search = MetaSearchCV(estimator, "linear", n_trials=6, cv=2, warm_start=warm_start, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WarmStartWarning)  # the experience that ships may be of another space
        search.fit(X, X[:, 0] + y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert all(set(parameters) == varied for parameters in search.cv_results_["params"])
    assert len(search.cv_results_["params"]) == (6 if varied else 1)
    assert search.estimator is estimator
    assert type(search.best_estimator_) is type(estimator)


@pytest.mark.filterwarnings("ignore:.*max_iter was reached", "ignore:lbfgs failed to converge")
@pytest.mark.parametrize(
    ("estimator", "target", "searched_class"),
    [
        (TransformedTargetRegressor(), X[:, 0], LinearRegressor),
        (Pipeline([("a", StandardScaler()), ("b", None)]), X[:, 0], LinearRegressor),
        (make_pipeline(StandardScaler(), Pipeline([("b", "passthrough")])), y, LogisticRegression),
    ],
)
def test_an_empty_place_takes_the_learners_estimator(estimator: Any, target: Any, searched_class: Any) -> None:
    before = repr(estimator)
    search = MetaSearchCV(estimator, "linear", n_trials=2, cv=2, warm_start=False, random_state=0).fit(X, target)
    inner: Any = search.best_estimator_
    while not isinstance(inner, searched_class):
        inner = inner.regressor_ if isinstance(inner, TransformedTargetRegressor) else inner.steps[-1][1]
    assert {name.rpartition("__")[2] for name in search.best_params_} <= inner.get_params().keys()
    assert repr(search.estimator) == before


def test_a_regressor_that_is_not_given_is_linear() -> None:
    assert learner_in(TransformedTargetRegressor(), None).learner.name == "linear"


@pytest.mark.parametrize(
    ("settings", "solvers"),
    [
        ({"l1_ratio": 1.0, "solver": "liblinear"}, {"lbfgs", "saga"}),
        ({"penalty": "l1", "solver": "saga"}, {"saga"}),
        ({"penalty": "l2"}, {"lbfgs"}),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*penalty:UserWarning", "ignore:.*max_iter was reached")
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_settings_of_the_users_own_fit_every_trial(settings: dict[str, Any], solvers: set[str]) -> None:
    model = LogisticRegression(**settings)
    search = MetaSearchCV(model, "linear", n_trials=4, cv=2, error_score="raise", random_state=0).fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    tried = {parameters["solver"] for parameters in search.cv_results_["params"]}
    assert tried == solvers if "penalty" in settings else "lbfgs" in tried


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize("warm_start", [True, False])
@pytest.mark.parametrize(
    ("model", "rows"),
    [
        (LogisticRegression(), csr_matrix(X)),
        (LogisticRegression(), pd.DataFrame(X).astype(pd.SparseDtype(float, 0.0))),
        (make_pipeline(make_column_transformer((TfidfVectorizer(), "t")), LogisticRegression()), "frame"),
        (make_pipeline(TfidfVectorizer(), LogisticRegression()), "texts"),
    ],
)
def test_on_sparse_rows_no_solver_is_tried_that_visits_every_column(model: Any, rows: Any, warm_start: bool) -> None:
    rows = {"texts": TEXTS, "frame": pd.DataFrame({"t": TEXTS})}.get(rows, rows) if isinstance(rows, str) else rows
    search = MetaSearchCV(model, "linear", n_trials=6, cv=2, warm_start=warm_start, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WarmStartWarning)
        search.fit(rows, y)
    assert {c["solver"] for c in search.optimizer_.history.configurations} == {"lbfgs"}
    assert "holds solver at 'lbfgs'" in search.notes_[0]


@pytest.mark.filterwarnings("ignore:.*max_iter was reached")
def test_a_search_with_a_seed_is_the_same_twice_though_the_estimator_has_none() -> None:
    noise = np.random.default_rng(0).uniform(size=(30, 3))
    model = LogisticRegression(max_iter=2)
    place = learner_in(model, "linear")
    found = [place.whole(model, 3).set_params(solver="saga").fit(noise, np.arange(30) % 3).coef_ for _ in range(2)]
    assert np.array_equal(*found)
    assert place.whole(model, None).random_state is None
    assert place.whole(model.set_params(random_state=1), 3).random_state == 1


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*max_iter was reached", "ignore:lbfgs failed to converge")
@pytest.mark.parametrize("warm_start", [True, False])
def test_what_the_estimator_ignores_is_not_searched(warm_start: bool) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression(penalty=None))
    search = MetaSearchCV(model, "linear", n_trials=4, cv=2, warm_start=warm_start, random_state=0).fit(X, y)
    tried = search.cv_results_["params"]
    assert {name for p in tried for name in p} == {"logisticregression__solver", "logisticregression__class_weight"}
    assert len(tried) == 4
    if warm_start:
        assert search.notes_ == ("the estimator ignores C and l1_ratio, so that they are not searched",)
    recommended = recommend(X, y, estimator=model, n=2)
    assert "logisticregression__C" not in recommended.parameters(0)
    assert recommended.estimator(1).fit(X, y).score(X, y) > 0.9


def test_an_unknown_learner_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="known are: linear, svm"):
        searched(SVC(), X, y, "svc")


def test_wrappers_are_searched_from_experience() -> None:
    search = searched(OneVsRestClassifier(SVC()), X, y)
    assert search.best_params_.keys() >= {"estimator__C", "estimator__kernel"}
    assert search.notes_ == ()


def to_finite(X: Any) -> Any:
    return np.nan_to_num(np.asarray(X, dtype=float), posinf=9.0)


def flattened(X: Any) -> Any:
    return np.asarray(X).reshape(len(X), -1)


INFINITE = np.where(X > 7.5, np.inf, X)
LABELS = make_multilabel_classification(60, random_state=0)


@pytest.mark.parametrize(
    ("estimator", "X", "y", "reason"),
    [
        (make_pipeline(FunctionTransformer(to_finite), SVC()), INFINITE, y, "good on most recorded tasks: .*infinite"),
        (make_pipeline(TfidfVectorizer(), SVC()), TEXTS, y, "starts cold.*'svm' ships for classification of texts"),
        (
            make_pipeline(make_column_transformer((TfidfVectorizer(), "t")), SVC()),
            pd.DataFrame({"t": TEXTS}),
            y,
            "starts cold.*'svm' ships for classification of texts",
        ),
        (
            make_pipeline(FunctionTransformer(flattened), SVC()),
            X.reshape(-1, 2, 2),
            y,
            "starts cold.*'svm' ships for classification of images",
        ),
        (RandomForestClassifier(4), *LABELS, "starts cold.*one target, but y has 5 columns"),
        (
            SVC(kernel="precomputed"),
            X @ X.T,
            y,
            r"kernel of the estimator stays 'precomputed'.*\['C', 'class_weight'\]",
        ),
    ],
)
def test_without_a_warm_start_the_search_says_why_and_goes_on(estimator: Any, X: Any, y: Any, reason: str) -> None:
    with pytest.warns(WarmStartWarning, match=reason):
        search = searched(estimator, X, y, None)
    assert len(search.cv_results_["params"]) == 1
    assert len(search.notes_) == 1
    assert np.isfinite(search.best_score_)


def test_experience_of_another_kind_is_none() -> None:
    with pytest.warns(WarmStartWarning, match="'tabular_regression' is experience with regression, not classification"):
        searched(SVC(), X, y, recommender=Recommender("tabular_regression"))


def first_of(metric: str, y: Any) -> dict[str, Any]:
    """What is recommended for a metric, and so tried first by a search that starts from the experience of it."""
    return (
        Recommender.shipped("classification", learner="svm")
        .recommend(Task.from_arrays(X, y), "svm", n=1, metric=metric)
        .best
    )


@pytest.mark.parametrize(
    ("scoring", "metric"), [(None, "accuracy"), ("f1_macro", "f1_macro"), ("recall_macro", "balanced_accuracy")]
)
def test_experience_is_of_what_is_scored(scoring: str | None, metric: str) -> None:
    search = searched(SVC(), X, y, scoring=scoring)  # a warning would be an error
    assert search.best_params_ == first_of(metric, y)


@pytest.mark.parametrize(
    ("scoring", "metric", "scored"),
    [
        ("average_precision", "roc_auc_ovr", "'average_precision'"),
        (make_scorer(f1_score, average="weighted"), "accuracy", "'f1_weighted'"),
        (lambda model, X, y: model.score(X, y), "balanced_accuracy", "a function of your own"),
        ({"a": "accuracy", "b": "matthews_corrcoef"}, "f1_macro", "'matthews_corrcoef'"),
    ],
)
def test_the_nearest_experience_is_said(scoring: Any, metric: str, scored: str) -> None:
    target = (y > 0).astype(int)
    with pytest.warns(WarmStartWarning, match=f"experience is of '{metric}', the nearest .* scored, {scored}"):
        search = searched(SVC(), X, target, scoring=scoring, refit="b" if isinstance(scoring, dict) else True)
    assert search.best_params_ == first_of(metric, target)
