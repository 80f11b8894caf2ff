"""What an optimiser is asked and told: batches, running and withdrawn trials, rows, status, constraints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    CategoricalHyperparameter,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    NormalFloatHyperparameter,
)

from metahpo.exceptions import DataError, SpaceError, UnknownNameError
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.space.configuration import to_json
from metahpo.surrogates.surrogate import TrainedSurrogate
from tests.conftest import toy_space
from tests.optimization.test_optimizer import bowl, run


def line() -> ConfigurationSpace:
    return ConfigurationSpace({"x": (0.0, 1.0)})


@pytest.mark.parametrize("n_told", [0, 3, 8])
@pytest.mark.parametrize("warm", [True, False])
def test_ask_for_several__gives_different_ones(toy_surrogate: TrainedSurrogate, n_told: int, warm: bool) -> None:
    optimizer = run(BayesianOptimizer(toy_space(), toy_surrogate if warm else None, random_state=0), n_told)
    asked = optimizer.ask(4)
    assert isinstance(asked, list)
    assert len({to_json(configuration) for configuration in [*asked, *optimizer.history.configurations]}) == 4 + n_told


def test_ask_for_several__is_as_many_single_asks() -> None:
    one, other = (run(BayesianOptimizer(toy_space(), random_state=0), 6) for _ in range(2))
    assert one.ask(3) == [other.ask() for _ in range(3)]


def test_ask_for_more_than_a_finite_space_has__gives_what_is_left() -> None:
    optimizer = BayesianOptimizer(ConfigurationSpace({"a": ["x", "y"], "b": [True, False]}), random_state=0)
    optimizer.tell(optimizer.ask(), 1.0)
    assert len(optimizer.ask(10)) == 3
    with pytest.raises(SpaceError, match="nothing left"):
        optimizer.ask(2)


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_ask__refuses_a_number_that_is_none(n: object) -> None:
    with pytest.raises(DataError, match="n must be a positive integer"):
        BayesianOptimizer(line()).ask(n)  # type: ignore[call-overload]


def test_tell_running__is_not_suggested() -> None:
    optimizer = BayesianOptimizer(ConfigurationSpace({"a": ["x", "y", "z"]}), random_state=0)
    optimizer.tell_running({"a": "y"})
    assert {optimizer.ask()["a"] for _ in range(2)} == {"x", "z"}
    with pytest.raises(SpaceError, match="not in the space"):
        optimizer.tell_running({"b": 1})


def test_withdraw__comes_again_first() -> None:
    optimizer = run(BayesianOptimizer(toy_space(), random_state=0), 6)
    lost, kept = optimizer.ask(2)
    optimizer.withdraw(lost)
    assert optimizer.ask() == lost
    assert optimizer.ask() not in (lost, kept)


def test_withdraw__forgotten_is_as_if_it_had_never_been_asked_for() -> None:
    space = ConfigurationSpace({"a": ["x", "y"]})
    optimizer = BayesianOptimizer(space, n_initial=0, random_state=0)
    first = optimizer.ask()
    optimizer.withdraw(first, again=False)
    assert len(optimizer.ask(5)) == 2
    with pytest.raises(DataError, match="not under way"):
        BayesianOptimizer(space).withdraw(first)


def test_smaller_trials__are_observations_and_never_the_incumbent() -> None:
    optimizer = BayesianOptimizer(line(), n_rows=1000, random_state=0)
    optimizer.tell({"x": 0.5}, 0.1, rows=100)
    assert optimizer.history.incumbent is None
    optimizer.tell({"x": 0.5}, 0.4, rows=1000)
    optimizer.tell({"x": 0.2}, 0.3)
    optimizer.tell({"x": 0.9}, 0.0, rows=999)
    assert optimizer.incumbent == ({"x": 0.2}, 0.3)
    assert len(optimizer.history) == 4
    assert optimizer.history.best_so_far().tolist() == [np.inf, 0.4, 0.3, 0.3]


def test_smaller_trials__without_a_known_whole_are_those_of_fewer_rows_than_others() -> None:
    optimizer = BayesianOptimizer(line(), random_state=0)
    optimizer.tell({"x": 0.5}, 0.1, rows=300)
    optimizer.tell({"x": 0.4}, 0.2, rows=1200)
    assert optimizer.incumbent == ({"x": 0.4}, 0.2)
    optimizer.tell({"x": 0.3}, 0.3)
    assert optimizer.incumbent == ({"x": 0.3}, 0.3)


@pytest.mark.parametrize("warm", [True, False])
def test_smaller_trials__lead_the_search_and_the_best_of_them_may_be_tried_on_all_rows(
    toy_surrogate: TrainedSurrogate, warm: bool
) -> None:
    space = toy_space()
    optimizer = BayesianOptimizer(space, toy_surrogate if warm else None, n_rows=1000, random_state=0)
    rng = np.random.default_rng(0)
    for configuration in BayesianOptimizer(space, random_state=1, n_initial=30).ask(30):
        optimizer.tell(configuration, bowl(configuration) + 0.3 + 0.05 * rng.standard_normal(), rows=250)
    asked = optimizer.ask(2)
    assert all(bowl(configuration) < 0.5 for configuration in asked)


def test_smaller_trials__of_a_finite_space_leave_all_of_it_to_be_tried() -> None:
    optimizer = BayesianOptimizer(ConfigurationSpace({"a": ["x", "y", "z"]}), n_rows=1000, random_state=0)
    for configuration in optimizer.ask(3):
        optimizer.tell(configuration, 0.5, rows=100)
    again = [optimizer.ask() for _ in range(3)]
    assert len({to_json(configuration) for configuration in again}) == 3


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1.0, 1e300])
def test_smaller_trials__of_any_scale(scale: float) -> None:
    optimizer = BayesianOptimizer(line(), n_rows=1000, random_state=0)
    for x, rows in ((0.1, 100), (0.1, None), (0.4, 300), (0.5, 100), (0.5, None), (0.7, None)):
        optimizer.tell({"x": x}, scale * (x - 0.3), rows=rows)
    assert 0.0 <= optimizer.ask()["x"] <= 1.0
    assert optimizer.incumbent is not None
    assert optimizer.incumbent[0]["x"] == 0.1


def test_status__a_failed_trial_has_no_loss() -> None:
    optimizer = BayesianOptimizer(line(), random_state=0)
    optimizer.tell(optimizer.ask(), 0.0, status="failed")
    optimizer.tell(optimizer.ask(), status="timeout", seconds=60.0)
    optimizer.tell(optimizer.ask(), float("nan"))
    optimizer.tell(optimizer.ask(), 1.0, status="success")
    assert optimizer.history.statuses == ["failed", "timeout", "failed", "success"]
    assert np.isnan(optimizer.history.losses[:3]).all()
    assert optimizer.incumbent is not None
    assert optimizer.incumbent[1] == 1.0
    with pytest.raises(UnknownNameError, match="status of a trial 'done'"):
        optimizer.tell(optimizer.ask(), 1.0, status="done")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({}, "loss must be a number"),
        ({"loss": "0.5"}, "loss must be a number"),
        ({"loss": 1 + 2j}, "loss must be a number"),
        ({"loss": np.complex128(1.0)}, "loss must be a number"),
        ({"loss": np.zeros(1)}, "loss must be a number"),
        ({"loss": 10**400}, "range of floats"),
        ({"loss": 1.0, "rows": 0}, "rows must be a positive integer"),
        ({"loss": 1.0, "rows": 0.5}, "rows must be a positive integer"),
        ({"loss": 1.0, "seconds": -1.0}, "seconds must be positive"),
        ({"loss": 1.0, "constraints": 0.5}, "constraints must be a sequence"),
        ({"loss": 1.0, "constraints": ["a"]}, "constraints must be a sequence"),
    ],
)
def test_tell__refuses_and_records_nothing(told: dict[str, object], message: str) -> None:
    optimizer = BayesianOptimizer(line(), random_state=0)
    configuration = optimizer.ask()
    with pytest.raises(DataError, match=message):
        optimizer.tell(configuration, **told)  # type: ignore[arg-type]
    assert len(optimizer.history) == 0
    optimizer.withdraw(configuration)  # it is under way still


def test_constraints__a_trial_that_violates_one_is_no_incumbent() -> None:
    optimizer = BayesianOptimizer(line(), random_state=0)
    optimizer.tell({"x": 0.1}, 0.1, constraints=[-1.0, 0.5])
    assert optimizer.history.incumbent is None
    optimizer.tell({"x": 0.2}, 0.7, constraints=[-1.0, 0.0])
    optimizer.tell({"x": 0.3}, 0.5, constraints=[np.inf, -1.0])
    optimizer.tell({"x": 0.4}, status="crashed")
    assert optimizer.incumbent == ({"x": 0.2}, 0.7)
    with pytest.raises(DataError, match="as many constraints: 2 were told before, but now 1"):
        optimizer.tell({"x": 0.5}, 0.7, constraints=[0.0])


def test_huge_losses_and_repeated_trials__do_not_stop_the_search() -> None:
    space = ConfigurationSpace()
    space.add(Float("x", (0.0, 1.0)))
    optimizer = BayesianOptimizer(space, random_state=0)
    for loss in (1e300, -1e300, 0.0, np.inf, -np.inf, 1.0, 1.0):
        optimizer.tell({"x": 0.25}, loss)
    assert 0.0 <= optimizer.ask()["x"] <= 1.0


def believing(mu: float) -> ConfigurationSpace:
    space = ConfigurationSpace()
    mode = CategoricalHyperparameter("mode", ["wild", "plain", "tuned"], weights=[1.0, 6.0, 1.0], default_value="plain")
    rate = NormalFloatHyperparameter("rate", mu=mu, sigma=mu / 4.0, lower=1e-3, upper=1e1, log=True, default_value=1.0)
    knob = Float("knob", (0.0, 1.0), default=0.5)
    space.add(mode, rate, knob, EqualsCondition(knob, mode, "tuned"))
    return space


def rates(optimizer: BayesianOptimizer, n: int) -> np.ndarray:
    return np.array([configuration["rate"] for configuration in run(optimizer, n).history.configurations[1:]])


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_prior__leads_the_first_trials_and_loses_against_what_was_measured(
    toy_surrogate: TrainedSurrogate, warm: bool, own: bool
) -> None:
    wrong = believing(3.0)
    given = {"space": wrong} if own else {"space": toy_space(), "prior": wrong}
    optimizer = BayesianOptimizer(**given, surrogate=toy_surrogate if warm else None, random_state=0)  # type: ignore[arg-type]
    asked = rates(optimizer, 25)
    assert np.median(asked[:4]) > 1.5
    assert optimizer.incumbent is not None
    assert optimizer.incumbent[1] < 0.2


def test_prior__must_be_of_the_same_space() -> None:
    with pytest.raises(SpaceError, match="prior must be of the same space"):
        BayesianOptimizer(toy_space(), prior=line())
    with pytest.raises(DataError, match="prior must be a ConfigurationSpace"):
        BayesianOptimizer(toy_space(), prior={"rate": 0.1})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="prior_strength must be"):
        BayesianOptimizer(toy_space(), prior=believing(0.1), prior_strength=-1.0)


def test_arguments_of_another_kind_are_refused_with_what_is_expected() -> None:
    with pytest.raises(SpaceError, match=r"must be a ConfigurationSpace, but is \{'x': \(0.0, 1.0\)\}"):
        BayesianOptimizer({"x": (0.0, 1.0)})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="surrogate must be one that was trained"):
        BayesianOptimizer(line(), "svm")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="random_state must be a whole number"):
        BayesianOptimizer(line(), random_state="x")  # type: ignore[arg-type]
    wrong: Any
    for name in ("initial", "candidates"):
        for wrong, kind, text in (
            ("best", DataError, f"{name} must be configurations"),
            ([0.5], SpaceError, r"a configuration must be a mapping .*'x'.* but is 0.5"),
        ):
            given: dict[str, Any] = {name: wrong}
            with pytest.raises(kind, match=text):
                BayesianOptimizer(line(), **given)
    for wrong in (-1, 2.5, "five", True):
        with pytest.raises(DataError, match="n_initial must be a whole number from 0 on"):
            BayesianOptimizer(line(), n_initial=wrong)
    with pytest.raises(DataError, match="meta_features must be a mapping"):
        BayesianOptimizer(line(), meta_features=[1.0])  # type: ignore[arg-type]
    with pytest.raises(SpaceError, match=r"a configuration must be a mapping .* but is \[0.5\]"):
        BayesianOptimizer(line()).tell([0.5], 1.0)  # type: ignore[arg-type]


def test_repr__tells_how_far_the_search_is() -> None:
    optimizer = BayesianOptimizer(line(), random_state=0)
    assert repr(optimizer) == "BayesianOptimizer(hyperparameters: 1, no experience, trials: 0)"
    optimizer.tell({"x": 0.5}, 0.25)
    assert repr(optimizer) == "BayesianOptimizer(hyperparameters: 1, no experience, trials: 1, best loss 0.25)"


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_constraints__the_search_keeps_to_where_they_hold(
    toy_surrogate: TrainedSurrogate, warm: bool, seed: int
) -> None:
    optimizer = BayesianOptimizer(toy_space(), toy_surrogate if warm else None, random_state=seed)
    n_allowed = 0
    for _ in range(20):
        configuration = optimizer.ask()
        above = float(np.log10(configuration["rate"]) + 0.3)  # the best rates, around 0.1, are not allowed
        n_allowed += above >= 0.0
        optimizer.tell(configuration, bowl(configuration), constraints=[-above, -1.0])
    assert optimizer.incumbent is not None
    best, loss = optimizer.incumbent
    assert best["rate"] >= 10**-0.3
    assert loss < 0.55  # 0.49 at the border: the best one that is allowed lies there
    assert n_allowed >= 8  # random search would make six or seven


def test_noisy_losses__the_search_is_not_misled_by_luck() -> None:
    rng = np.random.default_rng(0)
    optimizer = BayesianOptimizer(line(), random_state=0)
    for _ in range(30):
        x = optimizer.ask()["x"]
        optimizer.tell({"x": x}, (x - 0.3) ** 2 + 0.05 * rng.standard_normal())
    asked = [configuration["x"] for configuration in optimizer.history.configurations[-8:]]
    assert np.median(np.abs(np.array(asked) - 0.3)) < 0.2
