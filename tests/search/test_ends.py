"""How a search begins, goes on and ends: first configurations, files, stages, patience, failures and odd scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition
from scipy.stats import randint
from sklearn.datasets import load_iris
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import KFold
from sklearn.tree import DecisionTreeClassifier

from metahpo.exceptions import DataError, SpaceError, StoreError, StoreWarning
from metahpo.search import MetaSearchCV
from metahpo.trials.history import TrialHistory

pytestmark = pytest.mark.filterwarnings("ignore:One or more of the")

X, y = load_iris(return_X_y=True)
SPACE = {"max_depth": randint(1, 8), "min_samples_leaf": [1, 2, 5, 10], "criterion": ["gini", "entropy"]}
TREE = DecisionTreeClassifier(random_state=0)


def searched(space: Any = None, **parameters: Any) -> MetaSearchCV:
    given: dict[str, Any] = {"n_trials": 5, "cv": 3, "random_state": 0, "engine": "random"} | parameters
    return MetaSearchCV(TREE, SPACE if space is None else space, **given).fit(X, y)


def params(search: MetaSearchCV) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = search.cv_results_["params"]
    return found


def test_configurations_of_the_user_come_first_and_are_completed() -> None:
    search = searched(initial=[{"max_depth": 7}, {"max_depth": 2, "criterion": "entropy"}], n_trials=3)
    assert [p["max_depth"] for p in params(search)[:2]] == [7, 2]
    assert searched(initial=search, n_trials=1).best_params_ == search.best_params_


@pytest.mark.parametrize(
    ("initial", "error", "message"),
    [
        ([{"max_depth": 99}], SpaceError, "configuration 1 of `initial`"),
        ([{"depth": 2}], SpaceError, r"\['depth'\] are not in the space"),
        ("best", DataError, "initial must be a list of configurations"),
    ],
)
def test_configurations_that_are_not_of_the_space_are_refused(initial: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        searched(initial=initial)


def test_a_search_goes_on_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    first = searched(resume_from=path, n_trials=3)
    with path.open("a") as file:
        file.write('{"configuration": {"max_de')  # half a line, of a process that was killed
    with pytest.warns(StoreWarning, match=r"line 5 of .*trials.jsonl' is no trial"):
        second = searched(resume_from=str(path))
    assert params(second)[:3] == params(first)
    assert len(params(second)) == len(second.optimizer_.history) == 5
    np.testing.assert_array_equal(second.cv_results_["mean_test_score"][:3], first.cv_results_["mean_test_score"])
    lines = path.read_text().splitlines()
    assert len(lines) == 7
    assert json.loads(lines[-1])["configuration"] == params(second)[-1]
    assert params(searched(resume_from=second, n_trials=6))[:5] == params(second)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"space": {"max_depth": [1, 2]}}, "another search space: hyperparameter 'criterion'"),
        ({"cv": KFold(3, shuffle=True, random_state=1)}, "other folds"),
        ({"scoring": "f1_macro"}, "another metric, \"the estimator's own score\", but here it is 'f1_macro'"),
        ({"fidelity": "rows"}, "fidelity=None, but here it is 'rows'"),
    ],
)
def test_trials_of_another_search_are_refused_by_what_differs(
    tmp_path: Path, other: dict[str, Any], message: str
) -> None:
    path = tmp_path / "trials.jsonl"
    search = searched(resume_from=path, n_trials=1)
    for source in (path, search):
        with pytest.raises(StoreError, match=message):
            searched(resume_from=source, **other)
    with pytest.raises(StoreError, match=r"of other data; give another file \(resume_from; --out"):
        MetaSearchCV(TREE, SPACE, cv=3, resume_from=path).fit(X + 1.0, y)
    assert len(path.read_text().splitlines()) == 2


def test_two_searches_on_one_file_and_files_of_others_are_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "trials.jsonl", tmp_path / "other"

    def second(history: TrialHistory) -> bool:
        with pytest.raises(StoreError, match="in use by another search"):
            searched(resume_from=path)
        return True

    searched(resume_from=path, callback=second)
    for content in ("hello", '{"x": 1}\n', "a,b\n1,2\n"):
        other.write_text(content)
        with pytest.raises(StoreError, match="no file of a search"):
            searched(resume_from=other)
        assert other.read_text() == content
    other.write_text('{"format": "metahpo search trials, version 9"}\n')
    with pytest.raises(StoreError, match="version 9"):
        searched(resume_from=other)
    with pytest.raises(DataError, match="resume_from must be"):
        searched(resume_from=MetaSearchCV(TREE))


def test_stages_vary_their_own_and_fix_the_rest_at_its_best() -> None:
    search = searched(stages=[["max_depth"], ["min_samples_leaf", "criterion"]], n_trials=9)
    tried, scores = params(search), search.cv_results_["mean_test_score"]
    first, second = tried[:5], tried[5:]
    assert len({(p["min_samples_leaf"], p["criterion"]) for p in first}) == 1
    assert {p["max_depth"] for p in second} == {first[int(np.argmax(scores[:5]))]["max_depth"]}


def test_a_stage_that_nothing_is_active_in_leaves_its_trials_to_the_next() -> None:
    space = ConfigurationSpace({"max_depth": (1, 8), "max_features": (1, 4)})
    space.add(Categorical("splitter", ["best", "random"], default="best"))
    space.add(EqualsCondition(space["max_features"], space["splitter"], "random"))
    with pytest.warns(UserWarning, match=r"stage 1 is left out: none of \['max_features'\] is active"):
        search = searched(space, stages=[["max_features"], ["max_depth"]], n_trials=5)
    assert len({p["max_depth"] for p in params(search)}) == 5


def test_trials_that_the_last_stage_cannot_use_go_to_all_stages_again() -> None:
    space = {"max_depth": list(range(1, 9)), "criterion": ["gini", "entropy"]}
    tried = params(searched(space, stages=[["max_depth"], ["criterion"]], n_trials=8))
    assert len({tuple(sorted(p.items())) for p in tried}) == len(tried) == 8
    assert len({p["criterion"] for p in tried[:5]}) == 1
    assert len({p["max_depth"] for p in tried[5:]}) > 1  # the second stage has two values only
    with pytest.warns(UserWarning, match=r"ends after [34] of 9 trials: with the rest at its best, no stage has"):
        searched(
            {"min_samples_leaf": [1, 5], "criterion": ["gini", "entropy"]},
            stages=[["min_samples_leaf"], ["criterion"]], n_trials=9,
        )  # fmt: skip


@pytest.mark.parametrize("stages", [[], [[]], ["max_depth"], [["depth"]], [["max_depth"]] * 6])
def test_stages_that_cannot_be_are_refused(stages: Any) -> None:
    with pytest.raises(DataError, match="stages"):
        searched(stages=stages)


def test_patience_and_callbacks_end_the_search() -> None:
    search = searched(n_trials=50, patience=3)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == int(np.argmax(scores)) + 4
    seen: list[int] = []
    search = searched(callbacks=[lambda h: seen.append(len(h)), lambda h: len(h) == 2], callback=lambda h: None)
    assert seen == [1, 2]


def test_hopeless_trials_are_stopped_marked_and_never_the_best() -> None:
    space = {"max_depth": [1, 2, 3, 4, 5], "min_samples_leaf": [1, 2, 30, 49, 60]}
    search = searched(space, n_trials=16, early_stopping=True, cv=5)
    rows = search.cv_results_
    stopped = rows["status"] == "stopped"
    assert 0 < stopped.sum() < 16
    assert rows["rank_test_score"][stopped].min() > rows["rank_test_score"][~stopped].max()
    assert search.best_score_ == rows["mean_test_score"][~stopped].max()
    folds = np.array([rows[f"split{i}_test_score"] for i in range(5)])
    assert np.isnan(folds[:, stopped]).any(axis=0).all()
    np.testing.assert_allclose(np.nanmean(folds, axis=0), rows["mean_test_score"])
    assert (-search.optimizer_.history.losses[stopped] < search.best_score_).all()


class Never(DecisionTreeClassifier):  # type: ignore[misc]
    """Cannot be fitted."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Never:
        raise RuntimeError(f"no tree of depth {self.max_depth % 2}")


