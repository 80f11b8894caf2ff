"""The closed form of the mixture against brute force: dense Gaussians, and integrals done numerically."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from metahpo.surrogates.mixture import mixture as scale
from metahpo.surrogates.mixture.meta_learned import source_coefficients
from metahpo.surrogates.mixture.mixture import MIN_NOISE, Hypotheses, Losses, Mixture, MixtureComponents
from metahpo.surrogates.mixture.source_functions import (
    Located,
    SourceFeatures,
    SourceValues,
    ZScoreKernel,
    source_features_at,
    squared_distances,
)

Array = NDArray[np.float64]
N, M, T, D = 6, 4, 5, 3
#: Stands for the flat prior of the shift.
WIDE = 1e7


@pytest.fixture
def mixture() -> Mixture:
    torch.manual_seed(0)
    return Mixture(ZScoreKernel(D).double().requires_grad_(False), MixtureComponents().double().requires_grad_(False))


@pytest.fixture
def source_features(mixture: Mixture) -> tuple[SourceFeatures, SourceFeatures]:
    generator = torch.Generator().manual_seed(1)
    X = torch.rand(N + M, D, dtype=torch.float64, generator=generator)
    functions = torch.randn(N + M, T, dtype=torch.float64, generator=generator)
    alpha = torch.softmax(torch.randn(T, dtype=torch.float64, generator=generator), 0)
    recorded = 0.1 * torch.randn(N + M, 2, dtype=torch.float64, generator=generator)
    everything = source_features_at(SourceValues(mixture.kernel.locate(X), functions, recorded), alpha)
    return everything[:N], everything[N:]


LOSSES = torch.tensor([0.3, 0.9, 0.1, 0.5, 0.45, 0.2], dtype=torch.float64)


def all_hypotheses(mixture: Mixture) -> Hypotheses:
    n_components = len(mixture.components.slope)
    return Hypotheses(torch.arange(n_components).repeat_interleave(T), torch.arange(T).repeat(n_components))


def dense(mixture: Mixture, a: SourceFeatures, b: SourceFeatures, j: int, t: int) -> tuple[Array, Array, Array]:
    """Means of z under hypothesis (j, t) at trials and beyond, and their joint covariance, no noise; by the formula."""
    both = SourceFeatures(
        type(a.place)(torch.cat([a.place.mapped, b.place.mapped]), torch.cat([a.place.plain, b.place.plain])),
        torch.cat([a.mean, b.mean]),
        torch.cat([a.deviations, b.deviations]),
        torch.cat([a.recorded, b.recorded]),
    )
    r = mixture.components
    d = both.deviations[:, t]
    mean = r.mean_slope[j] * both.mean[:, 0] + r.slope[j] * d
    K = mixture.covariances(both, both)[j] + r.log_slope_variance[j].exp() * torch.outer(d, d)
    return mean[:N].numpy(), mean[N:].numpy(), K.numpy()


def noise(mixture: Mixture, j: int) -> float:
    return float(mixture.components.log_noise[j].exp()) + MIN_NOISE


def test_density_of_scores_is_the_dense_gaussian_one(
    mixture: Mixture, source_features: tuple[SourceFeatures, SourceFeatures]
) -> None:
    trials, at = source_features
    ours = mixture.log_density(trials, mixture.covariances(trials, trials), LOSSES)
    for j in range(3):
        for t in range(T):
            mean, _, K = dense(mixture, trials, at, j, t)
            reference = multivariate_normal(mean, K[:N, :N] + noise(mixture, j) * np.eye(N)).logpdf(LOSSES.numpy())
            assert float(ours[j, t]) == pytest.approx(reference + 0.5 * N * np.log(2 * np.pi), abs=1e-8)


def test_evidence_integrates_shift_and_factor(
    mixture: Mixture, source_features: tuple[SourceFeatures, SourceFeatures]
) -> None:
    trials, at = source_features
    losses = Losses.standardise(LOSSES)
    ours = mixture.condition(trials, mixture.covariances(trials, trials), losses).log_evidence
    log_tau = np.linspace(-8, 4, 1200)
    off = (log_tau - float(losses.spread.log()) + float(mixture.components.log_spread[0])) / float(
        mixture.components.log_spread[1]
    )
    prior = np.exp(-0.5 * ((log_tau - scale.LOG_TAU_MEAN) / scale.LOG_TAU_STD) ** 2) * (1 + off**2 / 3.0) ** -2.0
    reference = np.zeros((3, T))
    for j in range(3):
        for t in range(T):
            mean, _, K = dense(mixture, trials, at, j, t)
            A = K[:N, :N] + noise(mixture, j) * np.eye(N) + WIDE
            density = multivariate_normal(mean, A)
            # One power of tau less than the Jacobian's n: a flat prior of the shift of y, not of z.
            values = [density.pdf(np.exp(u) * losses.y.numpy()) * np.exp((N - 1) * u) for u in log_tau]
            reference[j, t] = np.log(np.sum(values * prior))
    differences = ours.numpy() - reference
    np.testing.assert_allclose(differences, differences[0, 0], atol=0.02)  # up to one constant; the grid is coarse


def test_prediction_is_the_dense_gaussian_one(
    mixture: Mixture, source_features: tuple[SourceFeatures, SourceFeatures]
) -> None:
    trials, at = source_features
    losses = Losses.standardise(LOSSES)
    given = mixture.condition(trials, mixture.covariances(trials, trials), losses)
    ours = mixture.predict(given, mixture.covariances(trials, at), at, all_hypotheses(mixture))
    for s, (j, t) in enumerate(zip(*(h.tolist() for h in all_hypotheses(mixture)), strict=True)):
        mean, mean_at, K = dense(mixture, trials, at, j, t)
        A = K[:N, :N] + noise(mixture, j) * np.eye(N) + WIDE
        gain = K[N:, :N] @ np.linalg.inv(A)
        # Whatever tau, here taken as the mixture takes it: residuals tell it back.
        c_and_tau = np.linalg.lstsq(
            np.column_stack([losses.y.numpy(), -np.ones(N)]),
            (given.factor[j] @ given.residual[j, :, t]).numpy() + mean,
            rcond=None,
        )[0]
        tau = c_and_tau[0]
        np.testing.assert_allclose(ours.mean[s], mean_at + gain @ (tau * losses.y.numpy() - mean), atol=1e-3)
        reference = np.diag(K[N:, N:] - gain @ K[N:, :N].T) + noise(mixture, j)
        np.testing.assert_allclose(ours.variance[s], reference, atol=1e-3)
        assert float(given.incumbent[j, t]) == pytest.approx(tau * losses.y.min().item() - c_and_tau[1], abs=1e-6)


def test_before_any_trial_predictions_are_the_prior(
    mixture: Mixture, source_features: tuple[SourceFeatures, SourceFeatures]
) -> None:
    trials, at = source_features
    ours = mixture.predict_first(at, all_hypotheses(mixture))
    for s, (j, t) in enumerate(zip(*(h.tolist() for h in all_hypotheses(mixture)), strict=True)):
        _, mean_at, K = dense(mixture, trials, at, j, t)
        np.testing.assert_allclose(ours.mean[s], mean_at)
        np.testing.assert_allclose(ours.improvement_variance[s], np.diag(K)[N:], atol=1e-5)
        np.testing.assert_allclose(ours.variance[s], np.diag(K)[N:] + noise(mixture, j), atol=1e-5)


def test_a_batch_is_its_tasks(mixture: Mixture, source_features: tuple[SourceFeatures, SourceFeatures]) -> None:
    trials, _ = source_features
    other = trials[torch.tensor([5, 1, 3, 0, 2, 4])]
    parts = [trials, other]
    place = Located(*(torch.stack([getattr(p.place, name) for p in parts]) for name in ("mapped", "plain")))
    mean, deviations, recorded = (
        torch.stack([getattr(p, name) for p in parts]) for name in ("mean", "deviations", "recorded")
    )
    both, losses = SourceFeatures(place, mean, deviations, recorded), torch.stack([LOSSES, LOSSES.flip(0) ** 2])
    batch = mixture.condition(both, mixture.covariances(both, both), Losses.standardise(losses)).log_evidence
    for i, single in enumerate([trials, other]):
        K = mixture.covariances(single, single)
        alone = mixture.condition(single, K, Losses.standardise(losses[i])).log_evidence
        torch.testing.assert_close(batch[i], alone)


def test_coefficients_of_source_functions_make_up_the_expected_score(
    mixture: Mixture, source_features: tuple[SourceFeatures, SourceFeatures]
) -> None:
    trials, _ = source_features
    given = mixture.condition(trials, mixture.covariances(trials, trials), Losses.standardise(LOSSES))
    alpha = torch.full((T,), 1.0 / T, dtype=torch.float64)
    before = source_coefficients(mixture, torch.zeros(3, T, dtype=torch.float64), None, alpha)
    torch.testing.assert_close(before, before[0].expand(T))
    after = source_coefficients(mixture, given.log_evidence, given, alpha)
    assert torch.isfinite(after).all()
    assert after.std() > 0.01


def test_tasks_left_out_have_no_weight() -> None:
    known = torch.tensor([[True, False, True]])
    alpha = torch.tensor([[0.5, 0.0, 0.5]], dtype=torch.float64)
    distances = squared_distances(torch.rand(7, 3, dtype=torch.float64), alpha, known)
    weights = MixtureComponents().double().log_prior(distances).exp()
    assert weights[..., 1].eq(0).all()
    torch.testing.assert_close(weights.sum((1, 2)), torch.ones(1, dtype=torch.float64))


def test_the_heaviest_hypotheses_make_up_all_but_a_thousandth() -> None:
    log_weights = torch.tensor([[0.0, -20.0, -1.0], [-30.0, -2.0, -9.0]])
    chosen = Hypotheses.heaviest(log_weights)
    kept = torch.softmax(log_weights.flatten(), 0).reshape(2, 3)[chosen].sum()
    assert kept > 0.999
    assert set(zip(*(h.tolist() for h in chosen), strict=True)) == {(0, 0), (0, 2), (1, 1)}
