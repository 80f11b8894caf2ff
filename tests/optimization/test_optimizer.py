"""Bayesian optimisation by ask and tell: what a user relies on, cold and warm."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    BetaFloatHyperparameter,
    Categorical,
    CategoricalHyperparameter,
    ConfigurationSpace,
    EqualsCondition,
)

from metahpo.exceptions import DataError, SpaceError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.optimization.optimizer import BayesianOptimizer, without_outliers
from metahpo.space.configuration import Configuration, to_json
from metahpo.surrogates.surrogate import TrainedSurrogate
from metahpo.surrogates.task_cost import TaskCost
from metahpo.testing import OptimizerContract
from metahpo.testing.optimizers import Make
from tests.conftest import toy_space


def bowl(configuration: Configuration) -> float:
    penalty = {"plain": 0.5, "tuned": 0.0, "wild": 2.0}[configuration["mode"]]
    return float((np.log10(configuration["rate"]) + 1.0) ** 2 + penalty)


def run(optimizer: BayesianOptimizer, n: int) -> BayesianOptimizer:
    for _ in range(n):
        configuration = optimizer.ask()
        optimizer.tell(configuration, bowl(configuration))
    return optimizer


class TestCold(OptimizerContract):
    @pytest.fixture
    def make(self) -> Make:
        return lambda space, seed: BayesianOptimizer(space, random_state=seed)


def test_cold_start__begins_with_the_default_and_beats_random_search() -> None:
    optimizer = run(BayesianOptimizer(toy_space(), random_state=0), 20)
    assert optimizer.history.configurations[0] == {"mode": "plain", "rate": 1.0}
    assert optimizer.incumbent is not None
    assert optimizer.incumbent[1] < 0.05


def test_ask__never_repeats_itself_and_is_reproducible() -> None:
    first, second = (run(BayesianOptimizer(toy_space(), random_state=3), 12) for _ in range(2))
    texts = [to_json(c) for c in first.history.configurations]
    assert len(set(texts)) == 12
    assert texts == [to_json(c) for c in second.history.configurations]


def test_ask__without_tell_gives_different_configurations() -> None:
    optimizer = BayesianOptimizer(toy_space(), random_state=0)
    asked = [optimizer.ask() for _ in range(8)]
    assert len({to_json(c) for c in asked}) == 8


def test_initial__comes_first_in_order_each_once() -> None:
    wanted = [{"mode": "wild", "rate": 5.0}, {"mode": "tuned", "rate": 0.1, "knob": 0.2}, {"mode": "wild", "rate": 5.0}]
    optimizer = run(BayesianOptimizer(toy_space(), initial=wanted, n_initial=2, random_state=0), 5)
    texts = [to_json(c) for c in optimizer.history.configurations]
    assert texts[:2] == [to_json(c) for c in wanted[:2]]
    assert texts.count(to_json(wanted[0])) == 1


def test_failed_trials__are_told_and_do_not_stop_the_search() -> None:
    optimizer = BayesianOptimizer(toy_space(), random_state=0)
    for i in range(10):
        configuration = optimizer.ask()
        optimizer.tell(configuration, np.nan if i % 2 else bowl(configuration))
    assert optimizer.incumbent is not None
    assert np.isnan(optimizer.history.losses[1::2]).all()


def test_all_failed__there_is_no_incumbent() -> None:
    optimizer = BayesianOptimizer(toy_space(), random_state=0)
    for _ in range(7):
        optimizer.tell(optimizer.ask(), float("inf"))
    assert optimizer.incumbent is None


def test_finite_space__ends_with_a_clear_error() -> None:
    optimizer = BayesianOptimizer(ConfigurationSpace({"a": ["x", "y"], "b": [True, False]}), random_state=0)
    asked = [optimizer.ask() for _ in range(4)]
    assert len({to_json(c) for c in asked}) == 4
    with pytest.raises(SpaceError, match="nothing left"):
        optimizer.ask()


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"mode": "plain"}, "'rate' is active but has no value"),
        ({"mode": "plain", "rate": 99.0}, "not allowed"),
        ({"mode": "plain", "rate": 1.0, "speed": 1}, r"\['speed'\] are not in the space"),
    ],
)
def test_tell__refuses_what_is_not_of_the_space(configuration: Configuration, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        BayesianOptimizer(toy_space()).tell(configuration, 1.0)


def test_tell__refuses_a_value_that_is_no_number() -> None:
    optimizer = BayesianOptimizer(toy_space())
    with pytest.raises(DataError, match="loss must be a number"):
        optimizer.tell(optimizer.ask(), "good")  # type: ignore[arg-type]


def test_tell__drops_inactive_values() -> None:
    optimizer = BayesianOptimizer(toy_space(), random_state=0)
    optimizer.tell({"mode": "plain", "rate": 1.0, "knob": 0.3}, 1.0)
    assert optimizer.history.configurations == [{"mode": "plain", "rate": 1.0}]


def test_warm_start__is_ahead_of_the_cold_one_from_the_first_trial(
    toy: MetaDataset, toy_surrogate: TrainedSurrogate
) -> None:
    features = {"shift": 0.0, "noise": 0.0}
    warm = run(BayesianOptimizer(toy.spaces["toy"], toy_surrogate, features, random_state=0), 6)
    cold = run(BayesianOptimizer(toy.spaces["toy"], random_state=0), 6)
    assert warm.history.losses[0] < cold.history.losses[0]
    assert warm.history.best_so_far().mean() < cold.history.best_so_far().mean()


def test_warm_start__a_surrogate_of_another_space_is_refused(toy_surrogate: TrainedSurrogate) -> None:
    with pytest.raises(SpaceError, match="trained on another search space"):
        BayesianOptimizer(ConfigurationSpace({"x": (0.0, 1.0)}), toy_surrogate)


def test_warm_start__the_order_of_choices_makes_no_difference(
    toy: MetaDataset, toy_surrogate: TrainedSurrogate
) -> None:
    space = toy.spaces["toy"]
    turned = ConfigurationSpace()
    mode = Categorical("mode", ["wild", "tuned", "plain"], default="plain")
    turned.add(mode, space["knob"], space["rate"], EqualsCondition(space["knob"], mode, "tuned"))
    first, second = (run(BayesianOptimizer(s, toy_surrogate, random_state=0), 6) for s in (space, turned))
    assert [to_json(c) for c in first.history.configurations] == [to_json(c) for c in second.history.configurations]


def test_history__to_frame_has_a_row_a_trial() -> None:
    frame = run(BayesianOptimizer(toy_space(), random_state=0), 6).history.to_frame()
    assert len(frame) == 6
    assert frame["best_so_far"].is_monotonic_decreasing


def test_one_diverged_trial__does_not_hide_the_differences_among_the_others() -> None:
    losses = np.array([0.1, 0.2, 0.3, 1e6, np.nan])
    tamed = without_outliers(losses)
    np.testing.assert_allclose(tamed[:3], losses[:3])
    assert 0.3 < tamed[3] < 1.0
    assert np.isnan(tamed[4])


def test_outliers__among_failures_and_equal_losses_nothing_changes() -> None:
    for losses in ([np.nan, np.nan], [0.5, 0.5, 0.7], [0.5]):
        np.testing.assert_array_equal(without_outliers(np.array(losses)), losses)


def test_cold_search__finds_the_bowl_although_some_trials_diverge() -> None:
    optimizer = BayesianOptimizer(toy_space(), random_state=0)
    for _ in range(20):
        configuration = optimizer.ask()
        optimizer.tell(configuration, 1e9 if configuration["mode"] == "wild" else bowl(configuration))
    assert optimizer.incumbent is not None
    assert optimizer.incumbent[1] < 0.1


def test_candidates__the_first_trials_choose_among_them(toy: MetaDataset, toy_surrogate: TrainedSurrogate) -> None:
    candidates = [{"mode": "plain", "rate": rate} for rate in (0.01, 0.05, 0.1, 0.5, 1.0, 5.0)]
    warm = BayesianOptimizer(toy.spaces["toy"], toy_surrogate, candidates=candidates, n_initial=4, random_state=0)
    tried = run(warm, 6).history.configurations
    assert all(configuration in candidates for configuration in tried[:4])
    assert len({to_json(configuration) for configuration in tried}) == 6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"meta_features": {"n_rows": 100.0}}, "meta_features have no effect without a surrogate"),
        ({"candidates": [{"x": 0.5}]}, "candidates have no effect without a surrogate"),
        ({"cost": TaskCost()}, "cost has no effect without per_second=True"),
    ],
)
def test_arguments__without_effect_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        BayesianOptimizer(ConfigurationSpace({"x": (0.0, 1.0)}), **given)


def test_told_trials__are_the_initial_design() -> None:
    first = run(BayesianOptimizer(toy_space(), random_state=0), 12)
    again = BayesianOptimizer(toy_space(), random_state=1)
    for configuration, loss in zip(first.history.configurations, first.history.losses, strict=True):
        again.tell(configuration, loss)
    asked = [again.ask() for _ in range(3)]
    assert bowl(asked[0]) < 0.3
    assert {"mode": "plain", "rate": 1.0} not in asked  # the default configuration, which begins a design


def test_told_trials__leave_the_rest_of_the_design_to_be_made() -> None:
    design = [optimizer.ask() for optimizer in [BayesianOptimizer(toy_space(), random_state=0)] for _ in range(5)]
    told = BayesianOptimizer(toy_space(), random_state=0)
    told.tell({"mode": "wild", "rate": 3.0}, 1.0)
    told.tell({"mode": "wild", "rate": 4.0}, 1.0)
    assert [told.ask() for _ in range(3)] == design[:3]


@pytest.mark.parametrize("penalty", [np.nan, np.inf, 1.0, 1e3, 1e200, 1.7e308])
def test_failures__teach_although_all_successes_are_equal(penalty: float) -> None:
    optimizer = BayesianOptimizer(ConfigurationSpace({"x": (0.0, 1.0), "y": (0.0, 1.0)}), random_state=0)
    failures = []
    for _ in range(20):
        configuration = optimizer.ask()
        failures.append(configuration["x"] > 0.35)
        optimizer.tell(configuration, penalty if failures[-1] else 0.5)
    assert np.mean(failures[10:]) < 0.4  # at random, 0.65


@pytest.mark.parametrize("penalty", [1e3, 1e10, 1e200, 1.7e308])
@pytest.mark.parametrize("constant", [True, False])
def test_penalties__do_not_drown_what_tells_successes_apart(penalty: float, constant: bool) -> None:
    losses = np.array([0.1, 0.2, 0.4, 0.3, *([penalty] * 9 if constant else penalty * np.linspace(0.5, 1.0, 9))])
    tamed = without_outliers(losses)
    np.testing.assert_array_equal(tamed[:4], losses[:4])
    assert 0.4 < tamed[4:].min() <= tamed[4:].max() <= 1.2


def test_losses__over_the_whole_range_of_floats() -> None:
    optimizer = BayesianOptimizer(ConfigurationSpace({"x": (0.0, 1.0)}), random_state=0)
    for _ in range(12):
        configuration = optimizer.ask()
        optimizer.tell(configuration, 1.7e308 * (2.0 * abs(configuration["x"] - 0.3) - 1.0))
    assert optimizer.incumbent is not None
    assert abs(optimizer.incumbent[0]["x"] - 0.3) < 0.1


def test_tell__refuses_an_integer_beyond_floats() -> None:
    with pytest.raises(DataError, match="range of floats"):
        BayesianOptimizer(toy_space()).tell({"mode": "plain", "rate": 1.0}, 10**400)


@pytest.mark.parametrize("warm", [True, False])
def test_threads__may_share_it(toy_surrogate: TrainedSurrogate, warm: bool) -> None:
    optimizer = BayesianOptimizer(toy_space(), toy_surrogate if warm else None, random_state=0)

    def trial(_: int) -> str:
        configuration = optimizer.ask()
        optimizer.tell(configuration, bowl(configuration))
        return to_json(configuration)

    with ThreadPoolExecutor(4) as threads:
        asked = list(threads.map(trial, range(16)))
    assert len(set(asked)) == len(optimizer.history) == 16


def test_priors__impossible_choices_are_never_asked_for() -> None:
    space = ConfigurationSpace()
    weighted = CategoricalHyperparameter("mode", ["never", "often", "seldom"], weights=[0.0, 3.0, 1.0])
    space.add(weighted, BetaFloatHyperparameter("x", alpha=2, beta=8, lower=0.0, upper=1.0))
    optimizer = BayesianOptimizer(space, random_state=0)
    asked = []
    for _ in range(12):
        asked.append(optimizer.ask())
        optimizer.tell(asked[-1], abs(asked[-1]["x"] - 0.2))
    assert {configuration["mode"] for configuration in asked} == {"often", "seldom"}
    assert np.median([configuration["x"] for configuration in asked]) < 0.4
