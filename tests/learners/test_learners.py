"""Every learner of the registry keeps the contract; names, rules and scales by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metahpo.exceptions import UnknownNameError
from metahpo.learners.learner import Learner
from metahpo.learners.registry import learner_named, learner_names
from metahpo.space.activity import canonical, default_configuration
from metahpo.space.design import sobol_design
from metahpo.tasks.preprocessing import preprocessing
from metahpo.tasks.task import KINDS, Task
from tests.contracts.learner_contract import LearnerContract, small_task

TABULAR = ["linear", "svm", "random_forest", "boosting", "mlp"]
ALL = [(name, kind) for kind in KINDS for name in TABULAR]


class TestLearnersOfTheRegistry(LearnerContract):
    @pytest.fixture(params=ALL, ids="-".join)
    def learner(self, request: pytest.FixtureRequest) -> Learner:
        return learner_named(*request.param)


def test_the_learners_of_each_kind() -> None:
    assert learner_names("classification") == [*TABULAR, "convnet", "text"]
    assert learner_names("regression") == TABULAR


def test_an_unknown_learner_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match="unknown regression learner 'xgboost'; known are: linear, svm, random_"):
        learner_named("xgboost", "regression")


OWN = """
from ConfigSpace import ConfigurationSpace, Integer
from sklearn.neighbors import KNeighborsClassifier

from metahpo.learners.learner import Learner

def knn(kind):
    space = ConfigurationSpace()
    space.add(Integer("n_neighbors", (1, 30), default=5))
    return Learner("own_learners:knn", kind, space, KNeighborsClassifier, "scaled")

def misnamed(kind):
    return knn(kind)

def nothing(kind):
    return None
"""


def test_a_learner_of_ones_own_is_named_by_the_function_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_learners.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    learner = learner_named("own_learners:knn", "classification")
    assert default_configuration(learner.space) == {"n_neighbors": 5}
    for name, message in (
        ("own_learners:missing", "has no attribute 'missing'; the module must lie on PYTHONPATH"),
        ("no_such_module:knn", "No module named 'no_such_module'; the module must lie on PYTHONPATH"),
        ("own_learners:misnamed", "not a Learner of that name and kind"),
        ("own_learners:nothing", "The function returned None"),
    ):
        with pytest.raises(UnknownNameError, match=message):
            learner_named(name, "classification")


@pytest.mark.parametrize("name", learner_names("classification"))
def test_class_weighting_can_be_chosen(name: str) -> None:
    learner = learner_named(name, "classification")
    assert learner.estimator({**default_configuration(learner.space), "class_weight": "balanced"}).get_params()[
        "class_weight"
    ] == "balanced"  # fmt: skip


def test_a_rule_gives_its_word_or_lets_the_number_speak() -> None:
    svm = learner_named("svm", "classification")
    scale = canonical(svm.space, {**default_configuration(svm.space), "gamma_rule": "scale"})
    number = canonical(svm.space, {**default_configuration(svm.space), "gamma_rule": "value", "gamma": 0.25})
    linear = canonical(svm.space, {**default_configuration(svm.space), "kernel": "linear"})
    assert svm.parameters(scale)["gamma"] == "scale"
    assert svm.parameters(number)["gamma"] == 0.25
    assert "gamma" not in svm.parameters(linear)


def test_random_state_reaches_those_that_draw() -> None:
    forest = learner_named("random_forest", "classification")
    assert forest.estimator({}, 7).get_params()["random_state"] == 7
    svr = learner_named("svm", "regression")
    assert "random_state" not in svr.estimator({}, 7).get_params()


@pytest.mark.parametrize("name", ["linear", "svm"])
def test_regression_does_not_depend_on_the_unit_of_the_target(name: str) -> None:
    learner = learner_named(name, "regression")
    task = small_task("regression")
    configuration = canonical(learner.space, default_configuration(learner.space) | {"alpha": 0.01} if name == "linear"
                              else default_configuration(learner.space))  # fmt: skip
    grams = Task.from_arrays(task.X, task.y * 1000.0 + 5e4, kind="regression")
    small = learner.pipeline(configuration, task, 0).fit(task.X, task.y).predict(task.X)
    large = learner.pipeline(configuration, grams, 0).fit(grams.X, grams.y).predict(grams.X)
    np.testing.assert_allclose((large - 5e4) / 1000.0, small, rtol=1e-3, atol=1e-3)


def test_boosting_is_told_which_columns_are_categories() -> None:
    boosting = learner_named("boosting", "regression")
    fitted = boosting.pipeline({"max_iter": 5}, task := small_task("regression"), 0).fit(task.X, task.y)
    assert fitted[-1].is_categorical_.tolist() == [True, False, False, False]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["mlp", "random_forest"])
def test_several_configurations_fitted_at_once_are_those_fitted_one_by_one(name: str) -> None:
    learner = learner_named(name, "classification")
    task = small_task("classification")
    X, y = preprocessing(task, learner.encoding).fit_transform(task.X), task.y
    design = sobol_design(learner.space, 6)
    for configuration, together in zip(design, learner.fitted(design, task, X, y, 0)[0], strict=True):
        alone = learner.on_prepared_columns(configuration, task, 0).fit(X, y)
        np.testing.assert_allclose(together.predict_proba(X), alone.predict_proba(X), atol=0.02)
