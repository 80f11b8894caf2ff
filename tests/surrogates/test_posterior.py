"""The mixture of Gaussians: closed forms, and what must hold of any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from metahpo.surrogates.posterior import TINY_SHARE, Posterior


def single(mean: float, std: float, calibration: float = 1.0) -> Posterior:
    return Posterior(np.ones(1), np.array([[mean]]), np.array([[std]]), np.zeros(1), calibration=calibration)


@st.composite
def mixtures(draw: st.DrawFn) -> Posterior:
    k, m = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    weights = draw(arrays(np.float64, k, elements=st.floats(0.01, 1.0)))
    mean = draw(arrays(np.float64, (k, m), elements=st.floats(-5, 5)))
    std = draw(arrays(np.float64, (k, m), elements=st.floats(0.01, 3)))
    calibration = draw(st.floats(0.3, 3.0))
    return Posterior(weights / weights.sum(), mean, std, np.zeros(k), calibration=calibration)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-1.3, 0.2), (2.0, 3.0)])
def test_one_component_is_a_gaussian(mean: float, std: float) -> None:
    posterior, gaussian = single(mean, std), norm(mean, std)
    assert posterior.mixture_mean()[0] == pytest.approx(mean)
    assert posterior.mixture_std()[0] == pytest.approx(std)
    assert posterior.cdf(0.4)[0] == pytest.approx(gaussian.cdf(0.4))
    assert posterior.quantile(0.1)[0] == pytest.approx(gaussian.ppf(0.1))


def test_expected_percentile_is_the_mean_over_scores() -> None:
    scores = np.random.default_rng(0).normal(-0.7, 0.5, 200_000)
    assert single(-0.7, 0.5).expected_percentile()[0] == pytest.approx(norm.cdf(-scores).mean(), abs=2e-3)


def test_moments_of_two_components() -> None:
    posterior = Posterior(np.array([0.25, 0.75]), np.array([[-1.0], [3.0]]), np.array([[1.0], [2.0]]), np.zeros(2))
    assert posterior.mixture_mean()[0] == pytest.approx(2.0)
    assert posterior.mixture_std()[0] ** 2 == pytest.approx(0.25 * (1 + 9) + 0.75 * (4 + 1))


@given(mixtures(), st.floats(0.01, 0.99))
def test_quantile_and_cdf_are_inverse(posterior: Posterior, q: float) -> None:
    np.testing.assert_allclose(posterior.cdf(posterior.quantile(q)), q, atol=1e-6)


@given(mixtures(), st.floats(1e-3, 1 - 1e-3))
@example(single(0.34375, 0.3359375, calibration=0.30078125), 1 - 1e-3)
def test_density_is_the_derivative_of_the_cdf(posterior: Posterior, q: float) -> None:
    one = replace(posterior, mean=posterior.mean[:, :1], std=posterior.std[:, :1])
    z = one.quantile(q)
    step, mirrored = 1e-5, replace(one, mean=-one.mean)
    if q < 0.5:
        slope = (one.cdf(z + step) - one.cdf(z - step)) / (2 * step)
    else:  # near a share of one, differences of it are rounding
        slope = (mirrored.cdf(-z + step) - mirrored.cdf(-z - step)) / (2 * step)
    np.testing.assert_allclose(np.exp(one.log_density(z)), slope, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("z", [-60.0, 60.0])
def test_density_far_from_everything_is_that_of_the_bounded_share(z: float) -> None:
    """A component without weight adds nothing; beyond the least share the calibration bends no further."""
    posterior = Posterior(np.array([1.0, 0.0]), np.zeros((2, 1)), np.ones((2, 1)), np.zeros(2), calibration=0.5)
    bent = -0.5 * np.log(TINY_SHARE) - np.log(np.pi)  # Beta(1/2, 1/2) has the density 1 / (pi sqrt(p (1 - p)))
    assert posterior.log_density(z)[0] == pytest.approx(norm.logpdf(z) + bent, rel=1e-6)


@given(mixtures())
def test_intervals_nest_and_percentiles_lie_in_the_unit_interval(posterior: Posterior) -> None:
    inner, outer = posterior.percentile_interval(0.5), posterior.percentile_interval(0.95)
    assert (outer[0] <= inner[0] + 1e-9).all()
    assert (inner[0] <= inner[1]).all()
    assert (inner[1] <= outer[1] + 1e-9).all()
    percentile = posterior.expected_percentile()
    assert ((percentile >= 0) & (percentile <= 1)).all()


@pytest.mark.parametrize(("calibration", "wider"), [(0.5, True), (2.0, False)])
def test_sharpness_widens_or_narrows_intervals_around_the_median(calibration: float, wider: bool) -> None:
    plain, adjusted = single(0.3, 1.0), single(0.3, 1.0, calibration)
    assert adjusted.quantile(0.5)[0] == pytest.approx(0.3)
    assert (adjusted.quantile(0.9)[0] > plain.quantile(0.9)[0]) == wider


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 components and 3 configurations"):
        Posterior(np.ones(1), np.zeros((2, 3)), np.ones((2, 3)), np.zeros(2))
    with pytest.raises(ValueError, match="improvement_std"):
        Posterior(np.ones(2), np.zeros((2, 3)), np.ones((2, 3)), np.zeros(2), improvement_std=np.ones((2, 1)))


@pytest.mark.parametrize("q", [0.0, 1.0, -0.1, 2.0])
def test_a_quantile_needs_a_probability(q: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        single(0, 1).quantile(q)
