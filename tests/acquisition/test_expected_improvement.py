"""Expected improvement: closed forms, many decades, and sampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from metahpo.acquisition.expected_improvement import expected_improvement, log_expected_improvement, log_h
from metahpo.surrogates.posterior import Posterior


def posterior(mean: float, std: float, incumbent: float) -> Posterior:
    return Posterior(np.ones(1), np.array([[mean]]), np.array([[std]]), np.array([incumbent]))


@pytest.mark.parametrize(("mean", "std", "incumbent"), [(0.0, 1.0, 0.0), (0.5, 0.3, 0.2), (-2.0, 1.5, -1.0)])
def test_it_is_the_integral_of_the_improvement(mean: float, std: float, incumbent: float) -> None:
    gain, _ = quad(lambda z: max(incumbent - z, 0.0) * norm.pdf(z, mean, std), mean - 12 * std, incumbent)
    assert expected_improvement(posterior(mean, std, incumbent))[0] == pytest.approx(gain, rel=1e-6)


def test_at_the_incumbent_it_is_the_density_of_the_standard_normal() -> None:
    assert expected_improvement(posterior(1.0, 2.0, 1.0))[0] == pytest.approx(2.0 / np.sqrt(2 * np.pi))


def test_a_mixture_is_the_mean_over_its_components() -> None:
    mixture = Posterior(
        np.array([0.3, 0.7]),
        np.array([[0.0, 1.0], [0.5, -1.0]]),
        np.array([[1.0, 0.2], [0.4, 2.0]]),
        np.array([0.1, -0.3]),
    )
    parts = [
        0.3 * expected_improvement(posterior(m, s, 0.1))[0] + 0.7 * expected_improvement(posterior(n, u, -0.3))[0]
        for m, s, n, u in ((0.0, 1.0, 0.5, 0.4), (1.0, 0.2, -1.0, 2.0))
    ]
    np.testing.assert_allclose(expected_improvement(mixture), parts)


def test_an_uncertain_incumbent_counts_as_uncertainty() -> None:
    plain = posterior(0.5, 0.2, 0.0)
    unsure = Posterior(plain.weights, plain.mean, plain.std, plain.incumbent, improvement_std=np.array([[1.0]]))
    assert expected_improvement(unsure)[0] == pytest.approx(expected_improvement(posterior(0.5, 1.0, 0.0))[0])


def test_over_a_hundred_decades_it_is_finite_and_grows_with_the_gap() -> None:
    gaps = np.concatenate([-np.logspace(100, -100, 401), [0.0], np.logspace(-100, 100, 401)])
    values = log_h(gaps)
    assert np.isfinite(values).all()
    assert (np.diff(values) >= -1e-12 * np.abs(values[1:])).all()


def test_ranges_of_the_logarithm_meet() -> None:
    for border in (-1.0, -1e3):
        below, above = log_h(np.array([border * (1 + 1e-9), border * (1 - 1e-9)]))
        assert below == pytest.approx(above, rel=1e-6)


@given(st.floats(-30, 8))
def test_the_logarithm_is_that_of_the_integral(u: float) -> None:
    """h(u) = E max(u + Z, 0) = phi(u) times the integral of s exp(u s - s^2 / 2) over s > 0: it loses no digits."""
    integral, _ = quad(lambda s: s * np.exp(u * s - 0.5 * s * s), 0.0, max(u, 0.0) + 40.0, points=[max(u, 0.1)])
    assert log_h(np.array([u]))[0] == pytest.approx(norm.logpdf(u) + np.log(integral), abs=1e-7)


def test_however_hopeless_configurations_stay_comparable() -> None:
    hopeless = Posterior(np.ones(1), np.array([[50.0, 60.0]]), np.full((1, 2), 0.1), np.zeros(1))
    assert (expected_improvement(hopeless) == 0).all()
    first, second = log_expected_improvement(hopeless)
    assert first > second


def test_a_component_without_weight_contributes_nothing() -> None:
    one = posterior(0.0, 1.0, 0.0)
    two = Posterior(np.array([1.0, 0.0]), np.array([[0.0], [-9.0]]), np.ones((2, 1)), np.zeros(2))
    np.testing.assert_allclose(expected_improvement(one), expected_improvement(two))


@pytest.mark.parametrize("gap", [3.0, 0.0, -3.0, -8.0, -12.0, -30.0, -300.0, -900.0])
def test_single_precision_costs_no_more_than_its_own_digits(gap: float) -> None:
    exact = Posterior(np.ones(1), np.array([[-gap]]), np.ones((1, 1)), np.zeros(1))
    single = Posterior(exact.weights, exact.mean.astype(np.float32), exact.std.astype(np.float32), exact.incumbent)
    np.testing.assert_allclose(log_expected_improvement(single), log_expected_improvement(exact), rtol=1e-10, atol=1e-4)
