"""The closed form of the mixture against brute force: dense Gaussians, and integrals done numerically."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from metahpo.surrogates import scale
from metahpo.surrogates.described import Described, describe, stack
from metahpo.surrogates.kernels import DeepKernel
from metahpo.surrogates.regimes import Regimes
from metahpo.surrogates.scale import Losses
from metahpo.surrogates.sources import SourceValues
from metahpo.surrogates.transfer import MIN_NOISE, Mixture

Array = NDArray[np.float64]
N, M, T, D = 6, 4, 5, 3
#: Weights of the function expected of the task.
ALPHA = torch.tensor([0.1, 0.3, 0.2, 0.15, 0.25], dtype=torch.float64)
#: Stands for the flat prior of the shift.
WIDE = 1e7


@pytest.fixture
def mixture() -> Mixture:
    torch.manual_seed(0)
    return Mixture(DeepKernel(D, "network").double().requires_grad_(False), Regimes().double().requires_grad_(False))


@pytest.fixture
def described(mixture: Mixture) -> tuple[Described, Described]:
    generator = torch.Generator().manual_seed(1)
    X = torch.rand(N + M, D, dtype=torch.float64, generator=generator)
    functions = torch.randn(N + M, T, dtype=torch.float64, generator=generator)
    recorded = 0.1 * torch.randn(N + M, 2, dtype=torch.float64, generator=generator)
    everything = describe(SourceValues(mixture.kernel.locate(X), functions, recorded), ALPHA)
    return everything[:N], everything[N:]


LOSSES = torch.tensor([0.3, 0.9, 0.1, 0.5, 0.45, 0.2], dtype=torch.float64)


def dense(mixture: Mixture, a: Described, b: Described, j: int) -> tuple[Array, Array, Array]:
    """Means of z under regime j at trials and beyond, and their joint covariance, no noise; by the formula."""
    both = Described(
        type(a.place)(torch.cat([a.place.deep, b.place.deep]), torch.cat([a.place.plain, b.place.plain])),
        torch.cat([a.mean, b.mean]),
        torch.cat([a.deviations, b.deviations]),
        torch.cat([a.recorded, b.recorded]),
    )
    mean, K = mixture.regimes.mean_slope[j] * both.mean[:, 0], mixture.covariances(both, both)[j]
    return mean[:N].numpy(), mean[N:].numpy(), K.numpy()


def noise(mixture: Mixture, j: int) -> float:
    return float(mixture.regimes.log_noise[j].exp()) + MIN_NOISE


def test_density_of_scores_is_the_dense_gaussian_one(mixture: Mixture, described: tuple[Described, Described]) -> None:
    trials, at = described
    ours = mixture.log_density(trials, mixture.covariances(trials, trials), LOSSES)
    for j in range(3):
        mean, _, K = dense(mixture, trials, at, j)
        reference = multivariate_normal(mean, K[:N, :N] + noise(mixture, j) * np.eye(N)).logpdf(LOSSES.numpy())
        assert float(ours[j]) == pytest.approx(reference + 0.5 * N * np.log(2 * np.pi), abs=1e-8)


def test_evidence_integrates_shift_and_factor(mixture: Mixture, described: tuple[Described, Described]) -> None:
    trials, at = described
    losses = Losses.standardise(LOSSES)
    ours = mixture.condition(trials, mixture.covariances(trials, trials), losses).log_evidence
    log_tau = np.linspace(-8, 4, 1200)
    off = (log_tau - float(losses.spread.log()) + float(mixture.regimes.log_spread[0])) / float(
        mixture.regimes.log_spread[1]
    )
    prior = np.exp(-0.5 * ((log_tau - scale.LOG_TAU_MEAN) / scale.LOG_TAU_STD) ** 2) * (1 + off**2 / 3.0) ** -2.0
    reference = np.zeros(3)
    for j in range(3):
        mean, _, K = dense(mixture, trials, at, j)
        density = multivariate_normal(mean, K[:N, :N] + noise(mixture, j) * np.eye(N) + WIDE)
        # One power of tau less than the Jacobian's n: a flat prior of the shift of y, not of z.
        values = [density.pdf(np.exp(u) * losses.y.numpy()) * np.exp((N - 1) * u) for u in log_tau]
        reference[j] = np.log(np.sum(values * prior))
    differences = ours.numpy() - reference
    np.testing.assert_allclose(differences, differences[0], atol=0.02)  # up to one constant; the grid is coarse


def test_prediction_is_the_dense_gaussian_one(mixture: Mixture, described: tuple[Described, Described]) -> None:
    trials, at = described
    losses = Losses.standardise(LOSSES)
    given = mixture.condition(trials, mixture.covariances(trials, trials), losses)
    ours = mixture.predict(given, mixture.covariances(trials, at), at)
    for j in range(3):
        mean, mean_at, K = dense(mixture, trials, at, j)
        A = K[:N, :N] + noise(mixture, j) * np.eye(N) + WIDE
        gain = K[N:, :N] @ np.linalg.inv(A)
        # Whatever tau, here taken as the mixture takes it: residuals tell it back.
        c_and_tau = np.linalg.lstsq(
            np.column_stack([losses.y.numpy(), -np.ones(N)]),
            (given.factor[j] @ given.residual[j]).numpy() + mean,
            rcond=None,
        )[0]
        tau = c_and_tau[0]
        np.testing.assert_allclose(ours.mean[j], mean_at + gain @ (tau * losses.y.numpy() - mean), atol=1e-3)
        reference = np.diag(K[N:, N:] - gain @ K[N:, :N].T) + noise(mixture, j)
        np.testing.assert_allclose(ours.variance[j], reference, atol=1e-3)
        assert float(given.incumbent[j]) == pytest.approx(tau * losses.y.min().item() - c_and_tau[1], abs=1e-6)


def test_before_any_trial_predictions_are_the_prior(mixture: Mixture, described: tuple[Described, Described]) -> None:
    trials, at = described
    ours = mixture.predict_first(at)
    for j in range(3):
        _, mean_at, K = dense(mixture, trials, at, j)
        np.testing.assert_allclose(ours.mean[j], mean_at)
        np.testing.assert_allclose(ours.gap_variance[j], np.diag(K)[N:], atol=1e-5)
        np.testing.assert_allclose(ours.variance[j], np.diag(K)[N:] + noise(mixture, j), atol=1e-5)


def test_a_batch_is_its_tasks(mixture: Mixture, described: tuple[Described, Described]) -> None:
    trials, _ = described
    other = trials[torch.tensor([5, 1, 3, 0, 2, 4])]
    both, losses = stack([trials, other]), torch.stack([LOSSES, LOSSES.flip(0) ** 2])
    batch = mixture.condition(both, mixture.covariances(both, both), Losses.standardise(losses)).log_evidence
    for i, single in enumerate([trials, other]):
        K = mixture.covariances(single, single)
        alone = mixture.condition(single, K, Losses.standardise(losses[i])).log_evidence
        torch.testing.assert_close(batch[i], alone)


def test_coefficients_of_source_functions_make_up_the_expected_score(
    mixture: Mixture, described: tuple[Described, Described]
) -> None:
    trials, at = described
    K = mixture.covariances(trials, trials)
    given = mixture.condition(trials, K, Losses.standardise(LOSSES))
    before = mixture.source_coefficients(mixture.regimes.log_prior(), ALPHA)
    torch.testing.assert_close(before, before.sum() * ALPHA)
    after = mixture.source_coefficients(given.log_evidence, ALPHA, trials, given)
    assert (after / ALPHA).std() > 0.01
    # Without the rest of the covariance, the source functions are all that a prediction is made of.
    for name in ("log_open_variance", "log_deep_variance", "log_plain_variance"):
        getattr(mixture.regimes, name).fill_(-40.0)
    given = mixture.condition(trials, mixture.covariances(trials, trials), Losses.standardise(LOSSES))
    expected = torch.softmax(given.log_evidence, 0) @ mixture.predict(given, mixture.covariances(trials, at), at).mean
    coefficients = mixture.source_coefficients(given.log_evidence, ALPHA, trials, given)
    torch.testing.assert_close(expected, (at.mean + at.deviations) @ coefficients, atol=1e-4, rtol=1e-4)
