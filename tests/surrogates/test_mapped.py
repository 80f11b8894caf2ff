"""Experience in a space that overlaps: it is used where it helps, and left where it does not."""

from __future__ import annotations

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Float

from metahpo.exceptions import SpaceError
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.space.configuration import Configuration
from metahpo.surrogates.mapped import MappedSurrogate
from metahpo.surrogates.surrogate import TrainedSurrogate

#: Best loss of `own_loss`.
FEATURES = {"shift": 0.0, "noise": 0.0}


def own_space() -> ConfigurationSpace:
    """The toy space with a wider range, another choice, and a hyperparameter more."""
    space = ConfigurationSpace()
    space.add(
        Categorical("mode", ["other", "plain", "tuned", "wild"], default="plain"),
        Float("rate", (1e-4, 1e2), log=True, default=1.0),
        Float("extra", (0.0, 1.0), default=0.5),
    )
    return space


def own_loss(configuration: Configuration, best_rate: float = 0.1) -> float:
    penalty = {"plain": 0.5, "tuned": 0.0, "wild": 2.0, "other": 1.0}[configuration["mode"]]
    far = np.log10(configuration["rate"] / best_rate)
    return float(far**2 + penalty + 2.0 * (configuration["extra"] - 0.7) ** 2)


def search(surrogate: MappedSurrogate | None, n: int, seed: int, best_rate: float = 0.1) -> np.ndarray:
    optimizer = BayesianOptimizer(own_space(), surrogate, FEATURES if surrogate else None, random_state=seed)
    for _ in range(n):
        configuration = optimizer.ask()
        optimizer.tell(configuration, own_loss(configuration, best_rate))
    return optimizer.history.best_so_far()


@pytest.fixture(scope="module")
def mapped(toy_surrogate: TrainedSurrogate) -> MappedSurrogate:
    return MappedSurrogate(toy_surrogate, own_space())


def test_search__is_ahead_of_a_cold_one_at_first_and_not_behind_after_25_trials(mapped: MappedSurrogate) -> None:
    warm, cold = (np.mean([search(surrogate, 25, seed) for seed in range(2)], axis=0) for surrogate in (mapped, None))
    assert warm[0] < cold[0]
    assert warm[:8].mean() < 0.7 * cold[:8].mean()
    assert warm[24] <= cold[24] + 0.01


def test_search__experience_that_misleads_is_left(mapped: MappedSurrogate) -> None:
    found = search(mapped, 25, 0, best_rate=50.0)  # beyond what is known
    assert found[24] < 0.05


def test_first_suggestion__takes_the_default_of_what_is_not_known(mapped: MappedSurrogate) -> None:
    first = BayesianOptimizer(own_space(), mapped, FEATURES, random_state=0).ask()
    assert abs(first["extra"] - 0.5) < 0.2
    assert first["mode"] == "tuned"
    assert 0.02 < first["rate"] < 0.5


def test_it_goes_on_after_a_state_file(mapped: MappedSurrogate, tmp_path: object) -> None:
    optimizer = BayesianOptimizer(own_space(), mapped, FEATURES, random_state=0)
    for _ in range(4):
        configuration = optimizer.ask()
        optimizer.tell(configuration, own_loss(configuration))
    optimizer.ask()
    optimizer.save(f"{tmp_path}/state.json")
    assert BayesianOptimizer.load(f"{tmp_path}/state.json", mapped).ask(2) == optimizer.ask(2)


def test_recommendations_are_placed(mapped: MappedSurrogate) -> None:
    assert mapped.place([{"mode": "tuned", "rate": 0.1, "knob": 0.3}]) == [{"mode": "tuned", "rate": 0.1, "extra": 0.5}]


def test_nothing_in_common__is_refused(toy_surrogate: TrainedSurrogate) -> None:
    with pytest.raises(SpaceError, match="nothing in common"):
        MappedSurrogate(toy_surrogate, ConfigurationSpace({"height": (0.0, 1.0)}))
