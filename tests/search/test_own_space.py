"""Searches of a user's own space: experience with the estimator's learner is used as far as the spaces overlap."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, Float, ForbiddenGreaterThanRelation, Integer
from scipy.stats import loguniform, randint, uniform
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from metahpo.integrations.start import warm_start
from metahpo.learners.own_space import learners_names, learners_values
from metahpo.learners.place import learner_in, pipeline_of_learner
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.search import MetaSearchCV
from metahpo.space.mapping import SpaceMapping
from metahpo.surrogates.mapped import MappedSurrogate
from metahpo.surrogates.task_cost import UNKNOWN, TaskCost

X, y = load_iris(return_X_y=True)
PIPELINE = make_pipeline(StandardScaler(), PCA(), SVC())
OWN = {"svc__C": loguniform(1e-3, 1e6), "svc__gamma": loguniform(1e-5, 10), "pca__n_components": [2, 3, 4]}


def searched(estimator: Any, space: Any, **options: Any) -> MetaSearchCV:
    return MetaSearchCV(estimator, space, **{"n_trials": 3, "cv": 2, "random_state": 0, **options}).fit(X, y)


def mapping_of(search: MetaSearchCV) -> SpaceMapping:
    surrogate: Any = vars(search.optimizer_)["_experience"]
    assert isinstance(surrogate, MappedSurrogate)
    return surrogate.mapping


@pytest.fixture(scope="module")
def search() -> MetaSearchCV:
    return searched(PIPELINE, OWN)


def test_notes_say_what_was_taken_clipped_and_left_out(search: MetaSearchCV) -> None:
    used, *clipped, left_out = search.notes_
    assert used == "experience with 'svm' is used for svc__C and svc__gamma"
    assert any(note.startswith("svc__C is clipped: [0.001, 1e+06] is known in [") for note in clipped)
    assert all(" is clipped: " in note for note in clipped)
    assert left_out == "pca__n_components is left out: experience knows nothing of it"


def test_the_default_comes_first_and_then_what_experience_recommends_in_the_space(search: MetaSearchCV) -> None:
    default, second, _ = search.cv_results_["params"]
    assert default == {"svc__C": 1.0, "svc__gamma": pytest.approx(0.01), "pca__n_components": 2}
    assert second["svc__C"] > 10.0
    assert second["pca__n_components"] == 2
    for engine in ("random", "grid"):
        assert searched(PIPELINE, OWN, engine=engine, n_trials=2).cv_results_["params"] == [default, second]


def test_the_search_goes_on_with_a_surrogate_that_knows_both(search: MetaSearchCV) -> None:
    assert mapping_of(search).unknown == ("pca__n_components",)
    again = searched(PIPELINE, OWN)
    assert again.cv_results_["params"] == search.cv_results_["params"]
    assert pickle.loads(pickle.dumps(search)).notes_ == search.notes_


def test_per_second_experience_says_what_trials_cost_and_less_of_it_where_more_is_searched() -> None:
    forest = RandomForestClassifier(4, n_jobs=1)
    for more in ({}, {"min_impurity_decrease": [0.0, 0.01]}):
        space = {"n_estimators": [50, 500], "min_samples_leaf": randint(1, 60), **more}
        search = searched(forest, space, per_second=True, n_trials=1)
        cost: TaskCost = vars(pickle.loads(pickle.dumps(search)).optimizer_)["_cost"]
        first = {"n_estimators": 50, "min_samples_leaf": 1, **{name: values[0] for name, values in more.items()}}
        rows = mapping_of(search).encoder.encode([first, {**first, "n_estimators": 500}])
        few, many = cost.expected(rows)
        assert many > few + 1.0
        assert (cost.deviation >= UNKNOWN) == bool(more)


def test_without_a_warm_start_the_search_is_cold() -> None:
    cold = searched(PIPELINE, OWN, warm_start=False)
    assert cold.notes_ == ()
    assert "no experience" in repr(cold.optimizer_)


def test_parameters_that_the_estimator_holds_are_those_that_experience_is_asked_for() -> None:
    search = searched(SVC(gamma=0.3, class_weight="balanced"), {"C": loguniform(1e-2, 1e2)}, n_trials=1)
    mapping = mapping_of(search)
    (known,) = mapping.known_encoder.decode(mapping.rows(mapping.encoder.encode([{"C": 2.0}])))
    assert known["gamma"] == pytest.approx(0.3)
    assert known["class_weight"] == "balanced"


@pytest.mark.parametrize(
    "best",
    [
        {"eta": 0.05, "num_leaves": 60, "feature_fraction": 0.6, "max_bin": 128},
        {"eta": 0.9, "num_leaves": 3, "feature_fraction": 0.25, "max_bin": 20},  # beyond what is known
    ],
    ids=["inside", "beyond"],
)
def test_a_script_with_other_names_is_not_behind_a_cold_search_after_25_trials(best: dict[str, float]) -> None:
    space = ConfigurationSpace()
    space.add(
        Float("eta", (1e-3, 1.0), log=True, default=0.1),
        Integer("num_leaves", (2, 256), log=True, default=31),
        Float("feature_fraction", (0.2, 1.0), default=1.0),
        Integer("max_bin", (16, 255), default=255),
    )

    def loss(values: dict[str, Any]) -> float:
        orders = {name: np.log10(values[name] / best[name]) for name in ("eta", "num_leaves")}
        rest = (values["feature_fraction"] - best["feature_fraction"], (values["max_bin"] - best["max_bin"]) / 500.0)
        return float(orders["eta"] ** 2 + 0.3 * orders["num_leaves"] ** 2 + np.square(rest).sum())

    table, labels = load_breast_cancer(return_X_y=True)
    warm = warm_start(table, labels, "lightgbm").in_space(space)
    assert isinstance(warm.surrogate, MappedSurrogate)
    assert {match.name for match in warm.surrogate.mapping.matches} == space.keys() - {"max_bin"}
    assert repr(warm).startswith("WarmStart(hyperparameters: 4, initial: 2, candidates: 0, probes: 0, MappedSurrogate(")
    assert "hyperparameters: 4, of them known: 3, MetaLearnedSurrogate(space 'lightgbm' with" in repr(warm)
    found = []
    for optimizer in (warm.optimizer(0), BayesianOptimizer(space, random_state=0)):
        for _ in range(25):
            configuration = optimizer.ask()
            optimizer.tell(configuration, loss(configuration))
        found.append(optimizer.history.best_so_far()[-1])
    assert found[0] <= found[1] + 0.01


@pytest.mark.parametrize(
    ("estimator", "space", "reason"),
    [
        (DecisionTreeClassifier(), {"max_depth": [2, 3]}, "none, or with more than one, of the estimators in Decision"),
        (SVC(), {"tol": loguniform(1e-4, 1e-2)}, r"nothing in common with what is known of 'svm'"),
        (
            Pipeline([("model", SVC())]),
            {"model": [SVC(), KNeighborsClassifier()]},
            "the space chooses model itself, which holds the learner 'svm'",
        ),
        (
            make_pipeline(Nystroem(n_components=9), SVC()),
            {"nystroem__gamma": [0.2, 0.3]},
            "nothing in common with what is known of 'svm'",
        ),
    ],
)
def test_where_nothing_overlaps_the_search_is_cold_and_says_so(estimator: Any, space: Any, reason: str) -> None:
    search = searched(estimator, space, n_trials=1)
    (note,) = search.notes_
    assert note.startswith("the search starts cold, because ")
    assert reason in note


def test_other_cold_starts_say_why() -> None:
    kernel = MetaSearchCV(SVC(kernel="precomputed"), {"C": [1.0, 2.0]}, n_trials=1, cv=2).fit(X @ X.T, y)
    assert kernel.notes_ == ("the search starts cold, because the kernel of the estimator is given",)
    groups = MetaSearchCV(KMeans(n_init=1), {"n_clusters": [2, 3]}, n_trials=1, cv=2).fit(X)
    assert groups.notes_ == (
        "the search starts cold, because there is no target y, and experience is with supervised learners",
    )


def test_data_that_experience_does_not_describe_are_noted_without_a_warning() -> None:
    search = MetaSearchCV(RandomForestClassifier(4), {"max_depth": [2, 3]}, n_trials=1, cv=2, random_state=0)
    assert "y has 2 columns" in search.fit(X, np.c_[y > 0, y > 1]).notes_[0]


def test_a_space_with_forbidden_combinations_is_kept() -> None:
    space = ConfigurationSpace()
    space.add(Float("C", (1e-2, 1e2), log=True, default=1.0), Float("gamma", (1e-3, 1e2), log=True, default=0.1))
    space.add(ForbiddenGreaterThanRelation(space["gamma"], space["C"]))
    search = searched(SVC(), space, n_trials=5)
    assert all(p["gamma"] <= p["C"] for p in search.cv_results_["params"])
    assert search.cv_results_["params"][0] == {"C": 1.0, "gamma": 0.1}


def test_stages_begin_at_the_default() -> None:
    search = searched(PIPELINE, OWN, stages=[["svc__C"], ["pca__n_components"]])
    assert search.cv_results_["params"][0]["svc__C"] == 1.0


@pytest.mark.parametrize(
    ("estimator", "names", "expected"),
    [
        (Ridge(), ["alpha", "tol"], {"alpha": "alpha"}),
        (Lasso(), ["alpha"], {"alpha": "l1_alpha"}),
        (ElasticNet(), ["alpha", "l1_ratio"], {"alpha": "l1_alpha", "l1_ratio": "l1_ratio"}),
        (PIPELINE, ["svc__C", "pca__C", "svc__cache_size", "svc__x__C"], {"svc__C": "C"}),
    ],
)
def test_names_of_the_estimator_are_found_in_the_learners_space(
    estimator: Any, names: list[str], expected: dict[str, str]
) -> None:
    assert learners_names(learner_in(estimator, None), names) == expected


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (Lasso(0.2), {"model": "lasso", "l1_alpha": 0.2}),
        (SVC(gamma="auto", C=np.float64(3)), {"gamma": "auto", "C": 3.0, "kernel": "rbf"}),
        (RandomForestClassifier(max_features=0.3), {"max_features": 0.3, "max_depth": None}),
        (LogisticRegression(class_weight={0: 2.0}), {"C": 1.0}),
        (LogisticRegression(penalty="l1", solver="liblinear"), {"l1_ratio": 1.0, "solver": "saga"}),
        (LogisticRegression(penalty=None), {"C": np.inf}),
    ],
)
def test_values_of_the_estimator_are_found_in_the_learners_space(estimator: Any, expected: dict[str, Any]) -> None:
    found = learners_values(learner_in(estimator, None))
    assert expected.items() <= found.items()
    assert found.get("class_weight") != {0: 2.0}


def test_aliases_that_the_estimator_takes_are_known_and_its_own_parameters_mean_themselves() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    model = lightgbm.LGBMClassifier(n_estimators=60, n_jobs=1, verbosity=-1)
    space = ConfigurationSpace()
    space.add(Float("eta", (0.05, 0.4), default=0.1), Integer("max_depth", (2, 9)), Float("lambda_l1", (0.0, 5.0)))
    mapping = mapping_of(searched(model, space, n_trials=1))
    assert {match.name: match.known for match in mapping.matches} == {"eta": "learning_rate", "lambda_l1": "reg_alpha"}
    row = mapping.rows(mapping.encoder.encode([{"eta": 0.2, "max_depth": 3, "lambda_l1": 0.0}]))
    (known,) = mapping.known_encoder.decode(row)
    assert known["learning_rate"] == pytest.approx(0.2)
    assert known["n_estimators"] == 60
    assert known["reg_alpha_rule"] == 0.0


def test_own_names_of_ranges_and_lists_work_with_a_boosting_library() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    given = {"learning_rate": loguniform(1e-3, 1), "num_leaves": randint(2, 300), "subsample": uniform(0.5, 0.5)}
    model = lightgbm.LGBMClassifier(n_estimators=5, subsample_freq=1, n_jobs=1, verbosity=-1)
    search = MetaSearchCV(model, param_distributions=given, n_trials=2, cv=2, random_state=0).fit(X, y)
    assert search.notes_[0] == "experience with 'lightgbm' is used for learning_rate, num_leaves and subsample"
    assert search.cv_results_["params"][0] == {"learning_rate": 0.1, "num_leaves": 31, "subsample": 1.0}


TEXTS = [f"{word} and {other}" for word in ("sun", "rain", "snow") for other in ("wind", "fog", "calm", "storm")] * 2
SEASONS = np.repeat(["summer", "autumn", "winter"], 4).tolist() * 2


@pytest.mark.parametrize(
    ("classifier", "held"),
    [
        (LogisticRegression(), {"loss": "log_loss", "terms": "words", "word_ngrams": 2}),
        (LinearSVC(), {"loss": "squared_hinge", "terms": "words", "word_ngrams": 2}),
    ],
)
def test_a_pipeline_for_texts_has_the_experience_of_the_learner_that_does_the_same(
    classifier: Any, held: dict[str, Any]
) -> None:
    pipeline = Pipeline([("terms", TfidfVectorizer(ngram_range=(1, 2))), ("model", classifier)])
    given = {
        "model__C": loguniform(1e-3, 1e2),
        "terms__min_df": [1, 2, 3],
        "terms__sublinear_tf": [False, True],
        "terms__norm": ["l1", "l2"],
    }
    search = MetaSearchCV(pipeline, given, n_trials=2, cv=2, scoring="balanced_accuracy", random_state=0)
    search.fit(TEXTS, SEASONS)
    assert search.notes_[:3] == (
        "experience with 'text_linear' is used for model__C, terms__min_df and terms__sublinear_tf",
        "model__C is clipped: [0.001, 100] is known in [0.01, 100]",
        "terms__norm is left out: experience knows nothing of it",
    )
    known = mapping_of(search)
    assert {match.name.rpartition("__")[2]: match.known for match in known.matches} == {
        name: name for name in ("C", "min_df", "sublinear_tf")
    }
    place = pipeline_of_learner(pipeline)
    assert place is not None
    assert learners_values(place) == {"min_df": 1, "sublinear_tf": False, "C": 1.0, "class_weight": None, **held}


def test_a_pipeline_for_texts_that_does_something_else_has_none() -> None:
    for steps in (
        [CountVectorizer(), LogisticRegression()],
        [TfidfVectorizer(), TruncatedSVD(), LogisticRegression()],
        [TfidfVectorizer(), SVC()],
    ):
        assert pipeline_of_learner(make_pipeline(*steps)) is None
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    given = {"logisticregression": [LogisticRegression(), LinearSVC()], "tfidfvectorizer__min_df": [1, 2]}
    search = MetaSearchCV(pipeline, given, n_trials=1, cv=2, random_state=0).fit(TEXTS, SEASONS)
    assert "the space chooses logisticregression itself" in search.notes_[0]