def test_a_search_whose_trials_all_fail_ends_and_groups_the_causes() -> None:
    search = MetaSearchCV(Never(), {"max_depth": randint(1, 99)}, n_trials=99, cv=2, engine="random", random_state=0)
    with pytest.raises(DataError, match=r"(?s)20 fits failed, of 10 trials.*ended early.*\n.*no tree of depth") as said:
        search.fit(X, y)
    assert str(said.value).count("of the trials failed with") == 2
    assert (search.cv_results_["status"] == "failed").all()


class FitsHalf(DecisionTreeClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """A tree that cannot be fitted on all of the rows."""

    def fit(self, X: Any, y: Any, *args: Any, **parameters: Any) -> FitsHalf:
        if len(X) > 120:
            raise MemoryError("too many rows")
        super().fit(X, y, *args, **parameters)
        return self


def test_a_refit_that_fails_says_of_which_configuration_and_keeps_the_search(tmp_path: Path) -> None:
    given: dict[str, Any] = {"n_trials": 3, "cv": 3, "engine": "random", "random_state": 0}
    search = MetaSearchCV(FitsHalf(random_state=0), SPACE, resume_from=tmp_path / "trials.jsonl", **given)
    with pytest.raises(MemoryError, match="too many rows") as caught:
        search.fit(X, y)
    (note,) = caught.value.__notes__
    for part in (f"refit of the best configuration, {search.best_params_}, on all 150 rows failed", "refit=False"):
        assert part in note
    assert search.best_params_ == params(search)[search.best_index_]
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    assert len(params(search)) == len(search.optimizer_.history) == 3
    with pytest.raises(NotFittedError):
        search.predict(X)
    again = MetaSearchCV(FitsHalf(random_state=0), SPACE, resume_from=search, refit=False, **given).fit(X, y)
    assert params(again) == params(search)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 10**400, 1 + 2j, np.complex128(1j)])
