"""The contract of a learner: a subclass gives the fixture `learner` and inherits the tests."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ConfigSpace.hyperparameters import NumericalHyperparameter
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from metahpo.building.measurement import class_probabilities
from metahpo.learners.learner import Learner
from metahpo.space.activity import canonical, default_configuration
from metahpo.space.design import sobol_design
from metahpo.space.encoding import SpaceEncoder
from metahpo.tasks.task import Task, TaskKind


def small_task(kind: TaskKind, n_rows: int = 60) -> Task:
    """Numbers with gaps, a constant column, and categories with gaps and a rare value."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.standard_normal(n_rows), "b": rng.standard_normal(n_rows), "k": 1.0})
    X["c"] = rng.choice(["u", "v", "w"], n_rows)
    signal = X["a"] + (X["c"] == "u")
    X.loc[::7, "a"] = np.nan
    X.loc[::9, "c"] = None
    X.loc[3, "c"] = "rare"
    y = signal.to_numpy() if kind == "regression" else pd.qcut(signal, 3, labels=["low", "mid", "high"])
    return Task.from_arrays(X, y, kind=kind)


@pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}")
class LearnerContract:
    """Contract of :class:`metahpo.learners.learner.Learner`; give the fixture ``learner``."""

    @pytest.fixture
    def learner(self) -> Learner:
        """The learner under test."""
        raise NotImplementedError

    def task(self, kind: TaskKind) -> Task:
        """A task of three classes, or of regression, that the learner can take."""
        return small_task(kind)

    def test_default_configuration_is_the_librarys_own(self, learner: Learner) -> None:
        chosen = learner.parameters(default_configuration(learner.space))
        library = self.library_defaults(learner)
        assert chosen == {name: library[name] for name in chosen}

    def library_defaults(self, learner: Learner) -> dict[str, Any]:
        """Parameters of the library's estimator."""
        defaults: dict[str, Any] = learner.estimator_class().get_params()
        return defaults

    def test_no_default_is_an_end_of_a_range(self, learner: Learner) -> None:
        for name, hyperparameter in learner.space.items():
            if isinstance(hyperparameter, NumericalHyperparameter):
                default, lower, upper = (getattr(hyperparameter, a) for a in ("default_value", "lower", "upper"))
                assert lower < default < upper, name

    def test_survives_a_pickle(self, learner: Learner) -> None:
        task = self.task(learner.kind)
        model = learner.pipeline(default_configuration(learner.space), task, 0).fit(task.X, task.y)
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict(task.X), model.predict(task.X))

    def test_default_comes_first_in_the_design(self, learner: Learner) -> None:
        assert sobol_design(learner.space, 8)[0] == default_configuration(learner.space)

    def test_every_value_of_the_space_is_a_valid_parameter(self, learner: Learner) -> None:
        encoder = SpaceEncoder(learner.space)
        corners = np.vstack([np.zeros(encoder.n_columns), np.ones(encoder.n_columns)])
        for configuration in [*sobol_design(learner.space, 64), *encoder.decode(corners)]:
            assert canonical(learner.space, configuration) == configuration
            parameters = learner.parameters(configuration)
            estimator = learner.estimator_class().set_params(**parameters)
            assert learner.estimator(configuration).get_params() == estimator.get_params()
            if hasattr(estimator, "_parameter_constraints"):  # of scikit-learn's estimators, and ours
                estimator._validate_params()  # its check of ranges and words, without a fit

    def test_rules_never_reach_the_estimator(self, learner: Learner) -> None:
        for configuration in sobol_design(learner.space, 32):
            assert not learner.parameters(configuration).keys() & learner.rules.keys()

    def test_every_configuration_fits_and_predicts(self, learner: Learner) -> None:
        task = self.task(learner.kind)
        for configuration in sobol_design(learner.space, 5):
            self._check_predictions(learner.pipeline(configuration, task, 0).fit(task.X, task.y), task)

    def test_same_seed_gives_the_same_predictions(self, learner: Learner) -> None:
        task = self.task(learner.kind)
        configuration = sobol_design(learner.space, 3)[-1]
        first, second = (learner.pipeline(configuration, task, 1).fit(task.X, task.y).predict(task.X) for _ in "ab")
        np.testing.assert_array_equal(first, second)

    def test_unseen_categories_and_all_missing_rows_are_predicted(self, learner: Learner) -> None:
        task = self.task(learner.kind)
        model = learner.pipeline(default_configuration(learner.space), task, 0).fit(task.X, task.y)
        new = pd.DataFrame({"a": [np.nan, 0.0], "b": [np.nan, 1.0], "k": [np.nan, 2.0]})
        new["c"] = pd.Categorical([None, "never seen"])
        assert np.isfinite(model.predict(new)).all()

    @staticmethod
    def _check_predictions(model: BaseEstimator, task: Task) -> None:
        predicted: Any = model.predict(task.X)
        assert predicted.shape == (task.n_rows,)
        if task.kind == "regression":
            assert np.isfinite(predicted).all()
            return
        assert set(predicted) <= {0, 1, 2}
        probability = class_probabilities(model, task.X)
        assert probability.shape == (task.n_rows, 3)
        np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-6)
