"""Priors of a space: designs follow the distributions and weights of its hyperparameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    BetaFloatHyperparameter,
    BetaIntegerHyperparameter,
    CategoricalHyperparameter,
    ConfigurationSpace,
    Float,
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
)
from ConfigSpace.hyperparameters import Hyperparameter

from metahpo.space.design import sobol_design
from metahpo.space.encoding import SpaceEncoder
from metahpo.space.prior import SpacePrior


def design_of(hyperparameter: Hyperparameter[Any, Any], n: int = 256) -> list[object]:
    space = ConfigurationSpace()
    space.add(hyperparameter, Float("x", (0.0, 1.0)))
    return [configuration[hyperparameter.name] for configuration in sobol_design(space, n, default_first=False)]


@pytest.mark.parametrize(
    "hyperparameter",
    [
        NormalFloatHyperparameter("h", mu=2.0, sigma=0.5, lower=-10.0, upper=10.0),
        NormalFloatHyperparameter("h", mu=1e-3, sigma=1e-2, lower=1e-5, upper=1.0, log=True),
        NormalIntegerHyperparameter("h", mu=5, sigma=2, lower=0, upper=100),
        BetaFloatHyperparameter("h", alpha=2, beta=8, lower=0.0, upper=1.0),
        BetaIntegerHyperparameter("h", alpha=8, beta=2, lower=0, upper=50),
    ],
    ids=lambda h: type(h).__name__,
)
def test_numbers_have_the_quantiles_of_their_distribution(hyperparameter: Hyperparameter[Any, Any]) -> None:
    ours = np.asarray(hyperparameter.to_vector(np.array(design_of(hyperparameter))), dtype=np.float64)
    theirs = hyperparameter.sample_vector(20_000, seed=np.random.RandomState(7))
    levels = [0.1, 0.3, 0.5, 0.7, 0.9]
    np.testing.assert_allclose(np.quantile(ours, levels), np.quantile(theirs, levels), atol=0.03)


@pytest.mark.parametrize("weights", [[3.0, 1.0], [6.0, 1.0, 1.0], [0.0, 1.0, 3.0], [0.0, 1.0]])
def test_choices_are_as_frequent_as_their_weights_say(weights: list[float]) -> None:
    choices = ["a", "b", "c"][: len(weights)]
    drawn = design_of(CategoricalHyperparameter("h", choices, weights=weights))
    shares = np.array([drawn.count(choice) for choice in choices]) / len(drawn)
    np.testing.assert_allclose(shares, np.array(weights) / sum(weights), atol=0.04)
    assert all(share == 0.0 for share, weight in zip(shares, weights, strict=True) if weight == 0.0)


def test_without_priors_rows_stay_as_they_are() -> None:
    encoder = SpaceEncoder(ConfigurationSpace({"x": (0.0, 1.0), "k": ["a", "b", "c"], "n": (1, 9)}))
    uniform = np.random.default_rng(0).random((20, encoder.n_columns))
    np.testing.assert_array_equal(SpacePrior(encoder).rows(uniform), uniform)
    np.testing.assert_array_equal(SpacePrior(encoder).possible(uniform), uniform)


@pytest.mark.parametrize("weights", [[0.0, 1.0], [0.0, 2.0, 1.0]])
def test_rows_of_impossible_choices_become_possible(weights: list[float]) -> None:
    space = ConfigurationSpace()
    space.add(CategoricalHyperparameter("k", ["a", "b", "c"][: len(weights)], weights=weights))
    encoder = SpaceEncoder(space)
    uniform = np.random.default_rng(0).random((50, encoder.n_columns))
    decoded = encoder.decode(SpacePrior(encoder).possible(uniform))
    assert {configuration["k"] for configuration in decoded} == set(["b", "c"][: len(weights) - 1])
