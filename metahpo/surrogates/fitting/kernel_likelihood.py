"""Marginal likelihood of tasks under the kernel of z-scores, with its gradient in closed form.

Symbols as in :mod:`metahpo.surrogates.mixture.source_functions`: B tasks with n z-scores z each; E maps of F features;
u_i a configuration under one of the maps, or its columns, over the length scales and times sqrt(5); r_ij = |u_i - u_j|;
w the variance of the part of the kernel.

    K     = sum w (1 + r + r^2 / 3) exp(-r) + e I,      L L' = K
    value = mean_b (z' K^-1 z / 2 + sum log diag L) / n
    G     = d value / d K   = (K^-1 - K^-1 z z' K^-1) / (2 B n)
    S_ij  = G_ij d K_ij / d r_ij^2 = -G_ij w (1 + r_ij) exp(-r_ij) / 6
    d value / d u_i = 4 sum_j S_ij (u_i - u_j)

On a CPU, numpy computes it: the batches are small, and automatic differentiation of the same sums takes three times as
long. On another device, torch does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, get_lapack_funcs
from torch import Tensor

from metahpo.surrogates.mixture.source_functions import MIN_RECORD_NOISE, ZScoreKernel

Array = NDArray[Any]

SQRT_5 = math.sqrt(5.0)


def negative_log_likelihood(kernel: ZScoreKernel, X: Tensor, z: Tensor) -> Tensor:
    """Mean over tasks and trials of the negative log likelihood, up to a constant.

    Parameters
    ----------
    kernel : ZScoreKernel
    X : Tensor of shape (B, n, d)
        Of the precision of the kernel.
    z : Tensor of shape (B, n)

    Raises
    ------
    torch.linalg.LinAlgError, scipy.linalg.LinAlgError
        A covariance is not positive definite.
    """
    if X.device.type != "cpu":
        return by_torch(kernel, X, z)
    value: Tensor = _ClosedForm.apply(  # type: ignore[no-untyped-call] # torch leaves it untyped
        X,
        z,
        kernel.maps,
        kernel.log_scale_mapped,
        kernel.log_scale_plain,
        kernel.log_variance_mapped,
        kernel.log_variance_plain,
        kernel.log_noise,
    )
    return value


def by_torch(kernel: ZScoreKernel, X: Tensor, z: Tensor) -> Tensor:
    """Compute the same by operations of torch, on any device."""
    place, n = kernel.locate(X), X.shape[1]
    noise = kernel.noise() * torch.eye(n, dtype=X.dtype, device=X.device)
    L = torch.linalg.cholesky(kernel(place, place) + noise)
    white = torch.linalg.solve_triangular(L, z[..., None], upper=False)
    log_det = L.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    value: Tensor = (0.5 * white.square().sum((-2, -1)) + log_det).mean() / n
    return value


class _ClosedForm(torch.autograd.Function):
    """The value, with gradients that are computed beside it."""

    @staticmethod
    def forward(ctx: Any, *told: Tensor) -> Tensor:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite makes the factor fail
            value, gradients = _with_gradients(*(part.detach().numpy() for part in told))
        ctx.save_for_backward(*(torch.from_numpy(np.asarray(part)) for part in gradients))
        return torch.tensor(value, dtype=told[0].dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(gradient * part for part in ctx.saved_tensors)


def _with_gradients(
    X: Array,
    z: Array,
    maps: Array,
    log_scale_mapped: Array,
    log_scale_plain: Array,
    log_variance_mapped: Array,
    log_variance_plain: Array,
    log_noise: Array,
) -> tuple[float, tuple[Array, ...]]:
    """The value, and its gradients by the parameters."""
    (B, n, d), (E, F, _) = X.shape, maps.shape
    inverse_scale = SQRT_5 * np.exp(-log_scale_mapped)[..., None]
    mapped = X.reshape(B * n, d) @ (maps * inverse_scale).reshape(E * F, d).T
    mapped = np.ascontiguousarray(mapped.reshape(B, n, E, F).swapaxes(1, 2))
    plain = X * (SQRT_5 * np.exp(-log_scale_plain))
    r = np.empty((B, E + 1, n, n), dtype=X.dtype)
    _squared_distances(mapped, r[:, :E])
    _squared_distances(plain, r[:, E])
    np.sqrt(np.maximum(r, 0.0, out=r), out=r)
    decay = np.exp(-r)
    slope = (1.0 + r) * decay
    r *= r
    r *= decay
    r *= 1.0 / 3.0
    r += slope
    correlations = r.reshape(B, E + 1, n * n)
    w = np.append(np.full(E, np.exp(log_variance_mapped) / E, dtype=X.dtype), np.exp(log_variance_plain))
    K = (w @ correlations).reshape(B, n, n)
    K[:, np.arange(n), np.arange(n)] += np.exp(log_noise) + MIN_RECORD_NOISE
    inverse, log_det = _inverse_factors(K)
    white = inverse @ z[..., None]
    solved = inverse.swapaxes(1, 2) @ white

    G = inverse.swapaxes(1, 2) @ inverse
    G -= solved @ solved.swapaxes(1, 2)
    G *= 0.5 / (B * n)
    of_parts = w * (correlations @ G.reshape(B, n * n, 1)).sum((0, 2))
    S = slope
    S *= G[:, None]
    S *= (w / -6.0)[:, None, None]
    of_mapped, of_plain = _towards_each_other(S[:, :E], mapped), _towards_each_other(S[:, E], plain)
    of_maps = of_mapped.swapaxes(1, 2).reshape(B * n, E * F).T @ X.reshape(B * n, d)
    value = (0.5 * float(np.square(white).sum()) + log_det) / (B * n)
    return value, (
        of_maps.reshape(E, F, d) * inverse_scale,
        -(of_mapped * mapped).sum((0, 2)),
        -(of_plain * plain).sum((0, 1)),
        of_parts[:E].sum(),
        of_parts[E],
        np.exp(log_noise) * np.trace(G, axis1=1, axis2=2).sum(),
    )


def _squared_distances(u: Array, out: Array) -> None:
    """Write the squared distances (.., n, n) between the rows (.., n, f)."""
    squares = np.einsum("...nf,...nf->...n", u, u)
    np.matmul(u, u.swapaxes(-1, -2), out=out)
    out *= -2.0
    out += squares[..., :, None]
    out += squares[..., None, :]


def _inverse_factors(K: Array) -> tuple[Array, float]:
    """``L^-1`` of each of B covariances (B, n, n), and the sum of the logarithms of the diagonals of all L."""
    routines: Any = get_lapack_funcs(("potrf", "trtri"), (K,))  # the types of scipy expect one name
    factor, invert = routines
    inverse = np.empty_like(K)
    for own, found in zip(K, inverse, strict=True):
        L, failed_at = factor(own.T, lower=1)
        if failed_at:
            raise LinAlgError(f"a covariance of {len(own)} z-scores is not positive definite, or not finite.")
        found[:] = invert(L, lower=1)[0]
    return inverse, -float(np.log(np.diagonal(inverse, axis1=1, axis2=2)).sum())


def _towards_each_other(S: Array, u: Array) -> Array:
    """``4 sum_j S_ij (u_i - u_j)``, of the shape of u (.., n, f), for a symmetric S (.., n, n)."""
    pull = (S @ np.ones(len(S.T), dtype=S.dtype))[..., None] * u
    pull -= S @ u
    pull *= 4.0
    return pull
