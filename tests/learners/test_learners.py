"""Every learner of the registry keeps the contract; names, rules and scales by hand."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import EqualsCondition
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import ElasticNet, Lasso, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from metahpo.exceptions import MissingDependencyError, UnknownNameError
from metahpo.learners.extras import check_installed
from metahpo.learners.learner import Learner
from metahpo.learners.lightgbm import OTHER_NAMES
from metahpo.learners.linear_regressor import LinearModel, LinearRegressor
from metahpo.learners.own_space import learners_values
from metahpo.learners.place import learner_in, without
from metahpo.learners.registry import CLASSICAL, default_learners, learner_named, learner_names
from metahpo.space.activity import canonical, default_configuration
from metahpo.space.design import sobol_design
from metahpo.tasks.preprocessing import preprocessing
from metahpo.tasks.task import KINDS, Task, TaskKind
from metahpo.testing import LearnerContract, small_task

TABULAR = [*CLASSICAL, "mlp"]
ALL = [(name, kind) for kind in KINDS for name in TABULAR]
#: What the documentation of XGBoost says of the parameters that its estimators leave to it.
XGBOOST_DEFAULTS = {
    "learning_rate": 0.3,
    "n_estimators": 100,
    "max_depth": 6,
    "min_child_weight": 1.0,
    "reg_lambda": 1.0,
    "reg_alpha": 0.0,
    "subsample": 1.0,
    "colsample_bytree": 1.0,
}


class TestLearnersOfTheRegistry(LearnerContract):
    @pytest.fixture(params=ALL, ids="-".join)
    def learner(self, request: pytest.FixtureRequest) -> Learner:
        return learner_named(*request.param)

    def library_defaults(self, learner: Learner) -> dict[str, Any]:
        return XGBOOST_DEFAULTS if learner.name == "xgboost" else super().library_defaults(learner)


def test_the_learners_of_each_kind() -> None:
    assert learner_names("classification") == [*TABULAR, "convnet", "text_linear", "text"]
    assert learner_names("regression") == TABULAR


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_default_predicts_what_the_library_does_unasked(name: str, kind: TaskKind) -> None:
    learner, task = learner_named(name, kind), small_task(kind)
    X = preprocessing(task, "ordinal").fit_transform(task.X)
    chosen = learner.on_prepared_columns(default_configuration(learner.space), task, 0).fit(X, task.y)
    plain = type(chosen)(
        random_state=0, n_jobs=1, **learner.fixed(task), **({"verbosity": -1} if name == "lightgbm" else {})
    )
    np.testing.assert_allclose(chosen.predict(X), plain.fit(X, task.y).predict(X), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Found .* in params:UserWarning")
@pytest.mark.parametrize("other", OTHER_NAMES)
def test_lightgbm_prefers_other_names_to_those_of_its_estimators(other: str) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X, y = load_diabetes(return_X_y=True)
    own = {"n_estimators": 9, "subsample": 0.8, "subsample_freq": 1, "colsample_bytree": 0.4, "reg_alpha": 0.3}
    own |= {"min_child_samples": 9, "reg_lambda": 3.0, "random_state": 0, "n_jobs": 1, "verbosity": -1}
    value = {"n_estimators": 3, "min_child_samples": 30, "subsample": 0.3, "subsample_freq": 0}.get(
        OTHER_NAMES[other], 0.9
    )
    both = lightgbm.LGBMRegressor(**own, **{other: value})
    alone = lightgbm.LGBMRegressor(**{**own, OTHER_NAMES[other]: value})
    predicted = [model.fit(X, y).predict(X).tolist() for model in (both, alone, lightgbm.LGBMRegressor(**own))]
    assert predicted[0] == predicted[1] != predicted[2]


@pytest.mark.filterwarnings("ignore:Found .* in params:UserWarning")
def test_an_estimator_takes_parameters_by_the_names_that_it_was_given_them_by() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X, y = load_iris(return_X_y=True)
    used = {"num_iterations": 7, "feature_fraction": 0.9, "lambda_l1": 2.0, "sub_row": 0.9, "bagging": 0.7}
    model = lightgbm.LGBMClassifier(**used, n_jobs=1, verbosity=-1, deterministic=True, force_col_wise=True)
    place = learner_in(model, None)
    values = learners_values(place)
    assert (values["n_estimators"], values["colsample_bytree"], values["reg_alpha"]) == (7, 0.9, 2.0)
    space = place.learner.space
    configuration = canonical(space, {**default_configuration(space), "subsample_freq": 1, "subsample": 0.6})
    whole = place.whole(model, 0)
    assert whole.get_params()["num_iterations"] == 100
    whole.set_params(**place.parameters(configuration))
    assert place.parameters(configuration).keys() >= {"num_iterations", "feature_fraction", "sub_row", "bagging"}
    own = place.learner.estimator(configuration, 0)
    assert np.array_equal(whole.fit(X, y).predict_proba(X), own.fit(X, y).predict_proba(X))


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_a_library_that_is_not_installed_is_needed_for_nothing_but_its_estimator(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # its import fails
    monkeypatch.setattr(importlib.util, "find_spec", lambda library: None if library == name else library)
    learner = learner_named(name, "regression")
    configuration = default_configuration(learner.space)
    assert learner.parameters(configuration)["learning_rate"] > 0
    with pytest.raises(MissingDependencyError, match=rf"pip install 'metahpo\[{name}\]'"):
        learner.estimator(configuration)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'metahpo\[{name}\]'"):
        check_installed([learner])
    assert default_learners("table") == tuple(other for other in CLASSICAL if other != name)
    assert f"left out {name}: {name} is not installed; install it with: pip install 'metahpo[{name}]'" in caplog.text


def test_recommending_loads_no_library_of_an_extra_and_only_training_an_mlp_on_a_cpu_needs_the_compiler() -> None:
    code = (
        "import sys, numpy; sys.modules['numba'] = None\n"
        "from metahpo.learners.registry import CLASSICAL, learner_named\n"
        "for name in CLASSICAL: learner_named(name, 'regression').parameters({})\n"
        "learner_named('mlp', 'regression')\n"
        "print(sorted({'lightgbm', 'xgboost', 'torch'} & set(sys.modules)))\n"
        "import metahpo, metahpo.exceptions\n"
        "X = numpy.random.default_rng(0).normal(size=(60, 2)); y = X[:, 0] > 0\n"
        "estimator = metahpo.recommend(X, y, 'mlp').estimator(0)\n"
        "try: estimator.fit(X, y)\n"
        "except metahpo.exceptions.MissingDependencyError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\ntraining an mlp on a CPU needs numba: pip install 'metahpo[networks]'.\n"


def test_the_extra_of_a_library_with_another_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda library: None if library == "numba" else library)
    with pytest.raises(MissingDependencyError, match=r"the learner 'mlp' needs numba, .*'metahpo\[networks\]'"):
        check_installed([learner_named("mlp", "regression")])


@pytest.mark.parametrize("name", ["boosting", "lightgbm", "xgboost"])
def test_boosted_trees_take_categories_for_categories(name: str) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 20, 600)
    X = pd.DataFrame({"x": rng.standard_normal(600), "c": pd.Categorical([f"v{code:02}" for code in codes])})
    task = Task.from_arrays(X, (codes % 2).astype(float) + 0.0001 * X["x"], kind="regression")
    learner = learner_named(name, "regression")
    # One split of the categories tells even codes from odd ones (LightGBM shrinks it); one split of a number does not.
    stump = {"boosting": {"max_leaf_nodes": 2}, "lightgbm": {"num_leaves": 2}, "xgboost": {"max_depth": 1}}[name]
    steps = {"boosting": {"max_iter": 1}, "lightgbm": {"n_estimators": 1}, "xgboost": {"n_estimators": 1}}[name]
    model = learner.pipeline({**stump, **steps, "learning_rate": 1.0}, task, 0).fit(task.X, task.y)
    assert model.score(task.X, task.y) > 0.5


@pytest.mark.parametrize(
    ("name", "kind", "configuration", "expected"),
    [
        ("linear", "regression", {"alpha": 0.1, "l1_ratio": 0.2, "positive": True}, {"model": "elastic_net"}),
        ("linear", "classification", {"solver": "lbfgs", "C": 1e4, "fit_intercept": False}, {}),
        ("svm", "regression", {"kernel": "sigmoid", "gamma_rule": "value", "gamma": 1e-5, "C": 9e3, "coef0": -0.5}, {}),
        ("random_forest", "regression", {"n_estimators": 4, "max_features": 0.3, "min_samples_split": 5}, {}),
        ("boosting", "regression", {"l2_regularization": 0.0, "max_features": 1.0, "max_iter": 5}, {}),
    ],
)
def test_configurations_of_the_earlier_spaces_are_still_fitted(
    name: str, kind: TaskKind, configuration: dict[str, Any], expected: dict[str, Any]
) -> None:
    learner, task = learner_named(name, kind), small_task(kind)
    learner.pipeline(configuration, task, 0).fit(task.X, task.y).predict(task.X)
    kept = {k: v for k, v in configuration.items() if k not in learner.rules}
    assert learner.parameters(configuration) == kept | expected


def test_the_two_alphas_of_linear_regression_are_one_parameter() -> None:
    linear = learner_named("linear", "regression")
    assert linear.parameters({"model": "lasso", "l1_alpha": 0.01}) == {"model": "lasso", "alpha": 0.01}
    assert linear.parameters(default_configuration(linear.space)) == {"model": "ridge", "alpha": 1.0}


@parametrize_with_checks([LinearRegressor()])  # type: ignore[untyped-decorator]  # scikit-learn is untyped
def test_linear_regression_is_a_scikit_learn_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize(
    ("model", "plain"),
    [("ridge", Ridge(0.5)), ("lasso", Lasso(0.5)), ("elastic_net", ElasticNet(0.5, l1_ratio=0.5))],
)
def test_linear_regression_is_that_of_scikit_learn(model: LinearModel, plain: Any) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 4))
    y = X @ [2.0, 0.0, -1.0, 0.5] + 3.0
    fitted = LinearRegressor(model=model, alpha=0.5).fit(X, y)
    np.testing.assert_allclose(fitted.predict(X), plain.fit(X, y).predict(X), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CLASSICAL)
def test_a_table_of_one_column_is_fitted(name: str, kind: TaskKind) -> None:
    rng = np.random.default_rng(0)
    for X in (pd.DataFrame({"x": rng.standard_normal(60)}), pd.DataFrame({"c": rng.choice(["u", "v"], 60)})):
        y = np.arange(60) % 2 if kind == "classification" else rng.standard_normal(60)
        task = Task.from_arrays(X, y, kind=kind)
        learner = learner_named(name, kind)
        model = learner.pipeline(default_configuration(learner.space), task, 0).fit(task.X, task.y)
        assert len(model.predict(task.X)) == 60


def test_an_unknown_learner_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown regression learner 'catboost'; known are: linear, svm, knn, random_"
    ):
        learner_named("catboost", "regression")


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


@pytest.mark.parametrize("name", sorted({*learner_names("classification")} - {"knn", "xgboost"}))
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
    configuration = canonical(learner.space, default_configuration(learner.space))
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


def test_a_space_less_a_hyperparameter_leaves_the_space_of_the_learner_as_it_was() -> None:
    space = learner_named("linear", "classification").space
    less = without(space, "C")
    assert "C" not in less
    for one in (space, less):
        for _ in range(20):
            one.sample_configuration().check_valid_configuration()
        (condition,) = one.conditions
        assert isinstance(condition, EqualsCondition)
        assert condition.parent_vector_id == one.index_of["solver"]
