"""Plateaus: where configurations have exactly the same loss, the search looks elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.optimization.plateau import on_plateau

SPACE = ConfigurationSpace({"x": (0.0, 1.0), "y": (0.0, 1.0), "kind": ["flat", "other"]})


def needle(configuration: dict[str, float | str]) -> float:
    """A constant on half of the space, and a small region that is better than it."""
    if configuration["kind"] == "flat":
        return 0.5
    x, y = float(configuration["x"]), float(configuration["y"])
    return 0.2 if x > 0.5 and y > 0.5 else 0.6 + 0.01 * x


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([], False),
        ([0.7, 0.8, 0.5, 0.5, 0.5], False),  # too few
        ([0.8, 0.6, 0.5, 0.5, 0.9, 0.5, 0.7], True),
        ([0.8, 0.6, 0.5, 0.5, 0.9, 0.55, 0.7], False),
        ([0.5, 0.5, 0.5, 0.6, 0.8, 0.9, 0.7], False),  # the latest ones are others
        ([0.4, 0.7, 0.8, 0.5, 0.5, 0.5, 0.5, 0.5], False),  # equal, but not the best
        ([9.0, 0.5, 0.5, 9.0, 0.5, 9.0], False),  # successes that are equal, and a penalty
        ([np.nan] * 6, False),
        ([0.6, 0.7, 0.8, np.nan, 0.5, np.nan, 0.5, 0.5, np.nan], True),
        ([0.7, 0.6, 0.5 + 5e-6, 0.5 + 4e-6, 0.5 + 3e-6, 0.5 + 2e-6, 0.5 + 1e-6, 0.5], False),  # it converges
        ([1.7e308, 1.6e308, 1.5e308, -1.7e308, -1.7e308, -1.7e308], True),
    ],
)
def test_half_of_the_latest_trials_have_the_best_loss(losses: list[float], expected: bool) -> None:
    assert on_plateau(np.array(losses, dtype=float)) is expected


@pytest.mark.parametrize("seed", range(3))
def test_a_search_leaves_a_plateau(seed: int) -> None:
    optimizer = BayesianOptimizer(SPACE, random_state=seed)
    for x in np.linspace(0.0, 0.4, 6):  # what it knows speaks for the plateau
        optimizer.tell({"x": float(x), "y": 0.1, "kind": "flat"}, 0.5)
        optimizer.tell({"x": float(x), "y": 0.2, "kind": "other"}, 0.6 + 0.01 * float(x))
    for _ in range(45):
        configuration = optimizer.ask()
        optimizer.tell(configuration, needle(configuration))
    assert optimizer.incumbent is not None
    assert optimizer.incumbent[1] == 0.2


def test_a_finite_space_that_is_flat_ends_cleanly() -> None:
    space = ConfigurationSpace({"a": list(range(4)), "b": [0, 1, 2]})
    optimizer = BayesianOptimizer(space, random_state=0)
    asked = []
    for _ in range(12):
        asked.append(optimizer.ask())
        optimizer.tell(asked[-1], 1.0)
    assert len({str(sorted(c.items())) for c in asked}) == 12
