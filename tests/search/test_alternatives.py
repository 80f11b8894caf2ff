"""A list of spaces: each trial is of one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from metahpo.exceptions import DataError, SpaceError
from metahpo.search import MetaSearchCV
from metahpo.space.mapping import SpaceMapping
from metahpo.surrogates.mapped import MappedSurrogate

X, y = load_iris(return_X_y=True)
GRIDS: list[dict[str, Any]] = [
    {"kernel": ["linear"], "C": [0.1, 1.0, 10.0]},
    {"kernel": ["rbf", "poly"], "C": loguniform(1e-2, 1e6), "gamma": loguniform(1e-4, 10)},
]


def searched(estimator: Any, grids: Any, **options: Any) -> MetaSearchCV:
    options = {"n_trials": 6, "cv": 2, "random_state": 0, **options}
    return MetaSearchCV(estimator, param_distributions=grids, **options).fit(X, y)


def mapping_of(search: MetaSearchCV) -> SpaceMapping:
    surrogate: Any = vars(search.optimizer_)["_experience"]
    assert isinstance(surrogate, MappedSurrogate)
    return surrogate.mapping


@pytest.mark.parametrize("options", [{"engine": "random", "warm_start": False, "n_trials": 12}, {}])
def test_every_trial_is_of_one_of_them(options: dict[str, Any]) -> None:
    search = searched(SVC(), GRIDS, **options)
    tried = search.cv_results_["params"]
    for parameters in tried:
        linear = parameters["kernel"] == "linear"
        assert set(parameters) == ({"kernel", "C"} if linear else {"kernel", "C", "gamma"})
        assert not linear or parameters["C"] in (0.1, 1.0, 10.0)
    assert "param_gamma" in search.cv_results_
    if options:
        assert {p["kernel"] for p in tried} == {"linear", "rbf", "poly"}


def test_experience_is_asked_for_all_of_them() -> None:
    search = searched(SVC(gamma=0.5), GRIDS, n_trials=1)
    assert search.notes_[0] == "experience with 'svm' is used for C, kernel and gamma"
    assert search.notes_[1].startswith("C is clipped: [0.01, 1e+06] is known in")
    assert len(search.notes_) == 2
    mapping = mapping_of(search)
    one = {"alternative": "1", "1:kernel": "linear", "1:C": 10.0}
    other = {"alternative": "2", "2:kernel": "rbf", "2:C": 10.0, "2:gamma": 0.01}
    first, second = mapping.known_encoder.decode(mapping.rows(mapping.encoder.encode([one, other])))
    assert (first["kernel"], first["C"]) == ("linear", pytest.approx(10.0))
    assert (second["kernel"], second["C"], second["gamma"]) == ("rbf", pytest.approx(10.0), pytest.approx(0.01))
    assert "alternative" not in mapping.unknown


def test_what_an_alternative_does_not_vary_is_the_estimators_own() -> None:
    search = searched(SVC(gamma=0.5), [{"C": [1.0, 2.0]}, {"gamma": [0.1, 1.0]}], n_trials=1)
    mapping = mapping_of(search)
    row = mapping.rows(mapping.encoder.encode([{"alternative": "1", "1:C": 2.0}]))
    assert mapping.known_encoder.decode(row)[0]["gamma"] == pytest.approx(0.5)


def test_all_of_scikit_learns_grids_are_tried() -> None:
    grids = [{"kernel": ["linear"], "C": [1, 10]}, {"kernel": ["rbf"], "gamma": [0.1, 1.0]}, {}]
    search = searched(SVC(), grids, n_trials=5, engine="grid", warm_start=False)
    key = repr
    assert sorted(search.cv_results_["params"], key=key) == sorted(
        [dict(sorted(parameters.items())) for parameters in ParameterGrid(grids)], key=key
    )


def test_initial_configurations_are_named_as_the_estimator_does_and_trials_go_on_from_a_file(tmp_path: Path) -> None:
    initial = [{"kernel": "poly", "gamma": 0.1, "C": 3.0}, {"kernel": "linear"}]
    options = {"initial": initial, "resume_from": tmp_path / "trials.jsonl", "warm_start": False}
    search = searched(SVC(), GRIDS, n_trials=2, **options)
    expected = [{"kernel": "poly", "gamma": 0.1, "C": 3.0}, {"kernel": "linear", "C": 1.0}]
    assert search.cv_results_["params"] == expected
    assert searched(SVC(), GRIDS, n_trials=3, **options).cv_results_["params"][:2] == expected
    assert searched(SVC(), GRIDS, n_trials=1, initial=search).best_params_ in expected
    with pytest.raises(SpaceError, match="in none of the 2 alternatives"):
        searched(SVC(), GRIDS, initial=[{"kernel": "sigmoid"}])


def test_numbers_that_an_alternative_ignores_are_not_varied_there() -> None:
    grids = [{"kernel": ["linear"], "gamma": loguniform(1e-3, 1), "C": [1.0, 2.0]}, {"gamma": loguniform(1e-3, 1)}]
    search = searched(SVC(), grids, engine="random", warm_start=False, n_trials=4)
    assert search.notes_ == ("gamma has no effect, because kernel is 'linear'",)


def test_spaces_with_conditions_may_be_among_them() -> None:
    space = ConfigurationSpace({"C": (0.1, 10.0)})
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    given = [space, {"C": [1.0], "class_weight": ["balanced", None]}]
    named = [{f"logisticregression__{n}": v for n, v in given[1].items()}]
    assert searched(LogisticRegression(max_iter=500), given, n_trials=3).best_score_ > 0.9
    assert searched(pipeline, named, n_trials=2).best_score_ > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": [["C"], ["kernel"]]}, "stages needs one space, but 3 alternatives are given"),
        ({"engine": "population"}, "engine='population' needs one space"),
        ({"fidelity": "degree", "max_resources": 3}, "'degree' cannot be the fidelity and be searched"),
    ],
)
def test_what_needs_one_space_refuses_several(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        searched(SVC(), [*GRIDS, {"degree": [2, 3]}], **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([{"C": [1.0]}, "svm"], "a list of such dicts, or None"),
        ([{"C": [1.0]}, {"c": [1.0]}], "for 'c': 'C'"),
    ],
)
def test_lists_that_are_no_alternatives_are_refused(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        searched(SVC(), given)
