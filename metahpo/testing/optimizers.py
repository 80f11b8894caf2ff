"""The contract of an optimiser: a subclass gives the fixture `make` and inherits the tests."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer

from metahpo.space.activity import canonical
from metahpo.space.configuration import to_json


class Optimizer(Protocol):
    """Ask and tell, as :class:`metahpo.BayesianOptimizer` has them."""

    @property
    def incumbent(self) -> tuple[Mapping[str, Any], float] | None:
        """Best configuration so far and its loss; None while nothing has succeeded."""

    def ask(self) -> dict[str, Any]:
        """Next configuration to try."""

    def tell(self, configuration: Mapping[str, Any], value: float) -> None:
        """Record a loss, to be minimised; NaN for a trial that failed."""


#: Makes an optimiser of a space, with a seed.
Make = Callable[[ConfigurationSpace, int], Optimizer]


def small_space() -> ConfigurationSpace:
    """A float on a log scale, an integer, a choice, and a float that is active under one of the choices."""
    space = ConfigurationSpace()
    mode, depth = Categorical("mode", ["plain", "tuned", "wild"], default="plain"), Integer("depth", (1, 8), default=3)
    knob, rate = Float("knob", (0.0, 1.0), default=0.5), Float("rate", (1e-3, 1e1), log=True, default=1.0)
    space.add(mode, depth, knob, rate, EqualsCondition(knob, mode, "tuned"))
    return space


def loss_of(configuration: Mapping[str, Any]) -> float:
    """Loss on :func:`small_space`, whose minimum is 0."""
    penalty = {"plain": 0.5, "tuned": 0.0, "wild": 2.0}[configuration["mode"]]
    return float((np.log10(configuration["rate"]) + 1.0) ** 2 + penalty + 0.1 * abs(configuration["depth"] - 5))


class OptimizerContract:
    """Contract of an optimiser with ``ask`` and ``tell``.

    Give the fixture ``make``: a function of a space and a seed that makes an optimiser.
    """

    @pytest.fixture
    def make(self) -> Make:
        """Function that makes the optimiser under test."""
        raise NotImplementedError

    def test_asks_for_configurations_of_the_space(self, make: Make) -> None:
        space = small_space()
        optimizer = make(space, 0)
        for _ in range(12):
            configuration = optimizer.ask()
            assert canonical(space, configuration) == configuration
            optimizer.tell(configuration, loss_of(configuration))

    def test_remembers_the_best(self, make: Make) -> None:
        optimizer, losses = make(small_space(), 0), []
        for _ in range(8):
            configuration = optimizer.ask()
            losses.append(loss_of(configuration))
            optimizer.tell(configuration, losses[-1])
        assert make(small_space(), 0).incumbent is None
        assert optimizer.incumbent is not None
        best, loss = optimizer.incumbent
        assert loss == min(losses) == loss_of(best)

    def test_never_asks_twice(self, make: Make) -> None:
        optimizer = make(small_space(), 0)
        texts = []
        for i in range(12):
            configuration = optimizer.ask()
            texts.append(to_json(configuration))
            if i % 3:  # some trials are under way while the next are asked for
                optimizer.tell(configuration, loss_of(configuration))
        assert len(set(texts)) == len(texts)

    def test_equal_seeds_ask_for_equal_configurations(self, make: Make) -> None:
        asked = []
        for optimizer in (make(small_space(), 3), make(small_space(), 3)):
            for _ in range(9):
                configuration = optimizer.ask()
                asked.append(to_json(configuration))
                optimizer.tell(configuration, loss_of(configuration))
        assert asked[:9] == asked[9:]

    @pytest.mark.parametrize("failures", [{0}, {0, 2, 4, 6}, set(range(8))])
    def test_failed_trials_do_not_stop_the_search(self, make: Make, failures: set[int]) -> None:
        optimizer = make(small_space(), 0)
        for i in range(8):
            configuration = optimizer.ask()
            optimizer.tell(configuration, float("nan") if i in failures else loss_of(configuration))
        assert (optimizer.incumbent is None) == (len(failures) == 8)

    def test_is_told_what_it_did_not_ask_for(self, make: Make) -> None:
        optimizer = make(small_space(), 0)
        told = {"mode": "tuned", "depth": 5, "rate": 0.1, "knob": 0.25}
        optimizer.tell(told, 0.0)
        assert optimizer.incumbent is not None
        assert dict(optimizer.incumbent[0]) == told

    def test_goes_on_after_a_pickle(self, make: Make) -> None:
        optimizer = make(small_space(), 0)
        for _ in range(6):
            configuration = optimizer.ask()
            optimizer.tell(configuration, loss_of(configuration))
        again = pickle.loads(pickle.dumps(optimizer))
        assert again.ask() == optimizer.ask()
        assert again.incumbent == optimizer.incumbent
