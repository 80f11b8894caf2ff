from __future__ import annotations

import torch

from metahpo.surrogates.fitting.kernel_likelihood import by_torch, negative_log_likelihood
from metahpo.surrogates.mixture.source_functions import ZScoreKernel


def test_the_likelihood_and_its_gradient_are_those_of_the_kernel() -> None:
    generator = torch.Generator().manual_seed(0)
    kernel = ZScoreKernel(3, generator).double()
    for parameter in kernel.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    X = torch.rand(4, 6, 3, generator=generator, dtype=torch.float64)
    X[0, 1] = X[0, 0]  # a configuration that was measured twice
    z = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    place = kernel.locate(X)
    K = kernel(place, place) + kernel.noise() * torch.eye(6, dtype=torch.float64)
    log_density = torch.distributions.MultivariateNormal(torch.zeros_like(z), K).log_prob(z)  # type: ignore[no-untyped-call]
    expected = -log_density.mean() / 6 - 0.5 * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))
    parameters = list(kernel.parameters())
    gradients = torch.autograd.grad(2.0 * expected, parameters)
    for found in (negative_log_likelihood(kernel, X, z), by_torch(kernel, X, z)):
        torch.testing.assert_close(found, expected)
        for mine, theirs in zip(torch.autograd.grad(2.0 * found, parameters), gradients, strict=True):
            torch.testing.assert_close(mine, theirs)
