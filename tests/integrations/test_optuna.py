"""Optuna: its own sampler cases, recommendations as first trials, and everything that a study can hold."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, OrdinalHyperparameter

optuna = pytest.importorskip("optuna", minversion="5.0")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402
from optuna.samplers import BaseSampler  # noqa: E402
from optuna.storages import JournalStorage  # noqa: E402
from optuna.storages.journal import JournalFileBackend  # noqa: E402
from optuna.testing.pytest_samplers import (  # noqa: E402
    BasicSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)
from optuna.trial import TrialState  # noqa: E402

from metahpo import BayesianOptimizer  # noqa: E402
from metahpo.exceptions import DataError, SpaceError, WarmStartWarning  # noqa: E402
from metahpo.integrations.optuna import MetaSampler, enqueue, from_optuna, tell_study, to_optuna  # noqa: E402
from metahpo.space.configuration import to_json  # noqa: E402
from metahpo.space.conversion import Conversion  # noqa: E402
from metahpo.testing import IntegrationContract  # noqa: E402
from metahpo.testing.integrations import FIRST, Objective  # noqa: E402
from metahpo.testing.optimizers import small_space  # noqa: E402
from tests.integrations.every_kind import space_of_every_kind  # noqa: E402
from tests.integrations.peaked import BEST, Peaked  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.ERROR)


class TestOptunasOwnCases(
    BasicSamplerTestCase,  # type: ignore[misc]  # not followed
    RelativeSamplerTestCase,  # type: ignore[misc]
    SingleOnlySamplerTestCase,  # type: ignore[misc]
):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: MetaSampler(seed=0)


def suggested(trial: Any, space: ConfigurationSpace) -> dict[str, Any]:
    """All values of a trial, suggested one by one with the distributions of a space."""
    distributions = to_optuna(space).space
    return {name: trial._suggest(name, distributions[name]) for name in space}


class OptunaTool:
    def __init__(self, by_sampler: bool) -> None:
        self.by_sampler = by_sampler

    def search(
        self,
        space: ConfigurationSpace,
        objective: Objective,
        n_trials: int,
        initial: Sequence[Mapping[str, Any]],
        folder: Path,
    ) -> None:
        storage = JournalStorage(JournalFileBackend(str(folder / "study.log")))
        sampler = MetaSampler(space, initial=initial if self.by_sampler else None, seed=0)
        study = optuna.create_study(storage=storage, study_name="s", load_if_exists=True, sampler=sampler)
        if not self.by_sampler:
            enqueue(study, initial, space)
        study.optimize(lambda trial: objective(suggested(trial, space)), n_trials=n_trials)

    def convert(self, space: ConfigurationSpace) -> Conversion[Any]:
        return to_optuna(space)

    def revert(self, space: Any) -> Conversion[ConfigurationSpace]:
        return from_optuna(space)


class TestContract(IntegrationContract):
    @pytest.fixture(params=[True, False], ids=["sampler", "enqueued"])
    def tool(self, request: pytest.FixtureRequest) -> OptunaTool:
        return OptunaTool(request.param)


def test_experience_proposes_what_the_objective_suggests() -> None:
    sampler = MetaSampler(Peaked(small_space(), BEST), seed=0)
    study = optuna.create_study(sampler=sampler, direction="maximize")

    def objective(trial: Any) -> float:
        if trial.suggest_categorical("mode", ["wild", "plain", "tuned"]) == "tuned":
            assert abs(trial.suggest_float("knob", 0.0, 1.0) - 0.75) < 0.2
        trial.suggest_float("momentum", 0.0, 1.0)  # which the experience does not know
        return float(-abs(trial.suggest_int("depth", 1, 8) - 6) - trial.suggest_float("rate", 1e-3, 1e1, log=True))

    study.optimize(objective, n_trials=2)
    assert study.trials[0].params["mode"] == "tuned"
    assert study.trials[0].params["depth"] == 6
    study.sampler = pickle.loads(pickle.dumps(sampler))
    study.optimize(objective, n_trials=1)
    assert len({to_json({**trial.params, "momentum": 0}) for trial in study.trials}) == 3


def test_values_are_those_of_the_objective_own_ranges() -> None:
    space = ConfigurationSpace({"depth": (1, 100), "rate": (0.0, 1.0), "mode": ["a", "b"]})
    sampler = MetaSampler(space, initial=[{"depth": 90, "rate": 0.93, "mode": "b"}], seed=0)
    study = optuna.create_study(sampler=sampler)

    def objective(trial: Any) -> float:
        assert trial.suggest_int("depth", 10, 40, step=10) == (40 if trial.number == 0 else trial.params["depth"])
        assert trial.suggest_float("rate", 0.0, 1.0, step=0.25) == (1.0 if trial.number == 0 else trial.params["rate"])
        return float((trial.suggest_categorical("mode", ["a", "c"]) == "a") + trial.suggest_float("other", 0, 1))

    with pytest.warns(WarmStartWarning, match="outside the space"):  # of the trials with the choice "c"
        study.optimize(objective, n_trials=8)
    assert len(study.trials) == 8


def test_pruned_and_failed_trials_are_lessons() -> None:
    study = optuna.create_study(sampler=MetaSampler(seed=0))
    for x, value in ((0.1, 1.0), (0.4, 3.0)):
        study.add_trial(optuna.create_trial(params={"x": x}, distributions={"x": FloatDistribution(0, 1)}, value=value))
    for steps, expected in (({0: 9.0, 5: 5.0}, 5.0), ({0: 0.0}, 2.0), ({}, np.nan)):
        trial = study.ask({"x": FloatDistribution(0, 1)})
        for step, value in steps.items():
            trial.report(value, step)
        study.tell(trial, state=TrialState.PRUNED)
        optimizer = BayesianOptimizer(ConfigurationSpace({"x": (0.0, 1.0)}))
        tell_study(optimizer, study)
        np.testing.assert_equal(optimizer.history.losses[-1], expected)
    study.tell(study.ask({"x": FloatDistribution(0, 1)}), state=TrialState.FAIL)
    optimizer = BayesianOptimizer(ConfigurationSpace({"x": (0.0, 1.0)}))
    assert tell_study(optimizer, study) == 6
    assert np.isnan(optimizer.history.losses[-1])
    study.add_trial(optuna.create_trial(params={"x": 0.1}, distributions={"x": FloatDistribution(0, 1)}, value=2.0))
    assert tell_study(optimizer, study) == 7  # the former six were told before
    assert optimizer.history.losses[-1] == 2.0


def test_losses_of_a_study_that_maximises_are_turned() -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trial(optuna.create_trial(params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)}, value=3.0))
    optimizer = BayesianOptimizer(ConfigurationSpace({"x": (0.0, 1.0)}))
    assert tell_study(optimizer, study) == 1
    assert optimizer.incumbent == ({"x": 0.5}, -3.0)


def test_constraints_of_trials_count() -> None:
    study = optuna.create_study(sampler=MetaSampler(ConfigurationSpace({"x": (0.0, 1.0)}), seed=0))

    def objective(trial: Any) -> float:
        x: float = trial.suggest_float("x", 0, 1)
        trial.set_constraint("half", 0.5 - x)
        return x

    study.optimize(objective, n_trials=14)
    optimizer = BayesianOptimizer(ConfigurationSpace({"x": (0.0, 1.0)}))
    tell_study(optimizer, study)
    assert optimizer.incumbent is not None
    assert optimizer.incumbent[1] >= 0.5
    assert sum(trial.params["x"] > 0.4 for trial in study.trials[6:]) >= 6


def test_trials_of_other_processes_are_not_repeated() -> None:
    space = ConfigurationSpace({"x": ["a", "b", "c"]})
    study = optuna.create_study()
    values = set()
    for i in range(3):
        study.sampler = MetaSampler(space, seed=0)  # each process has its own
        values.add(study.ask().suggest_categorical("x", ["a", "b", "c"]))
        assert len(values) == i + 1


def test_a_finite_space_that_is_exhausted_is_drawn_from_again() -> None:
    study = optuna.create_study(sampler=MetaSampler(ConfigurationSpace({"x": ["a", "b"]}), seed=0))
    study.optimize(lambda trial: float(trial.suggest_categorical("x", ["a", "b"]) == "a"), n_trials=5)
    assert {trial.params["x"] for trial in study.trials[:2]} == {"a", "b"}


def test_enqueued_once_with_every_hyperparameter() -> None:
    study = optuna.create_study()
    for _ in range(2):
        enqueue(study, FIRST, small_space())
    waiting = [trial.system_attrs["fixed_params"] for trial in study.trials]
    assert [{name: w[name] for name in c} for w, c in zip(waiting, FIRST, strict=True)] == list(FIRST)
    assert all(list(w) == list(small_space()) for w in waiting)
    assert waiting[0]["knob"] == 0.5
    with pytest.raises(SpaceError, match="'depth' = 99"):
        enqueue(study, [{"mode": "wild", "depth": 99, "rate": 1.0}], small_space())


def test_studies_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="one objective, but the study 'two' has 2"):
        optuna.create_study(study_name="two", directions=["minimize"] * 2, sampler=MetaSampler()).ask().suggest_int(
            "x", 0, 1
        )
    with pytest.raises(DataError, match="need a start"):
        MetaSampler(initial=FIRST)
    other = optuna.create_study()
    other.optimize(lambda trial: trial.suggest_float("z", 0, 1), n_trials=2)
    other.sampler = MetaSampler(small_space())
    with pytest.raises(SpaceError, match=r"nothing in common with the trials of the study: it has .*\['z'\]"):
        other.ask().suggest_float("z", 0, 1)


def test_what_the_objective_does_not_suggest_counts_as_at_its_default() -> None:
    study = optuna.create_study(sampler=MetaSampler(small_space(), seed=0))

    def objective(trial: Any) -> float:
        return float(trial.suggest_float("rate", 1e-3, 1e1, log=True))

    with pytest.warns(WarmStartWarning, match=r"does not suggest \['depth', 'mode'\]"):
        study.optimize(objective, n_trials=3)


def test_values_that_do_not_count_without_another_hyperparameter_are_named() -> None:
    study = optuna.create_study(sampler=MetaSampler(small_space(), seed=0))

    def objective(trial: Any) -> float:
        return float(trial.suggest_float("rate", 1e-3, 1e1, log=True) + trial.suggest_float("knob", 0.0, 1.0))

    with pytest.warns(WarmStartWarning, match=r"its values of \['knob'\] do not count\. .*: WarmStart\.in_space"):
        study.optimize(objective, n_trials=3)


@pytest.mark.parametrize("start", [None, ConfigurationSpace({"x": (0.0, 1.0)})])
def test_another_study_of_the_same_name_is_another_search(start: ConfigurationSpace | None) -> None:
    sampler = MetaSampler(start, seed=0)
    for best in (0.0, 1.0):
        study = optuna.create_study(study_name="same", sampler=sampler)
        study.optimize(lambda trial, best=best: abs(trial.suggest_float("x", 0.0, 1.0) - best), n_trials=8)
        losses = sampler._searches["same"].optimizer.history.losses
        assert losses.tolist() == [trial.value for trial in study.trials[:-1]]


def test_distributions_of_every_kind() -> None:
    space = space_of_every_kind()
    space.add(OrdinalHyperparameter("grade", ["low", "high"]), Categorical("shape", ["a", "b"], weights=[0.9, 0.1]))
    there = to_optuna(space)
    assert there.space == {
        "rate": FloatDistribution(1e-4, 1.0, log=True),
        "share": FloatDistribution(0.0, 1.0),
        "depth": IntDistribution(1, 9),
        "width": IntDistribution(1, 512, log=True),
        "size": IntDistribution(16, 48, step=16),
        "part": FloatDistribution(0.25, 0.75, step=0.25),
        "grade": CategoricalDistribution(["low", "high"]),
        "shape": CategoricalDistribution(["a", "b"]),
        "kind": CategoricalDistribution(["k"]),
    }
    assert there.changed == {
        "grade": "the order of its values is lost",
        "shape": "uniform; its prior is lost",
    }
    assert "no choice such as (8, 8)" in there.left_out["layers"]
    back = from_optuna(there.space)
    assert back.exact
    assert back.space["size"] == OrdinalHyperparameter("size", [16, 32, 48], default_value=32)
