"""Trials told before their end: they count as observations, the less the less certain, and are no incumbents."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.space.configuration import to_json
from metahpo.surrogates.cold_surrogate import ColdSurrogate
from metahpo.surrogates.learning_curves import LearningCurves
from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate
from metahpo.surrogates.surrogate import TaskSurrogate, TrainedSurrogate
from tests.conftest import toy_space
from tests.optimization.test_optimizer import bowl

N_EPOCHS = 12


def curve_to(final: float) -> NDArray[np.float64]:
    """Falls to its end; how fast, nobody knows."""
    rate = np.random.default_rng(int(1e6 * abs(final))).uniform(1.0, 6.0)
    share = np.linspace(1.0 / N_EPOCHS, 1.0, N_EPOCHS)
    return np.asarray(final + np.exp(-rate * share) - np.exp(-rate))


@pytest.fixture(scope="module")
def learning_curves() -> LearningCurves:
    rng = np.random.default_rng(0)
    return LearningCurves.learn([[curve_to(final) for final in rng.uniform(0.0, 2.0, 20)] for _ in range(5)])


@pytest.mark.parametrize("warm", [True, False])
def test_search__with_a_third_of_the_epochs_of_most_trials(
    toy: MetaDataset, toy_surrogate: TrainedSurrogate, learning_curves: LearningCurves, warm: bool
) -> None:
    surrogate = toy_surrogate if warm else None
    optimizer = BayesianOptimizer(toy_space(), surrogate, random_state=0, learning_curves=learning_curves)
    asked = []
    for i in range(16):
        configuration = optimizer.ask()
        asked.append(to_json(configuration))
        loss = bowl(configuration)
        if i % 4:
            predicted = optimizer.tell_curve(configuration, curve_to(loss)[: N_EPOCHS // 3].tolist(), N_EPOCHS)
            assert predicted.std > 0.0
        else:
            optimizer.tell(configuration, loss)
    assert len(set(asked)) == 16  # what is under way is not asked for again
    assert len(optimizer.history) == 4
    best = optimizer.ask()
    assert bowl(best) < 0.3


def test_tell__ends_what_was_under_way(learning_curves: LearningCurves) -> None:
    optimizer = BayesianOptimizer(toy_space(), n_initial=1, random_state=0, learning_curves=learning_curves)
    first = optimizer.ask()
    for e in (2, 6):
        optimizer.tell_curve(first, curve_to(0.5)[:e].tolist(), N_EPOCHS)
    assert len(optimizer.history) == 0
    optimizer.ask()
    optimizer.tell(first, 0.5)
    assert optimizer.incumbent == (first, 0.5)
    with pytest.raises(DataError, match="cannot be under way again"):
        optimizer.tell_curve(first, [0.9], N_EPOCHS)
    assert optimizer.history.losses.tolist() == [0.5]


def test_tell_curve__refuses_without_recording() -> None:
    optimizer = BayesianOptimizer(toy_space(), random_state=0)
    with pytest.raises(DataError, match="give BayesianOptimizer learning_curves"):
        optimizer.tell_curve(optimizer.ask(), [1.0], 5)


def test_tell_curve__others_under_way_tell_what_is_much(learning_curves: LearningCurves) -> None:
    optimizer = BayesianOptimizer(toy_space(), random_state=0, learning_curves=learning_curves)
    curves = [curve_to(final)[:4].tolist() for final in (0.2, 0.9, 1.7)]
    *_, last = [optimizer.tell_curve(optimizer.ask(), curve, N_EPOCHS) for curve in curves]
    assert last == learning_curves.predict(curves[2], N_EPOCHS, [curves[0][-1], curves[1][-1]])


def surrogates(toy_surrogate: TrainedSurrogate) -> list[ColdSurrogate | TaskSurrogate]:
    return [ColdSurrogate(), toy_surrogate.on()]


@pytest.mark.parametrize("which", [0, 1])
def test_noise__zero_changes_nothing_and_much_takes_an_observation_back(
    toy_surrogate: TrainedSurrogate, which: int
) -> None:
    surrogate = surrogates(toy_surrogate)[which]
    X = np.random.default_rng(0).random((9, toy_width(toy_surrogate)))
    losses = np.array([1.0, 2.0, 1.5, 3.0, 2.5, 1.2, 1.8, 9.0])
    measured = surrogate.posterior(X, (X[:8], losses))
    same = surrogate.posterior(X, (X[:8], losses), np.zeros(8))
    np.testing.assert_array_equal(measured.mean, same.mean)
    np.testing.assert_array_equal(measured.std, same.std)
    unsure = surrogate.posterior(X, (X[:8], losses), np.where(losses == 9.0, 20.0, 0.0))
    assert unsure.mixture_mean()[7] < measured.mixture_mean()[7]
    assert unsure.mixture_std()[7] > measured.mixture_std()[7]


@pytest.mark.parametrize("which", [0, 1])
def test_noise__a_prediction_is_no_incumbent(toy_surrogate: TrainedSurrogate, which: int) -> None:
    surrogate = surrogates(toy_surrogate)[which]
    X = np.random.default_rng(0).random((4, toy_width(toy_surrogate)))
    losses = np.array([1.0, 2.0, 0.1, 3.0])
    certain = surrogate.posterior(X, (X, losses))
    foretold = surrogate.posterior(X, (X, losses), np.array([0.0, 0.0, 0.5, 0.0]))
    assert foretold.weights @ foretold.incumbent > certain.weights @ certain.incumbent


@pytest.mark.parametrize("noise", [[0.0], [-1.0, 0.0], [np.nan, 0.0]])
def test_noise__must_be_standard_deviations(toy_surrogate: TrainedSurrogate, noise: list[float]) -> None:
    X = np.random.default_rng(0).random((2, toy_width(toy_surrogate)))
    for surrogate in surrogates(toy_surrogate):
        with pytest.raises(DataError, match="noise must be 2 finite standard deviations"):
            surrogate.posterior(X, (X, np.array([1.0, 2.0])), np.array(noise))


def toy_width(surrogate: TrainedSurrogate) -> int:
    assert isinstance(surrogate, MetaLearnedSurrogate)
    return int(surrogate.reference.shape[1])