def test_a_score_that_is_no_finite_real_number_is_a_failure(odd: Any) -> None:
    def score(model: Any, X: Any, y: Any) -> Any:
        return odd if model.max_depth == 1 else accuracy_score(y, model.predict(X))

    with pytest.warns(FitFailedWarning, match=r"(?s)1 of 3 trials failed.*not a finite real number"):
        search = searched(
            {"max_depth": [1, 2, 3]}, n_trials=3, scoring=score, cv=KFold(2, shuffle=True, random_state=0)
        )
    failed = [p["max_depth"] == 1 for p in params(search)]
    assert (search.cv_results_["status"] == "failed").tolist() == failed
    assert search.cv_results_["rank_test_score"][failed] == 3
    assert search.best_params_["max_depth"] > 1


@pytest.mark.parametrize("huge", [1.7e308, -1.7e308])
def test_huge_scores_keep_their_order(huge: float) -> None:
    search = searched({"max_depth": [1, 2]}, n_trials=2, scoring=lambda m, X, y: huge if m.max_depth == 1 else 0.5)
    assert search.best_params_["max_depth"] == (1 if huge > 0 else 2)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_fits_that_fail_in_part_count_with_the_error_score() -> None:
    def score(model: Any, X: Any, y: Any) -> float:
        return float("nan") if model.max_depth == 1 and y[0] == 0 else 0.5

    with pytest.warns(FitFailedWarning, match="of 1 trials some fits failed; their scores are set to 0"):
        search = searched({"max_depth": [1, 2]}, n_trials=2, scoring=score, error_score=0.0, cv=KFold(3))
    worse = search.cv_results_["mean_test_score"][[p["max_depth"] == 1 for p in params(search)]]
    np.testing.assert_allclose(worse, 1 / 3)


def test_the_best_is_tested_on_rows_that_the_search_has_not_seen() -> None:
    search = searched(test_size=0.3)
    assert search.best_estimator_.tree_.n_node_samples[0] == 105
    score: Any = search.best_test_score_
    assert 0.8 < score <= 1.0
    for size in (0, 1.5, -1, "half"):
        with pytest.raises(DataError, match="test_size must be"):
            searched(test_size=size)
    with pytest.raises(DataError, match="cannot be held out of 150 rows"):
        searched(test_size=150)


def test_progress_is_told_only_where_it_is_read(capfd: pytest.CaptureFixture[str]) -> None:
    searched(n_trials=2)
    assert capfd.readouterr() == ("", "")
    searched(n_trials=2, verbose=1)
    printed = capfd.readouterr().out.splitlines()
    assert len(printed) == 2
    assert printed[0].startswith("trial 1/2, best score 0.")
