"""Population-based training: members go on training, the worst take over the best, and everything can be repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace
from scipy.stats import loguniform, randint, uniform
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from metahpo.exceptions import DataError
from metahpo.search import MetaSearchCV, search_engine_names
from metahpo.search.continued_training import continuation_of, go_on
from metahpo.search.engines import search_engine
from metahpo.search.population import Population, explored, generations_of
from metahpo.search.search_trial import Proposal
from metahpo.search.trial_order import Candidates
from metahpo.space.domain import Domain

X, y = load_iris(return_X_y=True)
SGD = {"alpha": loguniform(1e-5, 1e-1), "eta0": loguniform(1e-3, 1.0)}


def sgd() -> SGDClassifier:
    return SGDClassifier(learning_rate="constant", eta0=0.01, random_state=0)


def searched(estimator: Any = None, space: Any = None, **parameters: Any) -> MetaSearchCV:
    given: dict[str, Any] = {"n_trials": 4, "cv": 2, "random_state": 0, "min_resources": 2, "max_resources": 6}
    model = sgd() if estimator is None else estimator
    search = MetaSearchCV(model, SGD if space is None else space, engine="population", **(given | parameters))
    return search.fit(X, y)


def population(n: int, generations: list[int], space: ConfigurationSpace | None = None) -> Population:
    known = ConfigurationSpace({"x": (0.1, 1.0)}) if space is None else space
    return Population(
        Candidates(search_engine("population", known, 0), [], n), known, generations, lambda p: dict(p.configuration), 0
    )


def made(some: Population, loss_of: Any) -> list[Proposal]:
    """What a population proposes, one at a time."""
    found = []
    while (proposal := some.next()) is not None:
        found.append(proposal)
        some.ended(proposal, loss_of(proposal), 1.0)
    return found


def test_the_engine_has_its_name_among_the_others() -> None:
    assert "population" in search_engine_names()


def test_the_worst_fifth_copies_one_of_the_best_fifth_and_changes_its_numbers() -> None:
    found = made(population(10, [2, 4]), lambda proposal: proposal.configuration["x"])
    first, second = found[:10], found[10:]
    assert [proposal.resources for proposal in found] == [2] * 10 + [4] * 10
    xs = sorted(proposal.configuration["x"] for proposal in first)
    assert all(len(proposal.before) == 1 for proposal in second)
    changed = [p for p in second if p.configuration != p.before[0][0]]
    assert len(changed) == 2
    assert {p.before[0][0]["x"] for p in changed} <= set(xs[:2])
    assert {p.before[0][0]["x"] for p in second if p not in changed} == set(xs[:-2])


def test_failed_members_are_replaced_and_a_population_of_failures_ends() -> None:
    found = made(population(4, [1, 2]), lambda p: np.nan if p.configuration["x"] > 0.4 and not p.before else 0.5)
    assert all(proposal.before[0][0]["x"] <= 0.4 for proposal in found[4:])
    assert len(made(population(4, [1, 2]), lambda p: np.nan)) == 4


def test_one_member_trains_on_by_itself() -> None:
    found = made(population(1, [1, 2, 3]), lambda p: 0.0)
    assert [proposal.resources for proposal in found] == [1, 2, 3]
    assert len({proposal.configuration["x"] for proposal in found}) == 1


def test_exploring_changes_real_numbers_alone_and_stays_in_the_range() -> None:
    space = ConfigurationSpace({"rate": (0.1, 1.0), "layers": (1, 5), "kind": ["a", "b"]})
    start = {"rate": 1.0, "layers": 3, "kind": "b"}
    rng = np.random.default_rng(0)
    found = [explored(start, space, Domain(space), rng) for _ in range(60)]
    assert {(c["layers"], c["kind"]) for c in found} == {(3, "b")}
    rates = np.array([c["rate"] for c in found])
    assert rates.min() >= 0.1
    assert rates.max() <= 1.0
    by_factor = np.isclose(rates, 0.8) | np.isclose(rates, 1.0)
    assert 0.6 < by_factor.mean() < 0.9


def test_generations_end_with_the_whole_training() -> None:
    assert generations_of(3, 10) == [3, 6, 9, 10]
    assert generations_of(None, 100) == list(range(10, 101, 10))
    with pytest.raises(DataError, match="min_resources is 11, above max_resources, 10"):
        generations_of(11, 10)


@pytest.mark.parametrize(
    ("estimator", "way", "n_steps"),
    [
        (sgd(), "partial_fit", lambda model: (model.t_ - 1) / len(X)),
        (make_pipeline(StandardScaler(), sgd()), "partial_fit", lambda model: (model[-1].t_ - 1) / len(X)),
        (MLPClassifier((4,), random_state=0), "more", lambda model: model.t_ / len(X)),
        (HistGradientBoostingClassifier(random_state=0), "total", lambda model: model.n_iter_),
        (GradientBoostingClassifier(random_state=0), "total", lambda model: len(model.estimators_)),
    ],
)
def test_training_in_segments_has_the_steps_of_all(estimator: Any, way: str, n_steps: Any) -> None:
    continuation = continuation_of(estimator, None)
    assert continuation.way == way
    before = estimator.get_params()
    go_on(estimator, X, y, [({}, 2), ({}, 5)], continuation)
    assert n_steps(estimator) == 5
    go_on(estimator, X, y, [({}, 6)], continuation, done=5)
    assert n_steps(estimator) == 6
    assert str(estimator.get_params()) == str(before)


def test_a_search_trains_each_member_on_and_says_what_the_best_was_trained_with() -> None:
    search = searched(return_train_score=True)
    rows = search.cv_results_
    assert rows["n_resources"].tolist() == [2] * 4 + [4] * 4 + [6] * 4
    assert rows["iter"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert sorted(rows["bracket"].tolist()) == sorted([0, 1, 2, 3] * 3)
    assert rows["n_resources"][search.best_index_] == 6
    assert (search.min_resources_, search.max_resources_) == (2, 6)
    assert [until for _, until in search.best_schedule_] == [2, 4, 6]
    assert search.best_schedule_[-1][0] == search.best_params_
    assert search.best_params_["max_iter"] == 6
    assert len(search.optimizer_.history) == 12
    assert search.best_estimator_.t_ == 6 * len(X) + 1
    again = go_on(sgd(), X, y, search.best_schedule_, continuation_of(sgd(), None))
    np.testing.assert_array_equal(again.coef_, search.best_estimator_.coef_)
    assert search.score(X, y) > 0.6


def test_the_score_of_a_trial_is_that_of_its_schedule_on_each_fold() -> None:
    search = searched(cv=[(np.arange(0, 150, 2), np.arange(1, 150, 2))])
    model = go_on(sgd(), X[::2], y[::2], search.best_schedule_, continuation_of(sgd(), None))
    assert search.best_score_ == model.score(X[1::2], y[1::2])


@pytest.mark.parametrize("parallel", ["folds", "trials"])
def test_workers_and_seeds_change_nothing(parallel: str) -> None:
    from joblib import parallel_config

    alone = searched()
    with parallel_config("threading"):
        together = searched(n_jobs=2, parallel=parallel)
    one, other = (sorted(map(str, zip(s.cv_results_["params"], s.cv_results_["mean_test_score"], strict=True)))
                  for s in (alone, together))  # fmt: skip
    assert one == other
    assert str(searched(random_state=1).cv_results_["params"]) != str(alone.cv_results_["params"])


def test_a_search_goes_on_from_its_file_as_if_it_had_not_ended(tmp_path: Path) -> None:
    whole = searched()
    path = tmp_path / "trials.jsonl"
    searched(resume_from=path, callbacks=[lambda history: len(history) == 6])
    assert len(path.read_text().splitlines()) == 7
    second = searched(resume_from=path)
    assert len(path.read_text().splitlines()) == 13
    assert str(second.cv_results_["params"]) == str(whole.cv_results_["params"])
    np.testing.assert_array_equal(second.cv_results_["mean_test_score"], whole.cv_results_["mean_test_score"])


def test_trees_of_a_pipeline_and_of_a_known_learner() -> None:
    pipeline = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=4, random_state=0))
    space = {"histgradientboostingclassifier__learning_rate": loguniform(0.01, 1.0)}
    search = searched(pipeline, space, max_resources=None)
    assert search.best_estimator_[-1].n_iter_ == 4
    known = searched(SGDClassifier(random_state=0), SGD, initial=[{"alpha": 1e-3, "eta0": 0.5}])
    assert known.cv_results_["params"][0]["alpha"] == 1e-3


def test_a_network_of_the_package_trains_by_epochs() -> None:
    pytest.importorskip("torch")
    from metahpo.networks import NetworkClassifier

    network = NetworkClassifier(members=1, depth=1, width=8, bins=0, early_stopping=False, random_state=0)
    space = {"learning_rate": loguniform(1e-3, 0.1), "dropout": uniform(0.0, 0.4), "depth": randint(1, 3)}
    search = searched(network, space, n_trials=3, fidelity="epochs", min_resources=1, max_resources=2)
    assert search.best_estimator_.n_epochs_ == 2
    assert search.best_params_["epochs"] == 2


def test_multiple_metrics_and_a_failing_member() -> None:
    class Picky(SGDClassifier):  # type: ignore[misc]  # scikit-learn has no types
        def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
            if self.eta0 > 0.1:
                raise ValueError("too fast")
            return super().partial_fit(X, y, classes)

    search = MetaSearchCV(
        Picky(learning_rate="constant", eta0=0.01, random_state=0), SGD, engine="population", n_trials=6, cv=2,
        min_resources=1, max_resources=3, scoring=["accuracy", "balanced_accuracy"], refit="balanced_accuracy",
        random_state=0,
    )  # fmt: skip
    with pytest.warns(match="too fast|non-finite"):
        search.fit(X, y)
    status = search.cv_results_["status"]
    assert "failed" in status[:6]
    assert search.cv_results_["status"][search.best_index_] == "complete"
    assert set(search.best_schedule_[-1][0]) == {"alpha", "eta0", "max_iter"}


@pytest.mark.parametrize(
    ("estimator", "space", "options", "message"),
    [
        (SVC(), {"C": loguniform(0.1, 10.0)}, {}, "SVC cannot go on training.*take another engine"),
        (GaussianNB(), {"var_smoothing": loguniform(1e-9, 1.0)}, {"max_resources": None}, "give max_resources"),
        (sgd(), {"penalty": ["l1", "l2"]}, {}, "the search space has none.*Add one"),
        (sgd(), SGD, {"fidelity": "rows"}, "not on rows"),
        (sgd(), SGD, {"stages": [["alpha"]]}, "stages and engine='population'"),
        (sgd(), SGD, {"early_stopping": True}, "early_stopping and engine='population'"),
        (sgd(), SGD, {"fidelity": "epochs"}, "neither 'rows' nor a parameter"),
        (sgd(), {"max_iter": randint(1, 5), "alpha": SGD["alpha"]}, {}, "cannot be the number of steps and be"),
        (sgd(), SGD, {"min_resources": 9}, "min_resources is 9, above max_resources, 6"),
        (
            make_pipeline(StandardScaler(), sgd()),
            {"standardscaler__with_mean": [True, False], "sgdclassifier__alpha": SGD["alpha"]},
            {},
            "steps before it",
        ),
    ],
)  # fmt: skip
def test_what_cannot_train_on_is_refused_with_the_next_step(
    estimator: Any, space: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        searched(estimator, space, **options)
